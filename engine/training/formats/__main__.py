"""The child that reads one file: `python -m engine.training.formats BYTES`, which it may take of memory.

Its standard input is the file's name in JSON, a line, and the file. What it answers: `_apart`.
"""

from __future__ import annotations

import sys

from engine.jobs.apart import serve_file
from engine.training.formats import read_content
from engine.training.formats._apart import lines_of

if __name__ == "__main__":
    sys.exit(serve_file(lambda content, name: lines_of(read_content(content, name))))
