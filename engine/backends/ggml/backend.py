"""Decoders in GGUF on llama.cpp, through the server inside `xllamacpp`: slots, continuous batching, prefix reuse.

It turns our requests into llama.cpp's and its chunks into text; it decides nothing about queues or budgets.
"""

from __future__ import annotations

import logging
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.backends.abilities import able
from engine.backends.controls import Controls, split_space
from engine.backends.cores import threads_for
from engine.backends.ggml import TASKS
from engine.backends.ggml.adapters import opened
from engine.backends.ggml.beginnings import MOST_STATES, Beginnings
from engine.backends.ggml.completion import REPRODUCIBLE, Stream, completion_body
from engine.backends.ggml.llama import Llama, LlamaEnded, LlamaRefused
from engine.backends.ggml.memory import GPU_BATCH_TOKENS, fitting_slots, needed_bytes, refusal_of
from engine.backends.ggml.requantization import requantized
from engine.backends.ggml.slots import ANY, Beginning, GrowingServer, Place, shared_length
from engine.backends.ggml.tokens import tokenized, with_bytes
from engine.backends.gguf import Header, read_control_tokens, read_header
from engine.backends.memory import set_aside
from engine.backends.protocol import Job
from engine.backends.turns import Turns
from engine.errors import InputError, NotReadyError, PeopleError, UnsupportedError, stopped_at_work
from engine.inspections import Tokenize, Tokens
from engine.requests import Generate, Generation, Message

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

log = logging.getLogger(__name__)

BATCH_TOKENS, PASS_TOKENS = 120, 60
"""Tokens of one step, the next ones of all answers and as much of new prompts as fits, and of each pass through the
model in it: a cancel waits for at most one step, other answers go on between two. With steps of 48, the last of 32
visitors waited 1.6 times as long for the first token; from 64 tokens on llama.cpp's attention takes another path (and
other roundings), see `_make_reproducible`."""
COPIED_BYTES = 2**30
"""Of weights that Linux reads into memory, whose large pages are 1.03 (Gemma) to 1.08 (SmolLM2) times as fast as the
small ones of a mapped file; larger files are mapped, since each server that grows would copy them."""
LONG_BYTES = 1000
"""Of a prompt, not counting what its slot has of it: from here on it is read in stages. Some 250 tokens of English."""
LEAST_TOKENS = 8
"""Of a stage: reading the weights once costs as much as some of them."""
FIRST_TOKEN_SECONDS = 0.005
"""What a prompt's token takes, until a stage has shown it."""
FEW_SLOTS, PREFIX_CACHE_MIB = 8, 128
"""Where fewer slots are set, memory for the states of earlier prompts: few-shot prompts come back. Else slots keep
them, also where memory was short of all that are set."""
REPEATS = 2
"""How often a request is repeated whose process ended before its first word."""
SPACE_FIRST = r'root ::= " " [^\x00]*'
"""Grammar of an answer to a prompt whose last space was taken off."""
CHECKPOINTS = 4
"""States kept for each slot of a recurrent model, which cannot go back to a shared prefix without. One with a sliding
window keeps all its keys instead: they are fewer bytes than checkpoints, and a second translation begins sooner."""


Prompt = str | list[str | int]
"""Text, or pieces of text and tokens."""


class LlamaCppBackend:
    """One GGUF model with `settings.slots` slots, fewer where memory is short, each `context_tokens` long.

    Raises InputError for a damaged file, NotFoundError for a missing one, MemoryShortError when it would not fit.
    """

    batch = 1
    tasks = TASKS

    def __init__(self, model: Model, path: Path, settings: Settings) -> None:
        path, self._adapters = opened(model, path, settings)
        header = read_header(path)
        self._spare: Llama | None = Llama()
        """A process that has no model yet: it begins, and tells the devices, before anything else is known."""
        try:
            self._open(model, path, header, settings)
        except BaseException:
            if self._spare:
                self._spare.close()
            raise

    def _open(self, model: Model, path: Path, header: Header, settings: Settings) -> None:
        assert self._spare is not None
        self.device = _device(settings.device, self._spare.devices)
        if self.device == "cpu" and (copy := requantized(path, header)) != path:
            path, header = copy, read_header(copy)
        self.context_tokens = header.context_tokens(settings)
        self.concurrency = fitting_slots(header, self.context_tokens, settings)
        self.dtype, self._vocabulary = header.dtype, header.vocabulary_size
        # What one visitor's prompt left there would be found by the next one's; on a small machine it is missed more.
        has_cache = settings.slots < FEW_SLOTS and not settings.is_public and not settings.is_small
        self._prefix_cache_mib = PREFIX_CACHE_MIB if has_cache else 0
        self._title = model.title
        self._bos = int(header.metadata.get("tokenizer.ggml.bos_token_id", 0))
        self._has_template = "tokenizer.chat_template" in header.metadata
        self._controls = Controls(read_control_tokens(path))
        self._key = secrets.token_hex(16)

        def needed(slots: int) -> int:
            adapters = sum(adapter.stat().st_size for adapter in self._adapters)
            return needed_bytes(header, self.context_tokens, slots) + adapters + self._prefix_cache_mib * 2**20

        def start(slots: int) -> Any:
            refusal = refusal_of(model.title, needed(slots), settings)
            if settings.memory_bytes and needed(slots) > settings.memory_bytes:
                raise refusal(settings.memory_bytes)
            with set_aside(model.id, needed(slots), refusal):
                return self._start(path, slots, settings)

        self.memory_bytes = needed(self.concurrency)
        self._turns, self._token_seconds = Turns(), FIRST_TOKEN_SECONDS
        self._beginnings, self._template = Beginnings(), lru_cache(MOST_STATES)(self._filled)
        self._servers = GrowingServer(start, self.concurrency, is_whole=self.device != "cpu")

    @property
    def pid(self) -> int | None:
        """The number of the process that holds the model."""
        server = self._servers.server
        return server.pid if server else None

    def _start(self, path: Path, slots: int, settings: Settings) -> Llama:
        """A process with the model and so many slots. Raises InputError, NotReadyError."""
        llama, self._spare = self._spare or Llama(), None
        try:
            llama.load(self._parameters(path, slots, settings), self._key)
        except LlamaEnded as error:
            if error.status != -signal.SIGABRT:
                raise NotReadyError(
                    "{model} was stopped while it was loaded, most likely for want of memory. Unload another model, "
                    "or lower PARLANCE_SLOTS.",
                    retry_seconds=10, model=self._title,
                ) from error  # fmt: skip
            raise self._damaged(path) from error
        except LlamaRefused as error:
            raise self._damaged(path) from error
        return llama

    def _damaged(self, path: Path) -> InputError:
        return InputError(
            "{model} could not be loaded from {file}: llama.cpp does not know its architecture, or the file is "
            "damaged. Delete the model and download it again.",
            param="model", model=self._title, file=path.name,
        )  # fmt: skip

    def _parameters(self, path: Path, slots: int, settings: Settings) -> dict[str, Any]:
        """llama.cpp's parameters by name, those that are enumerations by the name of their value."""
        is_cpu, threads = self.device == "cpu", threads_for("llamacpp", settings)
        steps = (BATCH_TOKENS, PASS_TOKENS) if is_cpu else (GPU_BATCH_TOKENS, GPU_BATCH_TOKENS)
        is_copied = is_cpu and sys.platform == "linux" and path.stat().st_size <= COPIED_BYTES
        return {
            "model.path": str(path),
            "n_parallel": slots,
            "n_ctx": slots * self.context_tokens,
            "n_batch": steps[0],
            "n_ubatch": steps[1],
            "fit_params": False,
            "n_gpu_layers": 0 if is_cpu else -1,
            "cpuparams.n_threads": threads,
            "cpuparams_batch.n_threads": threads,
            "cache_ram_mib": self._prefix_cache_mib,
            "swa_full": True,
            "n_ctx_checkpoints": CHECKPOINTS,
            "enable_reasoning": 0,
            "ui": False,
            "verbosity": 3 if log.isEnabledFor(logging.DEBUG) else 0,
            **({"lora_adapters": [str(adapter) for adapter in self._adapters]} if self._adapters else {}),
            **({"load_mode": "LLAMA_LOAD_MODE_NONE"} if is_copied else {}),
            **(REPRODUCIBLE if is_cpu else {}),
            **self._beginnings.parameters,
        }

    def run(self, jobs: Sequence[Job]) -> None:
        """Generate or tokenize for each job in turn; its faults go to the job."""
        for job in able(jobs, self._title, self.tasks):
            try:
                request = job.request
                result = self._tokenized(request.text) if isinstance(request, Tokenize) else self._generate(job)
            except LlamaEnded:
                job.fail(stopped_at_work(self._title))
            except Exception as error:
                job.fail(error)
            else:
                job.finish(result)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text without the ones that the model adds at its start; from any thread."""
        return len(self._ids(text, is_first=False))

    def close(self) -> None:
        """End llama.cpp's process and with it its memory."""
        self._servers.close()
        self._beginnings.close()

    def _generate(self, job: Job) -> Generation:
        """An answer; where the process ends before its first word, another process's. Raises LlamaEnded."""
        for _ in range(REPEATS):
            with suppress(LlamaEnded):
                return self._attempt(job)
        return self._attempt(job)

    def _attempt(self, job: Job) -> Generation:
        assert job.request.task == "generate"
        started = time.perf_counter()
        sampling = job.request.sampling
        prompt, space = self._prompt(job.request)
        stream = Stream(job, job.request, sampling, self._title, self.context_tokens, started)
        stream.text.skipped, stream.pieces = space, self._pieces
        body = completion_body(job.request, sampling, prompt or [self._bos], self.context_tokens)
        body |= {"grammar": SPACE_FIRST} if space and not job.request.grammar else {}
        common = self._common(job.request, prompt)
        try:
            if not job.is_cancelled:
                with self._servers.slot(Beginning(_key(prompt), job.circle, common)) as place:
                    self._answer(job, place, prompt, body, stream)
        except LlamaEnded as error:
            if stream.first_at:
                raise stopped_at_work(self._title) from error
            raise
        return stream.generation()

    def _common(self, request: Generate, prompt: Prompt) -> int:
        """Characters at the prompt's beginning that are the application's; of messages, as the template puts them."""
        characters = request.common_characters
        if not isinstance(prompt, str) or not characters or not request.messages:
            return characters if isinstance(prompt, str) else 0
        asked = max(place for place, one in enumerate(request.messages) if one.role == "user")
        last = Message("user", request.messages[asked].content[:characters])
        return shared_length(self._template((*request.messages[:asked], last)), prompt)

    def _answer(self, job: Job, place: Place, prompt: Prompt, body: dict[str, Any], stream: Stream) -> None:
        def is_wanted() -> bool:
            return not job.is_cancelled

        self._beginnings.make(place, lambda text: self._read_whole(job, place, text, is_wanted))
        with self._turns.answering() as begin:  # whoever reads a long prompt lets it go first from here on
            self._beginnings.take_up(place)
            if place.is_strange:
                body |= self._forget(place, is_wanted)
            if not (tokens := self._long(place, prompt)):
                self._stream(place, prompt, body, stream, begin, is_wanted)
                return
        self._read(job, place, _key(prompt), tokens, is_wanted)
        with self._turns.answering() as begin:
            self._stream(place, prompt, body | {"prompt": tokens}, stream, begin, is_wanted)

    def _stream(
        self,
        place: Place,
        prompt: Prompt,
        body: dict[str, Any],
        stream: Stream,
        begin: Callable[[], None],
        is_wanted: Callable[[], bool],
    ) -> None:
        stream.begin = begin
        if is_wanted():
            place.server.stream(body | {"id_slot": place.slot}, stream, is_wanted)
        if stream.first_at:
            place.evaluated = _key(prompt)

    def _forget(self, place: Place, is_wanted: Callable[[], bool]) -> dict[str, Any]:
        """Leave in a slot only what this prompt may share with another circle's; where none was chosen, say so."""
        if place.slot == ANY:
            return {"cache_prompt": False}
        common = self._tokens(place.prompt.text[: place.shared]) if place.shared else []
        place.is_strange = not self._evaluate(place, common or [self._bos], is_wanted)
        return {}

    def _read_whole(self, job: Job, place: Place, text: str, is_wanted: Callable[[], bool]) -> bool:
        """Have a slot hold a text and nothing else; whether it does now."""
        tokens = self._tokens(text)
        if len(text.encode()) >= LONG_BYTES:
            self._read(job, place, text, tokens, is_wanted)
        return self._evaluate(place, tokens, is_wanted)

    def _long(self, place: Place, prompt: Prompt) -> list[int]:
        """The tokens of a prompt that is read in stages, as its slot lacks much of it; none where it is short."""
        if place.slot == ANY or len(_key(prompt)[place.shared :].encode()) < LONG_BYTES:
            return []
        tokens = self._tokens(prompt)
        return tokens if len(tokens) < self.context_tokens else []  # llama.cpp refuses it in its own words

    def _read(self, job: Job, place: Place, key: str, tokens: list[int], is_wanted: Callable[[], bool]) -> None:
        """Read a long prompt up to its last stage between everybody else's words.

        llama.cpp would put as many of its tokens into each step as there is room for, and the prompts of later slots
        and the next words of all answers would wait for each.
        """
        done = len(tokens) * place.shared // len(key)
        with self._turns.reading(len(tokens) - done, job.visitor) as reader:
            while is_wanted():
                with self._turns.stage(reader, is_wanted) as seconds:
                    done += max(LEAST_TOKENS, int(min(PASS_TOKENS, seconds / self._token_seconds)))
                    if done >= len(tokens) or not seconds:
                        break
                    self._evaluate(place, tokens[:done], is_wanted)
                    reader.left, place.evaluated = len(tokens) - done, key[: len(key) * done // len(tokens)]

    def _evaluate(self, place: Place, tokens: list[int], is_wanted: Callable[[], bool]) -> bool:
        """Have a slot hold these tokens and no others, and learn from it how long one takes; whether it does now."""
        last: dict[str, Any] = {}
        body = {"prompt": tokens, "n_predict": 0, "cache_prompt": True, "id_slot": place.slot, "stream": True}
        place.server.stream(body | {"return_progress": True}, lambda chunk: bool(last.update(chunk)), is_wanted)
        timings = last.get("timings", {})
        if timings.get("prompt_n", 0) >= LEAST_TOKENS:
            self._token_seconds = timings["prompt_ms"] / timings["prompt_n"] / 1000
        return "usage" in last

    def _prompt(self, request: Generate) -> tuple[Prompt, str]:
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

    def _pieces(self, text: str) -> list[tuple[int, bytes]]:
        with suppress(OSError, LlamaEnded, LlamaRefused, PeopleError):  # an answer does not end for want of these
            return self._read_pieces(text, is_first=False)
        return []

    def _read_pieces(self, text: str, is_first: bool) -> list[tuple[int, bytes]]:
        body = {"content": text, "add_special": is_first, "parse_special": False, "with_pieces": True}
        return with_bytes(self._post("/tokenize", body)["tokens"])

    def _tokenized(self, text: str) -> Tokens:
        return Tokens(tokenized(text, self._read_pieces), self._vocabulary)

    def _filled(self, messages: Sequence[Message]) -> str:
        if not self._has_template:
            raise UnsupportedError(
                "{model} has no chat template, so it cannot take messages. "
                "Send a plain prompt, or choose a chat model.",
                param="messages", model=self._title,
            )  # fmt: skip
        turns = [{"role": one.role, "content": self._controls.hidden(one.content)} for one in messages]
        return str(self._post("/apply-template", {"messages": turns})["prompt"])

    def _tokens(self, prompt: Prompt) -> list[int]:
        """The tokens that llama.cpp makes of a prompt."""
        tokens: list[int] = []
        for place, piece in enumerate([prompt] if isinstance(prompt, str) else prompt):
            if isinstance(piece, str):
                body = {"content": piece, "add_special": place == 0, "parse_special": True}
                tokens += self._post("/tokenize", body)["tokens"]
            else:
                tokens.append(piece)
        return tokens

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask llama.cpp for what is no completion."""
        with self._servers.held() as server:
            answer: dict[str, Any] = server.post(path, body)
        if "error" in answer:
            raise InputError(
                "{model} cannot take these messages: {reason}",
                param="messages", model=self._title, reason=answer["error"]["message"],
            )  # fmt: skip
        return answer


def _key(prompt: Prompt) -> str:
    """A prompt as text that is alike where its tokens are."""
    return prompt if isinstance(prompt, str) else "".join(map(str, prompt))


def _device(wanted: str, kinds: Sequence[str]) -> str:
    if wanted != "cpu" and any("cuda" in kind for kind in kinds):
        return "cuda"
    return "mps" if wanted != "cpu" and any("metal" in kind or "mtl" in kind for kind in kinds) else "cpu"
