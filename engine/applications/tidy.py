"""What a model writes that is no text for people: control tokens and markup of its vocabulary, broken characters.

Models know such tokens from the pages they learned from, and at a high temperature write them.
"""

from __future__ import annotations

import re

from engine.requests import Generate

_CONTROL = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|</?(?:s|pad|eos|bos|unk|mask|(?:start|end)_of_\w+|unused\d+)>|\[multimodal\]|\ufffd"
)
_READERS = re.compile(r"\[(?:CLS|SEP|PAD|MASK|UNK)\]")
"""Control tokens of models that only read."""
_MARKUP = re.compile(
    r"</?(?:strong|em|b|i|u|s|p|br|hr|div|span|h[1-6]|ul|ol|li|a|img|table|tr|td|th|thead|tbody|tfoot|code|pre|sub|sup"
    r"|blockquote|caption|html|body|head|title|font|center)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_MISREAD = re.compile("â€.?|[ÃÂâ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]{1,2}")
"""UTF-8 that somebody read as Windows-1252: isnâ€™t."""
_OPEN = re.compile(r"<[^<>\n]{0,60}$|\[[a-z]{0,10}$|[ÃÂâ].?$")
"""What may become one of these with the next token."""


class Tidy:
    """Takes a text piece by piece and hands on what people may see. Markup stays where `given` has some itself, and
    so does the name of a control token that it has: there it is what they talk about."""

    def __init__(self, given: str = "") -> None:
        self._keeps_markup = _MARKUP.search(given) is not None
        self._named = frozenset(_CONTROL.findall(given)) - {"\ufffd"}
        self._held = ""

    def push(self, piece: str) -> str:
        """What can be shown now."""
        text = self._cleaned(self._held + piece)
        match = _OPEN.search(text)
        end = match.start() if match else len(text)
        self._held = text[end:]
        return text[:end]

    def end(self) -> str:
        """What was held back: no more will come."""
        text, self._held = self._cleaned(self._held), ""
        return re.sub("[ÃÂ]?â?€?$", "", text) if text.startswith("â€") else text

    def whole(self, text: str) -> str:
        """The same of a whole text."""
        return self.push(text) + self.end()

    def _cleaned(self, text: str) -> str:
        text = _CONTROL.sub(lambda match: match[0] if match[0] in self._named else "", text)
        text = text if self._keeps_markup else _MARKUP.sub("", text)
        return _MISREAD.sub(_read_again, text)


def tidy_for(asked: Generate) -> Tidy:
    """The one for an answer to a request: all that it tells the model is given."""
    return Tidy("\n".join([asked.prompt, *(message.content for message in asked.messages)]))


def without_marks(text: str) -> str:
    """The text without names of control tokens and without markup, which are no words."""
    return _MARKUP.sub(" ", _READERS.sub(" ", _CONTROL.sub(" ", text)))


def _read_again(match: re.Match[str]) -> str:
    for text in (match[0], match[0][:2]):
        try:
            return b"".join(map(_byte, text)).decode("utf-8") + match[0][len(text) :]
        except UnicodeError:
            continue
    return match[0].removeprefix("â€") if match[0] != "â€" else match[0]


def _byte(character: str) -> bytes:
    return bytes([ord(character)]) if "\x80" <= character <= "\x9f" else character.encode("cp1252")


SENTENCE_END = re.compile(
    r"(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bSt)[.!?…。！？]+[\"'”’»)\]」』]*(?=\s|$)|[。！？]+[”」』]*"
)
LINE_END = re.compile(r"\n")


def first_end(text: str, *, is_verse: bool) -> int | None:
    """Where the first sentence of a text ends, of verse the first line; None where none does."""
    found = [match.end() if match[0] != "\n" else match.start() for match in _ends(text, is_verse)]
    return min(found, default=None)


def last_end(text: str, *, is_verse: bool) -> int | None:
    """Where the last whole sentence of a text ends, of verse the last whole line."""
    found = [match.end() if match[0] != "\n" else match.start() for match in _ends(text, is_verse)]
    return max(found, default=None)


def _ends(text: str, is_verse: bool) -> list[re.Match[str]]:
    return [*SENTENCE_END.finditer(text), *(LINE_END.finditer(text) if is_verse else ())]
