"""The page Host: its host sees and decides, nobody else sees anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from fakes import VISITOR
from streamlit.testing.v1 import AppTest

from engine.errors import NotReadyError
from engine.requests import Generate, Sampling
from engine.storage.links import Link
from pages.parts import engine, signing
from tests.pages.test_pages import click
from tests.pages.test_strangers import everything

Open = Callable[..., AppTest]


def shared(bench: Bench) -> Link:
    content = {"model": "", "model_title": "", "weights": ""}
    link = bench.house.links.make("ann", "share", "A rude poem", "write", content)
    bench.house.links.report(link.key, "bob", "It is *rude*")
    return link


def test_a_host_pauses_unloads_gives_out_keys_and_looks_after_links(open_page: Open, bench: Bench) -> None:
    bench.engine.run("gemma-3-270m", [Generate("one", sampling=Sampling(2))], VISITOR)
    link, hosting = shared(bench), bench.house.hosting
    bench.house.feedback.take("ann", "write", "gemma-3-270m", "a", is_good=True)
    app = open_page("host")
    shown = everything(app)
    for words in ("Gemma", "PARLANCE_TOKENS_A_DAY", "A rude poem", "rude", "SQLite"):
        assert words in shown, words
    assert not app.exception and [tab.label for tab in app.tabs][:2] == ["Now", "Limits"]
    app.text_input(key="key_title").set_value("a class")
    click(app, "Make a key")
    (key,) = hosting.keys()
    (secret,) = [code.value for code in app.code if code.value.startswith("parlance-")]
    assert hosting.key(secret) and secret not in everything(app.run()), "shown once"
    app.button(key=f"revoke-{key.id}").click().run()
    assert hosting.keys() == []
    app.button(key=f"host-pin-{link.key}").click().run()
    assert bench.house.links.find(link.key).is_pinned  # type: ignore[union-attr]
    click(app, "Dismiss")
    assert bench.house.links.reports() == {}
    app.button(key=f"host-delete-{link.key}").click().run()
    assert bench.house.links.of(None) == []
    next(one for one in app.button if str(one.key).startswith("host-unload-gemma-3-270m")).click().run()
    assert not bench.engine.is_loaded("gemma-3-270m")
    bench.local.settings = replace(bench.local.settings, is_public=True)
    bench.house.storage.write("sign-in me", {"at": 1}, 60, kind="sign-in")
    assert not app.exception


def test_a_model_on_two_runtimes_is_told_twice(open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.engine.run("gemma-3-270m", [Generate("one", sampling=Sampling(2))], VISITOR)
    status = bench.engine.status()
    twice = replace(status, models=[*status.models, replace(status.models[0], runtime="another")])
    monkeypatch.setattr(bench.house.engine, "status", lambda: twice)
    for page in ("host", "models", "home"):
        app = open_page(page)
        assert not app.exception and not app.error, page
        if page != "home":
            assert [one.label for one in app.button].count("Unload") == 2, page


def test_a_pause_is_told_on_every_page(open_page: Open, bench: Bench) -> None:
    app = open_page("host")
    app.toggle(key="pause").set_value(True).run()
    bench.engine.hosting._switches.forget()  # type: ignore[attr-defined]
    with pytest.raises(NotReadyError, match="paused"):
        bench.engine.load("gemma-3-270m", VISITOR)
    assert "has paused it" in everything(open_page("write"))
    app.toggle(key="pause").set_value(False).run()
    assert "has paused it" not in everything(open_page("write")) and not app.exception


def test_nobody_else_sees_anything_of_it(open_page: Open, bench: Bench) -> None:
    link = shared(bench)
    app = open_page("host")
    assert link.key in everything(app)
    bench.local.settings = replace(bench.local.settings, is_public=True)
    app.run()
    shown = everything(app)
    assert link.key not in shown and "rude" not in shown and "PARLANCE_TOKENS" not in shown and not app.toggle
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        open_page("host")


def test_thumbs_reach_the_host_without_the_text(open_page: Open, bench: Bench) -> None:
    bench.local.settings = replace(bench.local.settings, is_public=True)
    app = open_page("sentiment")
    click(app, "Judge")
    (thumbs,) = app.feedback
    thumbs.set_value(1).run()
    assert bench.house.feedback.summed() == [{"page": "sentiment", "model": "sentiment-e5", "up": 1, "down": 0}]
    thumbs.set_value(0).run()
    assert bench.house.feedback.summed()[0]["down"] == 1 and not app.exception


def test_a_sign_in_says_who_one_is_and_when_it_has_ended(
    open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.local.settings = replace(bench.local.settings, is_public=True, hosts="ann@example.org")
    told: dict[str, Any] = {}
    for module in (engine, signing):
        monkeypatch.setattr(module, "claims", lambda: told)
    assert "Sign-in is not set up" in everything(open_page("write"))
    told.update(is_logged_in=False)
    assert "Sign in" in [button.label for button in open_page("write").button]
    told.update(is_logged_in=True, email="ann@example.org", exp=9e9)
    app = open_page("host")
    assert "host." in everything(app) and app.toggle and "Sign out" in [button.label for button in app.button]
    told.update(exp=1.0)
    app.run()
    assert "Your sign-in has ended" in everything(app) and not app.toggle and not app.exception
