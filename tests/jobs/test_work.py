"""Jobs of kinds that a host's folder brings: in a process, in the server, stopped, ended, in a queue, with a secret."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from benches import Bench
from fakes import HOST, VISITOR

from engine import priority
from engine.errors import BusyError, ConflictError, InputError, NotFoundError, NotReadyError
from engine.jobs import askers, child, folder, launching, process, sweeping, turns, work
from engine.jobs.folder import BEAT_FILE, STOP_FILE, Job
from engine.jobs.kinds import HEAVY, JobKind, kinds
from engine.jobs.work import JobView
from engine.serving.protocol import Caller
from engine.settings import Settings, current

PATIENCE_SECONDS = 60
COUNT = '''"""Counts, in a process of its own."""

import os
import subprocess
import time

from engine.errors import InputError
from engine.jobs.kinds import JobKind

KIND = JobKind("count", "Counting", __name__, queue="counting", max_seconds=40.0)


def work(job):
    config = job.config
    if config.get("bad"):
        raise InputError("{count} is too many.", count=7, param="count")
    if config.get("broken"):
        raise ZeroDivisionError("a bug")
    if config.get("child"):
        subprocess.Popen(["sleep", "300"])
    print("counting to", config["count"], flush=True)
    for number in range(config["count"]):
        job.advance(number + 1, config["count"])
        job.record({"step": number + 1, "time": time.time()})
        time.sleep(config["seconds"])
    with job.placed("result") as folder:
        (folder / "counted.txt").write_text(str(config["count"]))
    facts = {name: os.environ.get(name, "") for name in ("HF_TOKEN", "HF_HUB_OFFLINE")}
    return facts | {"length": len(job.secret), "secret": job.secret, "nice": os.nice(0), "session": os.getsid(0)}
'''
ASK = '''"""Asks a model again and again, in the server."""

from engine.jobs.folder import Stopped
from engine.jobs.kinds import JobKind
from engine.requests import Generate, Sampling

KIND = JobKind("ask", "Asking", __name__, runs_in="server")


def work(job, house):
    said = []
    for number, text in enumerate(job.config["texts"]):
        job.advance(number, len(job.config["texts"]))
        request = Generate(text, sampling=Sampling(job.config["tokens"], 0.0))
        events = house.engine.stream("a", request, job.caller)
        try:
            for event in events:
                if job.is_stop_asked:
                    raise Stopped
        finally:
            events.close()
        said.append(event.result.text)
    return {"said": said, "priority": job.caller.priority, "id": job.caller.id}
'''


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a runs folder, and kinds of jobs in the host's folder; what was started is ended afterwards."""
    folder = tmp_path / "extensions" / "jobs" / "kinds"
    folder.mkdir(parents=True)
    (folder / "count.py").write_text(COUNT)
    (folder / "ask.py").write_text(ASK)
    monkeypatch.setenv("PARLANCE_EXTENSIONS", str(tmp_path / "extensions"))
    current.cache_clear()
    made = Settings(runs_folder=tmp_path / "runs", training_nice=12)
    yield made
    for view in work.listed(made):
        if view.is_alive:
            work.stop(view.folder, is_now=True)
    current.cache_clear()
    for name in ("count", "ask"):
        sys.modules.pop(f"parlance_extensions.jobs.kinds.{name}", None)


def begin(settings: Settings, count: int = 3, seconds: float = 0.01, secret: str = "", **values: Any) -> str:
    asked = {name: values.pop(name) for name in ("caller", "is_here") if name in values}
    subject = str(values.pop("subject", "it"))
    config = {"count": count, "seconds": seconds} | values
    return work.begin(settings, "count", config, title="To three", subject=subject, secret=secret, **asked)


def wait_until(is_so: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := is_so()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return value


def ended(settings: Settings, job_id: str) -> JobView:
    wait_until(lambda: not work.read(settings, job_id).is_alive)
    return work.read(settings, job_id)


def test_a_kind_of_the_hosts_folder_is_found_beside_our_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"training", "average", "export", "publish", "use", "compare", "probe", "translate-file", "sentiment-file"}
    ours |= {"why", "retell"}
    assert set(kinds()) == ours | {"count", "ask"} and kinds()["count"].title == "Counting"
    monkeypatch.delenv("PARLANCE_EXTENSIONS")
    current.cache_clear()
    assert set(kinds()) == ours


def test_a_job_from_start_to_end(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    began = time.monotonic()
    job_id = begin(settings, 4, 0.05)
    assert time.monotonic() - began < 2
    job = ended(settings, job_id)
    assert (job.state, job.kind, job.title, job.subject, job.progress) == ("finished", "count", "To three", "it", 1.0)
    assert (job.folder / "result" / "counted.txt").read_text() == "4" and not list(job.folder.glob("*.part"))
    assert "counting to 4" in (job.folder / "log.txt").read_text()
    assert job.result["HF_TOKEN"] == "" and job.result["HF_HUB_OFFLINE"] == "1"
    assert job.result["nice"] >= 12 and job.result["session"] == job.status["pid"]
    assert work.latest(settings, "count", "it") == job and work.latest(settings, "count", "else") is None
    job.check()
    work.delete(settings, job_id)
    assert work.listed(settings) == []


def test_a_job_is_stopped_at_once_with_all_that_it_started(settings: Settings) -> None:
    job_id = begin(settings, 1000, 0.05, child=True)
    job = wait_until(lambda: (view := work.read(settings, job_id)).progress and view)
    (sleeper,) = psutil.Process(job.status["pid"]).children()
    with pytest.raises(ConflictError, match="at work"):
        work.delete(settings, job_id)
    began = time.monotonic()
    assert "ended" in str(work.stop(job.folder, is_now=True))
    assert time.monotonic() - began < 2
    job = ended(settings, job_id)
    assert (job.state, str(job.error)) == ("stopped", "") and not (job.folder / "result").exists()
    wait_until(lambda: not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(ConflictError, match="nothing to stop"):
        work.stop(job.folder)


def test_a_job_that_is_asked_to_stop_says_so_itself(settings: Settings) -> None:
    job_id = begin(settings, 1000, 0.05)
    job = wait_until(lambda: (view := work.read(settings, job_id)).progress and view)
    work.stop(job.folder)
    assert ended(settings, job_id).state == "stopped"
    wait_until(lambda: (job.folder / "exit.json").exists())
    assert work.read(settings, job_id).state == "stopped"


def test_why_a_job_failed_is_told_as_its_process_raised_it(settings: Settings) -> None:
    job = ended(settings, begin(settings, bad=True))
    assert (job.state, str(job.error)) == ("failed", "7 is too many.")
    with pytest.raises(InputError, match="7 is too many") as caught:
        job.check()
    assert caught.value.param == "count"
    job = ended(settings, begin(settings, broken=True))
    with pytest.raises(NotReadyError, match="ZeroDivisionError: a bug"):
        job.check()
    assert "Traceback" in (job.folder / "log.txt").read_text()


def test_a_killed_job_tells_the_truth(settings: Settings) -> None:
    job_id = begin(settings, 1000, 0.05)
    job = wait_until(lambda: (view := work.read(settings, job_id)).progress and view)
    process.kill_group(job.status["pid"])
    job = ended(settings, job_id)
    assert job.state == "failed"
    wait_until(lambda: "killed (SIGKILL)" in str(work.read(settings, job_id).error))


def test_what_takes_too_long_is_ended(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "extensions" / "jobs" / "kinds" / "count.py"
    file.write_text(COUNT.replace("max_seconds=40.0", "max_seconds=0.5"))
    job = ended(settings, begin(settings, 1000, 0.05))
    assert job.state == "failed" and "more than 0 s" in str(job.error)


def test_jobs_of_one_queue_work_in_turn_and_the_same_is_not_begun_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin(settings, 1000, 0.05)
    wait_until(lambda: work.read(settings, first).state == "running")
    with pytest.raises(ConflictError, match="at work already"):
        begin(settings)
    second = begin(settings, subject="another")
    wait_until(lambda: "queue" in work.read(settings, second).status)
    assert work.read(settings, second).state == "queued"
    monkeypatch.setattr(work, "MAX_LIVE", 2)
    with pytest.raises(BusyError, match="2 jobs are at work"):
        begin(settings, subject="a third")
    work.stop(work.read(settings, first).folder)
    assert ended(settings, second).state == "finished"


def test_what_computes_in_a_process_of_its_own_waits_in_one_queue() -> None:
    """Eight who ask for comparisons, checks and exports have one of them computed at a time."""
    ours = kinds()
    assert {ours[id].queue for id in ("compare", "export", "probe", "publish", "use")} == {HEAVY}


def age(folder: Path) -> None:
    """Make the signs of life of a job's process look two minutes old."""
    past = time.time() - 120
    for name in (BEAT_FILE, "status.json"):
        os.utime(folder / name, (past, past))


def test_a_child_that_hangs_is_told_stopped_and_killed_and_the_queue_goes_on(settings: Settings) -> None:
    first = begin(settings, 1000, 0.05)
    wait_until(lambda: work.read(settings, first).state == "running")
    others = [begin(settings, subject=str(number)) for number in range(2)]
    wait_until(lambda: all(work.read(settings, id).status.get("queued") for id in others))
    in_line = turns.waiting(work.read(settings, first).folder.parent, "counting")
    hung = [work.read(settings, id) for id in (first, in_line[0])]
    for job in hung:
        assert not job.is_silent
        os.kill(job.status["pid"], signal.SIGSTOP)
        wait_until(lambda job=job: psutil.Process(job.status["pid"]).status() == psutil.STATUS_STOPPED)
        age(job.folder)
        assert work.read(settings, job.id).is_silent and work.read(settings, job.id).is_alive
    work.stop(hung[0].folder)
    age(hung[0].folder)
    asked = work.read(settings, first)
    assert asked.is_alive and asked.is_stopping and asked.is_silent, "a stopped process hears no SIGTERM"
    work.stop(asked.folder, is_now=True)
    assert ended(settings, first).state == "stopped"
    assert ended(settings, in_line[1]).state == "finished", "the other that hangs has no turn"
    work.stop(hung[1].folder, is_now=True)
    assert ended(settings, in_line[0]).state == "stopped"


def test_a_process_gives_signs_of_life(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder, "BEAT_SECONDS", 0.01)
    looks: list[int] = []
    (tmp_path / "status.json").touch()
    with folder.beating(tmp_path, lambda: looks.append(1)):
        age(tmp_path)
        wait_until(lambda: not folder.is_silent(tmp_path) and looks)
    wait_until(lambda: age(tmp_path) or folder.is_silent(tmp_path))
    assert not folder.is_silent(tmp_path / "none")


# Who asks.


@pytest.mark.parametrize(
    "kind", ["training", "average", "compare", "export", "probe", "publish", "use", "translate-file", "count", "ask"]
)
def test_a_visitor_begins_no_job_and_ends_none_of_others(settings: Settings, kind: str) -> None:
    with pytest.raises(ConflictError, match="public site"):
        work.begin(settings, kind, {}, caller=VISITOR)
    assert not (settings.runs_folder / work.FOLDER).exists()
    if kind != "count":
        return
    job_id = begin(settings, 1000, 0.05, caller=HOST)
    path = work.read(settings, job_id).folder
    for change in (lambda: work.stop(path, caller=VISITOR), lambda: work.delete(settings, job_id, VISITOR)):
        with pytest.raises(ConflictError, match="public site"):
            change()
    assert work.read(settings, job_id).is_alive


@pytest.mark.parametrize("who", ["host", "member", "visitor"])
def test_what_leaves_nothing_ends_when_its_asker_goes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: Any
) -> None:
    monkeypatch.setattr(launching, "GONE_SECONDS", 1.0)
    monkeypatch.setattr(launching, "LOOK_SECONDS", 0.02)
    file = tmp_path / "extensions" / "jobs" / "kinds" / "count.py"
    file.write_text(COUNT.replace('queue="counting"', 'action="ask", is_kept=False'))
    here = threading.Event()
    here.set()
    job_id = begin(settings, 1000, 0.02, caller=Caller("ada", who), is_here=here.is_set)
    wait_until(lambda: work.read(settings, job_id).progress > 0.02)
    here.clear()
    if who != "host":
        assert ended(settings, job_id).state == "stopped"
        return
    step = work.read(settings, job_id).progress
    wait_until(lambda: work.read(settings, job_id).progress > step + 0.02)
    work.stop(work.read(settings, job_id).folder, caller=Caller("ada"))
    assert ended(settings, job_id).state == "stopped", "whoever asked for it may end it"


@pytest.mark.parametrize(("role", "is_kept", "is_ended"), [
    ("visitor", False, True), ("visitor", True, False), ("member", False, True), ("host", False, False),
])  # fmt: skip
def test_a_visitors_work_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: Any, is_kept: bool, is_ended: bool
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(child, "kill_group", killed.append)
    monkeypatch.setattr(os, "getppid", lambda: 4242)
    askers.describe(tmp_path, "probe", caller=Caller("ada", role))
    look = child._orphan_watch(Job(tmp_path), replace(kinds()["probe"], is_kept=is_kept))
    look()
    assert killed == []
    monkeypatch.setattr(os, "getppid", lambda: 1)
    look()
    assert killed == [os.getpid()] * is_ended


@pytest.mark.parametrize("has_network", [False, True])
@pytest.mark.parametrize("has_tokens", [False, True])
def test_a_child_gets_a_clean_environment(monkeypatch: pytest.MonkeyPatch, has_network: bool, has_tokens: bool) -> None:
    kept = {"PATH": "/bin", "PARLANCE_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0", "LC_ALL": "C"}
    secrets = {"AWS_SECRET_ACCESS_KEY": "1", "OPENAI_API_KEY": "2", "DATABASE_URL": "3", "SMTP_PASSWORD": "4"}
    secrets |= {"PARLANCE_DATABASE": "postgresql://parlance:5@localhost/parlance", "PARLANCE_METRICS_TOKEN": "6"}
    network = {"https_proxy": "http://proxy", "PIP_INDEX_URL": "http://index", "SSL_CERT_FILE": "/a.pem"}
    tokens = {"HF_TOKEN": "5", "HUGGING_FACE_HUB_TOKEN": "6"}
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name, value in (kept | secrets | network | tokens).items():
        monkeypatch.setenv(name, value)
    given = process.clean_environment(has_network, has_tokens)
    assert given.items() >= kept.items() and not secrets.keys() & given.keys()
    assert (network.keys() <= given.keys()) is has_network and (given.get("HF_HUB_OFFLINE") == "1") is not has_network
    assert (tokens.keys() <= given.keys()) is has_tokens and bool(tokens.keys() & given.keys()) is has_tokens
    assert (given.get("HF_HUB_DISABLE_IMPLICIT_TOKEN") == "1") is not has_tokens


def test_a_secret_reaches_the_process_and_no_file(settings: Settings) -> None:
    secret = "hf_a-secret-of-the-test"
    job = ended(settings, begin(settings, secret=secret))
    assert job.result["length"] == len(secret) and job.result["secret"] == "…"
    for path in settings.runs_folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_what_is_no_job_is_not_found(settings: Settings) -> None:
    begin(settings)
    for name in ("", "..", "../x", "a/b", None, "gone"):
        with pytest.raises(NotFoundError):
            work.read(settings, name)  # type: ignore[arg-type]


def test_jobs_that_ended_long_ago_are_swept_away(settings: Settings) -> None:
    old = ended(settings, begin(settings))
    past = time.time() - 2 * JobKind.kept_seconds

    def is_swept() -> bool:
        with suppress(FileNotFoundError):  # its last words may come after its end is told, and make it young again
            os.utime(old.folder, (past, past))
        work._sweep(settings)
        return not old.folder.exists()

    wait_until(is_swept)
    new = begin(settings)
    assert [view.id for view in work.listed(settings)] == [new]


def test_what_a_kill_left_half_written_is_settled_and_nothing_of_one_at_work(settings: Settings) -> None:
    jobs = [begin(settings, 1000, 0.05, subject=str(number)) for number in range(2)]
    views = [wait_until(lambda id=id: (view := work.read(settings, id)).status.get("queue") and view) for id in jobs]
    killed, other = views if views[0].state == "running" else views[::-1]
    process.kill_group(killed.status["pid"])
    ended(settings, killed.id)
    for view in (killed, other):
        for name in ("half.part", "result.part", "result.before"):
            (view.folder / name).mkdir()
            (view.folder / name / "piece").write_text(name)
    (half := killed.folder / f"status.json.{2**22 + 1}.new").touch()
    work.sweep(settings)
    assert (killed.folder / "half.part").exists(), "it gave a sign of life just now, perhaps on another machine"
    age(killed.folder)
    work.sweep(settings)
    assert not list(killed.folder.glob("*.part")) and not half.exists()  # who waited for it may be writing how it ended
    assert (killed.folder / "result" / "piece").read_text() == "result.before", "a kill came between two renames"
    assert len(list(other.folder.glob("*.part"))) == 2


def test_many_jobs_of_one_kind_sweep_none_of_another_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What visitors may begin as often as they like makes room for its own kind."""
    monkeypatch.setattr(sweeping, "MAX_KEPT", 2)
    jobs = settings.runs_folder / askers.FOLDER
    for number, name in enumerate(("ask-0", *(f"count-{number}" for number in range(4)))):
        (jobs / name).mkdir(parents=True)
        askers.describe(jobs / name, name.partition("-")[0])
        (jobs / name / "status.json").write_text('{"state": "finished"}')
        os.utime(jobs / name, (now := time.time() - 60 + number, now))
    work._sweep(settings)
    assert {view.id for view in work.listed(settings)} == {"ask-0", "count-2", "count-3"}


# In the server.


def ask(settings: Settings, bench: Bench, texts: list[str], tokens: int = 3) -> str:
    config = {"texts": texts, "tokens": tokens}
    caller = work.HOST
    return work.begin(settings, "ask", config, title="Three texts", house=bench.house, caller=caller)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own policy")
def test_what_nobody_waits_for_has_the_processor_where_nothing_else_wants_it() -> None:
    last, long = (process.start(["sleep", "60"], nice=nice) for nice in (priority.LAST, priority.LONG))
    assert [os.sched_getscheduler(one.pid) for one in (last, long)] == [os.SCHED_IDLE, os.SCHED_OTHER]
    assert [os.getpriority(os.PRIO_PROCESS, one.pid) for one in (last, long)] == [19, 15]
    for one in (last, long):
        process.end(one)


def test_a_job_in_the_server_asks_models_with_low_priority(settings: Settings) -> None:
    bench = Bench()
    job = ended(settings, ask(settings, bench, ["one", "two"]))
    assert (job.state, job.result["said"]) == ("finished", ["one one one ", "two two two "])
    assert job.result["priority"] == "low" and len(bench.backends["a"].seen) == 2
    bench.engine.close()


def test_a_job_in_the_server_is_stopped_within_a_step(settings: Settings) -> None:
    bench = Bench()
    job_id = ask(settings, bench, ["word " * 9] * 50, tokens=200)
    wait_until(lambda: "a" in bench.backends)
    bench.backends["a"].step_seconds = 0.05
    wait_until(lambda: bench.backends["a"].steps)
    began = time.monotonic()
    assert "moment" in str(work.stop(work.read(settings, job_id).folder))
    assert ended(settings, job_id).state == "stopped" and time.monotonic() - began < 2
    bench.engine.close()


def test_a_job_of_a_server_that_is_gone_failed(settings: Settings) -> None:
    bench = Bench()
    job = ended(settings, ask(settings, bench, ["one"]))
    told = Job(job.folder)
    told._status |= {"pid": 2**22 + 1}
    told.update("running")
    job = work.read(settings, job.id)
    assert job.state == "failed" and "gone without a word" in str(job.error)
    assert not (job.folder / STOP_FILE).exists()
    bench.engine.close()
