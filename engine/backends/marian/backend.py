"""A student at work: translations in batches across visitors, n-best, beginnings, alignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.backends.abilities import able
from engine.backends.batches import group_by_length
from engine.backends.cores import threads_for
from engine.backends.marian.beams import Hypothesis, beams
from engine.backends.marian.decoding import Choice, greedy, score
from engine.backends.marian.files import Vocabulary, open_student
from engine.backends.marian.looking import look
from engine.backends.marian.model import EOS, UNKNOWN, Encoded, Student, pad
from engine.backends.memory import keep_freed_memory
from engine.backends.protocol import Job
from engine.backends.pytorch.decoding import Ending, Row, decode
from engine.backends.texts import Detokenizer, TextStream
from engine.catalogue.cache import noted_digests
from engine.catalogue.sources.package import Package
from engine.errors import PeopleError, TooLargeError, UnsupportedError
from engine.inspections import Look, Score
from engine.requests import Alignment, Alternative, Generate, Generation, Scoring, Token

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

BATCH = 64
BATCH_TOKENS = 4096
MIN_FILL = 0.3
"""Share of real tokens in a batch: padding costs little where most of the work is done token by token."""
CONTEXT_TOKENS = 512
"""Positions go on for ever, but beyond 130 to 170 pieces a student loses the thread: who asks cuts texts before."""
WORKING_BYTES = 32 * 2**20
MEMORY_SHARE = 3
"""Memory of the weights over their file: int8 for the products, and embeddings in float16."""
ENDING = Ending((EOS,))


@dataclass
class StudentRow(Row):
    """A translation on its way, and what was asked for beside it."""

    start: list[int] = field(default_factory=list)
    """Ids that it must begin with."""
    spans: tuple[tuple[int, int], ...] = ()
    shares: list[tuple[float, ...]] = field(default_factory=list)

    def result(self) -> Generation:
        """As of any row, with the alignment."""
        alignment = Alignment(self.spans, tuple(self.shares)) if self.request.align else None
        return replace(super().result(), alignment=alignment)


class StudentBackend:
    """One direction. Raises NotReadyError or InputError when its files are not what they should be."""

    concurrency, batch = 1, BATCH
    device, dtype = "cpu", "float32"
    context_tokens = CONTEXT_TOKENS

    def __init__(self, model: Model, path: Path, settings: Settings, tasks: frozenset[str]) -> None:
        torch.set_num_threads(threads_for("transformers", settings))
        keep_freed_memory()
        self.title, self.tasks = model.title, tasks
        known = model.source.files if isinstance(model.source, Package) else noted_digests(path)
        translator = open_student(model.title, path, known)
        self._translator, self._quick, self._shortlist = translator, translator.quick, translator.shortlist
        self._source, self._target = translator.source, translator.target
        self.memory_bytes = WORKING_BYTES + MEMORY_SHARE * translator.weights_bytes

    def run(self, jobs: Sequence[Job]) -> None:
        """Work on jobs of one task until each is finished or failed."""
        with torch.inference_mode():
            mine = able(jobs, self.title, self.tasks)
            look(self._translator, self.title, [job for job in mine if isinstance(job.request, Look)])
            self._score([job for job in mine if isinstance(job.request, Score)])
            self._generate([job for job in mine if isinstance(job.request, Generate)])

    def count_tokens(self, text: str) -> int:
        """Tokens of the text, from any thread."""
        return len(self._source.encode(text))

    def close(self) -> None:
        """Free the memory."""
        del self._translator, self._quick, self._shortlist

    def _generate(self, jobs: Sequence[Job]) -> None:
        sizes: dict[int, list[StudentRow]] = {}
        for job in jobs:
            try:
                row = self._row(job)
            except PeopleError as error:
                job.fail(error)
                continue
            if not row.request.alternatives and (row.sampling.temperature > 0 or row.sampling.repetition_penalty != 1):
                decode(_Stepper(self._translator.student), [row], ENDING, self._target.piece)
            else:
                sizes.setdefault(max(self._translator.beam_size, row.request.alternatives + 1), []).append(row)
        for size, rows in sizes.items():
            for group in group_by_length([len(row.source) for row in rows], BATCH_TOKENS // size, MIN_FILL):
                some = [rows[place] for place in group if not rows[place].check()]
                if some:
                    self._greedy(some) if size == 1 else self._beams(some, size)

    def _row(self, job: Job) -> StudentRow:
        request = job.request
        assert isinstance(request, Generate)
        if request.messages:
            raise UnsupportedError(
                "{title} takes a text, not messages. Send a plain prompt.", param="messages", title=self.title
            )
        source = self._ids(self._source, request.prompt, "prompt")
        sampling = request.sampling
        stream = TextStream(job, Detokenizer(self._target.decode), sampling.stop)
        start = self._target.encode(request.beginning) if request.beginning else []
        if UNKNOWN in start:
            raise UnsupportedError(
                "{title} has no pieces for some characters of the beginning. Begin before them.",
                param="beginning", title=self.title,
            )  # fmt: skip
        spans = tuple(self._source.spans(request.prompt)) if request.align else ()
        return StudentRow(job, request, sampling, stream, [], source, start=start, spans=spans)

    def _ids(self, vocabulary: Vocabulary, text: str, param: str) -> list[int]:
        ids = vocabulary.encode(text)
        if len(ids) >= CONTEXT_TOKENS:
            raise TooLargeError(
                "The text has {count:,} tokens; {title} takes at most {limit:,} at once. Shorten it.",
                param=param, count=len(ids), title=self.title, limit=CONTEXT_TOKENS,
            )  # fmt: skip
        return [*ids, EOS]

    def _score(self, jobs: Sequence[Job]) -> None:
        """Given translations, in groups of like lengths; exact, and among all words."""
        given: list[tuple[Job, Score, list[int], list[int]]] = []
        for job in jobs:
            request = job.request
            assert isinstance(request, Score)
            try:
                source = self._ids(self._source, request.source, "source")
                given.append((job, request, source, self._ids(self._target, request.text, "text")))
            except PeopleError as error:
                job.fail(error)
        lengths = [max(len(source), len(target)) for _, _, source, target in given]
        for group in group_by_length(lengths, BATCH_TOKENS, MIN_FILL):
            rows = [given[place] for place in group if not given[place][0].is_cancelled]
            scored = score(self._translator.student, [row[2] for row in rows], [row[3] for row in rows]) if rows else []
            for (job, request, _, target), (logprobs, weights) in zip(rows, scored, strict=True):
                texts = [request.text[start:end] for start, end in self._target.spans(request.text)]
                tokens = tuple(map(Token, texts, target, logprobs))
                shares = tuple(tuple(one) for one in weights[: len(tokens)].tolist())
                job.finish(Scoring(tokens, Alignment(tuple(self._source.spans(request.source)), shares)))

    def _greedy(self, rows: list[StudentRow]) -> None:
        def take(place: int, choice: Choice) -> bool:
            row = rows[place]
            if row.check():
                return True
            told = _told(row, choice) if _is_told(row) else None
            return _take(row, choice.id, choice.logprob, told, self._target)

        starts = [row.start for row in rows]
        greedy(self._quick, [row.source for row in rows], take, self._shortlist, starts)

    def _beams(self, rows: list[StudentRow], size: int) -> None:
        """Nothing of a translation streams: which is the best shows at its end."""

        def take(place: int, found: list[Hypothesis]) -> None:
            row, best = rows[place], found[0]
            others = found[1 : row.request.alternatives + 1]
            row.alternatives = tuple(Alternative(self._target.decode(one.ids), one.score) for one in others)
            for id, logprob, told in zip_longest(best.ids, best.logprobs, best.told):
                if row.check() or _take(row, id, logprob, told, self._target):
                    return
            row.finish("length")

        def is_over(place: int, tokens: int) -> bool:
            return rows[place].job.is_cancelled or tokens >= rows[place].sampling.max_new_tokens

        tell = (lambda place, choice: _told(rows[place], choice)) if any(map(_is_told, rows)) else None
        sources, starts = [row.source for row in rows], [row.start for row in rows]
        beams(self._quick, sources, size, take, is_over, self._shortlist, starts, tell)


Told = tuple[tuple[float, ...], list[tuple[int, float]]]
"""Of a token: how it looks at each piece of its source, and its likeliest rivals."""


def _is_told(row: StudentRow) -> bool:
    """Whether more than a token's text is asked for."""
    return bool(row.request.align or row.request.top_logprobs)


def _told(row: StudentRow, choice: Choice) -> Told:
    shares = tuple(choice.shares(len(row.source))) if row.request.align else ()
    return shares, choice.rivals(row.request.top_logprobs) if row.request.top_logprobs else []


def _take(row: StudentRow, id: int, logprob: float, told: Told | None, target: Vocabulary) -> bool:
    """Add a token with what is told of it. True when the row is done."""
    if told is None or id == EOS:
        return row.take(id, logprob, None, id == EOS)
    shares, rivals = told
    if row.request.align:
        row.shares.append(shares)
    texts = tuple((target.piece(other), value) for other, value in rivals)
    return row.take(id, logprob, lambda text: Token(text, id, logprob, texts), False)


class _Stepper:
    """A student for the loop that all runtimes share, which samples and knows penalties; over the whole vocabulary."""

    def __init__(self, student: Student) -> None:
        self._student = student

    def start(self, rows: Sequence[Row]) -> Tensor:
        self._encoded: Encoded = self._student.encode(*pad([row.source for row in rows]))
        self._cells, self._place = self._student.start(len(rows)), 0
        return self._logits(None)

    def step(self, ids: Sequence[int]) -> Tensor:
        return self._logits(torch.tensor(ids))

    def keep(self, places: Sequence[int]) -> None:
        index = torch.tensor(places)
        self._encoded, self._cells = self._encoded.pick(index), [cell[index] for cell in self._cells]

    def _logits(self, ids: Tensor | None) -> Tensor:
        states, _ = self._student.step(self._encoded, self._cells, ids, self._place)
        self._place += 1
        return self._student.logits(states).index_fill_(1, torch.tensor([UNKNOWN]), float("-inf"))
