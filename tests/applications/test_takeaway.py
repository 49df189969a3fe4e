"""Results as files: every format of every application, read back."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from fakes import HOST

from engine.applications import APPLICATIONS
from engine.applications.answers import AnswerRequest, AnswerResult, FoundPassage, WrittenSentence
from engine.applications.takeaway import FORMAT_NAMES, MIMES, Takeaway
from engine.applications.write import Turn, WriteRequest
from engine.messages import ENGLISH

IDS = ("translate", "summarize", "write", "sentiment", "answer")


def made(house: Any, id: str, number: int = 0) -> Takeaway:
    application = APPLICATIONS[id]
    text, result = "", None
    for event in application.stream(house.engine, application.samples[number], HOST):
        text = event.text if event.kind == "replace" else text + event.text
        result = event.result
    return Takeaway(application, application.samples[number], result, text)


def rows_in(taken: Takeaway) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(taken.as_file("csv", ENGLISH).decode("utf-8-sig"))))


@pytest.mark.parametrize("id", IDS)
def test_every_format_can_be_read_back(house: Any, id: str) -> None:
    taken = made(house, id)
    assert set(MIMES) == set(FORMAT_NAMES) and ("docx" in taken.formats) == bool(taken.text)
    record = json.loads(taken.as_file("json", ENGLISH))
    assert set(record) == {"request", "result", "text"} and record["result"]["model"]
    assert taken.as_file("txt", ENGLISH).decode().strip() and rows_in(taken)
    markdown = taken.as_file("md", ENGLISH).decode()
    assert markdown.startswith(f"# {APPLICATIONS[id].title}") and taken.text.strip()[:200] in markdown
    if taken.text:
        from docx import Document

        paragraphs = [one.text for one in Document(io.BytesIO(taken.as_file("docx", ENGLISH))).paragraphs]
        assert all(line.strip() in paragraphs for line in taken.text.splitlines() if line.strip())


def test_tables_have_a_row_each(house: Any) -> None:
    judged = rows_in(made(house, "sentiment", 2))
    assert [row["source"] for row in judged] == APPLICATIONS["sentiment"].samples[2].text
    assert {"label", "score", "scores positive"} <= set(judged[0])
    translated = rows_in(made(house, "translate"))
    assert {"source", "text", "score"} <= set(translated[0])
    summary = made(house, "summarize")
    assert [row["text"] for row in rows_in(summary)] == [one.text for one in summary.result.sentences]
    assert rows_in(made(house, "answer"))[0].keys() >= {"answer", "score", "start", "end"}
    assert rows_in(made(house, "write"))[0]["text"]


def test_a_bulleted_summary_is_a_list_in_word(house: Any) -> None:
    from docx import Document

    taken = made(house, "summarize", 1)
    document = Document(io.BytesIO(taken.as_file("docx", ENGLISH)))
    styles = [one.style.name for one in document.paragraphs if one.style]
    assert styles.count("List Bullet") == len(taken.result.sentences) >= 2


def test_formulas_and_control_characters_are_harmless(house: Any) -> None:
    taken = made(house, "write")
    odd = Takeaway(taken.application, taken.request, taken.result, "=HYPERLINK(1)\n\x07bell <b>")
    assert rows_in(odd)[0]["text"].startswith("'=")
    assert odd.as_file("docx", ENGLISH) and b"<b>" in odd.as_file("txt", ENGLISH)


def test_a_chat_is_taken_along_with_all_that_was_said(house: Any) -> None:
    write = APPLICATIONS["write"]
    request = WriteRequest("And now?", "chat", turns=[Turn("user", "Hi"), Turn("assistant", "Hello.")])
    taken = Takeaway(write, request, write.run(house.engine, request, HOST), "It rains.")
    said = ["You: Hi", "Answer: Hello.", "You: And now?", "Answer: It rains."]
    assert taken.as_file("txt", ENGLISH).decode().split("\n\n") == [*said[:3], said[3] + "\n"]
    assert [row["content"] for row in rows_in(taken)] == [one.partition(": ")[2] for one in said]
    assert "'role'" not in taken.as_file("md", ENGLISH).decode() and taken.as_file("docx", ENGLISH)


def test_an_answer_over_documents_is_taken_along_with_its_sources() -> None:
    answer = APPLICATIONS["answer"]
    passages = [FoundPassage(str(n), f"Report {n}", n, 0, 9, f"It is {n}.", 1.0, 1.0, None) for n in (0, 1)]
    request = AnswerRequest("What?", documents=["0", "1"], style="write")
    written = AnswerResult("It is 1.", 1.0, 0, 1, passages=passages, sentences=[WrittenSentence("It is 1.", [1])])
    taken = Takeaway(answer, request, written, "It is 1. [2]")
    for kind in ("txt", "md"):
        words = taken.as_file(kind, ENGLISH).decode()  # type: ignore[arg-type]
        assert "It is 1. [2]" in words and "[1] Report 0\nIt is 0." in words and "[2] Report 1, p. 1\nIt is 1." in words
    quoted = Takeaway(answer, replace(request, style="quote"), replace(written, sentences=[], source=1), "")
    words = quoted.as_file("txt", ENGLISH).decode()
    assert "Sources: Report 1, p. 1\nIt is 1." in words and "Report 0" not in words
