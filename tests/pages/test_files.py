"""Files on Translate and Sentiment: brought, seen getting on, stopped, gone on with, deleted; and bad ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import Bench, model
from fakes import HOST, FakeBackend
from streamlit.testing.v1 import AppTest

from engine.applications import emotions
from engine.jobs import work
from engine.jobs.files import desk
from engine.requests import Classification
from tests.pages.test_pages import click, drawn

Open = Callable[..., AppTest]
PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def folder(bench: Bench, tmp_path: Path) -> Iterator[None]:
    with kept_in(bench, tmp_path):
        yield


@contextmanager
def kept_in(bench: Bench, folder: Path) -> Iterator[None]:
    """Have a bench's jobs in this folder; waits until they have ended."""
    bench.local.settings = replace(bench.local.settings, runs_folder=folder / "runs")
    yield
    bench.house.ending.set()
    wait_until(lambda: not work._threads)


def wait_until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(bench: Bench, application: str) -> None:
    wait_until(lambda: not any(job.is_alive for job in desk.jobs_of(bench.house, application, HOST)))


def test_a_file_is_translated_on_the_page(bench: Bench, open_page: Open) -> None:
    app = open_page("translate", input="file", **{"from": "en", "to": "fr"})
    assert "What you bring appears here" in drawn(app)
    app.file_uploader(key="translate_file").upload("my.csv", b"id,text\n1,Good day\n2,It rains\n").run()
    assert app.selectbox(key="translate_column").value == "text" and app.toggle(key="translate_names").value
    app = click(app, "Translate the file")
    assert not app.exception
    ended(bench, "translate")
    app.run()
    assert "my\\.csv" in drawn(app) and "2 rows or paragraphs" in drawn(app)
    assert len(app.dataframe[0].value) == 2 and "English → French" in drawn(app)
    assert "by Gemma" in drawn(app)
    (job,) = desk.jobs_of(bench.house, "translate", HOST)
    assert desk.result_path(job).name == "my.fr.csv"
    app = click(app, "Delete")
    assert "What you bring appears here" in drawn(app) and not app.exception


def test_a_press_whose_run_was_ended_by_the_upload_still_begins(bench: Bench, open_page: Open) -> None:
    app = open_page("translate", input="file", **{"from": "en", "to": "fr"})
    app.session_state["translate-file-pressed"] = True
    app = app.run()
    assert not desk.jobs_of(bench.house, "translate", HOST), "without a file there is nothing to do, and it is over"
    app.file_uploader(key="translate_file").upload("a.txt", b"It rains.").run()
    assert not desk.jobs_of(bench.house, "translate", HOST)
    app.session_state["translate-file-pressed"] = True  # as that run leaves it
    app.run()
    (job,) = desk.jobs_of(bench.house, "translate", HOST)
    assert job.title == "a.txt"


def test_a_file_is_stopped_and_goes_on(bench: Bench, open_page: Open) -> None:
    backend = bench.plan["gemma-3-270m"] = FakeBackend(step_seconds=0.02)
    app = open_page("translate", input="file", **{"from": "en", "to": "fr"})
    text = "\n\n".join(f"Boat {number} is here." for number in range(50)).encode()
    app.file_uploader(key="translate_file").upload("a.txt", text).run()
    app = click(app, "Translate the file")
    wait_until(lambda: backend.seen)
    app = app.run()
    assert "Stop" in [button.label for button in app.button] and "of 50" in drawn(app)
    app = click(app, "Stop")
    ended(bench, "translate")
    app = app.run()
    assert "of 50 are done and kept" in drawn(app)
    backend.step_seconds = 0.0
    app = click(app, "Go on")
    ended(bench, "translate")
    assert desk.jobs_of(bench.house, "translate", HOST)[0].state == "finished" and not app.exception


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("a.docx", b"PK\x03\x04 cut", "damaged or cut off"), ("a.srt", b"1\n00:xx --> 00:01\nHi\n", "cannot be read")],
)
def test_a_bad_file_says_why(bench: Bench, open_page: Open, name: str, content: bytes, words: str) -> None:
    app = open_page("translate", input="file", **{"from": "en", "to": "fr"})
    app.file_uploader(key="translate_file").upload(name, content).run()
    app = click(app, "Translate the file")
    ended(bench, "translate")
    assert words in drawn(app.run()) and not app.exception


def test_a_bad_table_says_why_before_it_begins(open_page: Open) -> None:
    app = open_page("sentiment", rows="file")
    app.file_uploader(key="review_file").upload("a.csv", b"a,b\n1,\0x\n").run()
    assert "a\\.csv" in drawn(app) and "zero bytes" in drawn(app) and not app.exception


def test_a_file_of_rows_is_judged_with_charts(bench: Bench, open_page: Open) -> None:
    app = open_page("sentiment", rows="file")
    rows = "\n".join(
        f"2024-01-{number % 28 + 1:02},{'good' if number % 3 else 'bad'} {number}" for number in range(180)
    )
    app.file_uploader(key="review_file").upload("films.csv", f"day,review\n{rows}\n".encode()).run()
    assert app.selectbox(key="review_column").value == "review" and app.selectbox(key="review_date").value == "day"
    app = click(app, "Judge the file")
    ended(bench, "sentiment")
    app = app.run()
    assert not app.exception and "120 positive, 60 negative" in drawn(app)
    assert len(app.get("plotly_chart")) == 2 and "Most negative" in drawn(app)
    (shares,) = (one.value for one in app.dataframe if "Day" in one.value.columns)
    assert list(shares["Rows"]) == [7] * 12 + [6] * 16 and shares["positive"][0] == pytest.approx(4 / 7)
    (job,) = desk.jobs_of(bench.house, "sentiment", HOST)
    app.session_state[f"code-{job.id}"] = True
    app = app.run()
    assert any(
        "/api/sentiment/file?name=films.csv&model=sentiment-e5&column=review&date=day" in code.value
        for code in app.code
    )
    assert "Everything (JSON)" in [button.label for button in app.get("download_button")] and not app.exception


def test_a_file_is_judged_by_another_model_too_and_both_are_compared(bench: Bench, open_page: Open) -> None:
    class Grumbler(FakeBackend):
        def _classify(self, job: Any) -> None:
            job.finish(Classification("negative", {"negative": 0.8, "neutral": 0.1, "positive": 0.1}))

    bench.engine.catalogue.add(model("grumbler", architecture="classification", applications=("sentiment",)))
    bench.plan["grumbler"] = Grumbler()
    app = open_page("sentiment", rows="file", judge="sentiment-e5")
    app.file_uploader(key="review_file").upload("a.csv", b"review\na good film\na bad film\n").run()
    app = click(app, "Judge the file")
    ended(bench, "sentiment")
    (first,) = desk.jobs_of(bench.house, "sentiment", HOST)
    app.session_state[f"compare-{first.id}"] = True
    app = click(app.run(), "Work on the file with it too")
    ended(bench, "sentiment")
    app = app.run()
    second, _ = desk.jobs_of(bench.house, "sentiment", HOST)
    assert desk.order_of(second).model == "grumbler" and "by Grumbler" in drawn(app)
    app = app.selectbox(key=f"twin-{second.id}").select_index(0).run()
    assert "1 of 2 rows or paragraphs are the same (50%)" in drawn(app) and not app.exception
    (table,) = (one.value for one in app.dataframe if "Source" in one.value.columns)
    assert list(table["Grumbler"]) == ["negative"] and list(table["Source"]) == ["a good film"]


def test_a_thumb_for_a_file_is_kept_with_its_reason(bench: Bench, open_page: Open) -> None:
    app = open_page("translate", input="file", **{"from": "en", "to": "fr"})
    app.file_uploader(key="translate_file").upload("a.txt", b"It rains.").run()
    app = click(app, "Translate the file")
    ended(bench, "translate")
    (thumbs,) = app.run().feedback
    app = thumbs.set_value(0).run()
    (reasons,) = [one for one in app.pills if "-why-" in (one.key or "")]
    reasons.set_value("badly said").run()
    (kept,) = bench.house.feedback.reasons()
    assert (kept["page"], kept["reason"], kept["is_good"]) == ("translate", "badly said", False)
    assert kept["model"] == "gemma-3-270m" and not app.exception


def test_words_that_carried_the_rows_are_shown(bench: Bench, open_page: Open) -> None:
    app = open_page("sentiment", rows="file", carried=True)
    app.file_uploader(key="review_file").upload("a.csv", b"review\na good film\na bad film\n").run()
    app = click(app, "Judge the file")
    ended(bench, "sentiment")
    app = app.run()
    assert not app.exception and "Words that carried it" in drawn(app)
    (table,) = (one.value for one in app.dataframe if "Word" in one.value.columns)
    assert list(table["Word"]) == ["good"]
    app = open_page("sentiment", rows="many", carried=True, review="a good film\na bad film")
    app = click(app, "Judge")
    assert list(app.dataframe[0].value["Words"]) == ["good +0.85", ""]


def test_pasted_lines_show_both_ends(open_page: Open) -> None:
    lines = "\n".join(f"{'good' if number % 3 else 'bad'} {number}" for number in range(40))
    app = click(open_page("sentiment", rows="many", review=lines), "Judge")
    words = drawn(app)
    assert "Most positive" in words and "Most negative" in words and not app.exception
    ends = [one.value for one in app.dataframe if "Balance" in one.value.columns]
    assert list(ends[0]["Row"])[:2] == [2, 3] and ends[1]["Row"][0] == 1
    few = click(open_page("sentiment", rows="many", review="good\nbad"), "Judge")
    assert "Most positive" not in drawn(few), "a table of a few lines says it already"


def test_emotions_of_a_file_are_counted_on_the_page(bench: Bench, open_page: Open) -> None:
    bench.engine.catalogue.add(model(emotions.MODEL, architecture="classification", applications=()))

    class Feeling(FakeBackend):
        def _classify(self, job: Any) -> None:
            job.finish(Classification("joy", {"joy": 0.7, "neutral": 0.4}, ("joy",)))

    bench.plan[emotions.MODEL] = Feeling()
    app = open_page("sentiment", rows="file", emotions=True)
    app.file_uploader(key="review_file").upload("a.csv", b"review\na good film\na bad film\n").run()
    app = click(app, "Judge the file")
    ended(bench, "sentiment")
    app = app.run()
    (table,) = (one.value for one in app.dataframe if "Emotion" in one.value.columns)
    assert list(table["Emotion"]) == ["joy"] and list(table["Rows"]) == [2] and not app.exception


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b'{"text": "good"}\n{"text": "bad"}\n'), ("a.txt", b"good\nbad\n"), ("a.csv", b"good one.\nbad\n")],
)
def test_rows_come_in_several_forms(bench: Bench, open_page: Open, name: str, content: bytes) -> None:
    app = open_page("sentiment", rows="file")
    app.file_uploader(key="review_file").upload(name, content).run()
    app = click(app, "Judge the file")
    ended(bench, "sentiment")
    assert "1 positive, 1 negative" in drawn(app.run()) and not app.exception


def test_very_many_lines_become_a_file(bench: Bench, open_page: Open) -> None:
    app = open_page("sentiment", rows="many")
    app.text_area(key="review").set_value("good\n" * 2_001)
    app = click(app, "Judge")
    ended(bench, "sentiment")
    app = app.run()
    assert app.session_state["rows"] == "file" and "2,001 positive" in drawn(app) and not app.exception


def test_who_may_bring_no_file_is_told(bench: Bench, open_page: Open) -> None:
    bench.local.settings = replace(bench.local.settings, is_public=True)
    for name, inputs in (("translate", {"input": "file"}), ("sentiment", {"rows": "file"})):
        app = open_page(name, **inputs)
        assert "takes no files" in drawn(app) and not app.file_uploader and not app.exception
