"""Work on what somebody brings in a child: it may cost its limits of memory and time, and nobody waits for it.

The child gets a file as its standard input and answers in lines of JSON: objects whose values are told, and lists,
which are pieces of what it found; the last is `{"end": true}`, or what is wrong.
"""

from __future__ import annotations

import gc
import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar

from engine import errors
from engine.errors import BusyError, InputError, PeopleError, TooLargeError
from engine.jobs import process
from engine.messages import read
from engine.settings import free_memory_bytes

SECONDS = 90.0
"""For one file, and for its turn."""
MEMORY_BYTES, MEMORY_A_BYTE = 2**30, 8
"""What a child may take: so much, and so much more for each byte of the file, as far as it is free."""
MAX_BYTES = 200 * 2**20
"""Of a file, and of all its texts unpacked."""
MAX_ANSWER_BYTES = 4 * MAX_BYTES
MAX_CHILDREN = 2
NICE, SMALL_BYTES = 5, 2**20
"""A child steps back so far behind answers; one with a small file, for which somebody waits, does not."""
OUT_OF_MEMORY = 3
"""The child's exit status where its memory did not suffice."""

_turns = threading.BoundedSemaphore(MAX_CHILDREN)


@dataclass
class Answer:
    """What a child says, as it comes."""

    told: dict[str, Any] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    is_whole: bool = False
    """Whether it came to its end."""
    taken_bytes: int = 0

    def take(self, lines: Iterable[bytes]) -> None:
        """Take its lines up to the limit."""
        for line in lines:
            self.taken_bytes += len(line)
            if self.is_too_much:
                return
            if line.startswith(b"["):
                self.pieces.append(line)
                continue
            values = json.loads(line)
            self.note(values)
            self.is_whole = "end" in values

    def note(self, values: dict[str, Any]) -> None:
        """What an object of the answer tells."""
        self.told |= values

    @property
    def is_too_much(self) -> bool:
        """Whether it says more than there is room for."""
        return self.taken_bytes > MAX_ANSWER_BYTES


A = TypeVar("A", bound=Answer)


def ask_about(module: str, content: bytes, name: str, answer: A) -> A:
    """As `ask`, of a file before which its name goes as a line; what is wrong begins with the name."""
    with TemporaryFile() as given, about(name):
        given.write(json.dumps(name).encode() + b"\n")
        given.write(content)
        return ask(module, given, answer)


def ask(module: str, given: IO[bytes], answer: A) -> A:
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
        return _said(child, answer)
    finally:
        _turns.release()


@contextmanager
def about(name: str) -> Iterator[None]:
    """Begin what is wrong with a file, which its readers say without a subject, with its name."""
    try:
        yield
    except PeopleError as error:
        raise type(error)("{file} {problem}", "file", file=shown(name), problem=error.text) from None


def shown(name: str) -> str:
    """A file's name as it stands in sentences: without folders, of sensible length."""
    short = "".join(c for c in re.split(r"[/\\]", name)[-1] if c.isprintable())
    return short if len(short) <= 60 else f"{short[:40]}…{short[-15:]}"


def _said(child: process.Process, answer: A) -> A:
    assert child.stdout
    with _ended(child) as is_late, child.stdout:
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


def serve_file(read: Callable[[bytes, str], Iterable[bytes]]) -> int:
    """The same for the child that reads one file: given are its name in JSON, a line, and the file."""

    def work(given: IO[bytes]) -> Iterable[bytes]:
        name = json.loads(given.readline())
        return read(given.read(), name)

    return serve(work)


def limit_memory(size: int) -> None:
    """Have what needs more memory fail, where the system can."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def line_of_error(error: errors.PeopleError) -> bytes:
    """What is wrong as a child says it."""
    return line({"error": type(error).__name__, "problem": error.text.as_json(), "param": error.param})


def line(value: Any) -> bytes:
    """One line of an answer, the last of which has an "end"."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
