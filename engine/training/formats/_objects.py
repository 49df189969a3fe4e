"""JSON, JSON Lines and SQuAD: rows that are objects with named values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.errors import InputError
from engine.messages import Text
from engine.training.formats._base import Table, counted_rows, decoded, table_of_objects

EXAMPLE = '{"text": "…"}'


def read_jsonl(content: bytes) -> Table:
    """An object a line; a list under this ending is taken too."""
    text = decoded(content)
    if text.lstrip().startswith("["):
        return read_json(content)
    rows, numbers = [], []
    lines = text.split("\n")
    for number, line in enumerate(counted_rows(lines), 1):
        if line.strip():
            rows.append(_object(line, number, is_last=number == len(lines)))
            numbers.append(number)
    return table_of_objects(rows, numbers)


def _object(line: str, number: int, is_last: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"number": number, "example": EXAMPLE}
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        if is_last:
            raise InputError(
                "at row {number}: the line is not complete, the file seems cut off. Each line must be like {example}.",
                **facts,
            ) from None
        raise InputError("at row {number}: this is not JSON. Each line must be like {example}.", **facts) from None
    if not isinstance(row, dict):
        raise InputError("at row {number}: each line must be an object like {example}.", **facts)
    return row


def read_json(content: bytes) -> Table:
    """A list of objects, SQuAD, or lines of JSON under the wrong ending."""
    text = decoded(content)
    try:
        value = _value(text)
    except json.JSONDecodeError:
        return read_jsonl(content)
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
        if any(isinstance(article, dict) and "paragraphs" in article for article in value):
            return _squad_table(value)
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise InputError("must hold a list of objects, lines of them, or SQuAD.")
    for number, row in enumerate(counted_rows(value), 1):
        if not isinstance(row, dict):
            raise InputError(
                "at row {number}: each row must be an object like {example}.", number=number, example=EXAMPLE
            )
    return table_of_objects(value, range(1, len(value) + 1))


def _value(text: str) -> Any:
    """What JSON holds. Raises InputError, and JSONDecodeError where it is lines of objects."""
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError("is nested too deeply to be a table.") from None
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            raise
        is_cut = error.pos >= len(text.rstrip()) - 1 or "Untermin" in error.msg
        reason = Text("{reason}; the file seems cut off", reason=error.msg) if is_cut else error.msg
        raise InputError("at line {number}: this is not JSON ({reason}).", number=error.lineno, reason=reason) from None
    except ValueError as error:
        raise InputError("is not JSON ({reason}).", reason=error) from None


def squad(articles: Sequence[Any]) -> Iterator[tuple[str, str, list[Mapping[str, Any]]]]:
    """Questions of SQuAD 1 or 2 in the order of the file: question, passage, and answers with text and answer_start."""
    count = 0
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for item in paragraph["qas"]:
                    count += 1
                    yield item["question"], paragraph["context"], list(map(_answer, item["answers"]))
    except (KeyError, TypeError) as error:
        raise InputError(
            "at question {number}: this is not SQuAD JSON, {part} is missing or of another form.",
            number=max(count, 1), part=error,
        ) from None  # fmt: skip


def _answer(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: found[name] for name in ("text", "answer_start")}


def squad_articles(content: bytes) -> list[Any]:
    """The articles of a SQuAD file. Raises InputError for another one."""
    try:
        value = _value(decoded(content))
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise InputError("is not SQuAD JSON: it has no list named data.")
    return list(value["data"])


def _squad_table(articles: Sequence[Any]) -> Table:
    """Of several answers the first."""
    rows: list[dict[str, Any]] = []
    for question, passage, answers in counted_rows(squad(articles)):
        first = next(iter(answers), {"text": "", "answer_start": None})
        rows.append(
            {"question": question, "passage": passage, "answer": first["text"]}
            | {"answer_start": first["answer_start"]}
        )
    return Table(("question", "passage", "answer", "answer_start"), rows)
