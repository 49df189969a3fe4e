"""The page Fine-tune in every state, on fake models and on folders of runs as the trainer leaves them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import streamlit as st
from benches import Bench, model
from fakes import FakeBackend
from streamlit.testing.v1 import AppTest

from engine.jobs import work
from engine.jobs.folder import BEAT_FILE
from engine.jobs.kinds import average, training
from engine.settings import Settings
from engine.training import formats, tasks
from engine.training import runs as jobs
from engine.training.config import SETTINGS, TrainingConfig, defaults, make_config
from engine.training.preflight import check_steps
from pages.parts import curves
from pages.parts.live import figures_of
from pages.parts.runs import id_in, name_of
from pages.parts.training_settings import CHOSEN_ABOVE, key_of

Open = Callable[..., AppTest]
NASTY = "<script>alert(1)</script> **bold** $x$"
ROWS = [{"text": f"{NASTY} {n}", "label": f"<b>{'ab'[n % 2]}</b>"} for n in range(40)]
PATIENCE_SECONDS = 60.0


@pytest.fixture
def settings(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The bench's settings with a folder of runs, and a child that keeps its folder but trains nothing."""
    for kind in (training, average):
        monkeypatch.setattr(kind, "KIND", replace(kind.KIND, program="tests.training.stand_in"))
    bench.local.settings = replace(bench.engine.settings, runs_folder=tmp_path / "runs")
    for made in (
        model("minilm-l6", architecture="embedding", applications=("explore",)),
        model("t5-small", architecture="seq2seq", applications=("translate",), prompt_style="t5"),
    ):
        bench.engine.catalogue.add(made)
    yield bench.engine.settings
    for view in jobs.listed(bench.engine.settings):
        if view.is_alive and view.status.get("pid") != os.getpid():
            jobs.stop(bench.engine.settings, view.id, is_now=True)


def make_run(settings: Settings, state: str = "finished", title: str = "Tickets", **status: Any) -> str:
    """A run of which the files tell that it is in that state."""
    values = {"task": "classification", "base": "minilm-l6", "base_id": "minilm-l6", **defaults("classification")}
    run_id = jobs.create(settings, values | status.pop("config", {}), ROWS[:30], ROWS[30:], title=title)
    folder = jobs.run_folder(settings, run_id)
    rows: list[dict[str, Any]] = [{"step": 0, "time": time.time(), "eval_loss": 1.4, "eval_accuracy": 25.0}]
    for step in range(1, 21):
        rows.append({"step": step, "time": time.time(), "loss": 1.4 / step, "learning_rate": 1e-4, "grad_norm": 1.0,
                     "tokens_per_second": 100.0})  # fmt: skip
    rows += [{"step": 20, "time": time.time(), "eval_loss": 0.4, "eval_accuracy": 90.0}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = [{"step": step, "prompt": NASTY, "text": f"{NASTY} {step}"} for step in (0, 20)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in samples))
    (folder / "log.txt").write_text("step 20 of 40\n")
    now = {"state": state, "started": time.time(), "updated": time.time(), "step": 20, "max_steps": 40, "best_step": 20}
    now |= {"baseline": {"eval_loss": 1.4, "eval_accuracy": 25.0}, "metrics": {"eval_loss": 0.4, "eval_accuracy": 90.0}}
    if state in ("queued", "preparing", "running"):
        now |= {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
    elif state != "failed":
        (folder / "model").mkdir()
        (folder / "model" / "config.json").write_text("{}")
    (folder / "status.json").write_text(json.dumps(now | status))
    return run_id


def drawn(app: AppTest) -> str:
    """Everything on the page that came as text or HTML, without the backslashes that keep it from being markup."""
    parts: list[Any] = [*app.markdown, *app.caption, *app.warning, *app.info, *app.error, *app.success, *app.subheader]
    parts += [*app.code, *(element.proto for element in app.get("html"))]
    words = [str(getattr(part, "value", None) or getattr(part, "body", "")) for part in parts]
    return "\n".join(words).replace("\\", "").replace("\u00a0", " ")


def click(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def charts(app: AppTest) -> dict[str, Any]:
    """Data of the charts that are redrawn in place, by the title of their figure."""
    found = [json.loads(each.proto.json) for each in app.get("bidi_component") if each.proto.json]
    return {one["layout"]["title"]["text"]: one for one in found if "layout" in one}


def wait_until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


# New runs.


@pytest.mark.parametrize("task", list(tasks.registry()))
def test_every_task_can_be_started_with_its_sample(open_page: Open, settings: Settings, task: str) -> None:
    app = open_page("finetune", tune_task=task)
    assert not app.exception and not app.error and not app.warning
    assert len(app.dataframe[0].value) > 20
    assert not app.button(key="start").disabled and not app.button(key="check").disabled


def test_beginners_see_three_fields(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune")
    outside = [box.label for box in app.selectbox if not (box.key or "").startswith("tune_column")]
    assert outside == ["What to learn", "Base model", "Data"] and not app.number_input


@pytest.mark.parametrize("task", ["classification", "pretraining", "translation"])
def test_experts_see_every_setting_with_its_help_and_limits(open_page: Open, settings: Settings, task: str) -> None:
    app = open_page("finetune", tune_task=task, tune_mode="expert")
    assert not app.exception
    (sample, *_) = tasks.find(task).samples
    of_data = dict(sample.settings) | ({"sample_prompts": sample.prompts} if sample.prompts else {})
    for field in fields(TrainingConfig):
        if field.name not in CHOSEN_ABOVE:
            method, has_base = defaults(task)["method"], task == "classification"
            widget: Any = app.get_by_key(key_of(field.name, task, method, has_base, of_data))
            assert widget.help == SETTINGS[field.name]["description"]
            if "minimum" in SETTINGS[field.name]:
                assert (widget.min, widget.max) == (SETTINGS[field.name]["minimum"], SETTINGS[field.name]["maximum"])


def test_a_start_makes_a_run_and_shows_it(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_task="classification", tune_mode="expert")
    app.number_input(key="tune_classification_max_steps").set_value(12)
    app = click(app, "Start")
    assert not app.exception
    (run,) = jobs.listed(settings)
    assert run.config and (run.config.max_steps, run.config.base_id) == (12, "minilm-l6")
    assert app.selectbox(key="run").value == run.id and app.query_params["run"] == name_of(run)
    assert run.title == "Labels of your own: Support tickets"
    wait_until(lambda: jobs.read(settings, run.id).state == "finished")
    assert "finished" in drawn(app.run())


def test_wrong_settings_get_a_sentence_and_no_run(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_task="pretraining", tune_mode="expert")
    app.number_input(key="tune_pretraining_width").set_value(100)
    app.number_input(key="tune_pretraining_heads").set_value(3)
    app = click(app, "Start")
    assert "width must be a multiple" in app.warning[0].value.replace("\\", "").lower().replace("width", "width")
    assert jobs.listed(settings) == []


def test_settings_come_from_a_config_file(open_page: Open, settings: Settings) -> None:
    values = {"base": "minilm", "train_file": "a", "validation_file": "b", "max_steps": 7, "token_dropout": 0.1}
    config = make_config({"task": "answer", "learning_rate": 3e-4, **values})
    app = open_page("finetune", tune_task="classification", tune_mode="expert")
    app.file_uploader(key="tune_config").upload("config.json", json.dumps(asdict(config)).encode())
    app = app.run()
    assert not app.exception and app.selectbox(key="tune_task").value == "answer"
    app = click(app, "Start")
    (run,) = jobs.listed(settings)
    assert run.config and (run.config.max_steps, run.config.token_dropout, run.config.learning_rate) == (7, 0.1, 3e-4)
    assert run.config.task == "answer" and run.config.base != "minilm"


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"task": "answer", "speed": 3}', b"\xff\xfe"])
def test_a_config_file_that_is_none_gets_a_sentence(open_page: Open, settings: Settings, content: bytes) -> None:
    app = open_page("finetune", tune_task="classification", tune_mode="expert")
    app.file_uploader(key="tune_config").upload("config.json", content)
    app = app.run()
    assert not app.exception and "config" in app.error[0].value


def test_an_upload_is_read_in_a_child_guessed_and_can_be_corrected(
    open_page: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats.READERS, ".csv", lambda _: pytest.fail("read in the server"))
    app = open_page("finetune", tune_task="classification", tune_data_classification="upload")
    assert app.button(key="start").disabled
    rows = "".join(f"{NASTY} {n},<i>x</i>{n % 2},other {n}\n" for n in range(30))
    app.file_uploader(key="tune_file").upload("mine.csv", f"words,kind,more\n{rows}".encode())
    app = app.run()
    assert not app.exception and not app.button(key="start").disabled
    chosen = {box.label: box.value for box in app.selectbox if (box.key or "").startswith("tune_column")}
    assert chosen == {"Text": "words", "Label": "kind"}
    box = next(box for box in app.selectbox if box.label == "Text" and (box.key or "").startswith("tune_column"))
    app = box.set_value("more").run()
    assert app.dataframe[0].value["Text"][0].startswith("other")
    assert "<script>" not in "".join(str(each.proto.body) for each in app.get("html"))


def test_repeated_rows_are_left_out_unless_they_are_wanted(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_task="classification", tune_data_classification="upload")
    rows = "".join(f"text {n % 30},label {n % 2}\n" for n in range(40))
    app.file_uploader(key="tune_file").upload("mine.csv", f"text,label\n{rows}".encode())
    app.run().file_uploader(key="tune_held_out").upload("held.csv", b"text,label\n" + b"new,label 0\nold,label 1\n" * 2)
    assert "30 rows to learn from, 2 held out" in drawn(app.run())
    app = app.toggle(key="tune_repeats").set_value(True).run()
    assert "40 rows to learn from, 4 held out" in drawn(app) and not app.exception
    click(app, "Start")
    (run,) = jobs.listed(settings)
    assert (jobs.run_folder(settings, run.id) / "data" / "train.jsonl").read_text().count("\n") == 40


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        ("text,label".encode("utf-16") + b"x", "UTF-8"),
        (b'{"text": "a", "label": \n', "row"),
        (b"PK\x03\x04....", "zip archive"),
    ],
)
def test_a_bad_file_gets_its_sentence(open_page: Open, settings: Settings, content: bytes, sentence: str) -> None:
    app = open_page("finetune", tune_task="classification", tune_data_classification="upload")
    app.file_uploader(key="tune_file").upload("mine.jsonl" if content[:1] == b"{" else "mine.csv", content)
    app = app.run()
    assert not app.exception and app.button(key="start").disabled
    if content:  # an empty upload never arrives
        assert sentence.lower() in app.warning[0].value.replace("\\", "").lower()


def test_faults_of_the_rows_are_said_before_the_start(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_task="classification", tune_data_classification="upload")
    same = "text,label\n" + "".join(f"text {n},only\n" for n in range(30)) + ",only\n"
    app.file_uploader(key="tune_file").upload("mine.csv", same.encode())
    app = click(app.run(), "Start")
    assert "All rows have the label" in drawn(app) and jobs.listed(settings) == []


def test_what_changes_the_meaning_is_said_before_the_start_and_stays_with_the_run(
    open_page: Open, settings: Settings
) -> None:
    app = open_page("finetune", tune_task="classification", tune_data_classification="upload")
    rows = "".join(f"café {n},{'Yes' if n == 3 else 'yes' if n % 2 else 'no'}\n" for n in range(40))
    name = f"{'Customer satisfaction survey of the autumn, all answers, final version ' * 3}.csv"
    app.file_uploader(key="tune_file").upload(name, f"text,label\n{rows}lost,NULL\n".encode("cp1252"))
    app = app.run()
    told = " ".join(box.value for box in app.warning)
    for words in ("Windows\\-1252, a guess", "“café”", "“Yes” → “yes”", "counts as missing", "empty label"):
        assert words.replace("\\", "") in told.replace("\\", "")
    app = click(app, "Start")
    (run,) = jobs.listed(settings)
    assert not app.exception and len(run.title) <= 80 and run.title.endswith("final version .csv")
    kept = jobs.read(settings, run.id).findings
    assert {finding.level for finding in kept} == {"warning"} and any("joined" in str(each.message) for each in kept)
    assert "What was found in the data" in {each.label for each in app.expander}


def test_the_limit_of_an_upload_is_the_servers(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_task="classification", tune_data_classification="upload")
    limit = st.get_option("server.maxUploadSize")
    assert app.get("file_uploader")[0].proto.max_upload_size_mb == limit <= formats.MAX_BYTES / 2**20


def test_lengths_and_labels_are_plotted(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_task="classification")
    app = app.button_group(key="tune_look").set_value("Lengths").run()
    assert len(charts(app)["Words a row"]["data"][0]["x"]) == 240
    app = app.button_group(key="tune_look").set_value("Labels").run()
    assert len(charts(app)["Rows of each label"]["data"]) == 2 and not app.exception


def test_a_data_set_of_the_hub_that_cannot_be_had(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_task="classification", tune_data_classification="hub")
    app.text_input(key="tune_dataset").set_value("../../etc/passwd")
    app = click(app, "Fetch")
    assert app.warning and not app.exception and app.button(key="start").disabled


PROBED = {
    "steps": 60, "estimated_seconds": 90.0, "estimated_memory_bytes": 9e8, "estimated_disk_bytes": 8e8,
    "lengths": [5, 9, 130], "batch": [{"tokens": [[NASTY, False], [" → ", False], ["<b>a</b>", True]]}],
    "findings": [{"level": "warning", "field": "max_length", "message": "Row 3 is longer.", "rows": [3]}],
}  # fmt: skip


def check_at_once(settings: Settings, folder: Path, program: str, *_: Any) -> None:
    """In place of `work.launch`: a check that is done."""
    assert work.kind_of(folder).module == "engine.training.probe" and (folder / "data" / "rows.json").exists()
    (folder / "probe.json").write_text(json.dumps(PROBED))
    (folder / "status.json").write_text('{"state": "finished"}')


def test_a_check_tells_costs_and_shows_the_batch(
    open_page: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "launch", check_at_once)
    app = open_page("finetune", tune_task="classification")
    app = click(app, "Check")
    assert not app.exception and {metric.label: metric.value for metric in app.metric}["Time"] == "1 min 30 s"
    page = drawn(app)
    assert "Row 3 is longer." in page and "&lt;script&gt;" in page
    assert "<script>" not in "".join(str(each.proto.body) for each in app.get("html"))
    assert charts(app)["Tokens a row"]["layout"]["shapes"] and jobs.listed(settings) == []
    app = app.selectbox(key="tune_base_classification").set_value("sentiment-e5").run()
    assert "have changed since the last check" in drawn(app)


def test_what_rows_and_a_check_both_tell_stands_once(
    open_page: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (steps,) = check_steps(4)
    more = [*PROBED["findings"], steps.as_json()]
    monkeypatch.setattr(work, "launch", check_at_once)
    monkeypatch.setitem(PROBED, "findings", more)
    monkeypatch.setattr("engine.training.beginning.check", lambda values, made: [steps])
    page = drawn(click(open_page("finetune", tune_task="classification"), "Check"))
    assert page.count("too few to learn much") == 1 and "Row 3 is longer." in page


def test_a_public_site_starts_nothing(open_page: Open, bench: Bench, settings: Settings) -> None:
    run_id = make_run(settings, "stopped")
    bench.local.settings = replace(settings, is_public=True)
    app = open_page("finetune", link={"tune_data_classification": "Upload a file"}, tune_mode="expert")
    assert app.button(key="start").disabled and "public site" in drawn(app)
    box = next(box for box in app.selectbox if (box.key or "").startswith("tune_data"))
    assert not app.file_uploader and "Upload a file" not in box.options
    app = open_page("finetune", tune_view="one", run=run_id)
    assert "resume" not in {button.key for button in app.button} and not app.exception


# Lists of runs.


def test_no_run_yet(open_page: Open, settings: Settings) -> None:
    for view in ("runs", "one"):
        app = open_page("finetune", tune_view=view)
        assert "No run yet" in drawn(app) and not app.exception


def test_runs_are_listed_opened_and_not_deleted_without_a_question(open_page: Open, settings: Settings) -> None:
    first, second = make_run(settings, title=NASTY), make_run(settings, "failed", error="It broke.", title="Two")
    jobs.annotate(settings, first, NASTY, "a note of mine")
    app = open_page("finetune", tune_view="runs")
    page = drawn(app)
    assert NASTY in page and "a note of mine" in page and "It broke." in page
    assert "Accuracy 90 % (at the start 25 %)" in page
    app = app.button(key=f"icon-delete-{second}").click().run()
    assert not app.exception and "cannot be undone" in drawn(app) and len(jobs.listed(settings)) == 2
    app = app.run().button(key=f"open-{first}").click().run()  # what the dialog does is for the browser's test
    assert app.selectbox(key="run").value == first and app.button_group(key="tune_view").value == "one"


def test_runs_are_compared(open_page: Open, settings: Settings) -> None:
    ids = [make_run(settings, title=title, config={"epochs": n}) for n, title in ((1.0, "<b>One</b>"), (2.0, "Two"))]
    app = open_page("finetune", tune_view="runs", compared=ids)
    overlay = charts(app)["Validation loss"]
    assert len(overlay["data"]) == 2 and overlay["data"][0]["name"].startswith("&lt;b&gt;One")
    kept, table = (frame.value for frame in app.dataframe)
    assert list(kept["Step"]) == [20, 20] and list(kept["Accuracy"]) == ["90 %", "90 %"]
    assert list(table["Setting"]) == ["epochs"] and not app.exception


def test_compared_runs_get_a_mean_where_they_have_one(open_page: Open, settings: Settings) -> None:
    ids = [make_run(settings, title=title, config={"max_steps": 3}) for title in ("One", "Two")]
    app = click(open_page("finetune", tune_view="runs", compared=ids), "Make the mean of these models")
    assert not app.exception
    mean = next(view for view in jobs.listed(settings) if view.id not in ids)
    assert mean.config and set(mean.config.mean_of) == set(ids) and app.selectbox(key="run").value == mean.id
    wait_until(lambda: jobs.read(settings, mean.id).state == "finished")
    app = app.run()
    assert "The mean of the weights of" in drawn(app) and "mean of runs" in drawn(app) and not charts(app)
    ids[1] = make_run(settings, config={"method": "lora"})
    app = open_page("finetune", tune_view="runs", compared=ids)
    assert app.button(key="mean").disabled and "by the method lora" in app.button(key="mean").help


def test_many_runs_come_in_pages(open_page: Open, settings: Settings) -> None:
    for number in range(11):
        make_run(settings, title=f"Run {number}")
    app = open_page("finetune", tune_view="runs")
    assert sum(label == "Open" for label in labels(app)) == 10


# One run.


@pytest.mark.parametrize("state", ["queued", "preparing", "running", "finished", "stopped", "failed"])
def test_every_state_is_drawn(open_page: Open, settings: Settings, state: str) -> None:
    run_id = make_run(settings, state, error="Memory ran out." if state == "failed" else "", advice="Lower batch_size.")
    app = open_page("finetune", tune_view="one", run=run_id)
    assert not app.exception
    page, is_live = drawn(app), state in ("queued", "preparing", "running")
    assert ("Stop" in labels(app)) == is_live and ("Resume" in labels(app)) == (state in ("stopped", "failed"))
    assert ("Memory ran out." in page and "Lower batch_size." in page) == (state == "failed")
    assert ("The model" in page) == (state in ("finished", "stopped"))
    assert set(charts(app)) == {"Loss", "Accuracy, %", "Learning rate", "Gradient norm", "Tokens a second"}
    assert "step 20 of 40" in page and "engine.training.train" in page and '"batch_size": 16' in page


def test_the_figures_are_those_of_the_kept_step_and_earlier_ones_become_runs(
    open_page: Open, settings: Settings
) -> None:
    """Step 20 is kept; the run went on to step 40, was worse there, and keeps the weights of step 10."""
    run_id = make_run(settings, step=40, absent_labels=["fox"], baseline={"eval_loss": 0.3, "eval_accuracy": 95.0})
    folder = jobs.run_folder(settings, run_id)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 40, "time": time.time(), "loss": 9.0, "eval_loss": 7.0, "eval_accuracy": 8.0}))
    for step in (10, 15):
        weights = folder / "checkpoints" / f"kept-{step}" / "weights.safetensors"
        weights.parent.mkdir(parents=True)
        weights.write_bytes(b"x" * 2_000_000)
    app = open_page("finetune", tune_view="one", run=run_id)
    told = {metric.label: metric.value for metric in app.metric}
    assert (told["Accuracy"], told["Validation loss"], told["Training loss"]) == ("90 %", "0.4", "0.07")
    page = drawn(app)
    assert "of the model that is kept, of step 20" in page and "No row held out has fox" in page
    assert "worse than what it began with: Accuracy 90 after training, 95 before" in page and "2.0 MB" in page
    app = app.button(key="icon-forget-10").click().run()
    assert list(jobs.read(settings, run_id).past_weights) == [15] and not app.exception
    app = open_page("finetune", tune_view="one", run=run_id)
    assert "past-15" not in [button.key for button in app.button], "one step alone is nothing to look back at"


def test_a_run_before_its_first_figure(open_page: Open, settings: Settings) -> None:
    run_id = make_run(settings, "preparing")
    for name in ("metrics.jsonl", "samples.jsonl", "log.txt"):
        (jobs.run_folder(settings, run_id) / name).unlink()
    app = open_page("finetune", tune_view="one", run=run_id)
    assert "The curves begin" in drawn(app) and not app.exception


def test_samples_are_shown_as_text_for_the_chosen_step(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_view="one", run=make_run(settings))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; **bold** $x$ 20" in drawn(app)
    app = app.select_slider[0].set_value(0).run()
    assert "$x$ 0" in drawn(app) and "<script>" not in "".join(str(each.proto.body) for each in app.get("html"))


def test_smoothing_and_log_axis_act(open_page: Open, settings: Settings) -> None:
    app = open_page("finetune", tune_view="one", run=make_run(settings))
    assert [trace["name"] for trace in charts(app)["Loss"]["data"]] == ["training, raw", "training", "validation"]
    app.slider(key="smoothing").set_value(0.0)
    app = app.toggle(key="log_axis").set_value(True).run()
    loss = charts(app)["Loss"]
    assert loss["data"][0]["y"][:2] == [1.4, 0.7] and loss["layout"]["yaxis"]["type"] == "log"


def test_a_run_is_stopped_and_resumed(open_page: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "0.3")
    values = {"task": "classification", "base": "minilm-l6", **defaults("classification"), "max_steps": 500}
    run_id = jobs.create(settings, values, ROWS, ROWS[:5], title="Long")
    jobs.start(settings, run_id)
    wait_until(lambda: jobs.read(settings, run_id).metrics)
    app = open_page("finetune", tune_view="one", run=run_id)
    app = click(app, "Stop")
    wait_until(lambda: jobs.read(settings, run_id).state == "stopped")
    app = app.run()
    assert "Resume" in labels(app) and not app.exception
    app = click(app, "Resume")
    wait_until(lambda: jobs.read(settings, run_id).state == "running")
    assert "Stop" in labels(app.run()) and not app.exception


def test_a_stop_says_when_it_ends_and_offers_to_end_it_now(
    open_page: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "20")
    values = {"task": "classification", "base": "minilm-l6", **defaults("classification"), "max_steps": 500}
    run_id = jobs.create(settings, values, ROWS, ROWS[:5], title="Long")
    jobs.start(settings, run_id)
    wait_until(lambda: jobs.read(settings, run_id).metrics)
    now = time.time()
    lines = [{"step": step, "loss": 1.0, "time": now + 20 * step} for step in (1, 2, 3)]
    with (jobs.run_folder(settings, run_id) / "metrics.jsonl").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    status = json.loads((jobs.run_folder(settings, run_id) / "status.json").read_text())
    (jobs.run_folder(settings, run_id) / "status.json").write_text(json.dumps(status | {"state": "running"}))
    app = click(open_page("finetune", tune_view="one", run=run_id), "Stop")
    assert not app.exception and "after this step, about 20 s" in app.toast[0].value
    assert "Stop now" in labels(app) and jobs.read(settings, run_id).is_stopping
    began = time.monotonic()
    app = click(app, "Stop now")
    assert time.monotonic() - began < 10
    wait_until(lambda: not jobs.read(settings, run_id).is_alive)
    told = [toast.value for toast in app.toast]
    app = app.run()
    assert jobs.read(settings, run_id).state == "stopped" and "Resume" in labels(app) and not app.error
    assert any("Stopped" in words and "Long" in words for words in [*told, *(toast.value for toast in app.toast)])
    assert not app.switch_page("home.py").run().exception


def test_a_run_that_hangs_is_told_and_ended_from_the_page_and_the_next_goes_on(
    open_page: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "0.1")
    values = {"task": "classification", "base": "minilm-l6", **defaults("classification"), "max_steps": 500}
    hung, waiting = (jobs.create(settings, values, ROWS, ROWS[:5], title=title) for title in ("Hung", "Next"))
    jobs.start(settings, hung)
    wait_until(lambda: jobs.read(settings, hung).state == "running")
    jobs.start(settings, waiting)
    wait_until(lambda: "queued" in jobs.read(settings, waiting).status)
    folder, pid = jobs.run_folder(settings, hung), jobs.read(settings, hung).status["pid"]
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)

    def a_minute_later() -> None:
        for name in (BEAT_FILE, "status.json"):
            os.utime(folder / name, (time.time() - 70, time.time() - 70))

    a_minute_later()
    assert "does not answer" in drawn(open_page("finetune", tune_view="runs"))
    app = open_page("finetune", tune_view="one", run=hung)
    assert "no sign of life for a minute" in drawn(app)
    app = click(app, "Stop")
    assert jobs.read(settings, hung).is_alive, "it does not hear"
    app = click(app, "Stop now")
    wait_until(lambda: jobs.read(settings, hung).state == "stopped")
    wait_until(lambda: jobs.read(settings, waiting).state == "running")
    assert not app.run().exception and "does not answer" not in drawn(open_page("finetune", tune_view="runs"))


@pytest.mark.parametrize("typed", ["../../etc", "no-such-run", "Gone (20200101-000000-abcdef)"])
def test_a_run_that_is_not_there_gets_a_sentence(open_page: Open, settings: Settings, typed: str) -> None:
    make_run(settings)
    app = open_page("finetune", tune_view="one", run=typed)
    assert "There is no run" in drawn(app) and not app.exception


def test_a_damaged_folder_is_shown_as_such(open_page: Open, settings: Settings) -> None:
    run_id = make_run(settings)
    (jobs.run_folder(settings, run_id) / "config.json").write_text("{")
    app = open_page("finetune", tune_view="one", run=run_id)
    assert not app.exception and "cannot be read" in drawn(app)
    assert not open_page("finetune", tune_view="runs").exception


def test_title_and_note_are_changed(open_page: Open, settings: Settings) -> None:
    run_id = make_run(settings)
    app = open_page("finetune", tune_view="one", run=run_id)
    next(field for field in app.text_input if field.label == "Title").set_value("Better")
    next(field for field in app.text_area if field.label == "Note").set_value("of mine")
    app = click(app, "Save")
    assert (jobs.read(settings, run_id).title, jobs.read(settings, run_id).note) == ("Better", "of mine")
    assert not app.exception and app.selectbox(key="run").value == run_id


def test_settings_of_a_run_are_taken_to_a_new_one(open_page: Open, settings: Settings) -> None:
    run_id = make_run(settings, config={"epochs": 7.0, "learning_rate": 0.005, "labels": ["<b>a</b>", "<b>b</b>"]})
    app = click(open_page("finetune", tune_view="one", run=run_id), "Use these settings for a new run")
    assert not app.exception and app.button_group(key="tune_view").value == "new"
    assert app.number_input(key="tune_classification_epochs").value == 7.0
    assert app.number_input(key="tune_classification_learning_rate_full").value == 0.005
    assert app.text_input(key="tune_classification_labels").value == "<b>a</b>, <b>b</b>"


# After it.


def comparison() -> dict[str, Any]:
    row = {"input": NASTY, "expected": "a", "base": "b", "tuned": "a", "base_score": 0.1, "tuned_score": 0.9}
    return {
        "task": "classification", "metric": "accuracy", "score": "probability", "is_lower_better": False,
        "base": {"accuracy": 25.0}, "tuned": {"accuracy": 90.0}, "rows": [row], "held_out_rows": 10,
        "has_new_head": True,
    }  # fmt: skip


def test_base_and_tuned_are_compared(open_page: Open, settings: Settings) -> None:
    run_id = make_run(settings)
    assert "Compare" in labels(open_page("finetune", tune_view="one", run=run_id))
    (jobs.run_folder(settings, run_id) / "compare.json").write_text(json.dumps(comparison()))
    app = open_page("finetune", tune_view="one", run=run_id)
    metric = next(metric for metric in app.metric if metric.delta == "+65 against the base")
    assert metric.value == "90 %" and "chance" in drawn(app)
    assert list(app.dataframe[-1].value["Tuned"]) == ["a"] and not app.exception


def test_both_are_asked_the_same(
    open_page: Open, bench: Bench, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = make_run(settings, config={"task": "style", "base": "gemma", "base_id": "gemma-3-270m"})

    def use(settings: Settings, engine: Any, id: str, job: Any, caller: Any) -> None:
        served = jobs.run_folder(settings, id) / "served"
        served.mkdir()
        (served / "model.json").write_text("{}")
        engine.catalogue.add(model(f"run-{id}", title="Tickets"))

    monkeypatch.setattr(jobs, "use", use)
    app = open_page("finetune", tune_view="one", run=run_id, after="try")
    click(app, "Use it")
    wait_until(lambda: (job := work.latest(settings, "use", run_id)) and job.state == "finished")
    app = app.run()
    app.text_area(key="try_text").set_value("Once upon")
    app = click(app, "Ask both")
    assert not app.exception
    prompts = [bench.backends[id].seen[-1].prompt for id in ("gemma-3-270m", f"run-{run_id}")]
    assert prompts == ["Once upon", "Once upon"]
    app = app.button_group(key="after").set_value("use").run()
    assert "is in use" in drawn(app) and not app.exception


def test_a_base_without_a_head_says_nothing(open_page: Open, bench: Bench, settings: Settings) -> None:
    run_id = make_run(settings)
    served = jobs.run_folder(settings, run_id) / "served"
    served.mkdir()
    (served / "model.json").write_text("{}")
    tuned = model(f"run-{run_id}", title="Tickets", architecture="classification", applications=("sentiment",))
    bench.engine.catalogue.add(tuned)
    app = open_page("finetune", tune_view="one", run=run_id, after="try")
    app.text_area(key="try_text").set_value("a good film")
    app = click(app, "Ask both")
    assert "no head for the task" in drawn(app) and len(app.get("plotly_chart")) == 1 and not app.exception


def test_a_model_that_breaks_in_the_try_box_is_a_sentence(open_page: Open, bench: Bench, settings: Settings) -> None:
    run_id = make_run(settings, config={"task": "style", "base": "gemma", "base_id": "gemma-3-270m"})
    served = jobs.run_folder(settings, run_id) / "served"
    served.mkdir()
    (served / "model.json").write_text("{}")
    bench.engine.catalogue.add(model(f"run-{run_id}"))
    backend = bench.plan["gemma-3-270m"] = FakeBackend()
    backend.fail_with = ZeroDivisionError("secret detail")
    app = open_page("finetune", tune_view="one", run=run_id, after="try")
    app.text_area(key="try_text").set_value("Once")
    app = click(app, "Ask both")
    assert "report the number" in app.error[0].value and "secret" not in drawn(app) and not app.exception


# The few functions that are worth a test of their own.


def test_smoothing_starts_at_the_first_value_and_follows() -> None:
    points = [(step, 2.0) for step in range(5)] + [(step, 0.0) for step in range(5, 60)]
    average = curves.smoothed(points, 0.6)
    assert average[4] == (4, pytest.approx(2.0)) and 1.0 < average[5][1] < 1.2
    assert average[-1][1] < 1e-6 and curves.smoothed(points, 0.0) == points


def test_long_lines_are_thinned_with_their_ends() -> None:
    points = [(float(step), 0.0) for step in range(10_000)]
    few = curves.thinned(points, 100)
    assert len(few) == 100 and (few[0], few[-1]) == (points[0], points[-1])


def test_charts_as_a_page_need_no_network(settings: Settings) -> None:
    run = jobs.read(settings, make_run(settings, title="<b>x</b>"))
    page = curves.as_html(list(figures_of(run, 0.5, False).values()), run.title)
    assert "<b>x</b>" not in page and "&lt;b&gt;x&lt;/b&gt;" in page and page.count("Plotly.newPlot(") >= 5
    assert 'src="http' not in page and len(page) > 4_000_000


def test_names_of_runs_lead_back_to_their_ids(settings: Settings) -> None:
    run = jobs.read(settings, make_run(settings, title="Tickets (old)"))
    assert id_in(name_of(run)) == run.id == id_in(run.id)
