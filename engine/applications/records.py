"""Requests and results as JSON and back, for what is kept of a visit and of what was computed before."""

from __future__ import annotations

from typing import Any

from engine.applications import Application

_READERS: dict[Any, Any] = {}
"""By type; to make one takes a while."""


def as_record(application: Application[Any, Any], request: Any, result: Any) -> dict[str, Any]:
    """Request and result for JSON; a result may be missing."""
    kept = None if result is None else reader(application.result_type).dump_python(result, mode="json")
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
