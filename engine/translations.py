"""The languages that the interface speaks: gettext's catalogues in `locale/` and in the host's own folder.

`make messages` writes the template that translators start from.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from engine.messages import ENGLISH, Language
from engine.settings import ROOT, current

DOMAIN = "parlance"


@cache
def languages() -> tuple[str, ...]:
    """Codes of the languages that the interface speaks, English first."""
    found = {path.parents[1].name for folder in _folders() for path in folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")}
    return ("en", *sorted(found - {"en"}))


def language(preferred: Iterable[str]) -> Language:
    """The first of the preferred languages (BCP 47 tags, such as `pt-BR`) that the interface speaks, else English."""
    for tag in preferred:
        name = tag.replace("-", "_")
        for code in (name, name.partition("_")[0]):
            if code in languages():
                return _catalogue(code)
    return ENGLISH


@cache
def _catalogue(code: str) -> Language:
    for folder in _folders():
        if gettext.find(DOMAIN, folder, [code]):
            return gettext.translation(DOMAIN, folder, [code])
    return ENGLISH


def _folders() -> Sequence[Path]:
    host = current().extensions
    return [ROOT / "locale", *([host / "locale"] if host else [])]
