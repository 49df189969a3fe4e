"""Control tokens in what people typed, which are text like any other: only a chat template makes control tokens.

A template is filled with text whose control tokens are hidden; what it made is cut at them again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = re.compile("\ue000(\\d+)\ue001")
"""What stands for one of them meanwhile: its number between two characters that no script uses."""


class Controls:
    """The control tokens of one model, as they are written."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._tokens = sorted({token for token in tokens if token}, key=lambda token: (-len(token), token))
        self._numbers = {token: number for number, token in enumerate(self._tokens)}
        self._pattern = re.compile("|".join(map(re.escape, self._tokens)) or r"(?!)")

    def are_in(self, text: str) -> bool:
        """Whether the text has any."""
        return self._pattern.search(text) is not None

    def hidden(self, text: str) -> str:
        """The text with each in a form that no tokenizer takes for one."""
        return self._pattern.sub(lambda match: f"\ue000{self._numbers[match[0]]}\ue001", text)

    def pieces(self, text: str) -> list[tuple[str, bool]]:
        """A filled template in pieces that joined are it, and whether each is a person's, to be read as text."""
        found, place = [], 0
        for match in HIDDEN.finditer(text):
            if int(match[1]) < len(self._tokens):
                found += [(text[place : match.start()], False), (self._tokens[int(match[1])], True)]
                place = match.end()
        return [piece for piece in [*found, (text[place:], False)] if piece[0]]


def split_space(text: str) -> tuple[str, str]:
    """The text and the single space at its end, which models give to the next token: alone it misleads them."""
    return (text[:-1], " ") if text[-1:] == " " and text[-2:-1].strip() else (text, "")
