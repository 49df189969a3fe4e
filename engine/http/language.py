"""The language that a request asks for with Accept-Language, and saying things in it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from engine import messages, translations
from engine.messages import ENGLISH, Language

_spoken: ContextVar[Language] = ContextVar("parlance-language", default=ENGLISH)


def listen(scope: Scope) -> None:
    """Note the language of the request that this task answers."""
    wanted = translations.accepted(Headers(scope=scope).get("accept-language", ""))
    _spoken.set(translations.language(wanted))


def said(value: Any) -> Any:
    """A value for JSON, with each Text in it said in the request's language."""
    return messages.said(value, _spoken.get())
