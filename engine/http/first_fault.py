"""Body types whose lists are checked up to their first fault, however many more there are."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler

MANY = ("list", "tuple", "set", "frozenset", "dict")


class FirstFault:
    """What a body type inherits from. Pydantic's own FailFast would have to stand at each list, and in no union."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """The type's schema, all of its lists failing fast."""
        return _hurried(handler(source))


def _hurried(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return type(schema)(map(_hurried, schema))
    if not isinstance(schema, dict):
        return schema
    more = {"fail_fast": True} if schema.get("type") in MANY else {}
    return {name: _hurried(part) for name, part in schema.items()} | more
