"""Sentences for people: a template and named facts, kept apart until the edge, where they are translated.

The engine says `Text("{title} is at work.", title=...)` or `counted("{count} row", "{count} rows", n)`; a page or the
HTTP API has it said in the visitor's language, for which `translations` finds the catalogue. `str()` is English.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable, Mapping
from typing import Any

Language = gettext.NullTranslations


class Text:
    """One sentence: what it says, and the facts in it. A fact may be a Text itself, an error's, or a list of them.

    Without facts the template is the sentence, braces and all.
    """

    def __init__(self, template: str, **facts: Any) -> None:
        self.template, self.plural, self.facts = template, "", facts

    def __str__(self) -> str:
        return self.said_in(ENGLISH)

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self.template)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def said_in(self, language: Language) -> str:
        """The sentence in that language; in English where its catalogue does not have it."""
        if self.plural:
            template = language.ngettext(self.template, self.plural, self.facts["count"])
        else:
            template = language.gettext(self.template) if self.template else ""
        facts = {name: _said(fact, language) for name, fact in self.facts.items()}
        try:
            return template.format_map(facts) if facts else template
        except (LookupError, ValueError):  # a translator's slip in a fact's name
            if language is ENGLISH:
                raise
            return self.said_in(ENGLISH)

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        """A string in what the API describes and answers; from a file also as `as_json` wrote it."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            read,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )

    def as_json(self) -> dict[str, Any]:
        """For files and pipes between processes; `read` is the way back."""
        facts = {name: _as_json(fact) for name, fact in self.facts.items()}
        return {"template": self.template, "plural": self.plural, "facts": facts}


ENGLISH = Language()
NOTHING = Text("")


def counted(singular: str, plural: str, count: int, **facts: Any) -> Text:
    """A sentence that depends on a number, which both forms may name as `{count}`."""
    text = Text(singular, count=count, **facts)
    text.plural = plural
    return text


def label(name: str) -> Text:
    """The name of a field or a column as it stands beside it: lora_rank -> "LoRA rank"."""
    words = name.removeprefix("is_").replace("_", " ").replace("lora", "LoRA").replace("bf16", "bfloat16")
    return Text(words[:1].upper() + words[1:])


def read(value: object) -> Text:
    """A Text from its JSON, or from the plain sentence that an earlier version wrote."""
    if isinstance(value, Text):
        return value
    if not isinstance(value, Mapping):
        return Text(str(value)) if value else NOTHING
    text = Text(str(value["template"]), **{name: _read(fact) for name, fact in value.get("facts", {}).items()})
    text.plural = str(value.get("plural", ""))
    return text


def said(value: Any, language: Language = ENGLISH) -> Any:
    """A value for JSON, with each Text and each error in it said in that language."""
    return _changed(value, lambda text: text.said_in(language))


def _changed(value: Any, change: Callable[[Text], Any]) -> Any:
    if isinstance(value, Exception):
        value = getattr(value, "text", value)
    if isinstance(value, Text):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _changed(one, change) for name, one in value.items()}
    return [_changed(one, change) for one in value] if isinstance(value, list | tuple) else value


def _said(fact: Any, language: Language) -> Any:
    fact = said(fact, language)
    return ", ".join(map(str, fact)) if isinstance(fact, list) else fact


def _as_json(fact: Any) -> Any:
    fact = _changed(fact, Text.as_json)
    return fact if isinstance(fact, dict | list | str | int | float | bool) or fact is None else str(fact)


def _read(fact: Any) -> Any:
    if isinstance(fact, Mapping):
        return read(fact)
    return [_read(one) for one in fact] if isinstance(fact, list) else fact
