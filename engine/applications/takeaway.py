"""A result as a file to take along: plain text, Markdown, CSV, JSON, and Word where it is a text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.applications import Application
from engine.applications.records import as_record
from engine.applications.sharing import asked, came, settings_of
from engine.messages import Language, Text

Format = Literal["txt", "md", "csv", "json", "docx"]
MIMES: dict[Format, str] = {
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What spreadsheets take for the beginning of a formula, the last four in the width of Chinese letters."""
ROWS = ("results", "translations", "sentences", "alternatives")
"""Fields of results that are tables."""


@dataclass(frozen=True)
class Takeaway:
    """What was asked and came, of one answer."""

    application: Application[Any, Any]
    request: Any
    result: Any
    text: str

    @property
    def formats(self) -> list[Format]:
        """Those that it has: Word is for texts."""
        return [kind for kind in MIMES if kind != "docx" or self.text.strip()]

    def file_name(self, kind: Format) -> str:
        """As browsers save it."""
        return f"{self.application.id}.{kind}"

    def as_file(self, kind: Format, language: Language) -> bytes:
        """The file, its own words in that language."""
        makers = {"txt": self._plain, "md": self._markdown, "docx": self._word}
        if kind in makers:
            return makers[kind](language)
        record = as_record(self.application, self.request, self.result, is_whole=True) | {"text": self.text}
        if kind == "csv":
            return b"\xef\xbb\xbf" + as_csv(rows_of(record)).encode()  # Excel reads UTF-8 by this mark
        return json.dumps(record, ensure_ascii=False, indent=2).encode()

    def _named(self, language: Language) -> tuple[str, list[tuple[str, str]], list[tuple[str, str]]]:
        """Title, texts and settings, each with its name."""
        content = as_record(self.application, self.request, self.result) | {"text": self.text}
        said = lambda pairs: [(name.said_in(language), words) for name, words in pairs]  # noqa: E731
        title = self.application.title.said_in(language)
        made, given = [*came(content), *self._sources()], asked(content["request"])
        return title, said([*given, *made] if self._is_chat else [*made, *given]), said(settings_of(content))

    @property
    def _is_chat(self) -> bool:
        return getattr(self.request, "kind", "") == "chat"

    def _sources(self) -> list[tuple[Text, str]]:
        """The passages of documents that an answer names, or the one that it stands in."""
        passages = list(getattr(self.result, "passages", ()))
        if not passages:
            return []
        is_written = bool(self.result.sentences)
        named = enumerate(passages) if is_written else [(0, passages[self.result.source])]
        lines = [
            f"{f'[{number + 1}] ' * is_written}{one.title}{f', p. {one.page}' * bool(one.page)}\n{one.text}"
            for number, one in named
        ]
        return [(Text("Sources"), "\n\n".join(lines))]

    def _plain(self, language: Language) -> bytes:
        if self.text.strip() and not (self._is_chat or self._sources()):
            return self.text.strip().encode() + b"\n"
        _title, texts, _settings = self._named(language)
        return "\n\n".join(f"{name}: {words}" for name, words in texts).encode() + b"\n"

    def _markdown(self, language: Language) -> bytes:
        title, texts, settings = self._named(language)
        sections = [f"## {name}\n\n{words.strip()}" for name, words in texts]
        facts = "\n".join(f"- {name}: {' '.join(words.split())}" for name, words in settings)
        return "\n\n".join([f"# {title}", *sections, facts]).strip().encode() + b"\n"

    def _word(self, language: Language) -> bytes:
        from docx import Document

        title, texts, settings = self._named(language)
        document = Document()
        document.core_properties.title, document.core_properties.author = title, "Parlance"
        document.add_heading(title, 0)
        for name, words in texts:
            document.add_heading(name, 1)
            for line in filter(None, map(str.strip, words.splitlines())):
                is_item = line.startswith("- ")
                document.add_paragraph(_for_xml(line.removeprefix("- ")), "List Bullet" if is_item else None)
        document.add_paragraph(_for_xml(" · ".join(f"{name}: {words}" for name, words in settings)))
        file = io.BytesIO()
        document.save(file)
        return file.getvalue()


def _for_xml(text: str) -> str:
    """Without the control characters that XML has no place for."""
    return "".join(letter for letter in text if letter == "\t" or letter >= " ")


def rows_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table of a kept answer: its rows, sentences or candidates, or its one text."""
    request, result = record["request"], record["result"] or {}
    if request.get("kind") == "chat":
        said = [*request["turns"], {"role": "user", "content": request["text"]}]
        return [*said, {"role": "assistant", "content": record["text"]}]
    rows: list[dict[str, Any]] = next((result[name] for name in ROWS if result.get(name)), [])
    if len(rows) == 1 and rows[0].get("sentences"):
        rows = rows[0]["sentences"]
    given = request.get("text")
    asked_rows = given if isinstance(given, list) else [given] if "results" in result else []
    if len(asked_rows) == len(rows):
        rows = [{"source": one, **row} for one, row in zip(asked_rows, rows, strict=True)]
    if "answer" in result:
        best = {name: result[name] for name in ("answer", "score", "start", "end")}
        rows = [best, *result.get("alternatives", ())]
        if passages := result.get("passages"):
            places = [passages[row.get("source", result["source"])] for row in rows]
            rows = [{**row, "document": at["title"], "page": at["page"]} for row, at in zip(rows, places, strict=True)]
    return [_flat(row) for row in rows] or [{"text": record["text"]}]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Each cell a text or a number; the values of what is named have columns of their own."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {key}": inner for key, inner in value.items()}
        elif isinstance(value, list):
            flat[name] = " | ".join(
                str(one.get("text", one)) if isinstance(one, Mapping) else str(one) for one in value
            )
        else:
            flat[name] = "" if value is None else value
    return flat


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with a header; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file)
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer.writerows(
        map(_defused, cells) for cells in (names, *([row.get(name, "") for name in names] for row in rows))
    )
    return file.getvalue()


def _defused(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


FORMAT_NAMES: dict[Format, Text] = {
    "txt": Text("Text"),
    "md": Text("Markdown"),
    "csv": Text("Table (CSV)"),
    "json": Text("Everything (JSON)"),
    "docx": Text("Word"),
}
