"""Sentences of documents, whose language nobody knows: every rule of those of texts holds for them."""

from __future__ import annotations

import pytest

from engine.applications.segments import split
from engine.documents.sentences import sentences_of


def test_sentences_end_where_people_say() -> None:
    text = "Dr. Ost came on 3. May. She said: “Go!” Then, e.g. boats left. 他来了。他走了。\nA line"
    assert [text[start:end] for start, end in sentences_of(text)] == [
        "Dr. Ost came on 3. May.", "She said: “Go!”", "Then, e.g. boats left.", "他来了。", "他走了。", "A line",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("He said “Go!” Then, on Jan. 3. Smith left. M. Dupont habite au no. 5. Il dort.", "en"),
        ("Das gilt, d.h. Häuser zählen. Am 5. Mai ging er. „Kommst du?“, fragte er.", "de"),
        ("“你来吗？”他问。她没有回答。价格是3.5元！", "zh"),
        ("¿Dónde está? ¡No lo sé! El Sr. García salió.", "es"),
    ],
)  # fmt: skip
def test_texts_and_documents_are_cut_alike(text: str, language: str) -> None:
    found = [text[start:end] for start, end in sentences_of(text, language)]
    assert found == [segment.text for segment in split(text, language) if segment.text]
    assert len(found) > 1
