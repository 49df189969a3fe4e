"""Work on rows in a child: a file that somebody brings may cost its limits of memory and time, and nobody waits for it.

The child that reads one (`__main__`) gets the file as its standard input and answers in lines of JSON: columns, numbers
and rows in small pieces, last how many rows there are, or what is wrong. `splitting` asks one of its own in such lines.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
CELLS_OF_A_ROW = 4
"""Of one without columns, about."""

_turns = threading.BoundedSemaphore(MAX_CHILDREN)


class Packed(Sequence[dict[str, Any]]):
    """Rows as the child sent them, each piece unpacked when it is asked for: they take no more memory than the file.

    Where there are no columns a piece holds whole rows, else their cells.
    """

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
        found: list[Any] = json.loads(piece)
        return [dict(zip(self.columns, cells, strict=True)) for cells in found] if self.columns else found


def piece_rows(columns: Sequence[str]) -> int:
    """Rows of one piece."""
    return max(1, PIECE_CELLS // (len(columns) or CELLS_OF_A_ROW))


def read_apart(content: bytes, name: str) -> Table:
    """`read_table` in a child of its own. Raises as that does; TooLargeError for a file that costs too much to read."""
    with about(name):
        check_bytes(len(content))
    with TemporaryFile() as given, about(name):
        given.write(json.dumps(name).encode() + b"\n")
        given.write(content)
        return ask("engine.training.formats", given).tables[0]


def ask(module: str, given: IO[bytes]) -> Answer:
    """What a child says that runs this module on what is in a file. Raises what it finds wrong; TooLargeError,
    BusyError or InputError, still without a subject, where it comes to no end."""
    size = given.tell()
    given.seek(0)
    if not _turns.acquire(timeout=SECONDS):
        raise BusyError("Other files are being read. Try again in a minute.", "file", retry_seconds=60)
    try:
        most = min(MEMORY_BYTES + MEMORY_A_BYTE * size, free_memory_bytes())
        threads, nice = {"OMP_NUM_THREADS": "1"}, NICE if size > SMALL_BYTES else 0
        command = process.python(module, str(most))
        child = process.start(command, given=given, has_answer=True, environment=threads, nice=nice)
        return _said(child)
    finally:
        _turns.release()


def _said(child: process.Process) -> Answer:
    assert child.stdout
    with _ended(child) as is_late, child.stdout:
        answer = Answer()
        answer.take(child.stdout)
        if answer.is_whole:
            return answer
        if "error" in answer.told:
            raise _error(answer.told)
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
class Answer:
    """What a child says, as it comes."""

    told: dict[str, Any] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    is_whole: bool = False
    """Whether it came to its end."""
    taken_bytes: int = 0
    _pieces: list[bytes] = field(default_factory=list)
    _numbers: array[int] = field(default_factory=lambda: array("q"))

    def take(self, lines: Iterable[bytes]) -> None:
        """Take its lines up to the limit."""
        for line in lines:
            self.taken_bytes += len(line)
            if self.is_too_much:
                return
            if line.startswith(b"["):
                self._pieces.append(line)
                continue
            values = json.loads(line)
            self._numbers.extend(values.pop("numbers", ()))
            self.told |= values
            if "rows" in values:
                self._close(values["rows"])
            self.is_whole = "end" in values

    @property
    def is_too_much(self) -> bool:
        """Whether it says more than a table may hold."""
        return self.taken_bytes > MAX_ANSWER_BYTES

    def _close(self, count: int) -> None:
        """The table whose last line came."""
        columns = tuple(self.told["columns"])
        note = read(self.told["note"]) if self.told["note"] else None
        numbers, found = self._numbers or range(1, count + 1), tuple(map(read_finding, self.told["findings"]))
        self.tables.append(Table(columns, Packed(columns, self._pieces, count), numbers, note, found))
        self._pieces, self._numbers = [], array("q")


def _error(told: dict[str, Any]) -> errors.PeopleError:
    """What the child found wrong, before which `about` sets the file's name."""
    return errors.named(str(told["error"]))(read(told["problem"]), told["param"])


def _failure(answer: Answer, child: process.Process) -> Exception:
    """Why a child ended before its end."""
    if answer.is_too_much:
        return TooLargeError("unpacks to more than {limit:,.0f} MB. Bring a part of it.", limit=MAX_BYTES / 2**20)
    code = child.wait(SECONDS)
    if code in (OUT_OF_MEMORY, -signal.SIGKILL, -signal.SIGABRT):
        return TooLargeError("needs more memory to be read than a file gets. Bring a part of it.")
    if code < 0:
        return InputError("cannot be read: it seems damaged. Save it anew.")
    return RuntimeError(f"the reader of a file ended with {code}; what it said stands above in the log")


def serve(work: Callable[[IO[bytes]], Iterable[bytes]]) -> int:
    """Be the child: say what the work makes of the standard input in as many bytes of memory as its argument names.

    Returns the exit status.
    """
    limit_memory(int(sys.argv[1]))
    gc.disable()  # nothing here goes in circles, and looking for some takes longer than reading
    try:
        sys.stdout.buffer.writelines(work(sys.stdin.buffer))
        sys.stdout.buffer.write(line({"end": True}))
    except errors.PeopleError as error:
        sys.stdout.buffer.write(line_of_error(error))
    except MemoryError:
        return OUT_OF_MEMORY
    return 0


def limit_memory(size: int) -> None:
    """Have what needs more memory fail, where the system can."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def lines_of(table: Table) -> Iterator[bytes]:
    """A table as a child says it; without columns its rows may be any objects."""
    note, found = table.note.as_json() if table.note else None, [finding.as_json() for finding in table.findings]
    yield line({"columns": table.columns, "note": note, "findings": found})
    size = piece_rows(table.columns)
    for place, start in enumerate(range(0, len(table.rows), size)):
        if not isinstance(table.numbers, range):
            yield line({"numbers": list(table.numbers[start : start + size])})
        yield table.rows.pieces[place] if isinstance(table.rows, Packed) else line(_piece(table, start, size))
    yield line({"rows": len(table.rows)})


def _piece(table: Table, start: int, size: int) -> list[Any]:
    rows = table.rows[start : start + size]
    return [[row[column] for column in table.columns] for row in rows] if table.columns else list(rows)


def line_of_error(error: errors.PeopleError) -> bytes:
    """What is wrong as a child says it."""
    return line({"error": type(error).__name__, "problem": error.text.as_json(), "param": error.param})


def line(value: Any) -> bytes:
    """One line of an answer, the last of which has an "end"."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
