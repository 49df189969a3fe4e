"""The model that a run trained as a GGUF file, in a process of its own:
`python -m engine.training.gguf_export FOLDER FILE [--base GGUF] [--dtype f16]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from engine.backends.ggml.writing import Dtype, to_gguf
from engine.training.failures import as_command


def main(arguments: list[str] | None = None) -> int:
    """Write a GGUF file as the command line says. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.training.gguf_export", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--dtype", choices=get_args(Dtype), default="q8_0")
    given = parser.parse_args(arguments)
    return as_command(lambda: to_gguf(given.folder, given.file, base=given.base, dtype=given.dtype))


if __name__ == "__main__":
    sys.exit(main())
