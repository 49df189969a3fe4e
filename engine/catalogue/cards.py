"""The card of each known model: what it learned from, its licence, figures, what it is bad at, and whom to thank."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from engine.catalogue.models import Model
from engine.catalogue.sources.folder import Folder
from engine.settings import ROOT

CARDS_FILE = Path(__file__).with_name("cards.toml")
PAIRS = {"firefox-pt-en": "firefox-en-pt"}
"""Models whose card stands in that of another."""
HEADINGS = {"data": "Data", "figures": "Figures", "limits": "What it is bad at", "credits": "Credits"}


def card_of(model: Model) -> str:
    """The card as Markdown, written for people of the trade, in English; "" where none is at hand."""
    card = _written(model) or _listed(model)
    return f"**Licence.** {model.licence}, {model.licence_url}\n\n{card}" if card else ""


def _written(model: Model) -> str:
    """What stands beside the weights, without its head for machines."""
    for path in _files(model):
        if path.is_file():
            return re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.DOTALL).strip()
    return ""


def _listed(model: Model) -> str:
    name = max((name for name in _entries() if f"{model.id}-".startswith(f"{name}-")), key=len, default="")
    entry = _entries().get(name, {})
    return "\n\n".join(f"**{heading}.** {entry[part]}" for part, heading in HEADINGS.items() if entry)


def _files(model: Model) -> list[Path]:
    if isinstance(model.source, Folder):
        return [ROOT / model.source.folder / "README.md"]
    return [ROOT / "models" / f"{PAIRS.get(model.id, model.id)}.md"] if "/" not in model.id else []


@cache
def _entries() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(CARDS_FILE.read_text(encoding="utf-8"))
