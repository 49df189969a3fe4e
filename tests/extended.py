"""What a process has of the host's extensions, as JSON: `test_extensions` runs it with and without the setting.

With a folder it trains the toy task there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from engine.applications import APPLICATIONS
from engine.backends import loader
from engine.http import routes
from engine.serving.compose import House
from engine.training import tasks
from engine.training.config import defaults, make_config
from pages.parts import engine

MAIN = Path(__file__).parents[1] / "pages" / "main.py"


def open_page(id: str) -> AppTest:
    """The page of that address, as a click in the navigation opens it."""
    app = AppTest.from_file(str(MAIN), default_timeout=30).run()
    app._page_hash = hashes()[id]
    return app.run()


def hashes() -> dict[str, str]:
    """Page addresses with what Streamlit calls them."""
    return {page.url_path: page._script_hash for section in sections.values() for page in section}


sections: dict[str, list[Any]] = {}
navigation = st.navigation


def recorded(pages: Any, **options: Any) -> Any:
    """`st.navigation`, and what it was given."""
    sections.update(pages)
    return navigation(pages, **options)


def page_of(id: str) -> dict[str, Any]:
    """An application's page: its title, its picker, and what it answers."""
    app = open_page(id)
    (picker,) = [box for box in app.selectbox if box.label == "Model"]
    seen: dict[str, Any] = {"title": app.title[0].value, "picker": picker.key, "models": picker.options}
    app.text_area(key="text").set_value("so quiet")
    (button,) = [each for each in app.button if each.label == "Shout"]
    button.click()
    app.run()
    return seen | {"errors": [each.value for each in app.exception], "said": app.get("html")[-1].proto.body}


def api(house: House) -> dict[str, Any]:
    """Routes, the entry of the toy in the OpenAPI document, and its answer."""
    with TestClient(Starlette(routes=routes(lambda: house))) as client:
        paths = client.get("/api/openapi.json").json()["paths"]
        answer = client.post("/api/shout", json={"text": "so quiet"})
        entry = paths.get("/api/shout", {}).get("post", {})
        return {"paths": list(paths), "entry": entry, "status": answer.status_code, "answer": answer.json()}


def fine_tuning() -> dict[str, Any]:
    """The tasks on the page Fine-tune, and the page with the toy chosen."""
    app = open_page("finetune")
    choice = next(box for box in app.selectbox if box.key == "tune_task")
    if "Limericks" in choice.options:
        choice.select("limericks")
        app.run()
    return {
        "tasks": choice.options,
        "captions": [each.value for each in app.caption],
        "rows": [each.value.to_dict("records") for each in app.dataframe],
        "errors": [each.value for each in app.exception],
    }


def train(folder: Path) -> None:
    """A tiny run of the toy task."""
    rows = [{"text": line} for line in tasks.find_sample("limericks").file.read_text(encoding="utf-8").splitlines()]
    (folder / "data").mkdir(parents=True)
    for name, part in (("train", rows * 8), ("validation", rows)):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (folder / "data" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    tiny = {"epochs": 1.0, "layers": 1, "width": 32, "heads": 2, "vocabulary_size": 300}
    files = {"train_file": "data/train.jsonl", "validation_file": "data/validation.jsonl"}
    given = {"task": "limericks", "base": "", "base_id": ""}
    config = make_config(defaults("limericks", has_base=False) | tiny | files | given)
    (folder / "config.json").write_text(json.dumps(asdict(config)), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "engine.training.train", str(folder)], cwd=MAIN.parents[1], check=True)


def main() -> None:
    """Print it all."""
    st.navigation = recorded  # type: ignore[assignment]
    house = engine.house()
    home = AppTest.from_file(str(MAIN), default_timeout=30).run()
    seen = {
        "home": [each.value for each in home.subheader],
        "navigation": {name: [page.title for page in pages] for name, pages in sections.items()},
        "api": api(house),
        "pages": {each.id: page_of(each.id) for each in APPLICATIONS.values() if each.id in ("shout", "plain")},
        "fine-tuning": fine_tuning(),
        "models": list(house.catalogue.models),
        "runtimes": [runtime.id for runtime in loader.runtimes()],
    }
    house.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    train(Path(sys.argv[1])) if sys.argv[1:] else main()
