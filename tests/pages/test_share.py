"""Share on every page: links to settings and results, how to embed, whose links they are, and a model's demo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from streamlit import net_util
from streamlit.testing.v1 import AppTest

from engine.storage.connections import FILE
from pages.parts import copying, share
from tests.pages.test_finetune import make_run
from tests.pages.test_pages import click, drawn
from tests.pages.test_visits import ask

Open = Callable[..., AppTest]
PAGES = ("home", "translate", "summarize", "write", "sentiment", "answer", "finetune", "models")


def opened(app: AppTest) -> AppTest:
    app.session_state["share"] = True
    return app.run()


def codes(app: AppTest) -> list[str]:
    return [code.value for code in app.code]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_link_a_qr_code_and_who_can_open_it(open_page: Open, page: str) -> None:
    app = opened(open_page(page))
    shown = drawn(app)
    assert "Opens on this machine alone." in shown and "make share" in shown and not app.exception
    assert [expander.label for expander in app.expander if expander.label == "QR code"] and app.get("image")
    assert ("PARLANCE_FRAME_ANCESTORS" in shown) == (page in PAGES[1:6]), "only an application is embedded"


def test_where_the_server_listens_on_the_network_its_address_is_named(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "option", lambda name: None)
    monkeypatch.setattr(net_util, "get_internal_ip", lambda: "192.0.2.7")
    shown = drawn(opened(open_page("translate")))
    assert "on the network who reaches 192.0.2.7" in shown and "make share" not in shown


def test_a_result_gets_a_link_of_its_own(open_page: Open, bench: Bench) -> None:
    app = opened(open_page("sentiment"))
    assert "Ask first" in drawn(app)
    ask(app, "sentiment", "a good film")
    assert "for 7 days" in drawn(app)
    app.button(key="share-result").click().run()
    (link,) = bench.house.links.of(app.session_state["visitor"])
    assert any(code.endswith(link.path) for code in codes(app)) and "Kept until" in drawn(app) and not app.exception
    assert link.content["request"]["text"] == "a good film" and link.content["result"]["results"]
    other = opened(open_page("sentiment"))
    assert link.key not in drawn(other), "another visitor does not see it"
    app.button(key=f"pin-{link.key}").click().run()
    assert bench.house.links.find(link.key).is_pinned  # type: ignore[union-attr]
    app.button(key=f"unshare-{link.key}").click().run()
    assert bench.house.links.find(link.key) is None and "Make a link" in [button.label for button in app.button]


def test_strangers_share_without_pinning_and_see_for_which_sites_a_frame_is(open_page: Open, bench: Bench) -> None:
    sites = "https://school.example"
    bench.local.settings = replace(bench.engine.settings, is_public=True, frame_ancestors=sites)
    app = opened(open_page("write"))
    ask(app, "write", "a cat")
    app.button(key="share-result").click().run()
    assert not [button for button in app.button if (button.key or "").startswith("pin-")]
    assert any(code.startswith("<iframe") and "embed=true" in code for code in codes(app)) and "Works on" in drawn(app)


def test_a_database_that_is_gone_is_told_and_the_page_stays(open_page: Open, bench: Bench) -> None:
    app = ask(open_page("sentiment"), "sentiment", "a good film")
    bench.house.storage.folder = bench.house.storage.folder / FILE / "below"  # type: ignore[attr-defined]
    bench.house.storage.close()
    assert "cannot be reached for the moment" in drawn(opened(app)) and "Positive" in drawn(app) and not app.exception


def test_one_click_on_a_finished_run_gives_its_demo(
    open_page: Open, bench: Bench, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(bench.engine.settings, runs_folder=tmp_path / "runs")
    bench.local.settings, begun = settings, []
    run_id = make_run(settings, title="Diagnoses")

    def begin_use(*about: Any) -> str:
        begun.append(about[2])
        return "job"

    monkeypatch.setattr("engine.training.runs.begin_use", begin_use)
    app = open_page("finetune", tune_view="one", run=run_id, after="use")
    click(app, "Share a demo")
    assert begun == [run_id] and not app.exception
    served = settings.runs_folder / run_id / "served"
    served.mkdir()
    (served / "model.json").write_text("{}")
    model = replace(bench.engine.catalogue.find("sentiment-e5"), id=f"run-{run_id}", title="Diagnoses")
    bench.engine.catalogue.add(model)
    app.run()
    (link,) = bench.house.links.of(app.session_state["visitor"])
    assert any(code.endswith(f"/demo/{link.key}") for code in codes(app)) and not app.exception
    app.run()
    assert len(bench.house.links.of(app.session_state["visitor"])) == 1
    click(app, "Delete the link")
    assert bench.house.links.find(link.key) is None and share.SHARED
