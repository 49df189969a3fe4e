"""What each page shows and does, on fake models."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench, model
from fakes import HOST, FakeBackend, fake_runtime
from streamlit.testing.v1 import AppTest

from engine.applications.translate import SAMPLES
from engine.catalogue.models import read_catalogue
from engine.catalogue.sources import Availability
from engine.catalogue.sources.hub import Hub
from engine.catalogue.sources.registry import Registry
from engine.errors import ConflictError, NotReadyError
from engine.messages import Text
from engine.serving import footprints
from engine.serving.protocol import EngineStatus, ModelStatus

Open = Callable[..., AppTest]
NASTY = "<script>alert(1)</script> <img src=x onerror=alert(1)> **bold** $x$"


def click(app: AppTest, label: str) -> AppTest:
    button = next(button for button in app.button if button.label == label)
    return button.click().run()


def drawn(app: AppTest) -> str:
    """Everything on the page that came as text or HTML."""
    parts: list[Any] = [*app.markdown, *app.caption, *app.warning, *app.info, *app.error, *app.subheader]
    parts += [element.proto for element in app.get("html")]
    told = [json.loads(element.proto.json or "{}") for element in app.get("bidi_component")]
    words = ["".join(piece["text"] for piece in data.get("pieces", ())) for data in told]
    texts = [*(str(getattr(part, "value", None) or getattr(part, "body", "")) for part in parts), *words]
    return "\n".join(texts).replace("\u00a0", " ")


@pytest.mark.parametrize("name", ["home", "translate", "summarize", "write", "sentiment", "answer", "models"])
def test_every_page_draws_without_touching_a_model(open_page: Open, bench: Bench, name: str) -> None:
    app = open_page(name)
    assert not app.exception and not app.error
    assert len(app.title) == 1
    assert bench.loads == []


@pytest.mark.parametrize("name", ["home", "translate", "summarize", "write", "sentiment", "answer", "models"])
def test_every_page_draws_while_nothing_is_downloaded(open_page: Open, bench: Bench, name: str) -> None:
    bench.store.error = ConflictError("It is not downloaded yet.")
    app = open_page(name)
    assert not app.exception and not app.error
    if name not in ("home", "models"):
        assert "is not on this machine yet" in drawn(app)


def test_translate_example(open_page: Open) -> None:
    app = click(open_page("translate"), "Translate")
    assert not app.exception and "English:" in drawn(app)
    assert "from English" in drawn(app)
    app.selectbox(key="from").select("auto").run()
    app.text_area(key="text").set_value("Computer")
    app = click(app, "Translate")
    assert "a guess: choose another under From" in drawn(app)
    assert app.selectbox(key="from").label == "From (English)", "with the first result, not with the next draw"
    app.selectbox(key="from").select("de").run()
    assert "ranslated from German" in drawn(click(app, "Translate"))
    assert app.selectbox(key="from").label == "From"


@pytest.mark.parametrize(
    ("text", "told"),
    [("Hello", "· a common phrase, from our list"), ("Hello. The cat sleeps.", "· 1 common phrase, from our list")],
)
def test_a_common_phrase_is_told_of_what_it_is(open_page: Open, text: str, told: str) -> None:
    assert told in drawn(click(open_page("translate", **{"from": "en", "to": "fr", "text": text}), "Translate"))


def test_a_press_whose_run_was_ended_by_what_is_told_of_typing_still_asks(open_page: Open) -> None:
    app = open_page("translate", **{"translation-pressed": True})  # as that run leaves it
    assert app.session_state["translation"].request.text == str(SAMPLES[0].text)
    assert "translation-pressed" not in app.session_state


@pytest.mark.parametrize(
    ("page", "text", "is_begun_again"), [("translate", "Hel", True), ("answer", "", True), ("write", "Once", False)]
)
def test_an_answer_whose_page_is_drawn_anew_comes_all_the_same(
    open_page: Open, page: str, text: str, is_begun_again: bool
) -> None:
    key = {"translate": "translation", "answer": "found", "write": "draft"}[page]
    button = {"translate": "Translate", "answer": "Find the answer", "write": "Write"}[page]
    app = click(open_page(page), button)
    whole, answer = app.session_state[key].text, app.session_state[key]
    answer.state, answer.result, answer.text, answer.visit = "coming", None, text, None
    app.run()
    assert app.session_state[key].state == ("done" if is_begun_again else "stopped")
    assert app.session_state[key].text == (whole if is_begun_again else text)


@pytest.fixture
def students(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Ids of what is to be downloaded: students of the registry beside the model that translates by example."""
    away = {"mozilla-en-fr", "mozilla-fr-en", "mozilla-en-de"}
    for direction in ("en-fr", "fr-en", "en-de"):
        source, target = direction.split("-")
        bench.engine.catalogue.add(
            model(
                f"mozilla-{direction}", architecture="seq2seq", languages=(source, target), applications=("translate",),
                pair=(source, target), bleu=40.0, is_embedded=False, licence="MPL 2.0",
                measured_on=Text("FLORES devtest by Mozilla"),
                source=Registry(direction, "tiny", 26_000_000),
            )
        )  # fmt: skip
    ready = bench.store.availability
    absent = Availability("absent", message=Text("It is not downloaded yet."))
    monkeypatch.setattr(bench.store, "availability", lambda id: absent if id in away else ready(id))
    return away


def test_translate_names_its_way_and_offers_a_better_one(open_page: Open, bench: Bench, students: set[str]) -> None:
    app = open_page("translate", **{"from": "en", "to": "fr"})
    assert "which translates by examples: makeshift" in drawn(app)
    assert "English → French: Firefox Translations, 26 MB, MPL 2.0, BLEU 40.0 on FLORES devtest by Mozilla" in drawn(
        app
    ).replace("\\", "")
    app = click(app, "Download")
    assert bench.store.fetched == ["mozilla-en-fr"]
    students.clear()
    app = click(app, "Translate")
    assert not app.exception and app.session_state["translation"].result.model == "mozilla-en-fr"
    app.selectbox(key="from").set_value("fr")
    app = click(app.selectbox(key="to").set_value("de").run(), "Translate")
    assert "through English" in drawn(app) and app.session_state["translation"].result.via == "mozilla-fr-en"


def test_the_figure_of_the_direction_is_told_and_on_what_it_was_measured(open_page: Open, bench: Bench) -> None:
    bench.engine.catalogue.add(
        model(
            "ours", languages=("en", "de"), applications=("translate",), prompt_style="names",
            bleu={"de-en": 27.0, "en-de": 16.1}, measured_on=Text("40 lines of FLORES dev"),
        )
    )  # fmt: skip
    for source, target, bleu in (("de", "en", "27.0"), ("en", "de", "16.1")):
        shown = drawn(open_page("translate", **{"from": source, "to": target}))
        assert f"BLEU {bleu} on 40 lines of FLORES dev" in shown


def test_a_language_that_only_a_download_translates_is_named_with_its_button(
    open_page: Open, bench: Bench, students: set[str]
) -> None:
    many = model("many", architecture="seq2seq", languages=("ga", "en"), applications=("translate",), is_embedded=False)
    bench.engine.catalogue.add(replace(many, prompt_style="codes", source=Hub("owner/many", "main")))
    students.add("many")
    app = open_page("translate", to="en", text="Dia dhuit")
    assert "No model here translates Irish to English" in drawn(app)
    assert "is not on this machine yet" in drawn(app) and "fetch-many" in {button.key for button in app.button}
    assert "The text looks Irish" in drawn(click(app, "Translate"))


def test_a_word_of_any_models_translation_is_exchanged(open_page: Open, bench: Bench) -> None:
    """The encoder tells where a language model's words come from; it goes on from another, and rewords the whole."""
    bench.runtimes = [fake_runtime(tasks=FakeBackend.tasks | {"align_texts"})]
    app = click(open_page("translate"), "Translate").run()
    before = app.session_state["translation"].text
    app.session_state["translation-word"] = (0, 0)
    app = app.run()
    assert not app.exception and not app.error
    assert app.button(key="word-0").label.startswith("rival")
    app = app.button(key="other-wordings").click().run()
    assert not app.exception and "wording-0" in {button.key for button in app.button}
    app.session_state["translation-word"] = (0, 0)
    app = app.run().button(key="word-0").click().run()
    assert not app.exception and not app.error
    after = app.session_state["translation"].text
    assert after != before and after.startswith("rival")
    key = app.session_state["translation"].visit
    assert bench.house.visits.find(key, "translate")["text"] == after, "a reload and a link have it too"  # type: ignore[index]
    names = app.session_state["translation"].deeds
    assert [path for path, _ in names.values()] == ["translate/words"] * 3, "each has its code"


def test_a_translator_of_the_pair_is_offered_beside_a_makeshift(
    open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opus = model(
        "opus-mt-de-fr", architecture="seq2seq", languages=("de", "fr"), applications=("translate",), pair=("de", "fr"),
        is_embedded=False, licence="CC BY 4.0", source=Hub("owner/opus", "main"), size_bytes=312_000_000,
    )  # fmt: skip
    bench.engine.catalogue.add(opus)
    ready, absent = bench.store.availability, Availability("absent", message=Text("It is not downloaded yet."))
    monkeypatch.setattr(bench.store, "availability", lambda id: absent if id == opus.id else ready(id))
    app = open_page("translate", **{"from": "de", "to": "fr"})
    assert "Opus-Mt-De-Fr, 312 MB, CC BY 4.0, made for this pair, not measured here" in drawn(app).replace("\\", "")
    click(app, "Download")
    assert bench.store.fetched == [opus.id]
    assert "made for this pair" not in drawn(open_page("translate", **{"from": "en", "to": "fr"}))


def test_a_registry_model_is_in_the_picker_once_it_is_here(open_page: Open, students: set[str]) -> None:
    assert "Mozilla-En-Fr" not in open_page("translate").selectbox(key="translator").options
    students.clear()
    assert "Mozilla-En-Fr" in open_page("translate").selectbox(key="translator").options


def test_swap_takes_the_translation_over(open_page: Open) -> None:
    app = click(open_page("translate"), "Translate")
    app = app.button(key="icon-swap").click().run()
    assert app.selectbox(key="from").value == "fr" and app.selectbox(key="to").value == "en"
    assert not app.exception


def test_write_continue_and_new_draft(open_page: Open, bench: Bench) -> None:
    app = click(open_page("write"), "Write")
    first = bench.backends["smollm2-135m-instruct"].seen[-1]
    assert "lighthouse" in first.messages[0].content and len(first.messages) == 1
    app = click(app, "Continue")
    second = bench.backends["smollm2-135m-instruct"].seen[-1]
    assert second.messages[-1].role == "assistant" and len(second.messages) == 2
    app = click(app, "New draft")
    assert len(bench.backends["smollm2-135m-instruct"].seen[-1].messages) == 1
    assert not app.exception


def test_a_preset_sets_the_sliders_and_acts(open_page: Open, bench: Bench) -> None:
    app = open_page("write")
    app.button_group(key="write_preset").set_value("Neutral").run()
    assert app.slider(key="write_temperature").value == 1.0 and app.slider(key="write_top_p").value == 1.0
    click(app, "Write")
    sampling = bench.backends["smollm2-135m-instruct"].seen[-1].sampling
    assert (sampling.temperature, sampling.top_p, sampling.min_p, sampling.repetition_penalty) == (1.0, 1.0, 0.0, 1.0)


def test_sentiment_of_one_and_of_many(open_page: Open) -> None:
    app = open_page("sentiment")
    app.text_area(key="review").set_value("a good film")
    app = click(app, "Judge")
    assert "Positive, very sure" in drawn(app)
    app.button_group(key="rows").set_value("many").run()
    app.text_area(key="review").set_value("good\n\nbad\n")
    app = click(app, "Judge")
    assert not app.exception and len(app.dataframe[0].value) == 2


def test_answer_is_marked_and_its_absence_said(open_page: Open) -> None:
    app = open_page("answer")
    app.text_input(key="question").set_value("What of Lindholm?")
    app = click(app, "Find the answer")
    assert ">Lindholm</mark>" in drawn(app)
    app.text_input(key="question").set_value("And Atlantis?")
    app = click(app, "Find the answer")
    assert "No answer in this text" in drawn(app)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400, "nan"])
def test_a_link_with_an_absurd_number_opens_the_page(open_page: Open, number: str) -> None:
    names = ("write_top_k", "write_seed", "write_temperature", "write_max_new_tokens", "write_min_p")
    app = open_page("write", link=dict.fromkeys(names, number))
    assert not app.exception and not app.error
    assert app.number_input(key="write_top_k").value == 50 and app.number_input(key="write_seed").value is None


@pytest.mark.parametrize(
    ("page", "field", "label"),
    [("translate", "text", "Translate"), ("write", "about", "Write"), ("sentiment", "review", "Judge")],
)
def test_typed_html_is_shown_as_text(open_page: Open, page: str, field: str, label: str) -> None:
    app = open_page(page)
    app.text_area(key=field).set_value(NASTY)
    app = click(app, label)
    shown = "\n".join(str(getattr(element.proto, "body", "")) for element in app.get("html"))
    assert "<script>" not in shown and "<img" not in shown
    assert not app.exception


@pytest.mark.parametrize(
    ("page", "field", "label", "text", "sentence"),
    [
        ("translate", "text", "Translate", "  ", "text is empty"),
        ("sentiment", "review", "Judge", "fine " * 5_000, "the limit is 20,000"),
        ("sentiment", "review", "Judge", "\x00\x07", "text is empty"),
        ("answer", "passage", "Find the answer", "", "passage is empty"),
        ("write", "about", "Write", "", "“what is the story about?” is empty"),
    ],
)
def test_wrong_input_gets_a_sentence(
    open_page: Open, page: str, field: str, label: str, text: str, sentence: str
) -> None:
    app = open_page(page)
    app.text_area(key=field).set_value(text)
    app = click(app, label)
    assert sentence in app.warning[0].value.replace("\\", "").lower() and not app.exception and not app.error


def test_a_bug_shows_a_number_and_no_trace(open_page: Open, bench: Bench) -> None:
    backend = bench.plan["sentiment-e5"] = FakeBackend()
    backend.fail_with = ZeroDivisionError("secret detail")
    app = click(open_page("sentiment"), "Judge")
    assert "report the number" in app.error[0].value and "secret" not in drawn(app) and not app.exception


def test_a_model_that_breaks_off_leaves_its_text(open_page: Open, bench: Bench) -> None:
    class Breaks(FakeBackend):
        def _generate(self, job: Any) -> None:
            job.emit("half a story ")
            job.fail(NotReadyError("The model was unloaded. Try again."))

    bench.plan["smollm2-135m-instruct"] = Breaks()
    app = click(open_page("write"), "Write")
    assert "half a story" in drawn(app) and "unloaded" in app.warning[0].value


def test_an_example_fills_the_page_in(open_page: Open) -> None:
    app = open_page("write")
    app = app.button_group(key="write_example").set_value("Poem in German").run()
    assert app.text_area(key="about").value == "der erste Schnee in der Stadt" and not app.exception
    assert app.selectbox(key="language").value == "de" and app.selectbox(key="writer").value == "gemma-3-270m"
    assert app.slider(key="write_max_new_tokens").value == 160
    assert app.button_group(key="write_example").value is None


def test_a_kind_brings_its_length_and_model(open_page: Open) -> None:
    app = open_page("write")
    app = app.button_group(key="kind").set_value("free").run()
    assert app.slider(key="write_max_new_tokens").value == 200 and app.selectbox(key="writer").value == "gemma-3-270m"


def test_a_hub_id_that_is_none_gets_a_sentence(open_page: Open) -> None:
    app = open_page("models", managed="../etc/passwd")
    assert "There is no model" in app.warning[0].value and not app.exception


def test_an_application_without_a_file_is_shown_nowhere(open_page: Open, bench: Bench) -> None:
    bench.engine.catalogue.add(model("explorer", applications=("explore", "compose")))
    app = open_page("models")
    (table,) = app.dataframe
    assert dict(zip(table.value["Id"], table.value["For"], strict=True))["explorer"] == ""
    assert app.button_group(key="used_for").options == ["Translate", "Summarize", "Write", "Sentiment", "Answer"]


def test_a_hub_model_is_offered_by_its_id(open_page: Open, bench: Bench) -> None:
    bench.store.error = ConflictError("It is not downloaded yet.")
    app = open_page("write", writer="owner/some_model")
    assert "owner/some\\_model" in drawn(app) and "is not on this machine yet" in drawn(app)
    assert [button.label for button in app.button if button.key and button.key.startswith("fetch-")] == ["Download"]


def test_where_the_hub_cannot_be_reached_the_page_says_so_by_its_button_and_what_works(
    open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Availability("failed", message=Text("The Hub cannot be reached."))
    ready = bench.store.availability
    monkeypatch.setattr(bench.store, "availability", lambda id: failed if id.startswith("hub:") else ready(id))
    bench.engine.catalogue.add(model("hub:owner/model", source=Hub("owner/model", "main"), applications=("write",)))
    app = open_page("write", writer="hub:owner/model")
    assert "The Hub cannot be reached" in app.warning[0].value
    drawn_things = [(element.type, getattr(element, "label", "")) for element in app.main]
    button, slider = drawn_things.index(("button", "Write")), drawn_things.index(("slider", "Temperature"))
    assert button < [kind for kind, _ in drawn_things].index("warning") < slider, "right under the button"
    assert "ready: Smollm2" in drawn(app).replace("\\", "")
    app = click(app, "Use Smollm2\\-135M\\-Instruct")
    assert app.selectbox(key="writer").value == "smollm2-135m-instruct" and not app.warning


def test_a_card_is_shown_when_it_is_opened(open_page: Open, bench: Bench) -> None:
    for id in ("sentiment-e5", "gemma-3-270m"):
        bench.engine.catalogue.add(read_catalogue().models[id])
    app = open_page("models", managed="sentiment-e5")
    assert "GoEmotions" not in drawn(app)
    app.session_state["card"] = True
    assert "GoEmotions" in drawn(app.run()) and "What it is bad at" not in drawn(app) and not app.exception
    app.session_state["managed"] = "gemma-3-270m"
    assert "What it is bad at" in drawn(app.run())


def test_sizes_on_the_models_page_are_what_was_measured(
    open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(bench.engine), "weights", lambda self, model_id: "hash")
    monkeypatch.setattr("engine.serving.worker.measured_bytes", lambda backend: 2_000)  # 1,000 are set aside

    def row() -> dict[str, str]:
        (table,) = open_page("models").dataframe
        found = next(row for row in table.value.to_dict("records") if row["Id"] == "sentiment-e5")
        return {str(name): str(cell) for name, cell in found.items()}

    assert (row()["On disk"], row()["In memory"]) == ("10\u00a0bytes", "")
    click(open_page("sentiment"), "Judge")
    assert row()["In memory"] == "2.0\u00a0kB"
    bench.engine.unload("sentiment-e5", HOST)
    assert row()["In memory"] == "2.0\u00a0kB", "as it was when it was last there"


def test_of_a_model_in_two_runtimes_the_larger_is_kept_and_not_one_after_the_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(bench.engine), "weights", lambda self, model_id: "hash")
    name, sizes = "sentiment-e5", (3_000, 2_000)
    first = ModelStatus(name, name, "one", "ready", 1_000, "cpu", "int8", 0, 0, 0, None, None)
    models = tuple(replace(first, runtime=f"runtime {size}", measured_bytes=size) for size in sizes)
    written: list[Any] = []
    keep = bench.house.storage.write
    monkeypatch.setattr(bench.house.storage, "write", lambda *given, **more: written.append(keep(*given, **more)))
    for _ in range(2):
        footprints.note(bench.house, EngineStatus("cpu", 0, 0, models))
    assert footprints.measured(bench.house, name) == 3_000 and len(written) == 1


def test_a_public_site_offers_no_download(open_page: Open, bench: Bench) -> None:
    bench.store.error = ConflictError("It is not downloaded yet.")
    bench.local.settings = replace(bench.engine.settings, is_public=True)
    app = open_page("write", writer="owner/model")
    assert "Downloads are off on this public site" in drawn(app)
    assert not [button for button in app.button if button.key and button.key.startswith("fetch-")]


def test_a_wrong_sentence_stands_beside_the_inputs(open_page: Open) -> None:
    app = open_page("translate")
    app.text_area(key="text").set_value("")
    app = click(app, "Translate")
    assert len(app.warning) == 1 and not app.container(key="answer-box").warning


def test_models_can_be_unloaded(open_page: Open, bench: Bench) -> None:
    click(open_page("sentiment"), "Judge")
    app = click(open_page("models"), "Unload")
    assert bench.backends["sentiment-e5"].is_closed and not app.exception


def test_a_visitor_of_a_public_site_is_not_offered_to_unload(open_page: Open, bench: Bench) -> None:
    click(open_page("sentiment"), "Judge")
    bench.local.settings = replace(bench.engine.settings, is_public=True)
    app = open_page("models")
    assert bench.engine.is_loaded("sentiment-e5")
    assert not [button for button in app.button if button.label in ("Unload", "Delete")]
