"""Decoders in GGUF on llama.cpp, through the server inside `xllamacpp`: slots, continuous batching, prefix reuse.

It turns our requests into llama.cpp's and its chunks into text; it decides nothing about queues or budgets.
"""

from __future__ import annotations

import http.client
import json
import logging
import math
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

try:
    import xllamacpp
except ImportError:  # a slim system has no OpenMP library; torch brings one
    import torch  # noqa: F401
    import xllamacpp

from engine.backends.abilities import able
from engine.backends.controls import Controls, split_space
from engine.backends.cores import threads_for
from engine.backends.ggml import TASKS
from engine.backends.ggml.large_pages import large_pages
from engine.backends.ggml.requantization import requantized
from engine.backends.ggml.slots import GrowingServer
from engine.backends.gguf import Header, read_control_tokens, read_header
from engine.backends.protocol import Job
from engine.backends.texts import HeldText
from engine.errors import ContextError, InputError, MemoryShortError, UnsupportedError
from engine.requests import FinishReason, Generate, Generation, Message, Sampling, Token
from engine.sizes import size_in_words

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

log = logging.getLogger(__name__)

BATCH_TOKENS, PASS_TOKENS = 120, 60
"""Tokens of one step, the next ones of all answers and as much of new prompts as fits, and of each pass through the
model in it: a cancel waits for at most one step, other answers go on between two. With steps of 48, the last of 32
visitors waited 1.6 times as long for the first token; from 64 tokens on llama.cpp's attention takes another path (and
other roundings), see `_make_reproducible`."""
GPU_BATCH_TOKENS = 512
COPIED_BYTES = 2**30
"""Of weights that Linux reads into memory, whose large pages are 1.03 (Gemma) to 1.08 (SmolLM2) times as fast as the
small ones of a mapped file; larger files are mapped, since each server that grows would copy them."""
SAMPLERS = ["penalties", "top_k", "temperature", "top_p", "min_p"]
"""As `Sampling` documents, but that top-k comes before the temperature: it keeps the same tokens, and the rest costs
nothing more. What is not listed does not act."""
FEW_SLOTS, PREFIX_CACHE_MIB = 8, 128
"""Where fewer slots are set, memory for the states of earlier prompts: few-shot prompts come back. Else slots keep
them, also where memory was short of all that are set."""
SPACE_FIRST = r'root ::= " " [^\x00]*'
"""Grammar of an answer to a prompt whose last space was taken off."""
SHARE = 0.5
"""Of the memory, which the slots of one model take at most; with one slot a model may take all."""
CHECKPOINTS = 4
"""States kept for each slot of a recurrent model, which cannot go back to a shared prefix without. One with a sliding
window keeps all its keys instead: they are fewer bytes than checkpoints, and a second translation begins sooner."""


class LlamaCppBackend:
    """One GGUF model with `settings.slots` slots, fewer where memory is short, each `context_tokens` long.

    Raises InputError for a damaged file, NotFoundError for a missing one, MemoryShortError when it would not fit.
    """

    batch = 1
    tasks = TASKS

    def __init__(self, model: Model, path: Path, settings: Settings) -> None:
        header = read_header(path)
        self.device = _device(settings.device)
        if self.device == "cpu" and (copy := requantized(path, header)) != path:
            path, header = copy, read_header(copy)
        self.context_tokens = header.context_tokens(settings)
        self.concurrency = _fitting_slots(header, self.context_tokens, settings)
        self.dtype = header.dtype
        self._prefix_cache_mib = PREFIX_CACHE_MIB if settings.slots < FEW_SLOTS else 0
        self._title = model.title
        self._bos = int(header.metadata.get("tokenizer.ggml.bos_token_id", 0))
        self._has_template = "tokenizer.chat_template" in header.metadata
        self._controls = Controls(read_control_tokens(path))
        self._key = secrets.token_hex(16)

        def needed(slots: int) -> int:
            return needed_bytes(header, self.context_tokens, slots) + self._prefix_cache_mib * 2**20

        def start(slots: int) -> Any:
            _check_memory(model.title, needed(slots), settings)
            return self._start(path, slots, settings)

        self.memory_bytes = needed(self.concurrency)
        self._servers = GrowingServer(start, self.concurrency, is_whole=self.device != "cpu")

    def _start(self, path: Path, slots: int, settings: Settings) -> Any:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_parallel = slots
        parameters.n_ctx = slots * self.context_tokens
        steps = (BATCH_TOKENS, PASS_TOKENS) if self.device == "cpu" else (GPU_BATCH_TOKENS, GPU_BATCH_TOKENS)
        parameters.n_batch, parameters.n_ubatch = steps
        if self.device == "cpu" and sys.platform == "linux" and path.stat().st_size <= COPIED_BYTES:
            parameters.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
        parameters.fit_params = False
        parameters.n_gpu_layers = 0 if self.device == "cpu" else -1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads_for("llamacpp", settings)
        parameters.cache_ram_mib = self._prefix_cache_mib
        parameters.swa_full = True
        parameters.n_ctx_checkpoints = CHECKPOINTS
        parameters.enable_reasoning = 0
        parameters.api_keys = [self._key]
        parameters.ui = False
        parameters.verbosity = 3 if log.isEnabledFor(logging.DEBUG) else 0
        if self.device == "cpu":
            _make_reproducible(parameters)
        try:
            with large_pages():
                return xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise InputError(
                "{model} could not be loaded from {file}: llama.cpp does not know its architecture, or the file is "
                "damaged. Delete the model and download it again.",
                param="model", model=self._title, file=path.name,
            ) from error  # fmt: skip

    def run(self, jobs: Sequence[Job]) -> None:
        """Generate for each job in turn; its faults go to the job."""
        for job in able(jobs, self._title, self.tasks):
            try:
                generation = self._generate(job)
            except Exception as error:
                job.fail(error)
            else:
                job.finish(generation)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text without the ones that the model adds at its start; from any thread."""
        return len(self._ids(text, is_first=False))

    def close(self) -> None:
        """Stop llama.cpp's threads and free its memory."""
        self._servers.close()

    def _generate(self, job: Job) -> Generation:
        assert job.request.task == "generate"
        started = time.perf_counter()
        sampling = job.request.sampling
        prompt, space = self._prompt(job.request)
        stream = _Stream(job, job.request, sampling, self._title, self.context_tokens, started)
        stream.text.skipped = space
        if not job.is_cancelled:
            with self._servers.slot() as server:
                body = _body(job.request, sampling, prompt or [self._bos], self.context_tokens)
                server.handle_completions(body | ({"grammar": SPACE_FIRST} if space else {}), stream)
        return stream.generation()

    def _prompt(self, request: Generate) -> tuple[str | list[str | int], str]:
        """The prompt, and the space at its end, which the next token shall have. What people typed is text."""
        text, space = split_space(request.begun)
        if not request.messages:
            return (self._ids(text, is_first=True) if self._controls.are_in(text) else text), space
        filled = self._filled(request.messages)
        filled = split_space(filled)[0] if space else filled
        pieces = self._controls.pieces(filled)
        if not any(is_typed for _, is_typed in pieces):
            return filled, space
        prompt: list[str | int] = []
        for text, is_typed in pieces:
            prompt += self._ids(text, is_first=not prompt) if is_typed else [text]
        return prompt, space

    def _ids(self, text: str, is_first: bool) -> list[str | int]:
        body = {"content": text, "add_special": is_first, "parse_special": False}
        return list(self._post("/tokenize", body)["tokens"])

    def _filled(self, messages: Sequence[Message]) -> str:
        if not self._has_template:
            raise UnsupportedError(
                "{model} has no chat template, so it cannot take messages. "
                "Send a plain prompt, or choose a chat model.",
                param="messages", model=self._title,
            )  # fmt: skip
        turns = [{"role": one.role, "content": self._controls.hidden(one.content)} for one in messages]
        return str(self._post("/apply-template", {"messages": turns})["prompt"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        """Ask llama.cpp's own listener for what the binding does not offer: tokens and templates."""
        server = self._servers.server
        connection = http.client.HTTPConnection(urlsplit(server.listening_address).netloc, timeout=30)
        try:
            connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {self._key}"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise InputError(
                "{model} cannot take these messages: {reason}",
                param="messages", model=self._title, reason=answer["error"]["message"],
            )  # fmt: skip
        return answer


def _make_reproducible(parameters: Any) -> None:
    """Keep a token's numbers free of what else is in the batch or the cache, so that a seed gives the same text.

    llama.cpp rounds differently when weights are repacked (one row or several), when at least 64 queries meet in one
    attention, and when a lone query meets 512 keys; the latter two only where the cache is F16 or F32 throughout.
    Measured with eight answers at once: bit-equal for Q4_0 to Q8_0 weights, which `requantized` makes of wide
    K-quants; not for float weights.
    """
    parameters.no_extra_bufts = True
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_BF16


class _Stream:
    """Receives llama.cpp's chunks for one job, hands on text, and ends the request by returning True."""

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
        self.error: Exception | None = None

    def __call__(self, chunk: dict[str, Any]) -> bool:
        """Take one chunk; True ends the request. The binding swallows exceptions, so they are kept for later."""
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
        self.first_at = self.first_at or self.last_at
        before, self.new_tokens = self.new_tokens, chunk["timings"]["predicted_n"]
        is_stopped = self.text.add(choice["text"], _token(choice, self.top_logprobs, self.new_tokens - before))
        self.reason = "stop" if is_stopped else self.reason
        return is_stopped

    def _error_of(self, error: dict[str, Any]) -> Exception:
        if error.get("type") != "exceed_context_size_error":
            return RuntimeError(f"llama.cpp: {error['message']}")
        return ContextError(
            "The prompt has {tokens:,} tokens; {model} takes at most {limit:,}. Shorten it.",
            param=self.param, tokens=error["n_prompt_tokens"], model=self.title, limit=self.context_tokens - 1,
        )  # fmt: skip


def _body(request: Generate, sampling: Sampling, prompt: str | list[Any], context_tokens: int) -> dict[str, Any]:
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
    }


def _token(choice: dict[str, Any], top_logprobs: int, tokens: int) -> Token | None:
    """The chosen token with the likeliest others; None where log-probabilities were not asked for.

    Where a character took several `tokens`, llama.cpp tells only of the last one, so there is no log-probability.
    """
    if not choice["logprobs"]:
        return None
    detail = choice["logprobs"]["content"][-1]
    others = [(o["token"], o["logprob"]) for o in detail["top_logprobs"] if o["id"] != detail["id"]]
    logprob = detail["logprob"] if tokens == 1 else None
    return Token(choice["text"], detail["id"], logprob, tuple(others[:top_logprobs]))


def needed_bytes(header: Header, context_tokens: int, slots: int) -> int:
    """Memory of the weights, the attention cache of all slots, and one batch of logits."""
    logits = GPU_BATCH_TOKENS * 4 * header.vocabulary_size // 8
    return header.size_bytes + header.cache_bytes(context_tokens, slots) + logits


def _device(wanted: str) -> str:
    kinds = [device["name"].lower() for device in xllamacpp.get_device_info()]
    if wanted != "cpu" and any("cuda" in kind for kind in kinds):
        return "cuda"
    return "mps" if wanted != "cpu" and any("metal" in kind or "mtl" in kind for kind in kinds) else "cpu"


def _fitting_slots(header: Header, context_tokens: int, settings: Settings) -> int:
    """`settings.slots`, halved until all of them take at most a part of the memory: other models want some too."""
    slots = settings.slots
    limit = SHARE * min(settings.memory_bytes or math.inf, _free_bytes())
    while slots > 1 and needed_bytes(header, context_tokens, slots) > limit:
        slots //= 2
    return slots


def _check_memory(title: str, needed: int, settings: Settings) -> None:
    """Linux grants memory that it does not have and ends the process later, so ask before llama.cpp does."""
    limit = min(settings.memory_bytes or needed, _free_bytes())
    if needed > limit:
        raise MemoryShortError(
            "{title} needs {needed} for one answer of {tokens:,} tokens, and {free} are there. "
            "Lower PARLANCE_CONTEXT_TOKENS, unload another model, or choose a smaller one.",
            param="model",
            title=title,
            needed=size_in_words(needed),
            tokens=settings.context_tokens,
            free=size_in_words(int(limit)),
        )


def _free_bytes() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), math.inf)
