"""Pages in a made-up language, in which every sentence stands in brackets: none escapes in English."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from brackets import CODE, brackets, outside
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from engine.applications import APPLICATIONS
from engine.errors import ConflictError
from engine.jobs import work
from engine.settings import Settings
from engine.training import tasks
from tests.pages.conftest import PAGES
from tests.pages.test_finetune import check_at_once, make_run, settings

__all__ = ["brackets", "settings"]

Open = Callable[..., AppTest]

NOT_SHOWN = {
    "id", "form_id", "key", "icon", "url", "page", "url_path", "page_script_hash", "query_string", "format", "type",
    "component_name", "js_content", "css_content", "html_content", "color", "config", "language", "columns", "default",
    "query_param_key", "user_key", "fragment_id", "value_type", "value", "file_urls_json", "autocomplete", "theme",
    "deferred_file_id",
}  # fmt: skip
"""Fields of elements that are no text for people, or what a person typed."""
OF_A_CHART = {"alt", "label", "name", "text", "title", "words", "layout", "data", "xaxis", "yaxis"}
"""Keys in what charts and other components are drawn from, under which people read something."""
DATA = re.compile(
    r"Parlance [\d.]+|CPU|MIT|\b(bytes|kB|MB|GB|min|px|English|LoRA|GGUF|ONNX|float32|owner/\w+|F1|BLEU|chrF)\b"
)
"""Units and names, which are the same in every language."""
TYPED = "<script>alert(1)</script> **bold** $x$"
"""What the rows and the samples of the runs say."""


def shown(app: AppTest) -> Iterator[tuple[str, str]]:
    """Each text on a page, with the kind of its element; code and what models wrote are nobody's to translate."""
    for element in [*app.main, *app.sidebar]:
        proto = getattr(element, "proto", None)
        if proto is not None and element.type not in ("code", "html"):
            yield from ((element.type, words) for words in texts(proto))
        if element.type == "dataframe":
            yield from (("column", name) for name in element.value.columns)


def texts(proto: Message) -> Iterator[str]:
    for field, value in proto.ListFields():
        if field.name in ("json", "spec"):
            found = json.loads(value) if value else {}
            yield from drawn_from({key: found[key] for key in found if key not in ("name", "text")})
        elif field.name not in NOT_SHOWN:
            for one in [value] if isinstance(value, str | Message) else value if field.is_repeated else []:
                yield from texts(one) if isinstance(one, Message) else [one] if isinstance(one, str) else []


def drawn_from(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key in OF_A_CHART or isinstance(value.get("copied"), str):
                yield from drawn_from(one)
    elif isinstance(value, list):
        for one in value:
            yield from drawn_from(one)
    elif isinstance(value, str):
        yield value


def assert_none_escapes(app: AppTest, bench: Bench, *data: str) -> None:
    """Every word stands in brackets, but for titles of models, what a person wrote, and `data`."""
    assert not app.exception
    samples = [sample for application in APPLICATIONS.values() for sample in application.samples]
    typed = [getattr(sample, name) for sample in samples for name in ("text", "question") if hasattr(sample, name)]
    known = [TYPED, *data, *(model.title for model in bench.engine.catalogue.models.values()), *typed]
    escaped = []
    for kind, words in shown(app):
        rest = outside(words.replace("\\", ""))
        for name in sorted(filter(None, map(str, known)), key=len, reverse=True):
            rest = rest.replace(name, "")
        rest = re.sub(r"^\d+\. (\S+$|English: .*)", "", rest)  # a word or sentence of the answer, to ask about
        rest = re.sub(r":material/\w+:|:\w+-badge|<[^>]*>", "", rest)
        if re.search(r"[^\W\d_]{2,}", DATA.sub("", rest)):
            escaped.append(f"{kind}: {words[:150]}")
    assert not escaped, "\n".join(dict.fromkeys(escaped))


def click(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == f"⟦{label}⟧").click().run()


@pytest.mark.parametrize(
    "name", ["home", "translate", "summarize", "write", "sentiment", "answer", "models", "finetune"]
)
def test_no_text_of_a_page_escapes(brackets: None, open_page: Open, bench: Bench, name: str) -> None:
    assert_none_escapes(open_page(name, lang=CODE), bench, "text", "gpt2")


@pytest.mark.parametrize(
    "name", ["home", "translate", "summarize", "write", "sentiment", "answer", "models", "finetune"]
)
def test_none_escapes_where_nothing_is_allowed_or_there(
    brackets: None, open_page: Open, bench: Bench, name: str
) -> None:
    bench.store.error = ConflictError("It is not here.")
    bench.local.settings = replace(bench.engine.settings, is_public=True)
    assert_none_escapes(open_page(name, lang=CODE), bench, "text", "gpt2", "It is not here.")


@pytest.mark.parametrize(
    ("name", "label"), [("translate", "Translate"), ("write", "Write"), ("answer", "Find the answer")]
)
def test_none_escapes_from_an_answer(brackets: None, open_page: Open, bench: Bench, name: str, label: str) -> None:
    app = click(open_page(name, lang=CODE), label)
    assert_none_escapes(app, bench, "gpt2", "Lindholm")
    click(open_page("models", lang=CODE), "Unload")


@pytest.mark.parametrize("rows", ["one", "many"])
def test_none_escapes_from_a_judgement(brackets: None, open_page: Open, bench: Bench, rows: str) -> None:
    app = open_page("sentiment", lang=CODE, rows=rows)
    app.text_area(key="review").set_value("a good film\nDas Essen war leider kalt und der Kellner unfreundlich.")
    assert_none_escapes(click(app, "Judge"), bench)


@pytest.mark.parametrize(
    ("name", "field", "label"), [("translate", "text", "Translate"), ("answer", "passage", "Find the answer")]
)
def test_none_escapes_from_an_error(
    brackets: None, open_page: Open, bench: Bench, name: str, field: str, label: str
) -> None:
    app = open_page(name, lang=CODE)
    app.text_area(key=field).set_value(" ")
    app = click(app, label)
    assert app.warning[0].value.startswith("⟦")
    assert_none_escapes(app, bench)


@pytest.mark.parametrize("task", list(tasks.registry()))
def test_none_escapes_from_the_settings_of_a_task(
    brackets: None, open_page: Open, bench: Bench, settings: Settings, task: str
) -> None:
    app = open_page("finetune", lang=CODE, tune_task=task, tune_mode="expert", checked=True)
    values = ("full", "lora", "head", "linear", "cosine", "constant", "bpe", "sentencepiece", "prompt", "response")
    assert_none_escapes(app, bench, *values, "question", "passage", "answer", "source", "target", "text", "label",
                        "summary", "input", "answer_start", "title", "headline", "fr", "en")  # fmt: skip


def test_none_escapes_from_a_finished_check(
    brackets: None, open_page: Open, bench: Bench, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "launch", check_at_once)
    app = click(open_page("finetune", lang=CODE, tune_task="classification"), "Check")
    assert_none_escapes(app, bench, "text", "label", "Row 3 is longer.")
    assert "<strong" in "".join(str(each.proto.body) for each in app.get("html")), "what the trainer sees"


@pytest.mark.parametrize("state", ["queued", "running", "finished", "stopped", "failed"])
def test_none_escapes_from_a_run(brackets: None, open_page: Open, bench: Bench, settings: Settings, state: str) -> None:
    run_id = make_run(settings, state)
    for view in ("one", "runs"):
        assert_none_escapes(open_page("finetune", lang=CODE, tune_view=view, run=run_id), bench, "Tickets", run_id)


@pytest.mark.parametrize("after", ["compare", "try", "use", "export"])
def test_none_escapes_from_what_comes_after_a_run(
    brackets: None, open_page: Open, bench: Bench, settings: Settings, after: str
) -> None:
    run_id = make_run(settings)
    app = open_page("finetune", lang=CODE, tune_view="one", run=run_id, after=after)
    assert_none_escapes(app, bench, "Tickets", run_id)


def test_links_say_choices_in_any_language(brackets: None, open_page: Open) -> None:
    app = open_page("write", lang=CODE, link={"kind": "Poem", "language": "⟦German⟧"})
    assert app.button_group(key="kind").value == "poem" and app.selectbox(key="language").value == "de"
    app = open_page("write", link={"kind": "⟦Poem⟧"})
    assert app.button_group(key="kind").value == "poem" and app.title[0].value == "Write"


def test_a_visitor_chooses_the_language_and_the_link_keeps_it(brackets: None, open_page: Open) -> None:
    app = open_page("home")
    assert app.title[0].value == "What language models are for"
    app = app.sidebar.selectbox(key="lang").set_value(CODE).run()
    assert app.title[0].value == "⟦What language models are for⟧" and app.query_params["lang"] == CODE
    opened = AppTest.from_file(str(PAGES / "main.py"), default_timeout=30)
    opened.query_params["lang"] = CODE
    assert opened.run().title[0].value.startswith("⟦")


def test_one_language_needs_no_choice(open_page: Open) -> None:
    assert not [box for box in open_page("home").sidebar.selectbox if box.key == "lang"]
