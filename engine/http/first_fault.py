"""Body types whose lists are checked up to their first fault, however many more, and where "yes" is not true."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler

HOW: dict[str, dict[str, bool]] = {
    "bool": {"strict": True}, **{name: {"fail_fast": True} for name in ("list", "tuple", "set", "frozenset", "dict")}
}  # fmt: skip
"""What a schema's parts get more, by their type."""


class FirstFault:
    """What a body type inherits from. Pydantic's own FailFast would have to stand at each list, and in no union."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """The type's schema, all of its lists failing fast, and no word or number taken for true or false."""
        return _hurried(handler(source))


def _hurried(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return type(schema)(map(_hurried, schema))
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    more = HOW.get(kind, {}) if isinstance(kind, str) else {}
    return {name: _hurried(part) for name, part in schema.items()} | more
