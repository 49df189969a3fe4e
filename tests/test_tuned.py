"""A run's model in use: in the catalogue at once and after a restart, on pages, through the HTTP API, gone again."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from benches import model
from fakes import HOST
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from tokenizers_on_the_spot import wordpiece

from engine.applications import APPLICATIONS
from engine.applications.answers import AnswerRequest
from engine.applications.directions import languages_of
from engine.applications.sentiment import SentimentRequest
from engine.applications.translate import TranslateRequest
from engine.applications.write import WriteRequest, ask
from engine.catalogue import tuned
from engine.catalogue.models import Catalogue
from engine.catalogue.sources.folder import Folder
from engine.catalogue.store import Store
from engine.errors import ConflictError, InputError, UnsupportedError
from engine.http import routes
from engine.serving.compose import House, open_house
from engine.serving.local import LocalEngine
from engine.serving.protocol import Engine
from engine.settings import Settings
from engine.storage import open_storage
from engine.storage.hosting import Hosting
from engine.training import cards
from engine.training import runs as jobs
from pages.parts import engine
from tests.backends import checkpoints, marian_files
from tests.training.told import kill

PATIENCE_SECONDS = 240
PAGE = Path(__file__).parents[1] / "pages" / "sentiment.py"
TOPICS = {
    "Billing": ("invoice", "refund", "charged", "price"),
    "broken *device*": ("screen", "battery", "crash", "noise"),
    "Text": ("delivery", "parcel", "late", "address"),
}
FILLER = ("my", "the", "please", "help", "with", "order", "again", "was", "about", "it")
ROWS: dict[str, list[dict[str, str]]] = {
    "style": [{"text": "Once upon a time"}],
    "instructions": [{"prompt": "a", "response": "b"}],
    "pretraining": [{"text": "Once upon a time"}],
    "classification": [{"text": "a", "label": "b"}],
    "answer": [{"question": "who", "passage": "a fox", "answer": "fox"}],
    "translation": [{"source": "good", "target": "bon"}],
    "summary": [{"text": "good films are rare", "summary": "rare"}],
}


def tickets(count: int, seed: int) -> list[dict[str, str]]:
    """Filler words around two that decide the label."""
    chance, rows = random.Random(seed), []
    for _ in range(count):
        label = chance.choice(list(TOPICS))
        words = [*chance.choices(FILLER, k=6), *chance.choices(TOPICS[label], k=2)]
        chance.shuffle(words)
        rows.append({"text": " ".join(words), "label": label})
    return rows


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        cache_folder=tmp_path / "cache", runs_folder=tmp_path / "runs", storage_folder=tmp_path / "visits",
        device="cpu", threads=1, slots=2,
        context_tokens=96, memory_bytes=2**31, prefetch=False, training_nice=0,
    )  # fmt: skip


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A real engine over a catalogue with one base, and its store, as the pages get them."""
    base = model("the-base", title="The base", family="Test", licence="Apache 2.0", source=Folder("x"))
    catalogue = Catalogue([base])
    store = Store(settings, catalogue)
    storage = open_storage(settings)
    made = House(store, LocalEngine(settings, catalogue, store.path), storage, Hosting(storage))
    monkeypatch.setattr(engine, "open_house", lambda settings: made)
    st.cache_resource.clear()
    yield made
    made.close()
    st.cache_resource.clear()


@pytest.fixture
def working(home: House) -> Engine:
    return home.engine


def trained(settings: Settings, task: str, make: Callable[[Path], Path], title: str = "Mine", **changes: Any) -> str:
    """A finished run with the model that `make` writes."""
    values: dict[str, Any] = {"task": task, "base": "" if task == "pretraining" else "x", "base_id": "the-base"}
    rows = ROWS[task]
    run_id = jobs.create(settings, values | changes, rows, rows, title=title)
    folder = settings.runs_folder / run_id
    make(folder / "model")
    (folder / "status.json").write_text('{"state": "finished"}')
    return run_id


def restarted(settings: Settings) -> Catalogue:
    """What a new server knows."""
    return Catalogue(tuned.models(settings.runs_folder))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers beside a tokenizer made on the spot."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    tokenizer = wordpiece([" ".join((*FILLER, *(word for words in TOPICS.values() for word in words)))] * 20)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def wait_until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_trained_killed_resumed_used_and_deleted(settings: Settings, working: Engine, base: Path) -> None:
    """The whole way with the real child: labels of a person's own end on the page Sentiment and in the API."""
    values = {
        "task": "classification", "base": str(base), "epochs": 5, "learning_rate": 5e-3, "threads": 1, "is_bf16": False,
        "batch_size": 8,
    }  # fmt: skip
    run_id = jobs.create(settings, values, tickets(200, 1), tickets(60, 2), title="Support tickets")
    with pytest.raises(ConflictError, match="no model yet"):
        jobs.use(settings, working, run_id)
    jobs.start(settings, run_id)
    wait_until(lambda: jobs.read(settings, run_id).checkpoint_step)
    kill(settings, run_id)
    wait_until(lambda: "SIGKILL" in str(jobs.read(settings, run_id).error))
    killed = jobs.read(settings, run_id)
    assert killed.state == "failed" and not killed.is_alive and killed.checkpoint_step
    jobs.start(settings, run_id)
    wait_until(lambda: jobs.read(settings, run_id).state not in ("queued", "preparing", "running"))
    done = jobs.read(settings, run_id)
    assert done.state == "finished", done.log_tail
    assert [row["step"] for row in killed.metrics if "loss" in row] == [
        row["step"] for row in done.metrics if "loss" in row and row["step"] <= killed.metrics[-1]["step"]
    ]
    assert done.status["metrics"]["eval_accuracy"] > 90
    model_id = jobs.use(settings, working, run_id)
    check_answers(working, model_id)
    assert restarted(settings).find(model_id) == working.catalogue.find(model_id)
    assert jobs.read(settings, run_id).is_used
    jobs.delete(settings, run_id, working)
    assert model_id not in working.catalogue.models and restarted(settings).models == {}


def check_answers(working: Engine, model_id: str) -> None:
    texts = ["please help charged refund again", "the battery was crash again", "my parcel late about it"]
    result = APPLICATIONS["sentiment"].run(working, SentimentRequest(texts, model_id), HOST)
    assert [score.label for score in result.results] == list(TOPICS)
    assert set(result.results[0].scores) == set(TOPICS) and result.results[0].warning == ""
    with TestClient(Starlette(routes=routes(lambda: engine.house()))) as client:
        answered = client.post("/api/sentiment", json={"text": texts[1], "model": model_id}).json()
    assert answered["results"][0]["label"] == "broken *device*"


def test_labels_of_a_persons_own_on_the_page_sentiment(settings: Settings, working: Engine) -> None:
    names = dict(enumerate(TOPICS))

    def make(folder: Path) -> Path:
        return checkpoints.bert(folder, "SequenceClassification", num_labels=3, id2label=names)

    model_id = jobs.use(settings, working, trained(settings, "classification", make, title="Support tickets"))
    app = AppTest.from_file(str(PAGE), default_timeout=60).run()
    app.session_state["judge"] = model_id
    app.run()
    assert "Support tickets" in app.selectbox(key="judge").options
    assert "Billing, broken \\*device\\*" in " ".join(caption.value for caption in app.caption)
    app = press(app, "the fox jumps over the lazy dog", "one")
    verdict = app.subheader[0].value
    assert any(verdict.startswith(label) for label in ("Billing", "Broken \\*device\\*", "Text"))
    (chart,) = app.get("plotly_chart")
    assert json.loads(chart.proto.spec)["layout"]["yaxis"]["ticktext"] == ["Text", "Broken *device*", "Billing"]
    app = press(app, "a bridge\na village by the sea", "many")
    columns = ["Label", "Confidence", "Text", "Billing", "broken *device*", "P(Text)"]
    assert list(app.dataframe[0].value.columns) == columns
    (chart,) = app.get("plotly_chart")
    assert [bar["name"] for bar in json.loads(chart.proto.spec)["data"]] == ["Billing", "Broken *device*", "Text"]
    assert not app.exception and not app.error


def press(app: AppTest, text: str, rows: str) -> AppTest:
    app.session_state["rows"] = rows
    app.run()
    app.text_area(key="review").set_value(text)
    return next(button for button in app.button if button.label == "Judge").click().run()


def test_a_language_model_is_served_by_llama_cpp(settings: Settings, home: House, working: Engine) -> None:
    run_id = trained(settings, "style", checkpoints.llama, title="Pirate")
    model_id = jobs.use(settings, working, run_id)
    entry = working.catalogue.find(model_id)
    assert (entry.title, entry.runtime, entry.is_chat) == ("Pirate", "llamacpp", True)
    assert (entry.family, entry.licence, entry.base_id) == ("Test", "Apache 2.0", "the-base")
    assert "trained from The base" in str(entry.note) and entry.source.folder.endswith(".gguf")
    assert [found.id for found in APPLICATIONS["write"].models(working.catalogue)] == ["the-base", model_id]
    asked = WriteRequest("Once upon", "free", model=model_id, max_new_tokens=5, temperature=0)
    written = APPLICATIONS["write"].run(working, asked, HOST)
    assert written.new_tokens > 0 and written.model == model_id
    assert jobs.base_folder(home, model_id) == settings.runs_folder / run_id / "model"
    assert restarted(settings).find(model_id) == entry
    jobs.use(settings, working, run_id)
    jobs.retire(settings, working, run_id)
    assert model_id not in working.catalogue.models and not working.is_loaded(model_id)
    assert restarted(settings).models == {} and jobs.read(settings, run_id).has_model


def test_where_llama_cpp_cannot_have_it_transformers_serves(
    settings: Settings, working: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.backends.ggml import writing

    monkeypatch.setattr(writing, "can_export", lambda folder: False)
    run_id = trained(settings, "pretraining", checkpoints.gpt2, base_id="")
    entry = working.catalogue.find(jobs.use(settings, working, run_id))
    assert (entry.runtime, entry.is_chat, entry.licence) == ("transformers", False, "yours")
    assert "trained from scratch" in str(entry.note) and entry.parameters > 10_000
    asked = WriteRequest("Once upon", "free", model=entry.id, max_new_tokens=5, temperature=0)
    written = APPLICATIONS["write"].run(working, asked, HOST)
    assert written.new_tokens > 0


@pytest.mark.parametrize(
    ("make", "runtime"), [(checkpoints.marian, "transformers"), (marian_files.save, "marian")], ids=["opus", "student"]
)
def test_a_tuned_translator_is_offered_for_its_pair_alone(
    settings: Settings, working: Engine, make: Callable[[Path], Path], runtime: str
) -> None:
    run_id = trained(settings, "translation", make, source_language="fr", target_language="en")
    entry = working.catalogue.find(jobs.use(settings, working, run_id))
    card = cards.card(cards.read_facts(settings.runs_folder / run_id), "safetensors", "model.safetensors")
    assert entry.runtime == runtime and ("AutoTokenizer" in card) == (runtime == "transformers")
    assert (entry.pair, entry.prompt_style, languages_of(entry)) == (("fr", "en"), "pair", ["en", "fr"])
    asked = TranslateRequest("Le renard brun saute.", "fr", "en", entry.id)
    translation = APPLICATIONS["translate"].run(working, asked, HOST).translations[0]
    assert translation.source == "fr" and len(translation.sentences) == 1
    with pytest.raises(UnsupportedError, match="translates only French to English"):
        APPLICATIONS["translate"].run(working, TranslateRequest("The fox", "en", "fr", entry.id), HOST)


def test_the_page_translate_offers_the_pair_and_no_more(settings: Settings, working: Engine) -> None:
    run_id = trained(settings, "translation", checkpoints.marian, source_language="fr", target_language="en")
    model_id = jobs.use(settings, working, run_id)
    app = AppTest.from_file(str(PAGE.with_name("translate.py")), default_timeout=60).run()
    app.selectbox(key="translator").set_value(model_id).run()
    assert (app.selectbox(key="from").options, app.selectbox(key="from").value) == (["French"], "fr")
    assert (app.selectbox(key="to").options, app.selectbox(key="to").value) == (["English"], "en")
    app.text_area(key="text").set_value("Le renard brun saute.")
    next(button for button in app.button if button.label == "Translate").click().run()
    assert not app.exception and not app.error
    assert "translated from French" in " ".join(caption.value for caption in app.caption)


def test_a_translator_of_languages_that_the_page_lacks_is_refused(settings: Settings, working: Engine) -> None:
    run_id = trained(settings, "translation", checkpoints.marian, source_language="xx", target_language="en")
    with pytest.raises(UnsupportedError, match="does not know source_language 'xx'"):
        jobs.use(settings, working, run_id)
    assert not jobs.read(settings, run_id).is_used


def test_a_t5_is_asked_in_its_own_words(settings: Settings, working: Engine) -> None:
    run_id = trained(settings, "translation", checkpoints.t5, source_language="en", target_language="de")
    entry = working.catalogue.find(jobs.use(settings, working, run_id))
    assert (entry.prompt_style, entry.pair) == ("t5", ("en", "de"))
    summariser = jobs.use(settings, working, trained(settings, "summary", checkpoints.t5, title="Short"))
    entry = working.catalogue.find(summariser)
    assert (entry.applications, entry.architecture, entry.prompt_style) == (("summarize",), "seq2seq", "t5")


def test_a_tuned_reader_answers(settings: Settings, working: Engine) -> None:
    run_id = trained(settings, "answer", lambda folder: checkpoints.bert(folder, "QuestionAnswering"))
    entry = working.catalogue.find(jobs.use(settings, working, run_id))
    assert (entry.applications, entry.languages) == (("answer",), ())
    asked = AnswerRequest("Where is the fox?", "The fox is near the bridge.", 1, entry.id)
    assert APPLICATIONS["answer"].run(working, asked, HOST).model


def test_a_model_of_instructions_is_asked_as_it_learned() -> None:
    chat = model("run-a", prompt_style="instruct", is_chat=True)
    free = ask(chat, WriteRequest("List three fruits.", "free", continuation="Apple"), 1000)
    assert [(turn.role, turn.content) for turn in free.messages] == [
        ("user", "List three fruits."), ("assistant", "Apple"),
    ]  # fmt: skip
    poem = ask(chat, WriteRequest("rain", "poem", tone="calm"), 1000)
    assert [turn.content for turn in poem.messages] == ["Write a calm poem about rain."]
    plain = replace(chat, is_chat=False)
    assert ask(plain, WriteRequest("List three fruits.", "free"), 1000).prompt == "List three fruits.\n"
    assert "few-shot" not in languages_of(plain)


def test_titles_are_told_apart_and_old_files_are_taken_over(settings: Settings, working: Engine) -> None:
    make: Callable[[Path], Path] = lambda folder: checkpoints.bert(folder, "QuestionAnswering")  # noqa: E731
    first, second = (trained(settings, "answer", make, title="The base") for _ in range(2))
    ids = [jobs.use(settings, working, run_id) for run_id in (first, second)]
    titles = [working.catalogue.find(model_id).title for model_id in ids]
    assert titles == [f"The base ({first[-6:]})", "The base (2)"]
    moved = settings.runs_folder.rename(settings.runs_folder.with_name("moved"))
    entries = Catalogue(tuned.models(moved)).models
    assert set(entries) == set(ids)
    assert Store(settings, Catalogue(entries.values())).path(ids[0]) == moved / first / "model"


@pytest.mark.parametrize("damage", ["weights", "labels", "config"])
def test_a_damaged_model_is_refused_with_its_sentence(settings: Settings, working: Engine, damage: str) -> None:
    run_id = trained(settings, "answer", lambda folder: checkpoints.bert(folder, "QuestionAnswering"))
    folder = settings.runs_folder / run_id
    if damage == "weights":
        (folder / "model" / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!")
    elif damage == "labels":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"task": "classification"}))
        facts = json.loads((folder / "model" / "config.json").read_text()) | {"id2label": None}
        (folder / "model" / "config.json").write_text(json.dumps(facts))
    else:
        (folder / "model" / "config.json").unlink()
    with pytest.raises((InputError, ConflictError), match=r"damaged|no model yet"):
        jobs.use(settings, working, run_id)
    assert not (folder / "served").exists() and not (folder / "served.part").exists()


def test_damaged_and_strange_files_are_left_out_at_the_start(settings: Settings, working: Engine) -> None:
    make: Callable[[Path], Path] = lambda folder: checkpoints.bert(folder, "QuestionAnswering")  # noqa: E731
    good = trained(settings, "answer", make)
    jobs.use(settings, working, good)
    file = settings.runs_folder / good / "served" / "model.json"
    table = json.loads(file.read_text())
    strange: list[Any] = [
        "[", [], {}, table | {"architecture": "magic"}, table | {"labels": 3}, table | {"source": {"kind": "hub"}},
        table | {"source": {"kind": "local", "folder": "/etc"}}, table | {"extra": 1},
        table | {"source": {"kind": "local", "folder": "model/../../other"}}, table | {"source": "x"},
    ]  # fmt: skip
    for number, content in enumerate(strange):
        place = settings.runs_folder / f"bad-{number}" / "served"
        place.mkdir(parents=True)
        (place / "model.json").write_text(content if isinstance(content, str) else json.dumps(content))
    (settings.runs_folder / ".deleted-x" / "served").mkdir(parents=True)
    (settings.runs_folder / ".deleted-x" / "served" / "model.json").write_text(json.dumps(table))
    assert [model.id for model in tuned.models(settings.runs_folder)] == [f"run-{good}"]
    assert tuned.models(settings.runs_folder / "none") == []


def test_a_new_server_offers_what_is_in_use(settings: Settings, working: Engine) -> None:
    run_id = trained(settings, "answer", lambda folder: checkpoints.bert(folder, "QuestionAnswering"))
    model_id = jobs.use(settings, working, run_id)
    again = open_house(settings)
    assert APPLICATIONS["answer"].models(again.catalogue)[-1].id == model_id
    assert again.store.availability(model_id).state == "ready"
    (settings.runs_folder / run_id / "model" / "config.json").unlink()
    assert again.store.availability(model_id).message == "Mine has no weights in the folder of its run."
    again.close()
