"""What the OpenAI-compatible endpoints take, checked and turned into requests to the application Write."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.applications.write import CompleteRequest
from engine.errors import InputError
from engine.messages import NOTHING, Text
from engine.requests import Message, Sampling

DEFAULT_TOKENS = 256
MAX_MESSAGES = 500
MAX_TOP_LOGPROBS = 20

ANOTHER_SEED, USE_REPETITION = Text("Ask again with another seed."), Text("Use repetition_penalty.")
LEAVE_OUT, ONLY_TEXT = Text("Leave it out."), Text("Only text comes back.")
NOT_OFFERED: dict[str, tuple[tuple[Any, ...], Text]] = {
    "n": ((1,), ANOTHER_SEED),
    "best_of": ((1,), ANOTHER_SEED),
    "presence_penalty": ((0,), USE_REPETITION),
    "frequency_penalty": ((0,), USE_REPETITION),
    "logit_bias": (({},), LEAVE_OUT),
    "echo": ((False,), Text("Join the prompt and the answer yourself.")),
    "suffix": (("",), LEAVE_OUT),
    "tools": (([],), LEAVE_OUT),
    "tool_choice": (("none", "auto"), LEAVE_OUT),
    "functions": (([],), LEAVE_OUT),
    "function_call": (("none", "auto"), LEAVE_OUT),
    "response_format": (({"type": "text"},), Text("Ask for the form in the prompt.")),
    "modalities": ((["text"],), ONLY_TEXT),
    "audio": ((), ONLY_TEXT),
    "prediction": ((), LEAVE_OUT),
    "web_search_options": ((), LEAVE_OUT),
}
"""OpenAI's fields that would change the answer but have no counterpart here, with the values that ask for nothing
(null is one of them) and what to do. Other fields that this server does not know are left aside."""


class StreamOptions(BaseModel):
    """What a stream holds besides text."""

    include_usage: bool = False


class TextBody(BaseModel):
    """What both endpoints take; null means the default. `top_k`, `min_p` and `repetition_penalty` are ours."""

    model_config = ConfigDict(extra="allow")

    model: str
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    temperature: float | None = 1.0
    top_p: float | None = 1.0
    top_k: int | None = 0
    min_p: float | None = 0.0
    repetition_penalty: float | None = 1.0
    stop: str | list[str] | None = None
    seed: int | None = None

    @property
    def has_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self, length: str = "max_tokens") -> Sampling:
        """The settings, their limits checked; `length` names the field that holds the length. Raises InputError."""
        self._refuse()
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        tokens = getattr(self, length)
        settings = Sampling(DEFAULT_TOKENS if tokens is None else tokens, stop=stop, **{"temperature": 1.0} | given)
        try:
            settings.resolved()
        except InputError as error:
            if error.param != "max_new_tokens":
                raise
            facts = error.text.facts | {"field": length}
            raise InputError(Text(error.text.template, **facts), param=length) from None
        return settings

    def _refuse(self) -> None:
        for name, value in (self.model_extra or {}).items():
            neutral, step = NOT_OFFERED.get(name, ((value,), NOTHING))
            if value is not None and value not in neutral:
                raise InputError("{field} is not offered here. {step}", param=name, field=name, step=step)


class CompletionBody(TextBody):
    """A prompt or up to 16, to be continued each."""

    prompt: str | list[Any]
    logprobs: int | None = Field(default=None, ge=0, le=MAX_TOP_LOGPROBS)

    @property
    def likeliest(self) -> int | None:
        """How many of the likeliest tokens to list at each place; None for no log-probabilities at all."""
        return self.logprobs

    def asked(self) -> CompleteRequest:
        """What the application is asked for. Raises InputError."""
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if not all(isinstance(prompt, str) for prompt in prompts):
            raise InputError("prompt must be text or a list of texts; token numbers are not offered.", param="prompt")
        return CompleteRequest(self.model, self.prompt, (), self.sampling(), _wanted(self.likeliest))


class ChatMessage(BaseModel):
    """One turn; content may be given as parts of type text."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, Any]]

    def turn(self, name: str) -> Message:
        """As the engine has it; `name` is the content's field. Raises InputError for parts that are not text."""
        parts = [{"type": "text", "text": self.content}] if isinstance(self.content, str) else self.content
        for index, part in enumerate(parts):
            if part.get("type") != "text" or not isinstance(part.get("text"), str):
                field = f"{name}[{index}]"
                raise InputError(
                    "{field} is not of type text; images, sound and files are not offered.", param=field, field=field
                )
        text = "".join(part["text"] for part in parts)
        return Message("system" if self.role == "developer" else self.role, text)


class ChatBody(TextBody):
    """A conversation, whose next turn is asked for; a last turn by the assistant is carried on."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: int | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = Field(default=None, ge=0, le=MAX_TOP_LOGPROBS)

    @property
    def likeliest(self) -> int | None:
        """How many of the likeliest tokens to list at each place; None for no log-probabilities at all."""
        return (self.top_logprobs or 0) if self.logprobs else None

    def asked(self) -> CompleteRequest:
        """What the application is asked for. Raises InputError."""
        if self.top_logprobs and not self.logprobs:
            raise InputError("top_logprobs needs logprobs to be true.", param="top_logprobs")
        sampling = self.sampling("max_tokens" if self.max_completion_tokens is None else "max_completion_tokens")
        messages = [message.turn(f"messages[{place}].content") for place, message in enumerate(self.messages)]
        return CompleteRequest(self.model, (), messages, sampling, _wanted(self.likeliest))


def _wanted(likeliest: int | None) -> int:
    """What to ask the engine for, which tells the chosen token's log-probability only along with a rival's."""
    return 0 if likeliest is None else max(1, likeliest)
