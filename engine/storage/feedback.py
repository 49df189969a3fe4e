"""Thumbs for answers, and why: by page and model, without what was asked or answered."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.storage import Storage

KEEP_SECONDS, DAY_SECONDS = 90 * 86_400.0, 86_400.0
VERDICTS = ("right", "wrong answer", "wrong passage")
"""What can be said of an answer over documents, as a thumb's reason."""
MOST_A_DAY, MOST_SHOWN, MOST_REASONS = 2_000, 10_000, 100
MAX_REASON_CHARACTERS = 200


class Feedback:
    """Keeps a thumb for each answer; another for the same takes its place."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def take(self, visitor: str, page: str, model: str, answer: str, *, is_good: bool, reason: str = "") -> None:
        """Keep it; what is over the number a day is let go, as thumbs make way for nothing."""
        if self.storage.count("thumbs", 1, DAY_SECONDS)[0] <= MOST_A_DAY:
            value = {"page": page, "model": model, "is_good": is_good}
            value |= {"reason": reason.strip()[:MAX_REASON_CHARACTERS]} if reason.strip() else {}
            self.storage.write(f"thumb {visitor} {answer}", value, KEEP_SECONDS, kind="feedback", owner=visitor)

    def summed(self) -> list[dict[str, Any]]:
        """Thumbs up and down of each page and model, the most first."""
        entries = self.storage.listed("feedback", most=MOST_SHOWN)
        found = [(entry.value["page"], entry.value["model"], bool(entry.value["is_good"])) for entry in entries]
        counts, pairs = Counter(found), Counter((page, model) for page, model, _ in found)
        return [
            {"page": page, "model": model, "up": counts[page, model, True], "down": counts[page, model, False]}
            for (page, model), _ in pairs.most_common()
        ]

    def reasons(self) -> list[dict[str, Any]]:
        """What people gave as a reason, the latest first."""
        entries = self.storage.listed("feedback", most=MOST_SHOWN)
        return [entry.value for entry in entries if entry.value.get("reason")][:MOST_REASONS]
