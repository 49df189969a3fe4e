"""From requests to rows: chat templates, languages, limits, and the rules that a model's own configuration sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation import logits_process as rules

from engine.backends.batches import group_by_length, work_in_halves
from engine.backends.controls import Controls, split_space
from engine.backends.languages import is_multilingual, language_code, language_id
from engine.backends.memory import memory_short
from engine.backends.protocol import Job
from engine.backends.pytorch.decoding import Ending, Row
from engine.backends.pytorch.loading import count_tokens
from engine.backends.texts import BROKEN, Detokenizer, TextStream, bytes_of
from engine.errors import InputError, PeopleError, UnsupportedError, too_long
from engine.messages import Text
from engine.requests import Generate, Sampling, Token

MAX_TOP_LOGPROBS = 20
"""As many as OpenAI's interface offers."""


CACHE_SHARE = 4
"""Part of the longest that all rows of a batch together could grow to, for which memory is counted."""
WORKING_SHARE, WORKING_BYTES = 1.2, 64 * 2**20
"""Memory of weights at work, over their size."""


def working_bytes(weights_bytes: int) -> int:
    """Memory of weights at work."""
    return int(weights_bytes * WORKING_SHARE) + WORKING_BYTES


def decoder_start(generation: Any, config: Any, tokenizer: Any) -> int:
    """The token that a decoder starts from."""
    candidates = (
        getattr(generation, "decoder_start_token_id", None),
        getattr(config, "decoder_start_token_id", None),
        tokenizer.bos_token_id,
        tokenizer.pad_token_id,
    )
    return next((int(id) for id in candidates if id is not None), 0)


class RowMaker:
    """Makes the rows of one model. `lock` guards the tokenizer, whose state its calls change."""

    def __init__(
        self, title: str, module: Any, tokenizer: Any, context_tokens: int, lock: threading.Lock, is_seq2seq: bool
    ) -> None:
        self.title, self.tokenizer, self.context_tokens, self.lock = title, tokenizer, context_tokens, lock
        self.is_seq2seq = is_seq2seq
        self.config, self.generation = module.config, module.generation_config
        self._controls = Controls(one.content for one in tokenizer.added_tokens_decoder.values() if one.special)
        self._special = None if tokenizer.is_fast else frozenset(tokenizer.all_special_ids)
        self.restrictions = Restrictions.read(self.generation, is_seq2seq)
        self._rules = _processors(self.restrictions, self.generation.eos_token_id, module.device)
        self.ending = Ending(self._end_ids(), _apply(self._rules) if self._rules else None)

    @property
    def pad_id(self) -> int:
        """What fills a row where nothing counts."""
        for source in (self.generation, self.config, self.tokenizer):
            if isinstance(getattr(source, "pad_token_id", None), int):
                return int(source.pad_token_id)
        return next(iter(self.ending.end_ids), 0)

    def run(self, jobs: Sequence[Job], batch_tokens: int, min_fill: float, work: Callable[[list[Row]], None]) -> None:
        """Have the jobs' rows worked on in batches of similar lengths; a batch short of memory is halved."""
        rows = [row for job in jobs if (row := self._made(job)) is not None]
        lengths = [len(row.source or row.prefix) for row in rows]
        for group in group_by_length(lengths, batch_tokens, min_fill):
            work_in_halves([rows[index] for index in group], work, lambda row: row.job.fail(memory_short(self.title)))

    def _made(self, job: Job) -> Row | None:
        try:
            return self.make(job)
        except PeopleError as error:
            job.fail(error)
            return None

    def count_tokens(self, text: str) -> int:
        """Tokens of the text without special ones; from any thread."""
        with self.lock:
            return count_tokens(self.tokenizer, text)

    def working_bytes(self, weights_bytes: int, rows: int, value_bytes: int) -> int:
        """Memory of a model that writes so many rows at once, with caches as long as they come to be."""
        return working_bytes(weights_bytes) + self.cache_bytes(rows * self.context_tokens // CACHE_SHARE, value_bytes)

    def cache_bytes(self, tokens: int, value_bytes: int) -> int:
        """Memory of the attention cache of so many tokens: keys and values of every layer."""
        config = self.config.get_text_config(decoder=True)
        layers = int(config.num_hidden_layers)
        heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
        size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        return 2 * layers * heads * size * tokens * value_bytes

    def decode(self, ids: list[int]) -> str:
        """Text of ids, special ones left out."""
        if self._special is not None:  # a tokenizer in Python would list them anew for every token
            ids = [id for id in ids if id not in self._special]
        is_fast = self._special is None
        with self.lock:
            return str(self.tokenizer.decode(ids, skip_special_tokens=is_fast, clean_up_tokenization_spaces=False))

    def token_text(self, id: int) -> str:
        """One token by itself; bytes that are part of a character stand in it as `Token.own` says."""
        text = str(self.tokenizer.decode([id], clean_up_tokenization_spaces=False))
        raw = bytes_of(str(self.tokenizer.convert_ids_to_tokens(id))) if BROKEN in text else None
        return text if raw is None else raw.decode("utf-8", "surrogateescape")

    def prompt_ids(self, request: Generate) -> list[int]:
        """A decoder's prompt, or its messages in the model's template. Raises InputError, UnsupportedError."""
        return self._prompt(request)

    def decoder_ids(self, begun: str) -> list[int]:
        """What an encoder-decoder has written when it has begun with a text."""
        prefix = self._decoder_prefix(Generate())
        with self.lock:
            return [*prefix, *self.tokenizer(text_target=begun, add_special_tokens=False, verbose=False)["input_ids"]]

    def make(self, job: Job) -> Row:
        """The row of a job. Raises InputError, TooLargeError or UnsupportedError."""
        request = job.request
        assert request.task == "generate"
        if not 0 <= request.top_logprobs <= MAX_TOP_LOGPROBS:
            raise InputError(
                "top_logprobs takes a number from 0 to {most}.", param="top_logprobs", most=MAX_TOP_LOGPROBS
            )
        sampling = request.sampling
        extra = self._extra_settings()
        if self.is_seq2seq:
            source, prefix = self._source(request), self._decoder_prefix(request)
            self._check_length(len(source), self.context_tokens, "prompt")
            stream = TextStream(job, Detokenizer(self.decode), sampling.stop)
            row = Row(job, request, self._fitted(sampling, len(prefix)), stream, prefix, source, extra)
            self._begin(row)
            return row
        prompt = self._prompt(request)
        self._check_length(len(prompt), self.context_tokens - 1, "messages" if request.messages else "prompt")
        context = [] if request.messages and request.messages[-1].role != "assistant" else prompt
        stream = TextStream(job, Detokenizer(self.decode, context), sampling.stop)
        stream.skipped = split_space(request.begun)[1]
        return Row(job, request, self._fitted(sampling, len(prompt)), stream, prompt, extra_settings=extra)

    def _begin(self, row: Row) -> None:
        """Have an encoder-decoder's answer begin with what it must begin with, as if it had been chosen."""
        if not row.request.beginning:
            return
        with self.lock:
            text = row.request.beginning
            if is_multilingual(self.tokenizer):
                self.tokenizer.tgt_lang = self._known(row.request.target, "target", language_code)
            ids = self.tokenizer(text_target=text, add_special_tokens=False, verbose=False)["input_ids"]
        for id in ids:
            if row.take(id, None, partial(Token, id=id) if row.request.top_logprobs else None, False):
                return

    def _check_length(self, tokens: int, limit: int, param: str) -> None:
        if tokens > limit:
            raise too_long(tokens, self.title, limit, param)

    def _fitted(self, sampling: Sampling, used: int) -> Sampling:
        """The settings with the answer's length capped to what the context leaves."""
        return replace(sampling, max_new_tokens=min(sampling.max_new_tokens, max(1, self.context_tokens - used)))

    def _extra_settings(self) -> dict[str, Any]:
        names = ("no_repeat_ngram_size", "min_length") if self._rules else ()
        return {name: value for name in names if (value := getattr(self.generation, name, None))}

    def _prompt(self, request: Generate) -> list[int]:
        with self.lock:
            if request.messages:
                return self._chat(request)
            ids = list(self.tokenizer(split_space(request.prompt)[0], verbose=False)["input_ids"])
        first = next((i for i in (self.tokenizer.bos_token_id, *self.ending.end_ids) if i is not None), None)
        if not ids and first is None:
            raise InputError("The prompt is empty. Type some text first.", param="prompt")
        return ids or [int(first or 0)]

    def _chat(self, request: Generate) -> list[int]:
        if not getattr(self.tokenizer, "chat_template", None):
            raise UnsupportedError(
                "{model} has no chat template, so it cannot take messages. "
                "Send a plain prompt, or choose a chat model.",
                param="messages", model=self.title,
            )  # fmt: skip
        is_continued = request.messages[-1].role == "assistant"
        try:
            text = self.tokenizer.apply_chat_template(
                [{"role": one.role, "content": self._controls.hidden(one.content)} for one in request.messages],
                tokenize=False,
                add_generation_prompt=not is_continued,
                continue_final_message=is_continued,
            )
        except Exception as error:  # a template may refuse an order of roles in its own way
            raise InputError(
                "{model} cannot take these messages: {reason}", param="messages", model=self.title, reason=str(error)
            ) from error
        text = split_space(text)[0] if request.begun else text
        ids: list[int] = []
        for piece, is_typed in self._controls.pieces(text):
            options = {"add_special_tokens": False, "split_special_tokens": is_typed, "verbose": False}
            ids += self.tokenizer(piece, **options)["input_ids"]
        return ids

    def _source(self, request: Generate) -> list[int]:
        if request.messages:
            raise UnsupportedError(
                "{model} takes a text, not messages. Send a plain prompt.", param="messages", model=self.title
            )
        with self.lock:
            if is_multilingual(self.tokenizer):
                self.tokenizer.src_lang = self._known(request.source, "source", language_code)
            return list(self.tokenizer(request.prompt, verbose=False)["input_ids"])

    def _decoder_prefix(self, request: Generate) -> list[int]:
        start = decoder_start(self.generation, self.config, self.tokenizer)
        if is_multilingual(self.tokenizer):
            return [start, self._known(request.target, "target", language_id)]
        forced = getattr(self.generation, "forced_bos_token_id", None)
        return [start] if forced is None else [start, int(forced)]

    def _known(self, language: str | None, param: str, look_up: Callable[[Any, str], Any]) -> Any:
        if language is None:
            needed = {
                "source": Text("{model} must be told the source language, such as en.", model=self.title),
                "target": Text("{model} must be told the target language, such as en.", model=self.title),
            }
            raise InputError(needed[param], param=param)
        code = look_up(self.tokenizer, language)
        if code is None:
            raise UnsupportedError(
                "{model} does not know the language {language}. Choose another.",
                param=param, model=self.title, language=language,
            )  # fmt: skip
        return code

    def _end_ids(self) -> frozenset[int]:
        ids: set[int] = set()
        for source in (self.generation, self.tokenizer):
            value = getattr(source, "eos_token_id", None)
            ids.update(value if isinstance(value, (list, tuple)) else [] if value is None else [value])
        return frozenset(ids)


@dataclass(frozen=True)
class Restrictions:
    """Which tokens may not come, as the model's authors set it in generation_config.json."""

    sequences: tuple[tuple[int, ...], ...] = ()
    """Ids of which the last never follows the others; one alone never comes."""
    no_repeat_ngram_size: int = 0
    min_length: int = 0
    """Tokens, those given to the decoder included, before the answer may end."""

    @classmethod
    def read(cls, config: Any, is_seq2seq: bool) -> Restrictions:
        """Those of a GenerationConfig that act here."""
        sequences = [(id,) for id in config.suppress_tokens or []]
        sequences += [tuple(ids) for ids in config.bad_words_ids or [] if ids != [config.eos_token_id]]
        if not is_seq2seq:
            return cls(tuple(sequences))
        min_length = config.min_length if config.eos_token_id is not None else 0
        return cls(tuple(sequences), config.no_repeat_ngram_size or 0, min_length or 0)


def _processors(restrictions: Restrictions, ends: Any, device: torch.device) -> LogitsProcessorList:
    found = LogitsProcessorList()
    phrases = [list(ids) for ids in restrictions.sequences if len(ids) > 1]
    # A token that never comes has a rule of its own; the library's for phrases takes longer than choosing does.
    suppressed = [ids[0] for ids in restrictions.sequences if len(ids) == 1]
    if phrases:
        found.append(rules.NoBadWordsLogitsProcessor(phrases, ends))
    if suppressed:
        found.append(_Suppressed(torch.tensor(suppressed, device=device)))
    if restrictions.no_repeat_ngram_size:
        found.append(rules.NoRepeatNGramLogitsProcessor(restrictions.no_repeat_ngram_size))
    if restrictions.min_length:
        found.append(rules.MinLengthLogitsProcessor(restrictions.min_length, ends, device=device))
    return found


class _Suppressed(LogitsProcessor):
    """Takes tokens out; the logits that came stay whole, for their log-probabilities."""

    def __init__(self, ids: Tensor) -> None:
        self._ids = ids

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.index_fill(1, self._ids, -torch.inf)


def _apply(processors: LogitsProcessorList) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda ids, logits: processors(ids, logits)
