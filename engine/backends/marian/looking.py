"""Inside a student: its tokens, where it looks in the source, and which words of it speak for a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from engine.backends.attention import attention, check_short, check_some
from engine.backends.marian.files import Translator, Vocabulary
from engine.backends.marian.model import EOS, UNKNOWN, padding_mask
from engine.backends.protocol import Job
from engine.backends.pytorch.attributing import (
    Question,
    differentiable,
    filled,
    integrated,
    not_by_layers,
    occluded,
)
from engine.errors import PeopleError, UnsupportedError, before_its_turn
from engine.inspections import Attend, Attention, Attribute, Attribution, Origin, Piece, Tokenize, Tokens, pack

ORIGIN = Origin("float32", "int8")


def look(translator: Translator, title: str, jobs: Sequence[Job]) -> None:
    """Work on each until it is finished or failed."""
    kinds: dict[str, Callable[[Job], Tokens | Attention | Attribution]] = {
        "tokenize": lambda job: _tokens(translator, job),
        "attend": lambda job: _attention(translator, title, job),
        "attribute": lambda job: _attributed(translator, title, job),
    }
    for job in jobs:
        try:
            job.finish(kinds[job.request.task](job))
        except PeopleError as error:
            job.fail(error)


def _tokens(translator: Translator, job: Job) -> Tokens:
    request = job.request
    assert isinstance(request, Tokenize)
    return Tokens(_pieces(translator.source, request.text, "text")[0], len(translator.source))


def _attention(translator: Translator, title: str, job: Job) -> Attention:
    """Across to the source, or the encoder's own; its decoder has a recurrence in the place of attention to itself."""
    request = job.request
    assert isinstance(request, Attend)
    if request.side == "decoder":
        raise UnsupportedError(
            "{title} reads its own words by a recurrence, not by attention. Choose cross or encoder.",
            param="part", title=title,
        )  # fmt: skip
    columns, source = _short(translator.source, *request.read_first)
    rows, target = _short(translator.target, request.text, "text") if request.side == "cross" else (columns, None)
    shape, weights = translator.student.shape, []
    layers = shape.encoder_layers if target is None else shape.decoder_layers
    for one in translator.student.attend(source, target):
        weights.append(one)
        _tell(job, len(weights), layers)
    return attention(rows, columns, torch.stack(weights).numpy(), request.layer, ORIGIN)


def _tell(job: Job, done: int, total: int) -> None:
    """How far it is. Raises NotReadyError where nobody waits any more."""
    if job.is_cancelled:
        raise before_its_turn()
    job.emit(f"{done}/{total} ")


@differentiable()
def _attributed(translator: Translator, title: str, job: Job) -> Attribution:
    """The next token of a translation that has begun, as the source's tokens speak for it."""
    request = job.request
    assert isinstance(request, Attribute)
    if request.method == "layers":
        raise not_by_layers(title)
    student, target = translator.student, translator.target
    pieces, source = _short(translator.source, request.text, "text")
    written = torch.tensor([[*(target.encode(request.begun.strip()) if request.begun.strip() else []), EOS]])
    check_short(written[0].tolist(), "begun")
    mask = padding_mask([source.shape[1]], source.shape[1])

    def states(vectors: torch.Tensor) -> torch.Tensor:
        encoded = student.encode_vectors(vectors, mask)
        return student.decode(encoded, written.expand(len(vectors), -1))[0][:, -1]

    logits = student.logits(states(student.vectors(source)))[0].index_fill(0, torch.tensor(UNKNOWN), float("-inf"))
    ranked = logits.argsort(descending=True).tolist()
    known = [target.encode(one)[0] if one.strip() else None for one in (request.answer, request.rival)]
    chosen, rival = filled(known, ranked)

    def difference(vectors: torch.Tensor) -> torch.Tensor:
        both = student.output(torch.tensor([chosen, rival]))(states(vectors))
        return both[:, 0] - both[:, 1]

    empty = torch.full_like(source, EOS)
    question = Question(student.vectors(source)[0], student.vectors(empty)[0], difference)
    found = (integrated if request.method == "gradients" else occluded)(question, partial(_tell, job))
    names = [target.piece(id) for id in (chosen, rival)]
    figures = found.before, found.after, found.error, ORIGIN
    return Attribution(pieces, pack(found.parts, ("token",)), names[0], names[1], *figures)


def _short(vocabulary: Vocabulary, text: str, param: str) -> tuple[tuple[Piece, ...], torch.Tensor]:
    pieces, ids = _pieces(vocabulary, text, param)
    check_short(ids, param)
    return pieces, torch.tensor([ids])


def _pieces(vocabulary: Vocabulary, text: str, param: str) -> tuple[tuple[Piece, ...], list[int]]:
    """A text's pieces and ids with its end."""
    ids = vocabulary.encode(text)
    check_some(ids, param)
    texts = [text[start:end] for start, end in vocabulary.spans(text)]
    names = map(vocabulary.piece, ids)
    pieces = [
        Piece(piece if piece and id != UNKNOWN else name, id) for piece, name, id in zip(texts, names, ids, strict=True)
    ]
    return (*pieces, Piece("</s>", EOS, True)), [*ids, EOS]
