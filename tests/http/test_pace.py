"""Messages of a page's WebSocket: none waits at an honest pace, a flood does, and others have turns between."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from engine.http import pace
from engine.http.pace import A_SECOND, BURST, Paced


def worked_off(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What it returns, in a thread of its own: a browser's tests may have a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def taken(monkeypatch: pytest.MonkeyPatch, count: int, seconds_between: float = 0.0) -> tuple[list[float], int]:
    """How long each of so many messages was held on a clock of its own, and how often somebody else had a turn."""
    held: list[float] = []
    turns = 0

    async def run() -> None:
        nonlocal turns
        loop, sleep = asyncio.get_running_loop(), asyncio.sleep
        now = 100.0
        monkeypatch.setattr(loop, "time", lambda: now)

        async def receive() -> dict[str, Any]:
            nonlocal now
            now += seconds_between
            return {"type": "websocket.receive", "bytes": b"x"}

        async def held_for(seconds: float) -> None:
            nonlocal now
            held.append(seconds)
            now += seconds
            await sleep(0)

        async def other() -> None:
            nonlocal turns
            while len(held) < count:
                turns += 1
                await sleep(0)

        monkeypatch.setattr(pace.asyncio, "sleep", held_for)
        task, paced = asyncio.ensure_future(other()), Paced(receive)
        for _ in range(count):
            await paced()
        await task

    worked_off(run())
    return held, turns


def test_a_visitors_own_messages_never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    held, _ = taken(monkeypatch, 200, 1.05 / A_SECOND)
    assert not any(held)


def test_a_flood_waits_and_others_have_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    held, turns = taken(monkeypatch, 500)
    assert not any(held[:BURST]) and sum(held) == pytest.approx((500 - BURST) / A_SECOND)
    assert turns >= 499


def test_the_end_of_a_connection_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "websocket.disconnect"}

    monkeypatch.setattr(pace.asyncio, "sleep", None)
    assert worked_off(Paced(receive)())["type"] == "websocket.disconnect"
