"""What the OpenAI-compatible endpoints take, checked and turned into requests to the application Write."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.applications.completing import CompleteRequest
from engine.errors import InputError, UnsupportedError
from engine.http.first_fault import FirstFault
from engine.messages import NOTHING, Text
from engine.requests import MAX_SEED, SAMPLING_LIMITS, Message, Sampling

DEFAULT_TOKENS = 256
MAX_MESSAGES = 500
MAX_TOP_LOGPROBS = 20
MAX_ANSWERS = 16
"""Texts in one answer: prompts times `n`."""
MAX_TOKENS, MAX_TOKENS_ASKED = int(SAMPLING_LIMITS["max_new_tokens"][1]), 2**31 - 1
"""What is asked for beyond the first is cut to it, since clients send a large number for "all that fits"."""
LEAST_SEED, MOST_SEED = -(2**63), 2**64
LEAST_TOP_P = SAMPLING_LIMITS["top_p"][0]

TOOLS = Text("The models here answer with text and call no tools: leave them out, or send tool_choice none.")
LEAVE_OUT, ONLY_TEXT = Text("Leave it out."), Text("Only text comes back.")
NOT_OFFERED: dict[str, tuple[tuple[Any, ...], Text]] = {
    "best_of": ((1,), Text("Ask for n texts and choose one.")),
    "logit_bias": (({},), LEAVE_OUT),
    "echo": ((False,), Text("Join the prompt and the answer yourself.")),
    "suffix": (("",), LEAVE_OUT),
    "tools": (([],), TOOLS),
    "tool_choice": (("none", "auto"), TOOLS),
    "functions": (([],), TOOLS),
    "function_call": (("none", "auto"), TOOLS),
    "response_format": (({"type": "text"},), Text("Ask for the form in the prompt.")),
    "modalities": ((["text"],), ONLY_TEXT),
    "audio": ((), ONLY_TEXT),
    "prediction": ((), LEAVE_OUT),
    "web_search_options": ((), LEAVE_OUT),
}
"""OpenAI's fields that would change the answer but have no counterpart here, with the values that ask for nothing
(null is one of them) and what to do. Other fields that this server does not know are left aside."""


NUMBERS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")


class StreamOptions(BaseModel):
    """What a stream holds besides text."""

    include_usage: bool = False


class TextBody(FirstFault, BaseModel):
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
    presence_penalty: float | None = 0.0
    frequency_penalty: float | None = 0.0
    n: int | None = Field(default=1, ge=1, le=MAX_ANSWERS)
    stop: str | list[str] | None = None
    seed: int | None = None

    @property
    def has_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def tokens_asked(self) -> int | None:
        """The length that was asked for; None where that is left to us."""
        return None if self.max_tokens == -1 else self.max_tokens

    def sampling(self, length: str = "max_tokens") -> Sampling:
        """The settings, their limits checked; `length` names the field that holds the length. Raises InputError."""
        self._refuse()
        given = {name: getattr(self, name) for name in NUMBERS if getattr(self, name) is not None}
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        acting = {"temperature": 1.0} | given | _meant(given)
        settings = Sampling(_length(getattr(self, length), length), stop=stop, seed=_seed(self.seed), **acting)
        try:
            settings.resolved()
        except InputError as error:
            if error.param != "max_new_tokens":
                raise
            facts = error.text.facts | {"field": length}
            raise InputError(Text(error.text.template, **facts), param=length) from None
        return settings

    def _refuse(self) -> None:
        given = self.model_extra or {}
        if isinstance(self.n, int) and given.get("best_of") == self.n:
            given = {name: value for name, value in given.items() if name != "best_of"}
        if given.get("tool_choice") == "none":
            given = {name: value for name, value in given.items() if name != "tools"}
        for name, value in given.items():
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
        most = max(1, MAX_ANSWERS // max(1, len(prompts)))
        if (self.n or 1) > most:
            raise InputError(
                "n is {n}; with {prompts} prompts choose at most {most}.",
                param="n", n=self.n, prompts=len(prompts), most=most,
            )  # fmt: skip
        if not all(isinstance(prompt, str) for prompt in prompts):
            raise InputError("prompt must be text or a list of texts; token numbers are not offered.", param="prompt")
        return CompleteRequest(self.model, self.prompt, (), self.sampling(), _wanted(self.likeliest), self.n or 1)


NO_TOOL_TURNS = Text("The models here answer with text and call no tools: leave such messages out.")
ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
}  # fmt: skip


class ChatMessage(FirstFault, BaseModel):
    """One turn; content may be given as parts of type text, which a line break joins."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None

    def turn(self, name: str) -> Message:
        """As the engine has it; `name` is the content's field. Raises InputError for parts that are not text."""
        if about := self._of_a_tool():
            field = name.removesuffix("content") + about
            raise InputError("{field} is about a tool. {step}", param=field, field=field, step=NO_TOOL_TURNS)
        if self.content is None:
            raise InputError("{field} is missing.", param=name, field=name)
        parts = [{"type": "text", "text": self.content}] if isinstance(self.content, str) else self.content
        for index, part in enumerate(parts):
            if part.get("type") != "text" or not isinstance(part.get("text"), str):
                field = f"{name}[{index}]"
                raise InputError(
                    "{field} is not of type text; images, sound and files are not offered.", param=field, field=field
                )
        text = "\n".join(part["text"] for part in parts)
        return Message(ROLES[self.role], text)

    def _of_a_tool(self) -> str:
        """The field by which this is about a tool; empty where it is not."""
        if self.role in ("tool", "function"):
            return "role"
        return "tool_calls" if self.tool_calls else "function_call" if self.function_call else ""


class ChatBody(TextBody):
    """A conversation, whose next turn is asked for; a last turn by the assistant is carried on."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: int | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = Field(default=None, ge=0, le=MAX_TOP_LOGPROBS)

    @property
    def tokens_asked(self) -> int | None:
        """The length that was asked for; None where that is left to us."""
        newer = self.max_completion_tokens
        return super().tokens_asked if newer is None else None if newer == -1 else newer

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
        return CompleteRequest(self.model, (), messages, sampling, _wanted(self.likeliest), self.n or 1)


def _wanted(likeliest: int | None) -> int:
    """What to ask the engine for, which tells the chosen token's log-probability only along with a rival's."""
    return 0 if likeliest is None else max(1, likeliest)


def _meant(given: dict[str, Any]) -> dict[str, Any]:
    """What clients mean by numbers on the edge: top_p 0 is the likeliest token alone, top_k -1 is all of them."""
    top_p = given.get("top_p")
    meant: dict[str, Any] = {"top_k": 0} if given.get("top_k") == -1 else {}
    if top_p == 0:
        return meant | {"temperature": 0.0, "top_p": 1.0}
    return meant | ({"top_p": LEAST_TOP_P} if top_p is not None and 0 < top_p < LEAST_TOP_P else {})


def _length(tokens: int | None, field: str) -> int:
    """The answer's length at most; -1 asks for all that fits. Raises UnsupportedError for no number of tokens."""
    if tokens is not None and tokens > MAX_TOKENS_ASKED:
        raise UnsupportedError(
            "{field} takes at most {most:,}; {limit:,} tokens are written at most.",
            param=field, field=field, most=MAX_TOKENS_ASKED, limit=MAX_TOKENS,
        )  # fmt: skip
    if tokens is None:
        return DEFAULT_TOKENS
    return MAX_TOKENS if tokens == -1 else min(tokens, MAX_TOKENS)


def _seed(seed: int | None) -> int | None:
    """A seed that the engine takes, the same for the same; -1 draws one. Raises InputError."""
    if seed is not None and not LEAST_SEED <= seed <= MOST_SEED:
        raise InputError("seed is out of its limits: 64 bits at most.", param="seed")
    return None if seed is None or seed == -1 else seed % (MAX_SEED + 1)
