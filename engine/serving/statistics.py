"""What a worker keeps of its past: how many requests, and how fast the last ones were."""

from __future__ import annotations

from collections import deque
from statistics import median

from engine.requests import Result


class Statistics:
    """What a worker keeps of its past."""

    def __init__(self) -> None:
        self.requests = 0
        self._speeds: deque[float] = deque(maxlen=20)
        self._firsts: deque[float] = deque(maxlen=20)

    def record(self, result: Result, first_token_seconds: float | None) -> None:
        """One more request has come to its end."""
        self.requests += 1
        speed = getattr(result, "tokens_per_second", None)
        if speed:
            self._speeds.append(speed)
        if first_token_seconds is not None:
            self._firsts.append(first_token_seconds)

    @property
    def tokens_per_second(self) -> float | None:
        return median(self._speeds) if self._speeds else None

    @property
    def first_token_seconds(self) -> float | None:
        return median(self._firsts) if self._firsts else None
