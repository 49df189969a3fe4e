"""Chats, whoever wrote them: turns of a user and an assistant become rows, one for each answer, with what came before.

A history is kept in a cell as JSON: a list of {"role", "content"}, as chat templates take it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import TooLargeError

Turn = tuple[str, str]
"""Role ("system", "user" or "assistant") and text."""
NAMES = {
    "user": "user human person customer client prompter question instruction tool function observation ipython",
    "assistant": "assistant gpt model bot ai chatgpt chatbot agent answer llm bing bard claude function_call",
    "system": "system developer",
}
"""What data sets call each role. What a tool says is something the assistant is told, as by the user."""
ROLES = {name: role for role, names in NAMES.items() for name in names.split()}
MAX_CHAT = 200_000_000
"""Turns times characters: every answer of a chat has everything before it."""
SPEAKERS, CONTENTS = ("role", "from", "speaker", "author"), ("content", "value", "text", "message", "parts")


class History(str):
    """Turns in a cell, which stay as they are where other JSON is unfolded."""


def turns(value: Any) -> list[Turn] | None:
    """The turns of a chat: a list of objects with a known role and a text each. None for anything else."""
    if not (isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value)):
        return None
    said = [_turn(item) for item in value]
    return None if None in said else [turn for turn in said if turn]


def _turn(item: Mapping[str, Any]) -> Turn | None:
    speaker = next((item[key] for key in SPEAKERS if isinstance(item.get(key), str)), "")
    role = ROLES.get(speaker.strip().lower())
    key = next((key for key in CONTENTS if key in item), None)
    text = _text(item[key]) if key else "" if "tool_calls" in item or "function_call" in item else None
    return None if role is None or text is None else (role, text)


def _text(content: Any) -> str | None:
    """A message's text: as it is, or its parts of text, each on its line."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        return None
    parts = [part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | Mapping)]
    return "\n".join(part for part in parts if isinstance(part, str) and part)


def pairs(value: Any) -> list[Turn] | None:
    """The turns of a list of [question, answer], as Alpaca's `history` has them. None for anything else."""
    if not (isinstance(value, list) and value and all(isinstance(pair, list) and len(pair) == 2 for pair in value)):
        return None
    if not all(isinstance(text, str) for pair in value for text in pair):
        return None
    return [turn for question, answer in value for turn in (("user", question), ("assistant", answer))]


def exchanges(said: Sequence[Turn]) -> list[dict[str, str | None]]:
    """For each answer of the assistant: the turn of the user before it, and the history before that.

    Neighbours of one role are one turn. A chat without an answer is one row that lacks it.
    """
    joined = _joined(said)
    if len(joined) * sum(len(text) for _, text in joined) > MAX_CHAT:
        raise TooLargeError("has a chat of {count:,} turns, which is too long. Cut it into several.", count=len(joined))
    rows: list[dict[str, str | None]] = []
    for place, (role, text) in enumerate(joined):
        if role == "assistant" and place and joined[place - 1][0] == "user":
            rows.append(_row(joined[: place - 1], joined[place - 1][1], text))
    last = next((text for role, text in reversed(joined) if role == "user"), None)
    return rows or [_row([], last, None)]


def _row(before: Sequence[Turn], user: str | None, assistant: str | None) -> dict[str, str | None]:
    return {"history": as_history(before), "user": user, "assistant": assistant}


def _joined(said: Sequence[Turn]) -> list[Turn]:
    """Without empty turns; a system's word in the middle of a chat is the user's, as templates know none there."""
    joined: list[Turn] = []
    for role, text in said:
        if not text.strip():
            continue
        if role == "system" and any(other != "system" for other, _ in joined):
            role = "user"
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]}\n\n{text}")
        else:
            joined.append((role, text))
    return joined


def as_history(said: Sequence[Turn]) -> str:
    """Turns as a cell; nothing for none."""
    turns = [{"role": role, "content": text} for role, text in said]
    return History(json.dumps(turns, ensure_ascii=False)) if turns else ""
