"""Reading in a child: a file that somebody brings may cost its limits of memory and time, and nobody waits for it.

The child (`__main__`) gets the file as its standard input and answers in lines of JSON: columns, numbers and rows in
small pieces, last how many rows there are, or what is wrong.
"""

from __future__ import annotations

import json
import signal
import threading
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, Any, overload

from engine import errors
from engine.errors import BusyError, InputError, TooLargeError
from engine.jobs import process
from engine.messages import read
from engine.settings import free_memory_bytes
from engine.training.findings import read_finding
from engine.training.formats._base import MAX_BYTES, Table, about, check_bytes

SECONDS = 90.0
"""For one file, and for its turn."""
MEMORY_BYTES, MEMORY_A_BYTE = 2**30, 8
"""What a child may take: so much, and so much more for each byte of the file, as far as it is free."""
MAX_ANSWER_BYTES = 4 * MAX_BYTES
MAX_CHILDREN = 2
NICE, SMALL_BYTES = 5, 2**20
"""A child steps back so far behind answers; one with a small file, for which somebody waits, does not."""
OUT_OF_MEMORY = 3
"""The child's exit status where its memory did not suffice."""
PIECE_CELLS = 4_000
"""Cells that are packed together: few, since unpacking them holds the interpreter."""

_turns = threading.BoundedSemaphore(MAX_CHILDREN)


class Packed(Sequence[dict[str, Any]]):
    """Rows as the child sent them, each piece unpacked when it is asked for: they take no more memory than the file."""

    def __init__(self, columns: Sequence[str], pieces: Sequence[bytes], length: int) -> None:
        self.columns, self.pieces, self.length = columns, pieces, length
        self.rows_a_piece = piece_rows(columns)
        self._last: tuple[int, list[dict[str, Any]]] = (-1, [])

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        places = range(self.length)[index]
        if isinstance(places, range):
            return [self[place] for place in places]
        number, place = divmod(places, self.rows_a_piece)
        if (last := self._last)[0] != number:
            self._last = last = (number, self._rows(self.pieces[number]))
        return last[1][place]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for piece in self.pieces:
            yield from self._rows(piece)

    def _rows(self, piece: bytes) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, cells, strict=True)) for cells in json.loads(piece)]


def piece_rows(columns: Sequence[str]) -> int:
    """Rows of one piece."""
    return max(1, PIECE_CELLS // max(1, len(columns)))


def read_apart(content: bytes, name: str) -> Table:
    """`read_table` in a child of its own. Raises as that does; TooLargeError for a file that costs too much to read."""
    with about(name):
        check_bytes(len(content))
    if not _turns.acquire(timeout=SECONDS):
        raise BusyError("Other files are being read. Try again in a minute.", "file", retry_seconds=60)
    try:
        with TemporaryFile() as given, about(name):
            given.write(json.dumps(name).encode() + b"\n")
            given.write(content)
            given.seek(0)
            return _read(given, len(content))
    finally:
        _turns.release()


def _read(given: IO[bytes], size: int) -> Table:
    most = min(MEMORY_BYTES + MEMORY_A_BYTE * size, free_memory_bytes())
    command = process.python("engine.training.formats", str(most))
    threads, nice = {"OMP_NUM_THREADS": "1"}, NICE if size > SMALL_BYTES else 0
    child = process.start(command, given=given, has_answer=True, environment=threads, nice=nice)
    assert child.stdout
    with _ended(child) as is_late, child.stdout:
        answer = _Answer()
        answer.take(child.stdout)
        if answer.told.get("error"):
            raise _error(answer.told)
        if answer.is_whole:
            return answer.table
        if is_late:
            raise TooLargeError("takes over {seconds:.0f} seconds to read. Bring a part of it.", seconds=SECONDS)
        raise _failure(answer, child)


@contextmanager
def _ended(child: process.Process) -> Iterator[list[bool]]:
    """End the child after its time, which the list then says, and in any case on the way out."""
    is_late: list[bool] = []

    def give_up() -> None:
        is_late.append(True)
        process.kill_group(child.pid)

    timer = threading.Timer(SECONDS, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()
        process.end(child)


@dataclass
class _Answer:
    """What a child says, as it comes."""

    told: dict[str, Any] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    numbers: array[int] = field(default_factory=lambda: array("q"))
    taken_bytes: int = 0

    def take(self, lines: Iterable[bytes]) -> None:
        """Take its lines up to the limit."""
        for line in lines:
            self.taken_bytes += len(line)
            if self.is_too_much:
                return
            if line.startswith(b"["):
                self.pieces.append(line)
            else:
                values = json.loads(line)
                self.numbers.extend(values.pop("numbers", ()))
                self.told |= values

    @property
    def is_too_much(self) -> bool:
        """Whether it says more than a table may hold."""
        return self.taken_bytes > MAX_ANSWER_BYTES

    @property
    def is_whole(self) -> bool:
        """Whether it came to its end."""
        return "rows" in self.told

    @property
    def table(self) -> Table:
        """The table that was read."""
        columns, count = tuple(self.told["columns"]), int(self.told["rows"])
        note = read(self.told["note"]) if self.told["note"] else None
        numbers, found = self.numbers or range(1, count + 1), tuple(map(read_finding, self.told["findings"]))
        return Table(columns, Packed(columns, self.pieces, count), numbers, note, found)


def _error(told: Mapping[str, Any]) -> errors.PeopleError:
    """What the child found wrong, whose name `about` sets before it."""
    return errors.named(str(told["error"]))(read(told["problem"]))


def _failure(answer: _Answer, child: process.Process) -> Exception:
    """Why a child ended before its end."""
    if answer.is_too_much:
        return TooLargeError("unpacks to more than {limit:,.0f} MB. Bring a part of it.", limit=MAX_BYTES / 2**20)
    code = child.wait(SECONDS)
    if code in (OUT_OF_MEMORY, -signal.SIGKILL, -signal.SIGABRT):
        return TooLargeError("needs more memory to be read than a file gets. Bring a part of it.")
    if code < 0:
        return InputError("cannot be read: it seems damaged. Save it anew.")
    return RuntimeError(f"the reader of a file ended with {code}; what it said stands above in the log")


def lines_of(table: Table) -> Iterator[bytes]:
    """A table as the child says it."""
    note, found = table.note.as_json() if table.note else None, [finding.as_json() for finding in table.findings]
    yield _line({"columns": table.columns, "note": note, "findings": found})
    size = piece_rows(table.columns)
    for start in range(0, len(table.rows), size):
        if not isinstance(table.numbers, range):
            yield _line({"numbers": list(table.numbers[start : start + size])})
        yield _line([[row[column] for column in table.columns] for row in table.rows[start : start + size]])
    yield _line({"rows": len(table.rows)})


def line_of_error(error: errors.PeopleError) -> bytes:
    """What is wrong with a file as the child says it."""
    return _line({"error": type(error).__name__, "problem": error.text.as_json()})


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
