"""The language that a request asks for with Accept-Language, and saying things in it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from engine import messages, translations

_code: ContextVar[str] = ContextVar("parlance-language", default="en")


def listen(scope: Scope) -> None:
    """Note the language of the request that this task answers."""
    _code.set(translations.code_of(translations.accepted(Headers(scope=scope).get("accept-language", ""))))


def spoken() -> str:
    """Its code."""
    return _code.get()


def said(value: Any) -> Any:
    """A value for JSON, with each Text in it said in the request's language."""
    return messages.said(value, translations.catalogue(_code.get()))
