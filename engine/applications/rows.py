"""Rows of a batch: each is checked for itself, and what is wrong with one stands in its place."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine.errors import PeopleError
from engine.requests import clean_text, clean_texts


def clean_rows(texts: Sequence[object], param: str, max_characters: int, max_rows: int) -> list[str | PeopleError]:
    """As `clean_texts` for a list, but with what is wrong with a row in its place.

    Raises InputError or TooLargeError for the list, and the first row's error where no row is any good.
    """
    clean_texts(["-" for _ in texts] if isinstance(texts, list | tuple) else texts, param, max_characters, max_rows)
    rows: list[str | PeopleError] = []
    for number, text in enumerate(texts):
        try:
            rows.append(clean_text(text, f"{param}[{number}]", max_characters))
        except PeopleError as error:
            rows.append(error)
    if isinstance(rows[0], PeopleError) and not any(isinstance(row, str) for row in rows):
        raise rows[0]
    return rows


def as_it_was(row: object) -> str:
    """A row of a batch as text, though it is none: a number as JSON writes it, anything else that is no text empty."""
    return row if isinstance(row, str) else json.dumps(row) if isinstance(row, int | float) else ""
