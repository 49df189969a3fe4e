"""Browsers without a window: pages asked over Streamlit's own websocket, as a browser's script asks them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from html import unescape
from typing import Any

PATIENCE_SECONDS = 300.0
NOBODYS: Mapping[str, str] = {}
Element = Any
"""Of Streamlit's protocol."""


@dataclass
class Answer:
    """What a pressed button led to, times in seconds since the press; `words` are when the answer's text grew."""

    words: list[float] = field(default_factory=list)
    seconds: float = 0.0
    text: str = ""
    errors: list[str] = field(default_factory=list)
    is_over: bool = False

    @property
    def first(self) -> float:
        return self.words[0] if self.words else float("nan")


class Browser:
    """One session on one page: its elements by their place, and the widgets among them by name."""

    def __init__(self, host: str, page: str, query: str = "", cookies: Mapping[str, str] = NOBODYS) -> None:
        from websockets.sync.client import connect
        from websockets.typing import Origin, Subprotocol

        told = ["streamlit", *filter(None, [cookies.get("_streamlit_xsrf")])]
        sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
        self.line = connect(
            f"ws://{host}/_stcore/stream", origin=Origin(f"http://{host}"), max_size=None, open_timeout=60, legacy=True,
            subprotocols=[Subprotocol(one) for one in told],
            additional_headers={"Cookie": sent} if sent else {},
        )  # fmt: skip
        self.page, self.query = page, query
        """The latter as it stands in the address now, with the key of what is kept."""
        self.redirect = ""
        """Where the page last sent whoever signs in."""
        self.elements: dict[tuple[int, ...], Element] = {}
        self._hashes: dict[str, Any] = {}
        self._hash = ""
        self._ask()
        self.opened = [one for changed in self._messages() for one in changed]
        """What the page showed when it was opened."""

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def press(self, label: str, texts: dict[str, str]) -> Answer:
        """Type texts by their fields' labels, press a button, and read what comes of it to its end."""
        button = self._find("button", label)
        values = [(self._find("text_area", name).id, text) for name, text in texts.items()]
        answer, started = Answer(), time.perf_counter()
        self._ask(button.id, values)
        for changed in self._messages():
            now = time.perf_counter() - started
            words = self._text(changed)
            if words and words != answer.text:
                answer.words.append(now)
                answer.text = words
            answer.text = next(filter(None, map(_copied, changed)), answer.text)
            answer.errors += [one.alert.body for one in changed if one.WhichOneof("type") == "alert"]
        answer.seconds, answer.is_over = time.perf_counter() - started, True
        return answer

    @property
    def shown(self) -> str:
        """The answer that the page was opened with."""
        return self._text(self.opened)

    def _text(self, changed: list[Element]) -> str:
        """The answer's text in what changed: the page marks it."""
        found = [body for one in changed if "data-answer" in (body := _body(one))]
        return unescape(re.sub(r"<[^>]*>", "", found[-1])).strip() if found else ""

    def _find(self, kind: str, label: str) -> Any:
        for element in self.elements.values():
            if element.WhichOneof("type") == kind and getattr(element, kind).label == label:
                return getattr(element, kind)
        raise LookupError(f"{self.page} has no {kind} {label!r}")

    def _ask(self, pressed: str = "", values: list[tuple[str, str]] = ()) -> None:  # type: ignore[assignment]
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        run = message.rerun_script
        run.query_string, run.page_script_hash, run.page_name = self.query, self._hash, "" if self._hash else self.page
        for id, text in values:
            run.widget_states.widgets.add(id=id, string_value=text)
        if pressed:
            run.widget_states.widgets.add(id=pressed, trigger_value=True)
        self.line.send(message.SerializeToString())

    def _messages(self) -> Iterator[list[Element]]:
        """What comes until the end of the script's whole run, each as the elements that it brings."""
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        deadline, is_begun = time.monotonic() + PATIENCE_SECONDS, False
        while time.monotonic() < deadline:
            message = ForwardMsg()
            with suppress(TimeoutError):
                message.ParseFromString(self.line.recv(timeout=deadline - time.monotonic()))
            message = self._hashes.get(message.ref_hash, message)
            if message.hash:
                self._hashes[message.hash] = message
            kind = message.WhichOneof("type")
            if kind == "navigation":
                self._hash = message.navigation.page_script_hash
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "auth_redirect":
                self.redirect = message.auth_redirect.url
            elif kind == "new_session":
                is_begun = True
            elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY and is_begun:
                return
            yield self._taken(message) if kind == "delta" else []
        raise TimeoutError(f"{self.page} did not come to its end")

    def _taken(self, message: Any) -> list[Element]:
        if message.delta.WhichOneof("type") != "new_element":
            return []
        element = message.delta.new_element
        self.elements[tuple(message.metadata.delta_path)] = element
        return [element]


def _body(element: Element) -> str:
    kind = element.WhichOneof("type")
    return str(getattr(getattr(element, kind), "body", "")) if kind in ("markdown", "html", "text") else ""


def _copied(element: Element) -> str:
    """What a page's button Copy would copy, which is the whole answer."""
    if element.WhichOneof("type") != "bidi_component" or "copy" not in element.bidi_component.component_name:
        return ""
    return str(json.loads(element.bidi_component.json or "{}").get("text") or "")
