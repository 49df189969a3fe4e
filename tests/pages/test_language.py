"""Pages in a made-up language, in which every sentence stands in brackets: none escapes in English."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from brackets import CODE, brackets, outside
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

__all__ = ["brackets"]

Open = Callable[..., AppTest]

NOT_SHOWN = {
    "id", "form_id", "key", "icon", "url", "page", "url_path", "format", "component_name", "color", "config",
    "language", "columns", "default", "query_param_key", "user_key", "fragment_id", "value_type", "value",
    "file_urls_json",
}  # fmt: skip
"""Fields of elements that are no text for people, or what a person typed."""


def shown(app: AppTest) -> Iterator[tuple[str, str]]:
    """Each text on a page, with the kind of its element."""
    for element in [*app.main, *app.sidebar]:
        proto = getattr(element, "proto", None)
        if proto is not None:
            yield from ((element.type, words) for words in texts(proto))


def texts(proto: Message) -> Iterator[str]:
    for field, value in proto.ListFields():
        if field.name in NOT_SHOWN:
            continue
        for one in [value] if isinstance(value, str | Message) else value if field.is_repeated else []:
            if isinstance(one, Message):
                yield from texts(one)
            elif isinstance(one, str):
                yield f"{field.name}={one}"


def escaped(app: AppTest) -> list[str]:
    """Texts with words outside of brackets."""
    found = []
    for kind, words in shown(app):
        rest = re.sub(r":material/\w+:|<[^>]*>", "", outside(words.partition("=")[2]))
        if re.search(r"[^\W\d_]{2,}", rest):
            found.append(f"{kind} {words[:150]}")
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("name", ["home", "translate", "write", "sentiment", "answer", "models", "finetune"])
def test_no_text_escapes(brackets: None, open_page: Open, name: str) -> None:
    app = open_page(name, lang=CODE)
    assert not app.exception
    found = escaped(app)
    assert not found, "\n".join(found)
