"""What is asked of passages and documents, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.messages import NOTHING, Text

Style = Literal["quote", "write"]
MIN_SHOWN = 0.05
"""Probability from which on an alternative is worth a look."""


@dataclass(frozen=True)
class AnswerRequest:
    """A question, the passage to look in, and how many candidates to return (1 to 20).

    In place of a passage `documents` may name some that were brought (`/api/documents`). Over these `style` "write" has
    a model write the answer, which cites; a question that leans on the one before is completed by `before` and its
    answer.
    """

    question: str
    context: str = ""
    top_k: int = 3
    model: str | None = None
    documents: list[str] = field(default_factory=list, metadata={"body_bytes": 8_192})
    style: Style = "quote"
    writer: str | None = None
    before: str = ""
    before_answer: str = ""


@dataclass(frozen=True)
class AnswerSpan:
    """A candidate: `context[start:end] == answer`; `score` is its probability among all spans and no answer.

    Over documents the context is the text of `passages[source]`.
    """

    answer: str
    score: float
    start: int
    end: int
    source: int = 0


@dataclass(frozen=True)
class FoundPassage:
    """A passage of a document, `page.text[start:end]`; the page is 0 where its document has none.

    `score` is 1 for one that is first by words (`words` is its BM25) and by meaning (`meaning` is the scalar product of
    its vector with the question's; null while there are no vectors).
    """

    document: str
    title: str
    page: int
    start: int
    end: int
    text: str
    score: float
    words: float
    meaning: float | None = None


@dataclass(frozen=True)
class WrittenSentence:
    """A sentence that a model wrote: kept with the numbers (from 0) of passages that say it, or refused, and why."""

    text: str
    sources: list[int] = field(default_factory=list)
    start: int = 0
    end: int = 0
    """Where in the text of the first of them it is said."""
    is_kept: bool = True
    why: Text = NOTHING


@dataclass(frozen=True)
class AnswerResult:
    """The answer, empty when the passage holds none (`score` is then the probability of that), and candidates.

    Over documents `passages` are where it was looked, the best first, and `source` is the one with the answer. A
    written answer has `sentences` and the quoted words as its alternative; its score is the share that was kept and its
    place where the first is said.
    """

    answer: str
    score: float
    start: int
    end: int
    alternatives: list[AnswerSpan] = field(default_factory=list)
    model: str = ""
    warning: Text = NOTHING
    """Why not to rely on it: the kind of question, or the language of the passage."""
    source: int = 0
    passages: list[FoundPassage] = field(default_factory=list)
    sentences: list[WrittenSentence] = field(default_factory=list)
    asked: str = ""
    """The question as it was completed by the one before; empty where it stands alone."""

    @property
    def shown(self) -> list[AnswerSpan]:
        """The alternatives that are likely enough to be worth a look."""
        return [one for one in self.alternatives if one.score >= MIN_SHOWN]
