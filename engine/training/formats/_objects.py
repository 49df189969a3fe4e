"""JSON, JSON Lines and SQuAD: rows that are objects with named values, however they are wrapped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.errors import InputError
from engine.messages import Text
from engine.training.findings import Finding
from engine.training.formats import _chats
from engine.training.formats._base import Table, counted_rows, table_of_objects

EXAMPLE = '{"text": "…"}'
PARTS = (
    "train", "training", "data", "rows", "examples", "items", "records", "instances", "entries", "samples", "dataset",
    "results", "validation", "valid", "dev", "test",
)  # fmt: skip
"""Names under which files keep their rows, the one to learn from first."""


def read_jsonl(text: str) -> Table:
    """An object a line; a list under this ending is taken too, and objects over several lines."""
    if text.lstrip().startswith("["):
        with_list = _as_list(text)
        if with_list is not None:
            return with_list
    rows, numbers = [], []
    lines = re.split(r"\r\n|\n|\r", text)
    for number, line in enumerate(counted_rows(lines), 1):
        if line.strip():
            try:
                rows.append(_object(line, number, is_last=number == len(lines)))
            except InputError:
                if not rows and (table := _of_many_lines(text)):
                    return table
                raise
            numbers.append(number)
    return table_of_objects(rows, numbers)


def _as_list(text: str) -> Table | None:
    """The list that a file is, or None where each of its lines is one."""
    try:
        return read_json(text, takes_lines=False)
    except json.JSONDecodeError:
        return None


def _object(line: str, number: int, is_last: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"number": number, "example": EXAMPLE}
    try:
        row = json.loads(line.strip().rstrip(","))
    except (ValueError, RecursionError):
        if re.match(r"\s*\{\s*'", line):
            raise InputError(
                "at row {number}: it has single quotes, as Python prints them. Write it with json.dumps: {example}.",
                **facts,
            ) from None
        if is_last:
            raise InputError(
                "at row {number}: the line is not complete, the file seems cut off. Each line must be like {example}.",
                **facts,
            ) from None
        raise InputError("at row {number}: this is not JSON. Each line must be like {example}.", **facts) from None
    if _chats.turns(row):
        return {"messages": row}
    if not isinstance(row, dict):
        raise InputError("at row {number}: each line must be an object like {example}.", **facts)
    return row


def _of_many_lines(text: str) -> Table | None:
    """Objects one after another, each over as many lines as it likes; None where they are not that."""
    decoder, rows, numbers = json.JSONDecoder(), [], []
    place, line, before = 0, 1, 0
    try:
        while start := re.compile(r"[\s,]*(?=\S)").match(text, place):
            line, before = line + text.count("\n", before, start.end()), start.end()
            row, place = decoder.raw_decode(text, start.end())
            rows.append(row)
            numbers.append(line)
    except (ValueError, RecursionError):
        return None
    return table_of_objects(rows, numbers) if rows and all(isinstance(row, dict) for row in rows) else None


def read_json(text: str, takes_lines: bool = True) -> Table:
    """A list of objects, SQuAD, columns, parts by name, or lines of JSON under the wrong ending."""
    try:
        value = _value(text)
    except json.JSONDecodeError:
        if not takes_lines:
            raise
        return read_jsonl(text)
    return _table(value)


def _value(text: str) -> Any:
    """What JSON holds. Raises InputError, and JSONDecodeError where it is lines of objects or lists."""
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError("is nested too deeply to be a table.") from None
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip()[:1] in ("{", "["):
            raise
        is_cut = error.pos >= len(text.rstrip()) - 1 or "Untermin" in error.msg
        reason = Text("{reason}; the file seems cut off", reason=error.msg) if is_cut else error.msg
        raise InputError("at line {number}: this is not JSON ({reason}).", number=error.lineno, reason=reason) from None
    except ValueError as error:
        raise InputError("is not JSON ({reason}).", reason=error) from None


def _table(value: Any, depth: int = 0) -> Table:
    if isinstance(value, dict) and (part := _part(value)) and depth < 3:
        table = _table(value[part], depth + 1)
        others = [key for key in value if key != part and key in PARTS and value[key]]
        return replace(table, findings=(*_on_parts(part, others), *table.findings)) if others else table
    if isinstance(value, dict):
        value = _turned(value) or [value]
    if not isinstance(value, list):
        raise InputError("must hold a list of objects, lines of them, or SQuAD.")
    return _squad_or_rows(value)


def _part(value: Mapping[str, Any]) -> str | None:
    """The key under which the rows are, where they are not the object itself: a usual one, or the only one."""
    if {"columns", "data"} <= set(value):
        return None
    if len(value) == 1 and all(isinstance(rows, list) and rows and _holds_rows(rows) for rows in value.values()):
        return next(iter(value))
    return next((key for key in PARTS if key in value and _holds_rows(value[key])), None)


def _holds_rows(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(inner, list) for inner in value.values())
    return isinstance(value, list) and all(isinstance(item, dict) for item in value) and not _chats.turns(value)


def _on_parts(part: str, others: Sequence[str]) -> Iterator[Finding]:
    words = Text(
        "Of the file's parts, {part} is read; {others} is left out. To be judged by it, bring it as a file held out.",
        part=part, others=list(others),
    )  # fmt: skip
    yield Finding("warning", "file", words)


def _turned(value: Mapping[str, Any]) -> list[Any] | None:
    """Rows of an object that holds columns, as pandas and `datasets` write them, or rows by their number."""
    columns = list(value.values())
    if {"columns", "data"} <= set(value) and all(isinstance(value[key], list) for key in ("columns", "data")):
        return [value["columns"], *value["data"]]
    if all(isinstance(column, list) for column in columns) and len(set(map(len, columns))) == 1 and columns[0]:
        is_chat = any(map(_chats.turns, columns))
        return None if is_chat else [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if columns and all(isinstance(column, dict) and column for column in columns):
        if all(key.isdecimal() for key in value):
            return columns
        if all(list(column) == list(columns[0]) and all(map(str.isdecimal, column)) for column in columns):
            return [{name: column[key] for name, column in value.items()} for key in columns[0]]
    return None


def _squad_or_rows(value: list[Any]) -> Table:
    if any(isinstance(item, dict) and "paragraphs" in item for item in value):
        return _squad_table(value)
    if value and all(isinstance(item, dict) and "qas" in item for item in value):
        return _squad_table([{"paragraphs": value}])
    if _is_one_chat(value):
        return table_of_objects([{"messages": value}], [1])
    if value and all(isinstance(item, str) for item in value):
        value = [{"text": item} for item in value]
    elif value and all(isinstance(item, list) for item in value) and not all(map(_chats.turns, value)):
        value = _named(value)
    rows = [_row(item, number) for number, item in enumerate(counted_rows(value), 1)]
    return table_of_objects(rows, range(1, len(rows) + 1))


def _is_one_chat(value: list[Any]) -> bool:
    """A list of turns and nothing else, beginning with a user's and an answer."""
    said = _chats.turns(value) or []
    return [role for role, _ in said if role != "system"][:2] == ["user", "assistant"] and all(
        len(item) <= 3 for item in value
    )


def _named(lines: list[list[Any]]) -> list[dict[str, Any]]:
    """Rows from lists of cells, of which the first has the names."""
    header = lines[0]
    if len(lines) < 2 or not all(isinstance(name, str) for name in header) or len(set(header)) < len(header):
        raise InputError("must hold a list of objects like {example}.", example=EXAMPLE)
    return [dict(zip(header, line, strict=False)) for line in lines[1:]]


def _row(item: Any, number: int) -> Mapping[str, Any]:
    if _chats.turns(item):
        return {"messages": item}
    if not isinstance(item, dict):
        raise InputError("at row {number}: each row must be an object like {example}.", number=number, example=EXAMPLE)
    return item["row"] if isinstance(item.get("row"), dict) else item  # as the Hub's viewer answers


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


def squad_articles(text: str) -> list[Any]:
    """The articles of a SQuAD file. Raises InputError for another one."""
    try:
        value = _value(text)
    except json.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        value = value.get("data")
    if not isinstance(value, list):
        raise InputError("is not SQuAD JSON: it has no list named data.")
    return value


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
