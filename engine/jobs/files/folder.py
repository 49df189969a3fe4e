"""What the folder of work on a file holds besides: the file, its pieces, what was made of each, the result."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal

from engine.documents.rewriting import Made, Options, Unit
from engine.files import read_json, write_json
from engine.jobs import apart
from engine.jobs.apart import about, line
from engine.jobs.folder import end_last_line, json_lines

SOURCE, UNITS, DONE, PLAN, RESULT = "source", "units.jsonl", "done.jsonl", "plan.json", "result"
FIGURES = "figures.json"
"""In the result's folder, what a page shows of it."""


class FileFolder:
    """The files of one job. What reads or writes the brought one is a child of its own."""

    def __init__(self, folder: Path, name: str, options: Options) -> None:
        self.folder, self.name, self.options = folder, name, options

    def read(self, order: Literal["read", "rows"] = "read") -> list[Unit]:
        """The file's pieces, or its rows, read once. Raises PeopleError for what cannot be read."""
        path = self.folder / UNITS
        if not path.exists():
            answer = self._ask(order, [])
            self.tell(told={name: answer.told[name] for name in answer.told.keys() - {"end"}})
            temporary = path.with_suffix(".part")
            temporary.write_bytes(b"".join(answer.pieces))
            temporary.replace(path)
        lines = path.read_text(encoding="utf-8").split("\n")
        return [_unit(json.loads(each)) for each in lines if each]

    def written(self, made: Sequence[Made]) -> bytes:
        """The file with what was made of each piece."""
        answer = self._ask("write", [[one.text, one.spans, one.marks, one.is_raw] for one in made])
        self.tell(told=self.told | {"notes": answer.told["notes"]})
        return _bytes(answer)

    def with_columns(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
        """The file as a table with more columns, the cells of each piece's row."""
        return _bytes(self._ask("columns", [names, *rows]))

    @property
    def told(self) -> dict[str, Any]:
        """What was told of the file when it was read, and written."""
        return dict(self.plan.get("told") or {})

    @property
    def plan(self) -> dict[str, Any]:
        """What was settled when the work began, and holds when it goes on."""
        return read_json(self.folder / PLAN)

    def tell(self, **values: Any) -> None:
        """Settle more."""
        write_json(self.folder / PLAN, self.plan | values)

    def _ask(self, order: str, lines: Sequence[Any]) -> apart.Answer:
        content = (self.folder / SOURCE).read_bytes()
        head = {"order": order, "name": self.name, "options": asdict(self.options), "bytes": len(content)}
        with TemporaryFile() as given, about(self.name):
            given.write(line(head) + content)
            given.writelines(map(line, lines))
            return apart.ask("engine.documents.rewriting", given, apart.Answer())

    def done(self) -> list[dict[str, Any]]:
        """What was made of the first pieces so far."""
        return json_lines(self.folder / DONE)

    def begin_again(self) -> int:
        """Of how many pieces something was made; a line that was cut off counts for nothing."""
        path = self.folder / DONE
        end_last_line(path)
        rows = self.done()
        if path.exists() and len(rows) != path.read_bytes().count(b"\n"):
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return len(rows)


def _unit(values: Sequence[Any]) -> Unit:
    text, spans, marks, raw = values
    return Unit(text, tuple(map(tuple, spans)), tuple(marks), raw)


def _bytes(answer: apart.Answer) -> bytes:
    return b"".join(b64decode(each) for piece in answer.pieces for each in json.loads(piece))
