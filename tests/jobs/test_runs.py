"""Runs from the parent's side: folders that tell the truth whoever is killed and when, turns, limits and sentences.

The child is a stand-in that trains nothing; `test_tuned` goes the whole way with the real one.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes import HOST, VISITOR

from engine.errors import BusyError, ConflictError, InputError, NotFoundError, NotReadyError, PeopleError, TooLargeError
from engine.files import write_json
from engine.jobs import reading, work
from engine.jobs.folder import STOP_FILE
from engine.jobs.kinds import average, training
from engine.serving.protocol import Caller
from engine.settings import ROOT, Settings
from engine.training import runs as jobs
from engine.training.run import Run
from tests.training.told import kill

PATIENCE_SECONDS = 60
ROWS = [{"text": f"text {number}", "label": "ab"[number % 2], "other": 1} for number in range(4)]
VALUES = {"task": "classification", "base": "a-base", "max_steps": 12}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a runs folder of this test; what it started is ended afterwards."""
    for kind in (training, average):
        monkeypatch.setattr(kind, "KIND", replace(kind.KIND, program="tests.training.stand_in"))
    made = Settings(runs_folder=tmp_path / "runs", training_nice=3)
    yield made
    for view in jobs.listed(made):
        if view.is_alive:
            jobs.stop(made, view.id, is_now=True)


def make(settings: Settings, title: str = "A run", caller: Caller = HOST, **changes: Any) -> str:
    return jobs.create(settings, VALUES | changes, ROWS, ROWS[:2], title=title, caller=caller)


def wait_until(is_so: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := is_so()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return value


def wait_for(settings: Settings, run_id: str, *states: str) -> jobs.RunView:
    wait_until(lambda: jobs.read(settings, run_id).state in states)
    return jobs.read(settings, run_id)


def steps_of(view: jobs.RunView, name: str = "loss") -> list[int]:
    return [row["step"] for row in view.metrics if name in row]


def test_a_run_is_made_whole_and_read_back(settings: Settings) -> None:
    run_id = make(settings, "  My  first\trun ", threads=2)
    view = jobs.read(settings, run_id)
    assert (view.title, view.state, view.is_alive, view.can_resume) == ("My first run", "stopped", False, True)
    assert view.config is not None and view.config.threads == 2 and view.config.task == "classification"
    assert (view.facts["train_rows"], view.facts["validation_rows"]) == (4, 2)
    rows = (settings.runs_folder / run_id / "data" / "train.jsonl").read_text().split("\n")
    assert json.loads(rows[0]) == {"text": "text 0", "label": "a"}
    assert [path.name for path in settings.runs_folder.iterdir()] == [run_id]


def test_a_share_of_threads_comes_from_the_settings(tmp_path: Path) -> None:
    shared = Settings(runs_folder=tmp_path, training_threads=1)
    config = jobs.read(shared, make(shared)).config
    assert config is not None and config.threads == 1


WRONG = [
    ({"values": {"learning_rate": -1}}, InputError, "learning_rate"),
    ({"values": {"nonsense": 1}}, InputError, "nonsense"),
    ({"train": []}, InputError, "train_file"),
    ({"validation": []}, InputError, "validation_file"),
    ({"train": [*ROWS, {"text": "no label"}]}, InputError, "row 5: label"),
    ({"title": ""}, InputError, "title"),
    ({"title": "x" * 81}, TooLargeError, "title"),
    ({"note": "x" * 2001}, TooLargeError, "note"),
]


@pytest.mark.parametrize(("wrong", "kind", "words"), WRONG)
def test_wrong_values_are_refused_and_leave_nothing(
    settings: Settings, wrong: dict[str, Any], kind: type[Exception], words: str
) -> None:
    given = {"values": {}, "train": ROWS, "validation": ROWS, "title": "t", "note": ""} | wrong
    with pytest.raises(kind, match=words):
        jobs.create(
            settings, VALUES | given["values"], given["train"], given["validation"],
            title=given["title"], note=given["note"],
        )  # fmt: skip
    assert not settings.runs_folder.exists()


def test_a_full_disk_is_said_and_leaves_no_half_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jobs, "write_json", full)
    with pytest.raises(NotReadyError, match="disk is full"):
        make(settings)
    assert list(settings.runs_folder.iterdir()) == []


def test_a_start_without_room_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = make(settings)
    monkeypatch.setattr(work, "ROOM_BYTES", 2**62)
    with pytest.raises(NotReadyError, match="Free some space"):
        jobs.start(settings, run_id)
    assert jobs.read(settings, run_id).state == "stopped"


def test_there_is_a_limit_of_runs_and_of_those_at_work(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    few = Settings(runs_folder=settings.runs_folder, max_runs=2)
    first, second = make(few), make(few)
    with pytest.raises(ConflictError, match="2 runs already"):
        make(few)
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "30")
    monkeypatch.setattr(jobs, "MAX_LIVE", 1)
    jobs.start(few, first)
    with pytest.raises(BusyError, match="1 run is at work"):
        jobs.start(few, second)


BAD_IDS: list[Any] = ["", ".", "..", "../x", "a/b", "A", ".lock", "x" * 65, "gone", None, 7, "a\0b", "-a", "a\n"]


@pytest.mark.parametrize("run_id", BAD_IDS)
def test_what_is_no_run_is_not_found_by_anything(settings: Settings, tmp_path: Path, run_id: Any) -> None:
    make(settings)
    (tmp_path / "x").mkdir()
    engine: Any = None
    for function in (jobs.read, jobs.start, jobs.stop, jobs.delete):
        with pytest.raises(NotFoundError):
            function(settings, run_id)
    for refused in (
        lambda: jobs.annotate(settings, run_id, "t", ""),
        lambda: jobs.use(settings, engine, run_id),
        lambda: jobs.retire(settings, engine, run_id),
        lambda: jobs.differing(settings, [run_id]),
    ):
        with pytest.raises(NotFoundError):
            refused()
    assert (tmp_path / "x").is_dir()


def test_a_visitor_changes_no_run(settings: Settings) -> None:
    """Whoever asks counts, not the settings of the process that is asked."""
    run_id, engine, who = make(settings), None, VISITOR
    changes: list[Callable[[], Any]] = [
        lambda: make(settings, caller=who), lambda: jobs.start(settings, run_id, who),
        lambda: jobs.create_mean(settings, [run_id, run_id], who), lambda: jobs.stop(settings, run_id, caller=who),
        lambda: jobs.stop(settings, run_id, is_now=True, caller=who), lambda: jobs.delete(settings, run_id, None, who),
        lambda: jobs.annotate(settings, run_id, "t", "", who),
        lambda: jobs.use(settings, engine, run_id, None, who),  # type: ignore[arg-type]
        lambda: jobs.begin_use(settings, engine, run_id, who),  # type: ignore[arg-type]
        lambda: jobs.retire(settings, engine, run_id, who),  # type: ignore[arg-type]
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(ConflictError, match="public site"):
            change()
    assert [view.id for view in jobs.listed(settings)] == [run_id]
    assert jobs.read(settings, run_id).state == "stopped"


def test_a_run_from_start_to_end(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "0.1")
    run_id = make(settings)
    jobs.start(settings, run_id)
    for refused in (jobs.start, jobs.delete):
        with pytest.raises(ConflictError, match="at work"):
            refused(settings, run_id)
    wait_until(lambda: jobs.read(settings, run_id).status.get("step", 0) > 2)
    middle = jobs.read(settings, run_id)
    assert middle.is_alive and 0 < middle.progress < 1 and not middle.can_resume
    assert middle.seconds_left is not None and middle.seconds_left < 60
    (listed,) = jobs.listed(settings)
    assert listed.is_alive and listed.seconds_left is not None and listed.metrics == ()
    done = wait_for(settings, run_id, "finished")
    assert steps_of(done) == list(range(1, 13)) and steps_of(done, "eval_loss") == [0, 5, 10]
    assert [sample["step"] for sample in done.samples] == [5, 10]
    assert "at work in" in done.log_tail and done.progress == 1.0 and not done.can_resume
    assert (done.status["nice"], done.status["has_token"]) == (3, False)
    with pytest.raises(ConflictError, match="finished"):
        jobs.start(settings, run_id)
    with pytest.raises(ConflictError, match="nothing to stop"):
        jobs.stop(settings, run_id)
    jobs.delete(settings, run_id)
    assert jobs.listed(settings) == [] and not (settings.runs_folder / run_id).exists()


def test_runs_queue_rather_than_fight(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "1.5")
    first, second, third = (make(settings, title) for title in "abc")
    jobs.start(settings, first)
    wait_for(settings, first, "running")
    jobs.start(settings, third)
    wait_until(lambda: "queued" in jobs.read(settings, third).status)
    jobs.start(settings, second)
    wait_until(lambda: "queued" in jobs.read(settings, second).status)
    places = {view.id: (view.state, view.queue_position) for view in jobs.listed(settings)}
    assert places == {first: ("running", None), third: ("queued", 1), second: ("queued", 2)}
    assert jobs.read(settings, second).queue_position == 2
    jobs.stop(settings, third)
    assert wait_for(settings, third, "stopped").metrics == []
    jobs.stop(settings, first)
    assert wait_for(settings, first, "stopped").state == "stopped"
    assert wait_for(settings, second, "running").queue_position is None


def test_stop_keeps_and_resume_goes_on_from_the_checkpoint(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "0.05")
    run_id = make(settings, max_steps=40)
    jobs.start(settings, run_id)
    wait_until(lambda: (jobs.read(settings, run_id).checkpoint_step or 0) >= 5)
    jobs.stop(settings, run_id)
    stopped = wait_for(settings, run_id, "stopped")
    assert stopped.can_resume and not stopped.error
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "0.001")
    jobs.start(settings, run_id)
    done = wait_for(settings, run_id, "finished")
    assert steps_of(done) == list(range(1, 41)) and steps_of(done, "eval_loss") == list(range(0, 41, 5))
    assert done.status["started"] == stopped.status["started"]
    raw = (settings.runs_folder / run_id / "metrics.jsonl").read_text().strip().split("\n")
    assert len(raw) >= len(done.metrics)


def test_a_stop_that_comes_while_the_child_still_starts_is_heard(settings: Settings) -> None:
    """The child removes the stop file of its earlier life at its start, and no younger one."""
    folder = settings.runs_folder / make(settings)
    run, stop = Run(folder), folder / STOP_FILE
    stop.touch()
    run.forget_stop()
    assert stop.exists() and run.is_stop_asked
    os.utime(stop, (1, 1))
    run.forget_stop()
    assert not stop.exists()


def test_killed_at_any_moment_nothing_that_was_done_is_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "0.01")
    chance, run_id, seen, kept = random.Random(4), make(settings, max_steps=60), 0, 0
    for _ in range(6):
        jobs.start(settings, run_id)
        time.sleep(chance.uniform(0.05, 0.9))
        kill(settings, run_id) if jobs.read(settings, run_id).is_alive else None
        view = wait_for(settings, run_id, "failed", "finished")
        if view.state == "failed":
            assert view.can_resume
            wait_until(lambda: "killed (SIGKILL)" in str(jobs.read(settings, run_id).error))
        assert len(steps_of(view)) >= seen and (view.checkpoint_step or 0) >= kept
        assert steps_of(view) == list(range(1, len(steps_of(view)) + 1))
        seen, kept = len(steps_of(view)), view.checkpoint_step or 0
        if view.state == "finished":
            break
    else:
        jobs.start(settings, run_id)
    assert steps_of(wait_for(settings, run_id, "finished")) == list(range(1, 61))


def test_what_a_kill_left_half_written_in_a_run_is_settled(settings: Settings) -> None:
    run_id, at_work = make(settings), make(settings, "another")
    for name in (run_id, at_work):
        folder = settings.runs_folder / name
        for place in ("checkpoints/checkpoint-5.part", "exports/onnx/.export-x.part", "served.part", "model.before"):
            (folder / place).mkdir(parents=True)
        (folder / "exports" / "onnx" / f".{name}.zip.part").touch()
    pid = {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
    write_json(settings.runs_folder / at_work / "status.json", {"state": "running", **pid})
    (settings.runs_folder / f".new-{run_id}").mkdir()
    os.utime(settings.runs_folder / f".new-{run_id}", (1, 1))
    jobs.sweep(settings)
    write_json(settings.runs_folder / at_work / "status.json", {"state": "stopped"})  # whose process is this one
    killed = settings.runs_folder / run_id
    assert not list(killed.rglob("*.part")) and (killed / "model").is_dir()
    assert len(list((settings.runs_folder / at_work).rglob("*.part"))) == 4
    assert not (settings.runs_folder / f".new-{run_id}").exists()


PARENT = """
import sys, time
from dataclasses import replace
from pathlib import Path
from engine.jobs.kinds import training
from engine.settings import Settings
from engine.training import runs as jobs
training.KIND = replace(training.KIND, program="tests.training.stand_in")
settings = Settings(runs_folder=Path(sys.argv[1]))
rows = [{"text": "t", "label": "a"}, {"text": "u", "label": "b"}]
run_id = jobs.create(settings, {"task": "classification", "base": "b", "max_steps": 40}, rows, rows, title="One")
print(run_id, flush=True)
jobs.start(settings, run_id)
print("started", flush=True)
time.sleep(600)
"""
READER = """
import json, sys
from pathlib import Path
from engine.settings import Settings
from engine.training import runs as jobs
view = jobs.read(Settings(runs_folder=Path(sys.argv[1])), sys.argv[2])
heavy = [name for name in ("torch", "transformers", "xllamacpp", "pandas") if name in sys.modules]
print(json.dumps([view.title, view.state, view.is_alive, [row["step"] for row in view.metrics], heavy]))
"""


def ask_a_new_process(folder: Path, run_id: str) -> Any:
    ran = subprocess.run([sys.executable, "-c", READER, folder, run_id], cwd=ROOT, capture_output=True, check=True)
    return json.loads(ran.stdout)


def test_the_run_outlives_its_server_and_a_new_one_reads_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is killed with its whole session's processes; the child has a session of its own."""
    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "0.1")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, settings.runs_folder], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        run_id = server.stdout.readline().strip()
        assert server.stdout.readline() == "started\n"
        wait_until(lambda: jobs.read(settings, run_id).metrics)
        os.killpg(server.pid, signal.SIGKILL)
    title, state, is_alive, steps, heavy = ask_a_new_process(settings.runs_folder, run_id)
    assert (title, state, is_alive, heavy) == ("One", "running", True, [])
    assert steps == sorted(steps) and len(steps) > 0
    jobs.stop(settings, run_id)
    assert wait_for(settings, run_id, "stopped").is_alive is False


@pytest.mark.parametrize("moment", ["before the child", "before its number is noted"])
def test_a_server_killed_while_it_starts_a_run_leaves_no_riddle(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    run_id = make(settings)
    folder = settings.runs_folder / run_id
    if moment == "before the child":
        monkeypatch.setattr(work, "launch", lambda *_: None)
    jobs.start(settings, run_id)
    if moment != "before the child":
        (folder / "launch.json").unlink()
        assert wait_for(settings, run_id, "finished").error == ""
        return
    assert jobs.read(settings, run_id).is_alive
    with pytest.raises(ConflictError):
        jobs.start(settings, run_id)
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"updated": time.time() - 2 * reading.GRACE_SECONDS}))
    gone = jobs.read(settings, run_id)
    assert (gone.state, gone.can_resume) == ("failed", True) and "before the process began" in str(gone.error)


def test_a_child_that_cannot_even_begin_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "KIND", replace(training.KIND, program="engine.training.no_such_module"))
    run_id = make(settings)
    jobs.start(settings, run_id)
    view = wait_for(settings, run_id, "failed")
    wait_until(lambda: "status 1" in str(jobs.read(settings, run_id).error))
    assert "no_such_module" in view.log_tail


ENDS = [
    (str(int(signal.SIGKILL)), "killed (SIGKILL)"),
    (str(int(signal.SIGSEGV)), "crashed (SIGSEGV)"),
    ("status 3", "ended with status 3"),
]


@pytest.mark.parametrize(("how", "words"), ENDS)
def test_how_a_child_ended_is_told_with_what_it_held(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, how: str, words: str
) -> None:
    monkeypatch.setenv("PARLANCE_STAND_IN_END", how)
    run_id = make(settings)
    jobs.start(settings, run_id)
    wait_for(settings, run_id, "failed")
    wait_until(lambda: (settings.runs_folder / run_id / "exit.json").exists())
    view = jobs.read(settings, run_id)
    assert words in str(view.error) and "GB were free" in str(view.error)
    assert "begins again" in str(view.advice)
    assert steps_of(view) == [1, 2, 3, 4]


def dead_run(settings: Settings, **status: Any) -> Path:
    """A run whose process is gone, with a status of before its end."""
    folder = settings.runs_folder / make(settings)
    values = {"state": "running", "pid": 2**22 + 1, "process_started": 1.0, "step": 7, "max_steps": 12}
    memory = {"memory_bytes": 2 * 2**30, "free_memory_bytes": 8 * 2**30, "updated": time.time()}
    (folder / "status.json").write_text(json.dumps(values | memory | status))
    return folder


def test_memory_that_was_short_when_last_seen_is_the_likely_cause(settings: Settings) -> None:
    folder = dead_run(settings, free_memory_bytes=90 * 2**20)
    (folder / "checkpoints" / "checkpoint-5").mkdir(parents=True)
    view = jobs.listed(settings)[0]
    assert (view.state, view.checkpoint_step) == ("failed", 5)
    assert (
        "held 2.1 GB" in str(view.error)
        and "94 MB were free" in str(view.error)
        and "Memory was short" in str(view.error)
    )
    assert "batch_size" in str(view.advice) and "from step 5" in str(view.advice)


def test_a_kill_by_the_system_for_want_of_memory_is_known_by_its_count(settings: Settings) -> None:
    folder = dead_run(settings)
    (folder / "launch.json").write_text(json.dumps({"pid": 2**22 + 1, "out_of_memory_kills": 3}))
    ended = {"pid": 2**22 + 1, "returncode": -9, "out_of_memory_kills": 4}
    (folder / "exit.json").write_text(json.dumps(ended))
    assert "Memory was short" in str(jobs.read(settings, folder.name).error)
    (folder / "exit.json").write_text(json.dumps(ended | {"out_of_memory_kills": 3}))
    assert "Memory was short" not in str(jobs.read(settings, folder.name).error)


def test_a_full_disk_a_restart_and_a_silent_end_are_told_apart(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dead_run(settings)
    assert "gone without a word" in str(jobs.read(settings, folder.name).error)
    monkeypatch.setattr(psutil, "boot_time", lambda: time.time() + 5)
    assert "restarted" in str(jobs.read(settings, folder.name).error)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    view = jobs.read(settings, folder.name)
    assert "disk is full" in str(view.error) and "Free some space" in str(view.advice)


def test_a_number_that_another_process_got_later_is_not_the_run(settings: Settings) -> None:
    folder = dead_run(settings, pid=os.getpid())
    view = jobs.read(settings, folder.name)
    assert view.state == "failed" and not view.is_alive
    with pytest.raises(ConflictError):
        jobs.stop(settings, folder.name, is_now=True)
    jobs.delete(settings, folder.name)


def test_what_the_child_says_itself_stays(settings: Settings) -> None:
    words = {"error": "Memory ran out during training.", "advice": "Lower batch_size."}
    folder = dead_run(settings, state="failed", **words)
    view = jobs.read(settings, folder.name)
    assert (view.error, view.advice, view.can_resume) == (*words.values(), True)


def fill_with_runs(settings: Settings, count: int) -> None:
    folder = dead_run(settings, state="finished")
    lines = "".join(json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\n" for step in range(1000))
    (folder / "metrics.jsonl").write_text(lines)
    for number in range(count - 1):
        shutil.copytree(folder, folder.with_name(f"run-{number:03}"))


def test_two_hundred_runs_are_listed_again_without_reading_a_file_that_did_not_change(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_with_runs(settings, 200)
    reads: list[str] = []
    whole, opened = Path.read_text, Path.open
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **b: (reads.append(path.name), whole(path, *a, **b))[1])
    monkeypatch.setattr(Path, "open", lambda path, *a, **b: (reads.append(path.name), opened(path, *a, **b))[1])
    assert len(jobs.listed(settings)) == 200
    assert "metrics.jsonl" not in reads and reads
    reads.clear()
    assert len(jobs.listed(settings)) == 200 and reads == []
    jobs.read(settings, "run-007")
    assert "metrics.jsonl" in reads
    reads.clear()
    assert len(jobs.read(settings, "run-007").metrics) == 1000 and "metrics.jsonl" not in reads
    with (settings.runs_folder / "run-007" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1000, "loss": 0.1}\n')
    assert len(jobs.read(settings, "run-007").metrics) == 1001


def damage_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def lose_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def damage_status(folder: Path) -> None:
    (folder / "status.json").write_bytes(b"\xff\x00{]")


def put_a_list_into_status(folder: Path) -> None:
    (folder / "status.json").write_text("[1, 2]")


def put_words_for_numbers(folder: Path) -> None:
    values = {"state": "running", "pid": "many", "process_started": "x", "step": "few", "max_steps": {}}
    (folder / "status.json").write_text(json.dumps(values))


def put_folders_for_files(folder: Path) -> None:
    for name in ("status.json", "metrics.jsonl", "samples.jsonl", "log.txt", "about.json"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()


def damage_the_rest(folder: Path) -> None:
    for name in ("metrics.jsonl", "samples.jsonl", "log.txt", "about.json", "launch.json", "exit.json"):
        (folder / name).write_bytes(b'\xfe\x00\n{"step": null}\n[3]\n{"step": 2, "loss": 1}\n{"st')
    (folder / "checkpoints").write_text("no folder")


def empty_it(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGES = [
    damage_config, lose_config, damage_status, put_a_list_into_status, put_words_for_numbers, put_folders_for_files,
    damage_the_rest, empty_it,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_folder_is_shown_as_such_and_never_in_the_way(
    settings: Settings, damage: Callable[[Path], None]
) -> None:
    good, bad = make(settings, "good"), dead_run(settings, state="stopped")
    damage(bad)
    listed = {view.id: view for view in jobs.listed(settings)}
    assert listed[good].title == "good" and listed[bad.name].id == bad.name
    view = jobs.read(settings, bad.name)
    if damage is damage_the_rest:
        assert view.state == "stopped" and steps_of(view) == [2]
    else:
        assert view.error and view.advice and not view.is_alive
    if view.config is None:
        with pytest.raises(ConflictError, match="cannot be started"):
            jobs.start(settings, bad.name)
    jobs.delete(settings, bad.name)
    assert [view.id for view in jobs.listed(settings)] == [good]


def test_what_is_no_run_is_not_listed(settings: Settings) -> None:
    run_id = make(settings)
    for name in (".new-x", ".deleted-y", "Upper", "with space"):
        (settings.runs_folder / name).mkdir()
    for name in ("a-file", ".gone.lock", ".lock"):
        (settings.runs_folder / name).touch()
    assert [view.id for view in jobs.listed(settings)] == [run_id]
    make(settings)
    assert not (settings.runs_folder / ".gone.lock").exists() and (settings.runs_folder / ".lock").exists()
    assert not (settings.runs_folder / ".deleted-y").exists() and (settings.runs_folder / ".new-x").exists()


def test_notes_differences_and_the_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(settings, learning_rate=1e-3), make(settings, learning_rate=2e-3, base="other")
    third = jobs.create(settings, VALUES, ROWS[:3], ROWS[:2], title="t")
    jobs.annotate(settings, first, "New *name*", "It learned.\nWell.")
    view = jobs.read(settings, first)
    assert (view.title, view.note) == ("New *name*", "It learned.\nWell.")
    rows = {row["setting"]: row for row in jobs.differing(settings, [first, second])}
    assert set(rows) == {"learning_rate", "base"} and rows["learning_rate"][second] == 2e-3
    data = {row["setting"] for row in jobs.differing(settings, [first, third])}
    assert data == {"learning_rate", "train_rows", "data"}
    assert jobs.differing(settings, [first]) == []
    monkeypatch.chdir(settings.runs_folder.parent)
    assert jobs.command(first, settings) == f"python -m engine.training.train runs/{first}"


def test_two_clicks_at_once_start_one_child(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setenv("PARLANCE_STAND_IN_SECONDS", "0.2")
    run_id = make(settings)

    def press(_: int) -> str:
        try:
            jobs.start(settings, run_id)
        except PeopleError as error:
            return str(error)
        return "started"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(press, range(4)))
    assert answers.count("started") == 1
    wait_for(settings, run_id, "running")
    folder = str(settings.runs_folder / run_id)
    children = [child for child in psutil.Process().children() if folder in child.cmdline()]
    assert len(children) == 1
