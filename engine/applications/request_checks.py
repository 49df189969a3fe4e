"""What can be wrong with a request to write, besides its text and its sampling."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from engine.applications import formed
from engine.applications.languages import LANGUAGES
from engine.applications.tokens import MOST_RIVALS
from engine.errors import InputError, not_among, not_between
from engine.requests import clean_text

if TYPE_CHECKING:
    from engine.applications.write import WriteRequest

MAX_SYSTEM_CHARACTERS, MAX_TURNS = 2_000, 100
"""Of a chat: its system prompt, and what was said before."""
MAX_STYLE_CHARACTERS = 60
"""Longest genre or tone."""


def check(request: WriteRequest, kinds: Collection[str]) -> None:
    """Raises InputError, TooLargeError or UnsupportedError naming the field."""
    if request.kind not in kinds:
        raise not_among("kind", request.kind, kinds)
    if request.language not in LANGUAGES:
        raise not_among("language", request.language, LANGUAGES)
    if not 0 <= request.rivals <= MOST_RIVALS:
        raise not_between("rivals", 0, MOST_RIVALS)
    formed.check(request.kind, request.form, request.language, request.chapters)
    if request.form and request.continuation:
        raise InputError("A text in a form cannot be carried on. Leave continuation empty.", param="continuation")
    clean_text(request.system, "system", MAX_SYSTEM_CHARACTERS, can_be_empty=True)
    if not isinstance(request.turns, list | tuple) or len(request.turns) > MAX_TURNS:
        raise InputError("{field} takes at most {most} turns.", param="turns", field="turns", most=MAX_TURNS)
    for name in ("genre", "tone"):
        clean_text(getattr(request, name), name, MAX_STYLE_CHARACTERS, can_be_empty=True)
    if not isinstance(request.stop, list | tuple) or not all(isinstance(text, str) for text in request.stop):
        raise InputError("{field} must be a list of texts.", param="stop", field="stop")
