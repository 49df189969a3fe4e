"""The child that reads one document: `python -m engine.documents BYTES`, which it may take of memory.

Its standard input is the file's name in JSON, a line, and the file. What it answers: `lines_of`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import IO

from engine.documents import lines_of
from engine.documents.reading import read_content
from engine.jobs.apart import serve


def read(given: IO[bytes]) -> Iterator[bytes]:
    """What the file holds. Raises PeopleError."""
    name = json.loads(given.readline())
    return lines_of(read_content(given.read(), name))


if __name__ == "__main__":
    sys.exit(serve(read))
