"""Models in a process of their own: the same answers, cancels, errors in their own words, and what a kill costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from engine import priority
from engine.backends import loader
from engine.backends.apart.child import SHORT_BYTES
from engine.backends.apart.parent import Apart, Child, FarBackend
from engine.backends.footprint import measured_bytes
from engine.backends.protocol import Backend
from engine.errors import ContextError, InputError, MemoryShortError, NotReadyError
from engine.inspections import Attend, Tokenize
from engine.requests import Classify, Embed, Extract, Generate, Request, Sampling
from engine.settings import Settings
from tests.backends import checkpoints
from tests.backends.checkpoints import KeptJob, bert, entry

SETTINGS = Settings(device="cpu", dtype="float32", threads=1)
GREEDY = Sampling(max_new_tokens=12, temperature=0.0, seed=1)
LONG = Sampling(max_new_tokens=50, temperature=0.0, seed=1)


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    made = Apart()
    yield made
    made.close()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: Any) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("apart")
    return {
        "classification": bert(folder / "classifier", "SequenceClassification", num_labels=3),
        "embedding": bert(folder / "embedder", ""),
        "extraction": bert(folder / "reader", "QuestionAnswering", null_threshold=0.4),
        "causal": checkpoints.gpt2(folder / "writer"),
    }


def opened(kind: str, folders: dict[str, Path], apart: Apart | None) -> Backend:
    """A model, loaded as the engine loads it."""
    model, path = entry(kind), folders[kind]
    (runtime,) = loader.runtimes_for(model, path, SETTINGS)
    return loader.load(model, path, SETTINGS, runtime, apart)


def ran(backend: Backend, *requests: Request) -> list[KeptJob]:
    jobs = [KeptJob(request) for request in requests]
    backend.run(jobs)
    return jobs


@pytest.mark.parametrize(
    ("kind", "request_of"),
    [
        ("classification", Classify("Good films are rare.")),
        ("embedding", Embed("the old stone bridge")),
        ("extraction", Extract("Who?", "Marie Curie discovered polonium in 1898.")),
        ("causal", Generate("Once upon a time", sampling=GREEDY, top_logprobs=2, is_scored=True)),
        ("causal", Attend("Once upon a time")),
        ("causal", Tokenize("Once upon a time")),
    ],
)
def test_it_answers_there_as_it_does_here(
    kind: str, request_of: Request, folders: dict[str, Path], apart: Apart
) -> None:
    here, there = opened(kind, folders, None), opened(kind, folders, apart)
    assert isinstance(there, FarBackend) and not isinstance(here, FarBackend)
    (one,), (other,) = ran(here, request_of), ran(there, request_of)
    assert other.error is None and other.texts == one.texts and other.tokens == one.tokens
    if isinstance(one.result, type(other.result)) and hasattr(one.result, "first_token_seconds"):
        one.result = replace(one.result, first_token_seconds=None, tokens_per_second=None)
        other.result = replace(other.result, first_token_seconds=None, tokens_per_second=None)
    assert repr(other.result) == repr(one.result)
    for name in ("tasks", "concurrency", "batch", "device", "dtype", "context_tokens", "memory_bytes", "takes_turns"):
        assert getattr(there, name) == getattr(here, name), name
    assert there.count_tokens("good films") == here.count_tokens("good films")
    here.close()
    there.close()


def test_what_is_wrong_with_a_request_is_said_in_its_own_words(folders: dict[str, Path], apart: Apart) -> None:
    backend = opened("causal", folders, apart)
    long, fine = ran(backend, Generate("sea " * 400, sampling=GREEDY), Generate("sea", sampling=GREEDY))
    assert isinstance(long.error, ContextError) and long.error.param == "prompt"
    assert "takes at most" in str(long.error.text) and fine.result.new_tokens
    backend.close()


def test_weights_that_cannot_be_read_are_told_as_here(tmp_path: Path, apart: Apart) -> None:
    folder = bert(tmp_path / "cut", "SequenceClassification", num_labels=3)
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"damaged|could not|cannot"):
        opened("classification", {"classification": folder}, apart)
    assert ran(opened("embedding", {"embedding": bert(tmp_path / "sound", "")}, apart), Embed("sea"))[0].result


def test_who_leaves_ends_the_work(folders: dict[str, Path], apart: Apart) -> None:
    backend = opened("causal", folders, apart)
    gone, stays = KeptJob(Generate("Once", sampling=LONG), leaves_after=1), KeptJob(Generate("The", sampling=LONG))
    backend.run([gone, stays])
    assert gone.result.finish_reason == "cancelled" and gone.result.new_tokens < stays.result.new_tokens
    assert stays.result.finish_reason != "cancelled"
    backend.close()


def test_what_nobody_heard_a_word_of_when_the_process_was_killed_is_done_by_another(folders: dict[str, Path]) -> None:
    apart = Apart()
    backend = opened("classification", folders, apart)
    (before,) = ran(backend, Classify("Good films"))
    first = apart.child()
    os.kill(first.pid, signal.SIGSTOP)
    job = KeptJob(Classify("Good films"))
    thread = threading.Thread(target=backend.run, args=([job],))
    thread.start()
    os.kill(first.pid, signal.SIGKILL)
    thread.join(120)
    assert job.result == before.result and apart.child().pid != first.pid
    apart.close()


def test_an_answer_that_was_heard_in_part_ends_with_a_sentence_and_the_next_begins_anew(
    folders: dict[str, Path],
) -> None:
    apart = Apart()
    backend = opened("causal", folders, apart)
    pid, job = apart.child().pid, KeptJob(Generate("Once upon", sampling=LONG))

    def heard(text: str, token: Any = None) -> None:
        job.texts.append(text)
        os.kill(pid, signal.SIGKILL)

    job.emit = heard  # type: ignore[method-assign]
    backend.run([job])
    assert isinstance(job.error, NotReadyError) and "in the middle of its work" in str(job.error)
    assert ran(backend, Generate("Once upon", sampling=GREEDY))[0].result.new_tokens
    assert apart.child().pid != pid
    apart.close()


def test_models_say_what_they_take_also_when_another_is_loaded(folders: dict[str, Path], apart: Apart) -> None:
    one = opened("embedding", folders, apart)
    other = opened("classification", folders, apart)
    assert one.memory_bytes > 0 and other.memory_bytes > 0
    assert measured_bytes(other) is None or measured_bytes(other) > 0  # type: ignore[operator]
    one.close()
    assert one.memory_bytes == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads a nice level of their own")
def test_what_takes_seconds_steps_back_behind_answers_of_a_moment(folders: dict[str, Path]) -> None:
    def levels() -> set[int]:
        threads = Path(f"/proc/{apart.child().pid}/task").iterdir()
        return {os.getpriority(os.PRIO_PROCESS, int(one.name)) for one in threads}

    apart = Apart()
    quick = opened("embedding", folders, apart)
    assert ran(quick, Embed("sea"))[0].result and levels() == {os.nice(0)}
    assert all(job.result for job in ran(quick, *(Embed(f"sea {number}") for number in range(SHORT_BYTES // 10))))
    assert levels() == {os.nice(0), priority.LONG}, "many rows, in threads of their own"
    apart.close()
    apart = Apart()
    writer = opened("causal", folders, apart)
    assert ran(writer, Generate("Once upon", sampling=GREEDY))[0].result and levels() == {os.nice(0), priority.LONG}
    apart.close()


def test_the_process_ends_with_whoever_started_it() -> None:
    child = Apart().child()
    there = psutil.Process(child.pid)
    assert child._process.stdin is not None
    child._process.stdin.close()
    assert there.wait(60) is not None or not there.is_running()


def test_the_process_ends_in_the_midst_of_work(folders: dict[str, Path]) -> None:
    apart = Apart()
    backend = opened("causal", folders, apart)
    child = apart.child()
    there, job = psutil.Process(child.pid), KeptJob(Generate("Once upon", sampling=LONG))

    def heard(text: str, token: Any = None) -> None:
        with suppress(ValueError):
            child._process.stdin.close()  # type: ignore[union-attr]

    job.emit = heard  # type: ignore[method-assign]
    backend.run([job])
    assert there.wait(60) is not None or not there.is_running()
    apart.close()


def test_what_cannot_be_read_over_there_is_that_requests_fault_alone(folders: dict[str, Path], apart: Apart) -> None:
    class Unknown(Embed):
        def __reduce__(self) -> Any:
            return _fails, ()

    backend = opened("embedding", folders, apart)
    pid = apart.child().pid
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        backend.run([KeptJob(Unknown("sea"))])
    assert ran(backend, Embed("sea"))[0].result and apart.child().pid == pid
    backend.close()


def _fails() -> Any:
    return 1 // 0


def test_there_is_no_other_process_once_it_is_closed(folders: dict[str, Path]) -> None:
    apart = Apart()
    backend = opened("embedding", folders, apart)
    pid = apart.child().pid
    apart.close()
    (job,) = ran(backend, Embed("sea"))
    assert isinstance(job.error, NotReadyError) and not psutil.pid_exists(pid)
    with pytest.raises(NotReadyError, match="in the middle"):
        backend.count_tokens("sea")
    backend.close()
    other = Apart()
    closed = opened("embedding", folders, other)
    closed.close()
    with pytest.raises(NotReadyError):
        closed.count_tokens("sea")
    other.close()


def test_several_that_end_the_process_twice_are_tried_with_fewer(folders: dict[str, Path]) -> None:
    apart = Apart()
    backend = opened("embedding", folders, apart)
    send = Child.run

    def end(child: Child, handle: int, sent: Any) -> None:
        os.kill(child.pid, signal.SIGKILL)
        send(child, handle, sent)

    jobs = [KeptJob(Embed("sea")), KeptJob(Embed("sky"))]
    with pytest.MonkeyPatch.context() as patched, pytest.raises(MemoryShortError):
        patched.setattr(Child, "run", end)
        backend.run(jobs)
    assert not any(job.error or job.result for job in jobs)
    assert all(job.result for job in ran(backend, Embed("sea"), Embed("sky")))
    apart.close()


def test_the_house_of_a_server_asks_without_torch(folders: dict[str, Path], tmp_path: Path) -> None:
    code = f"""
import sys
from dataclasses import replace
from engine.catalogue.models import Model
from engine.catalogue.sources.folder import Folder
from engine.requests import Classify
from engine.serving.compose import open_house
from engine.serving.protocol import Caller
from engine.settings import current
model = Model(
    id="tiny", title="Tiny", family="test", architecture="classification", runtime="transformers", parameters=1,
    languages=(), licence="none", size_bytes=1, memory_bytes=1, applications=(),
    source=Folder({str(folders["classification"])!r}),
)
house = open_house(replace(current(), prefetch=False), more=[model])
house.warm_up()
(result,) = house.engine.run("tiny", [Classify("Good films")], Caller(role="host"))
assert len(result.scores) == 3
assert not {{"torch", "transformers"}} & set(sys.modules)
pid = house.apart.child().pid
house.close()
print(pid)
"""
    environment = os.environ | {"PARLANCE_STORAGE_FOLDER": str(tmp_path), "PARLANCE_DEVICE": "cpu"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert said.returncode == 0, said.stderr
    assert not psutil.pid_exists(int(said.stdout))
