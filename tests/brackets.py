"""A made-up language, in which every sentence stands in ⟦brackets⟧: what has none was not translated."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from engine import settings, translations

CODE = "qps"


@pytest.fixture
def brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The catalogue of the made-up language, in the host's own folder, made from what the code marks."""
    catalogue = read_po(io.BytesIO(translations.template()))
    for message in catalogue:
        is_plural = not isinstance(message.id, str)
        message.string = tuple(f"⟦{form}⟧" for form in message.id) if is_plural else f"⟦{message.id}⟧"
    folder = tmp_path / "locale" / CODE / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "parlance.mo").open("wb") as file:
        write_mo(file, catalogue)
    monkeypatch.setenv("PARLANCE_EXTENSIONS", str(tmp_path))
    _forget()
    yield
    _forget()


def _forget() -> None:
    settings.current.cache_clear()
    translations.languages.cache_clear()
    translations.catalogue.cache_clear()


def outside(words: str) -> str:
    """What stands outside of all brackets."""
    before = None
    while words != before:
        before, words = words, re.sub(r"⟦[^⟦⟧]*⟧", "", words)
    return words
