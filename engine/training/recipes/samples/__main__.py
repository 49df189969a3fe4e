"""`python -m engine.training.recipes.samples [FOLDER]` writes the built-in samples again, exactly as they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from engine.training.recipes.samples import cards, headlines, lighthouse, pairs, passages, stories, tickets

FOLDER = Path(__file__).parents[2] / "samples"


def make() -> dict[str, str]:
    """The text of each file by its name."""
    rows: dict[str, list[dict[str, Any]]] = {
        "cards": cards.make(),
        "tickets": tickets.make(),
        "passages": passages.make(),
        "pairs": pairs.make(),
        "headlines": headlines.make(),
    }
    texts = {"lighthouse.txt": lighthouse.make(), "stories.txt": stories.make()}
    return texts | {f"{name}.jsonl": "".join(_line(row) for row in made) for name, made in rows.items()}


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the files into the folder; returns the exit status."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in make().items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
