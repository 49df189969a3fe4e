"""The decoding loop: rows of one batch, each with its own settings, text and end; a finished row leaves the batch.

A row keeps all that it needs to go on, so that a batch can be started anew with fewer rows when memory runs out.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.backends.protocol import Job
from engine.backends.pytorch.sampling import choose
from engine.backends.texts import TextStream
from engine.requests import Alternative, FinishReason, Generate, Generation, Sampling, Token


@dataclass
class Row:
    """One answer on its way: `prefix` is read by the decoder first (causal: the prompt), `source` by the encoder."""

    job: Job
    request: Generate
    sampling: Sampling
    stream: TextStream
    prefix: list[int]
    source: list[int] = field(default_factory=list)
    extra_settings: dict[str, Any] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    is_done: bool = False
    is_held: bool = False
    """Its result waits for `hand_in`, after its end."""
    alternatives: tuple[Alternative, ...] = ()

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.sampling.seed or 0)
        self.logprobs: list[float] = []
        self.started = time.perf_counter()
        self.first_at = self.last_at = 0.0
        self.finish_reason: FinishReason = "stop"

    @property
    def seen(self) -> list[int]:
        """What the repetition penalty counts: prompt and answer, of an encoder-decoder the answer alone."""
        return self.ids if self.source else self.prefix + self.ids

    def check(self) -> bool:
        """Finish the row if nobody waits for it any more. True when it is done."""
        if not self.is_done and self.job.is_cancelled:
            self.finish("cancelled")
        return self.is_done

    def take(self, id: int, logprob: float | None, detail: Callable[[str], Token] | None, is_end: bool) -> bool:
        """Add a token. True when the row is done."""
        self.last_at = time.perf_counter()
        self.first_at = self.first_at or self.last_at
        if logprob is not None:
            self.logprobs.append(logprob)
        self.ids.append(id)
        if is_end or self.stream.push(id, detail):
            self.finish("stop")
        elif len(self.ids) >= self.sampling.max_new_tokens:
            self.finish("length")
        return self.is_done

    def finish(self, reason: FinishReason) -> None:
        """Hand on what was held back, and the result."""
        self.finish_reason = "stop" if self.stream.close() else reason
        self.is_done = True
        if not self.is_held:
            self.hand_in()

    def hand_in(self) -> None:
        """Give the job its result."""
        self.job.finish(self.result())

    def result(self) -> Generation:
        """What it has come to."""
        count, span = len(self.ids), self.last_at - self.first_at
        return Generation(
            text=self.stream.text,
            finish_reason=self.finish_reason,
            prompt_tokens=len(self.source or self.prefix),
            new_tokens=count,
            settings=self.sampling.as_dict() | self.extra_settings,
            first_token_seconds=self.first_at - self.started if count else None,
            tokens_per_second=(count - 1) / span if count > 1 and span > 0 else None,
            mean_logprob=sum(self.logprobs) / len(self.logprobs) if self.logprobs else None,
            tokens=tuple(self.stream.tokens),
            alternatives=self.alternatives,
        )


class Stepper(Protocol):
    """A model with the state of its batch. Logits are (rows, vocabulary)."""

    def start(self, rows: Sequence[Row]) -> Tensor | None:
        """Read what the rows have so far; logits of their next token, None where nobody wants them any more."""

    def step(self, ids: Sequence[int]) -> Tensor:
        """Read one more token of each row."""

    def keep(self, places: Sequence[int]) -> None:
        """Drop all rows but these."""


class CausalStepper:
    """A decoder: rows are padded on the left."""

    def __init__(self, model: Any, pad_id: int) -> None:
        self._model, self._pad_id = model, pad_id
        self._names = set(inspect.signature(model.forward).parameters)

    @property
    def can_go_on(self) -> bool:
        """Whether it reads a prompt in several passes: a model with a state instead of a cache takes one token each."""
        kinds = getattr(self._model.config.get_text_config(), "layer_types", None) or ()
        return "past_key_values" in self._names and set(kinds) <= {"full_attention", "sliding_attention"}

    def start(self, rows: Sequence[Row]) -> Tensor | None:
        return self.read(self.begin(rows))

    def begin(self, rows: Sequence[Row]) -> int:
        """Take what the rows have so far; how many tokens there are to `read`, padding included."""
        sequences = [row.prefix + row.ids for row in rows]
        width = max(map(len, sequences))
        ids = [[self._pad_id] * (width - len(sequence)) + sequence for sequence in sequences]
        mask = [[0] * (width - len(sequence)) + [1] * len(sequence) for sequence in sequences]
        self._ids = torch.tensor(ids, device=self._model.device)
        self._whole_mask = torch.tensor(mask, device=self._model.device)
        self._cache, self._done = None, 0
        return width

    def read(self, end: int) -> Tensor:
        """Read on up to there; logits of the next token."""
        start, self._done = self._done, end
        self._mask = self._whole_mask[:, :end]
        return self._forward(self._ids[:, start:end])

    def step(self, ids: Sequence[int]) -> Tensor:
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(ids), 1)], dim=1)
        return self._forward(torch.tensor(ids, device=self._model.device)[:, None])

    def keep(self, places: Sequence[int]) -> None:
        index = torch.tensor(places, device=self._model.device)
        self._mask = self._mask[index]
        self._cache.batch_select_indices(index)  # type: ignore[attr-defined]

    def _forward(self, ids: Tensor) -> Tensor:
        positions = (self._mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        options = {"position_ids": positions, "logits_to_keep": 1}
        output = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            **{name: value for name, value in options.items() if name in self._names},
        )
        self._cache = output.past_key_values
        return output.logits[:, -1].float()


class Seq2SeqStepper:
    """An encoder-decoder: sources are padded on the right; the decoder's rows are equally long."""

    def __init__(self, model: Any, pad_id: int) -> None:
        self._model, self._pad_id = model, pad_id

    can_go_on = False

    def start(self, rows: Sequence[Row]) -> Tensor:
        return self.read(self.begin(rows))

    def begin(self, rows: Sequence[Row]) -> int:
        """Take the sources and what the rows have so far; how many tokens a source has, padding included."""
        width = max(len(row.source) for row in rows)
        ids = [row.source + [self._pad_id] * (width - len(row.source)) for row in rows]
        mask = [[1] * len(row.source) + [0] * (width - len(row.source)) for row in rows]
        self._ids = torch.tensor(ids, device=self._model.device)
        self._mask = torch.tensor(mask, device=self._model.device)
        self._begun, self._cache = [row.prefix + row.ids for row in rows], None
        return width

    def read(self, end: int) -> Tensor:
        """Read the sources, which is done in one pass; logits of the next token."""
        self._encoded = self._model.get_encoder()(input_ids=self._ids, attention_mask=self._mask)
        return self._forward(self._begun)

    def step(self, ids: Sequence[int]) -> Tensor:
        return self._forward([[id] for id in ids])

    def keep(self, places: Sequence[int]) -> None:
        index = torch.tensor(places, device=self._model.device)
        self._mask = self._mask[index]
        self._encoded.last_hidden_state = self._encoded.last_hidden_state[index]
        self._cache.batch_select_indices(index)  # type: ignore[attr-defined]

    def _forward(self, ids: list[list[int]]) -> Tensor:
        output = self._model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask,
            decoder_input_ids=torch.tensor(ids, device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = output.past_key_values
        return output.logits[:, -1].float()


@dataclass(frozen=True)
class Ending:
    """What the model's own configuration says about its answers: ids that end them, and rules on logits."""

    end_ids: Collection[int]
    rules: Callable[[Tensor, Tensor], Tensor] | None = None

    def apply(self, rows: Sequence[Row], logits: Tensor) -> Tensor:
        """Logits under the model's own rules."""
        if self.rules is None:
            return logits
        sequences = [row.prefix + row.ids for row in rows]
        width = max(map(len, sequences))
        padded = [sequence[:1] * (width - len(sequence)) + sequence for sequence in sequences]
        return self.rules(torch.tensor(padded, device=logits.device), logits)


def decode(stepper: Stepper, rows: Sequence[Row], ending: Ending, token_text: Callable[[int], str]) -> None:
    """Generate until every row is done. On an exception the rows keep what they have and can be started again."""
    rows = [row for row in rows if not row.check()]
    if not rows:
        return
    logits = stepper.start(rows)
    while logits is not None:
        chosen = choose(
            ending.apply(rows, logits),
            [row.sampling for row in rows],
            [row.seen for row in rows],
            [row.generator for row in rows],
        )
        _hand_out(rows, chosen, logits, ending.end_ids, token_text)
        kept = [place for place, row in enumerate(rows) if not row.check()]
        if not kept:
            return
        if len(kept) < len(rows):
            stepper.keep(kept)
            rows, chosen = [rows[place] for place in kept], [chosen[place] for place in kept]
        logits = stepper.step(chosen)
    for row in rows:
        row.check()


def _hand_out(
    rows: Sequence[Row], chosen: list[int], logits: Tensor, end_ids: Collection[int], token_text: Callable[[int], str]
) -> None:
    """Give each row its token with the log-probability in the model's own distribution."""
    totals = logits.logsumexp(-1)
    values = logits.gather(1, torch.tensor(chosen, device=logits.device)[:, None])[:, 0]
    for place, (row, logprob) in enumerate(zip(rows, (values - totals).tolist(), strict=True)):
        id = chosen[place]
        count, detail = row.request.top_logprobs, None
        if count > 0:
            detail = detail_of(logits[place] - totals[place], id, count, token_text)
        row.take(id, logprob, detail, id in end_ids)


def detail_of(logprobs: Tensor, id: int, count: int, token_text: Callable[[int], str]) -> Callable[[str], Token]:
    """What is told of a token with so many others that could have come, once its text is known."""
    others = _likeliest(logprobs, id, count, token_text)
    return _detail(id, float(logprobs[id]), others, token_text(id))


def _likeliest(
    logprobs: Tensor, id: int, count: int, token_text: Callable[[int], str]
) -> tuple[tuple[str, float], ...]:
    values, ids = logprobs.topk(min(count + 1, len(logprobs)))
    found = [(i, v) for i, v in zip(ids.tolist(), values.tolist(), strict=True) if i != id]
    return tuple((token_text(i), v) for i, v in found[:count])


def _detail(id: int, logprob: float, others: tuple[tuple[str, float], ...], own: str) -> Callable[[str], Token]:
    is_part = any("\udc80" <= letter <= "\udcff" for letter in own)
    raw = own.encode("utf-8", "surrogateescape") if is_part else None
    return lambda text: Token(text, id, logprob, others, raw)
