"""One completion: our request in llama.cpp's words, and its chunks as text, tokens and a result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.backends.ggml.tokens import Pieces, tokens_of
from engine.backends.protocol import Job
from engine.backends.texts import HeldText
from engine.errors import too_long
from engine.requests import FinishReason, Generate, Generation, Sampling

SAMPLERS = ["penalties", "top_k", "temperature", "top_p", "min_p"]
"""As `Sampling` documents, but that top-k comes before the temperature: it keeps the same tokens, and the rest costs
nothing more. What is not listed does not act."""

REPRODUCIBLE = {
    "no_extra_bufts": True,
    "flash_attn_type": "LLAMA_FLASH_ATTN_TYPE_ENABLED",
    "cache_type_v": "GGML_TYPE_BF16",
}
"""What keeps a token's numbers free of what else is in the batch or the cache, so that a seed gives the same text.

llama.cpp rounds differently when weights are repacked (one row or several), when at least 64 queries meet in one
attention, and when a lone query meets 512 keys; the latter two only where the cache is F16 or F32 throughout.
Measured with eight answers at once: bit-equal for Q4_0 to Q8_0 weights, which `requantized` makes of wide
K-quants; not for float weights."""


class Stream:
    """Receives llama.cpp's chunks for one job, hands on text, and ends the request by returning True; `begin` is
    called at the first word, `pieces` where a character took several tokens."""

    def __init__(
        self, job: Job, request: Generate, sampling: Sampling, title: str, context_tokens: int, started: float
    ) -> None:
        self.job, self.sampling, self.started = job, sampling, started
        self.title, self.context_tokens = title, context_tokens
        self.prompt_tokens = 0
        self.top_logprobs = request.top_logprobs
        self.param = "messages" if request.messages else "prompt"
        self.text = HeldText(job, sampling.stop)
        self.new_tokens = 0
        self.first_at = self.last_at = 0.0
        self.reason: FinishReason = "cancelled"
        self.begin: Callable[[], None] = lambda: None
        self.pieces: Pieces = lambda text: ()
        self.error: Exception | None = None

    def __call__(self, chunk: dict[str, Any]) -> bool:
        """Take one chunk; True ends the request. What goes wrong is kept for later: the text so far comes first."""
        try:
            return self._take(chunk)
        except Exception as error:
            self.error = error
            return True

    def generation(self) -> Generation:
        """The whole result; raises what went wrong."""
        if self.error is not None:
            raise self.error
        self.text.end()
        logprobs = [token.logprob for token in self.text.tokens if token.logprob is not None]
        span = self.last_at - self.first_at
        room = self.context_tokens - self.prompt_tokens
        acted = replace(self.sampling, max_new_tokens=min(self.sampling.max_new_tokens, room))
        return Generation(
            text=self.text.text,
            finish_reason=self.reason,
            prompt_tokens=self.prompt_tokens,
            new_tokens=self.new_tokens,
            settings=acted.as_dict(),
            first_token_seconds=self.first_at - self.started if self.first_at else None,
            tokens_per_second=(self.new_tokens - 1) / span if self.new_tokens > 1 and span > 0 else None,
            mean_logprob=sum(logprobs) / len(logprobs) if logprobs else None,
            tokens=tuple(self.text.tokens),
        )

    def _take(self, chunk: dict[str, Any]) -> bool:
        if "error" in chunk:
            raise self._error_of(chunk["error"])
        if "prompt_progress" in chunk:
            self.prompt_tokens = chunk["prompt_progress"]["total"]
        if self.job.is_cancelled:
            return True
        choice = chunk["choices"][0]
        if choice["finish_reason"] is not None:
            self.reason, self.new_tokens = choice["finish_reason"], chunk["timings"]["predicted_n"]
            return False
        if chunk["timings"]["predicted_n"] == 0:
            return False
        self.last_at = time.perf_counter()
        if not self.first_at:
            self.first_at = self.last_at
            self.begin()
        before, self.new_tokens = self.new_tokens, chunk["timings"]["predicted_n"]
        *parts, last = tokens_of(choice, self.top_logprobs, self.new_tokens - before, self.pieces)
        for part in parts:
            self.text.add("", part)
        is_stopped = self.text.add(choice["text"], last)
        self.reason = "stop" if is_stopped else self.reason
        return is_stopped

    def _error_of(self, error: dict[str, Any]) -> Exception:
        if error.get("type") != "exceed_context_size_error":
            return RuntimeError(f"llama.cpp: {error['message']}")
        return too_long(error["n_prompt_tokens"], self.title, self.context_tokens - 1, self.param)


def completion_body(
    request: Generate, sampling: Sampling, prompt: str | list[Any], context_tokens: int
) -> dict[str, Any]:
    """The request in llama.cpp's words. Every sampler that it has and we do not offer stays out of `samplers`."""
    return {
        "prompt": prompt,
        "stream": True,
        "return_progress": True,
        "timings_per_token": True,
        "n_predict": sampling.max_new_tokens,
        "n_probs": request.top_logprobs + 1 if request.top_logprobs else int(request.is_scored),
        "cache_prompt": True,
        "samplers": SAMPLERS,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k if sampling.temperature else 1,  # a tenth faster with a vocabulary as large as Gemma's
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repetition_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_last_n": context_tokens,
        "seed": sampling.seed,
        **({"grammar": request.grammar} if request.grammar else {}),
    }
