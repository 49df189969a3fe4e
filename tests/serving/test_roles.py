"""Who is host, member or visitor: by claims of a sign-in, by the one-time address, by a key; and what a pause does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from fakes import HOST, VISITOR

from engine.errors import ConflictError, InputError, NotReadyError
from engine.requests import Generate, Sampling
from engine.serving.access import caller_of, check, members_may
from engine.serving.limited import PAUSED
from engine.serving.roles import has_ended, role_of
from engine.settings import Settings
from engine.storage import StorageError
from engine.storage.connections import FILE
from engine.storage.hosting import RECENT_SECONDS, Hosting, Recent

NOW = 1_000_000.0
ANN = {"is_logged_in": True, "email": "Ann@Example.org", "exp": NOW + 60}
SITE = Settings(is_public=True, hosts="ann@example.org, ben@example.net", members="*@example.org")


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(is_public=True)
    yield made
    made.engine.close()


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        (ANN, "host"), (ANN | {"email": "eve@example.org"}, "member"), (ANN | {"email": "eve@example.com"}, "visitor"),
        (ANN | {"email": "eve@x.example.org"}, "visitor"), (ANN | {"email": "@example.org"}, "visitor"),
        (ANN | {"email": "*@example.org"}, "member"), (ANN | {"email": None}, "visitor"),
        (ANN | {"exp": NOW - 1}, "visitor"), (ANN | {"exp": None}, "visitor"), (ANN | {"exp": "soon"}, "visitor"),
        (ANN | {"email_verified": False}, "visitor"), (ANN | {"email_verified": True}, "host"),
        (ANN | {"is_logged_in": False}, "visitor"), ({}, "visitor"), ({"email": "ann@example.org"}, "visitor"),
    ],
)  # fmt: skip
def test_a_role_is_of_a_verified_address_whose_token_has_not_run_out(claims: dict[str, Any], role: str) -> None:
    assert role_of(SITE, claims, NOW) == role
    assert role_of(replace(SITE, is_public=False), claims, NOW) == "host"
    assert has_ended(claims, NOW) == bool(claims.get("is_logged_in") and claims.get("exp") != NOW + 60)


def test_members_may_what_the_setting_says() -> None:
    member, settings = caller_of(SITE, role="member"), replace(SITE, members_may="fetch, train")
    check(member, "pin")
    with pytest.raises(ConflictError, match="Fine-tuning is off"):
        check(member, "train")
    check(caller_of(settings, role="member"), "train")
    assert caller_of(settings, role="visitor").grants == frozenset()
    with pytest.raises(InputError, match="PARLANCE_MEMBERS_MAY is 'rule'"):
        members_may(replace(SITE, members_may="fetch, rule"))


def test_the_one_time_address_works_once_and_the_sign_in_outlives_a_restart(bench: Bench) -> None:
    hosting = bench.house.hosting
    token = hosting.token
    assert hosting.sign_in("guess") is None and hosting.sign_in("") is None and len(token) >= 32
    secret = hosting.sign_in(token)
    assert secret and hosting.sign_in(token) is None and hosting.sign_in("") is None
    again = Hosting(bench.house.storage)
    assert again.is_host(secret) and not again.is_host(token) and not again.is_host("") and again.token != token
    again.sign_out_all()
    assert not again.is_host(secret)


def test_keys_are_kept_as_hashes_and_revoked(bench: Bench) -> None:
    hosting = bench.house.hosting
    secret = hosting.make_key(" for  a class ", "member", ["write"])
    assert secret.startswith("parlance-") and len(secret) > 40
    (key,) = hosting.keys()
    assert (key.title, key.role, key.scopes) == ("for a class", "member", ("write",)) and secret not in repr(key)
    bench.house.storage.close()
    kept = b"".join(path.read_bytes() for path in bench.house.storage.folder.iterdir())  # type: ignore[attr-defined]
    assert secret.encode() not in kept and b"for a class" in kept
    assert hosting.key(secret) and hosting.key(secret + "x") is None
    hosting.revoke(key.id)
    assert hosting.key(secret) is None and hosting.keys() == []
    with pytest.raises(InputError, match="no name"):
        hosting.make_key(" ")


def test_a_pause_holds_for_visitors_and_outlives_a_restart(bench: Bench) -> None:
    request = Generate("one", sampling=Sampling(3))
    Hosting(bench.house.storage).switch(PAUSED, True)
    for ask in (lambda: bench.engine.run("a", [request], VISITOR), lambda: bench.engine.load("a", VISITOR)):
        with pytest.raises(NotReadyError, match="has paused it"):
            ask()
    assert bench.engine.run("a", [request], HOST)


def test_what_a_host_switches_holds_at_once_here(bench: Bench) -> None:
    request = Generate("one", sampling=Sampling(3))
    assert bench.engine.run("a", [request], VISITOR)
    bench.house.hosting.switch(PAUSED, True)
    with pytest.raises(NotReadyError, match="has paused it"):
        bench.engine.run("a", [request], VISITOR)
    bench.house.hosting.switch(PAUSED, False)
    assert bench.engine.run("a", [request], VISITOR)


def test_without_the_storage_nobody_is_host_and_nothing_is_paused(bench: Bench) -> None:
    hosting = bench.house.hosting
    secret = hosting.sign_in(hosting.token)
    bench.house.storage.folder = bench.house.storage.folder / FILE / "below"  # type: ignore[attr-defined]
    bench.house.storage.close()
    assert secret and not hosting.is_host(secret) and not hosting.is_on(PAUSED)
    for call in (
        lambda: hosting.make_key("a"),
        lambda: hosting.switch(PAUSED, True),
        lambda: hosting.key("parlance-x"),
    ):
        with pytest.raises(StorageError):
            call()


def test_what_was_looked_up_counts_for_seconds() -> None:
    seen, now = [], [0.0]
    recent = Recent(lambda name: seen.append(name) or len(seen), lambda: now[0])
    assert [recent("a"), recent("a"), recent("b")] == [1, 1, 2]
    now[0] += RECENT_SECONDS
    assert recent("a") == 3
