"""The commands that made the weights in `models/`."""

from __future__ import annotations

import argparse
from pathlib import Path


def read_arguments(description: str | None, *paths: str) -> argparse.Namespace:
    """The options of a recipe: its paths, threads, and whether to stop when data and configs are written."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in paths:
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--prepare", action="store_true", help="write data and configs, to train from the page")
    return parser.parse_args()
