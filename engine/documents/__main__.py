"""The child that reads one document: `python -m engine.documents BYTES`, which it may take of memory.

Its standard input is the file's name in JSON, a line, and the file. What it answers: `lines_of`.
"""

from __future__ import annotations

import sys

from engine.documents import lines_of
from engine.documents.reading import read_content
from engine.jobs.apart import serve_file

if __name__ == "__main__":
    sys.exit(serve_file(lambda content, name: lines_of(read_content(content, name))))
