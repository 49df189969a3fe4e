"""Requests and results as JSON and back, for what is kept of a visit and of what was computed before."""

from __future__ import annotations

from typing import Any

from engine.applications import Application

_READERS: dict[Any, Any] = {}
"""By type; to make one takes a while."""


UNKEPT = "tokens"
"""Of results: long, and told again when they are asked for."""


def as_record(
    application: Application[Any, Any], request: Any, result: Any, *, is_whole: bool = False
) -> dict[str, Any]:
    """Request and result for JSON; a result may be missing, and has its tokens only where the whole is wanted."""
    kept = None if result is None else reader(application.result_type).dump_python(result, mode="json")
    if kept and not is_whole and UNKEPT in kept:
        kept[UNKEPT] = []
    return {"request": reader(application.request_type).dump_python(request, mode="json"), "result": kept}


def from_record(application: Application[Any, Any], record: dict[str, Any]) -> tuple[Any, Any]:
    """Request and result; (None, None) of a record that an earlier version wrote in another form."""
    from pydantic import ValidationError

    try:
        request = reader(application.request_type).validate_python(record["request"])
        found = record["result"]
        return request, None if found is None else reader(application.result_type).validate_python(found)
    except (ValidationError, LookupError):
        return None, None


def reader(kind: Any) -> Any:
    """What reads and writes values of a type, as pydantic makes it."""
    from pydantic import TypeAdapter

    if kind not in _READERS:
        _READERS[kind] = TypeAdapter(kind)
    return _READERS[kind]
