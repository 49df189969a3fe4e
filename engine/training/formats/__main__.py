"""The child that reads one file: `python -m engine.training.formats BYTES`, which it may take of memory.

Its standard input is the file's name in JSON, a line, and the file. What it answers: `_apart`.
"""

from __future__ import annotations

import gc
import json
import sys
from contextlib import suppress

from engine.errors import PeopleError
from engine.training.formats import read_content
from engine.training.formats._apart import OUT_OF_MEMORY, line_of_error, lines_of


def main() -> int:
    """Read it and say what it holds, or what is wrong. Returns the exit status."""
    limit_memory(int(sys.argv[1]))
    gc.disable()  # nothing here goes in circles, and looking for some takes longer than reading
    said, given = sys.stdout.buffer, sys.stdin.buffer
    try:
        name = json.loads(given.readline())
        said.writelines(lines_of(read_content(given.read(), name)))
    except PeopleError as error:
        said.write(line_of_error(error))
    except MemoryError:
        return OUT_OF_MEMORY
    return 0


def limit_memory(size: int) -> None:
    """Have what needs more memory fail, where the system can."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


if __name__ == "__main__":
    sys.exit(main())
