"""Inside a student: its tokens, and where it looks in the source while it reads and while it translates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from engine.backends.attention import attention, check_short, check_some
from engine.backends.marian.files import Translator, Vocabulary
from engine.backends.marian.model import EOS
from engine.backends.protocol import Job
from engine.errors import PeopleError, UnsupportedError
from engine.inspections import Attend, Attention, Origin, Piece, Tokenize, Tokens

ORIGIN = Origin("float32", "int8")


def look(translator: Translator, title: str, jobs: Sequence[Job]) -> None:
    """Work on each until it is finished or failed."""
    kinds: dict[str, Callable[[Job], Tokens | Attention]] = {
        "tokenize": lambda job: _tokens(translator, job),
        "attend": lambda job: _attention(translator, title, job),
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
    weights = translator.student.attend(source, target)
    return attention(rows, columns, torch.stack(weights).numpy(), request.layer, ORIGIN)


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
    pieces = [Piece(piece or name, id) for piece, name, id in zip(texts, names, ids, strict=True)]
    return (*pieces, Piece("</s>", EOS, True)), [*ids, EOS]
