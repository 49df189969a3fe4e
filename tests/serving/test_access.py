"""Who may do what: every action by host and visitor, and that the engine itself holds it."""

from __future__ import annotations

import time

import pytest
from benches import Bench, model
from fakes import HOST, VISITOR

from engine.errors import ConflictError
from engine.requests import Embed
from engine.serving.access import ACTIONS, Action, caller_of, check, may
from engine.settings import Settings

MEMBER = caller_of(Settings(is_public=True), "member", role="member")
ALLOWED = {("visitor", "ask"), ("visitor", "fetch embedded"), *(("host", action) for action in ACTIONS)}
ALLOWED |= {("member", action) for action in ("ask", "fetch embedded", "fetch", "fetch data", "upload", "pin")}


@pytest.mark.parametrize("caller", [HOST, MEMBER, VISITOR], ids=lambda caller: caller.role)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_of_every_caller(caller: object, action: Action) -> None:
    is_allowed = (caller.role, action) in ALLOWED  # type: ignore[attr-defined]
    assert may(caller, action) is is_allowed  # type: ignore[arg-type]
    if is_allowed:
        check(caller, action)  # type: ignore[arg-type]
    else:
        with pytest.raises(ConflictError, match="public site"):
            check(caller, action)  # type: ignore[arg-type]


def test_at_home_everybody_is_the_host_and_on_a_public_site_nobody() -> None:
    assert caller_of(Settings(), "a").role == "host"
    assert caller_of(Settings(is_public=True), "a").role == "visitor"
    assert caller_of(Settings(), "a", "low").priority == "low"


def test_a_visitor_asks_but_unloads_deletes_and_downloads_nothing() -> None:
    bench = Bench(model("a"), model("large", is_embedded=False))
    house = bench.house
    assert house.engine.run("a", [Embed("x")], VISITOR)
    for forbidden in (
        lambda: house.engine.unload("a", VISITOR),
        lambda: house.delete("a", VISITOR),
        lambda: house.fetch("large", VISITOR),
    ):
        with pytest.raises(ConflictError, match="public site"):
            forbidden()
    assert house.engine.is_loaded("a") and bench.store.fetched == []
    house.fetch("a", VISITOR)
    house.fetch("large", HOST)
    assert bench.store.fetched == ["a", "large"] and bench.store.owners == ["large"], "whose token may go with it"
    while house.engine.is_busy:
        time.sleep(0.01)
    house.engine.unload("a", HOST)
    assert not house.engine.is_loaded("a")
    house.close()
