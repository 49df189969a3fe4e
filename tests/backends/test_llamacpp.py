"""The llama.cpp backend on a small foreseeable model made on the spot, and on the embedded models if they are there."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from engine import priority
from engine import settings as settings_module
from engine.catalogue.models import read_catalogue
from engine.catalogue.store import Store
from engine.errors import (
    InputError,
    MemoryShortError,
    NotFoundError,
    NotReadyError,
    PeopleError,
    TooLargeError,
    UnsupportedError,
)
from engine.inspections import Tokenize
from engine.requests import Embed, Generate, Generation, Message, Sampling
from engine.settings import Settings

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

from engine.backends import memory
from engine.backends.ggml import backend as backend_module
from engine.backends.ggml.backend import LlamaCppBackend
from engine.backends.ggml.llama import Llama, LlamaEnded
from engine.backends.ggml.memory import needed_bytes
from engine.backends.ggml.tokens import tokens_of
from engine.backends.gguf import read_header
from engine.jobs import process
from tests.backends.chain_gguf import CHAIN, CONTEXT, RANDOM, write_chain
from tests.backends.checkpoints import KeptJob, Leaving, entry

SETTINGS = Settings(device="cpu", threads=1, slots=8, context_tokens=4096)


def open_file(path: Path, **options: Any) -> LlamaCppBackend:
    return LlamaCppBackend(entry("causal", "Chain"), path, replace(SETTINGS, **options))


def ask(backend: LlamaCppBackend, prompt: str = "", **options: Any) -> KeptJob:
    """Run one request; `options` are Sampling's, and Generate's where it has them."""
    own = {
        name: options.pop(name)
        for name in ("messages", "top_logprobs", "common_characters", "grammar")
        if name in options
    }
    leaves_after, circle = options.pop("leaves_after", None), options.pop("circle", "host")
    sampling = Sampling(**({"temperature": 0, "max_new_tokens": 12} | options))
    job = KeptJob(Generate(prompt, sampling=sampling, **own), leaves_after, circle=circle)
    backend.run([job])
    if job.error is not None:
        raise job.error
    return job


def text(backend: LlamaCppBackend, prompt: str = "", **options: Any) -> str:
    return ask(backend, prompt, **options).result.text


def at_once(backend: LlamaCppBackend, requests: list[Generate]) -> list[Generation]:
    jobs = [KeptJob(request) for request in requests]
    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(lambda job: backend.run([job]), jobs))
    assert not [job.error for job in jobs if job.error]
    return [job.result for job in jobs]


def after(start: str, characters: int) -> str:
    """What the chain says after `start`."""
    return "".join(islice(cycle(CHAIN), CHAIN.index(start) + 1, CHAIN.index(start) + 1 + characters))


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    return write_chain(tmp_path_factory.mktemp("chain") / "chain.gguf")


@pytest.fixture(scope="module")
def chain(file: Path) -> Iterator[LlamaCppBackend]:
    backend = open_file(file)
    yield backend
    backend.close()


@pytest.fixture(scope="module", params=["smollm2-135m-instruct", "gemma-3-270m"])
def real(request: Any) -> Iterator[LlamaCppBackend]:
    catalogue, settings = read_catalogue(), settings_module.read_settings()
    store = Store(settings, catalogue)
    try:
        path = store.path(request.param)
    except PeopleError as error:
        pytest.skip(f"{request.param} is not in {settings.cache_folder}: {error} (`python -m engine.catalogue`)")
    finally:
        store.close()
    backend = LlamaCppBackend(catalogue.find(request.param), path, replace(settings, slots=4, context_tokens=1024))
    yield backend
    backend.close()


def test_its_facts(chain: LlamaCppBackend, file: Path) -> None:
    assert (chain.concurrency, chain.batch, chain.device, chain.dtype) == (8, 1, "cpu", "f32")
    assert chain.context_tokens == CONTEXT, "bounded by what the model was trained on"
    assert chain.memory_bytes > file.stat().st_size
    assert chain.count_tokens("abc") == 3
    assert chain.count_tokens("") == 0


def test_a_text_is_cut_into_tokens(chain: LlamaCppBackend) -> None:
    job = KeptJob(Tokenize("aé"))
    chain.run([job])
    start, *pieces = job.result.pieces
    assert start.is_special and not any(piece.is_special for piece in pieces)
    assert len(pieces) == chain.count_tokens("aé") and pieces[0].text == "a"
    assert pieces[-2].text + pieces[-1].text in ("<0xC3><0xA9>", "aé")
    assert job.result.vocabulary > max(piece.id for piece in pieces)


def test_greedy_text_is_streamed_in_whole_characters(chain: LlamaCppBackend) -> None:
    job = ask(chain, "a", max_new_tokens=26)
    assert job.result.text == "".join(job.texts) == after("a", 16)
    assert job.texts[:5] == ["b", "😀", "c", "中", "d"]
    assert (job.result.finish_reason, job.result.new_tokens, job.result.prompt_tokens) == ("length", 26, 2)
    assert job.result.first_token_seconds > 0 and job.result.tokens_per_second > 0


def test_length_that_cuts_a_character_leaves_no_half_of_it(chain: LlamaCppBackend) -> None:
    job = ask(chain, "a", max_new_tokens=3)
    assert job.result.text == "".join(job.texts) == "b"
    assert (job.result.finish_reason, job.result.new_tokens) == ("length", 3)


def test_empty_prompt_begins_the_text(chain: LlamaCppBackend) -> None:
    result = ask(chain, "", max_new_tokens=2).result
    assert (result.text, result.prompt_tokens) == ("ab", 1)


def test_end_of_text_is_a_stop(chain: LlamaCppBackend) -> None:
    result = ask(chain, "m").result
    assert (result.text, result.finish_reason) == ("n", "stop")


@pytest.mark.parametrize(
    ("stop", "expected", "reason"),
    [
        (("中",), "b😀c", "stop"),
        (("c中",), "b😀", "stop"),
        (("x", "d e"), "b😀c中", "stop"),
        (("c中x", "cx"), after("a", 4), "length"),
    ],
)
def test_stop_strings(chain: LlamaCppBackend, stop: tuple[str, ...], expected: str, reason: str) -> None:
    tokens = 9 if reason == "length" else 40
    job = ask(chain, "a", stop=stop, max_new_tokens=tokens)
    assert job.result.text == "".join(job.texts) == expected
    assert job.result.finish_reason == reason


def test_text_held_back_for_a_stop_string_comes_out_at_the_end(chain: LlamaCppBackend) -> None:
    assert text(chain, "a", stop=("😀cx",), max_new_tokens=6) == "b😀c"


def test_settings_are_those_that_acted(chain: LlamaCppBackend) -> None:
    settings = ask(chain, "a", temperature=0, top_k=5, top_p=0.5, max_new_tokens=1000).result.settings
    assert (settings["temperature"], settings["top_k"], settings["top_p"]) == (0, 0, 1.0)
    assert settings["max_new_tokens"] == CONTEXT - 2, "capped to the room in the context"
    assert isinstance(settings["seed"], int)


def test_seed_decides_the_text(chain: LlamaCppBackend) -> None:
    options = {"temperature": 1.0, "max_new_tokens": 40}
    first = ask(chain, "p", seed=1, **options).result
    assert text(chain, "p", seed=1, **options) == first.text
    assert text(chain, "p", seed=2, **options) != first.text
    drawn = ask(chain, "p", **options).result
    assert text(chain, "p", seed=drawn.settings["seed"], **options) == drawn.text


def test_sampling_filters_act(chain: LlamaCppBackend) -> None:
    def letters(**options: Any) -> int:
        texts = [text(chain, "p", max_new_tokens=1, seed=seed, **options) for seed in range(60)]
        assert set(texts) <= set(RANDOM)
        return len(set(texts))

    greedy = text(chain, "p", max_new_tokens=1)
    assert text(chain, "p", max_new_tokens=1, temperature=0.01, seed=3) == greedy
    spread = letters(temperature=2.0)
    assert spread > letters(temperature=0.3)
    assert spread > 6
    assert letters(temperature=2.0, top_k=2) == 2
    assert letters(temperature=2.0, top_p=0.01) == 1
    assert letters(temperature=2.0, min_p=0.99) == 1


def test_temperature_acts_before_top_p(chain: LlamaCppBackend) -> None:
    """At 0.5 the nucleus of 0.9 holds fewer letters than at 2."""
    counts = [
        len({text(chain, "p", max_new_tokens=1, seed=s, temperature=t, top_p=0.9) for s in range(60)})
        for t in (0.4, 2.0)
    ]
    assert counts[0] < counts[1]


def test_repetition_penalty_reaches_back_to_the_prompt(chain: LlamaCppBackend) -> None:
    likeliest = text(chain, "p", max_new_tokens=1)
    assert text(chain, likeliest + "p", max_new_tokens=1) == likeliest
    assert text(chain, likeliest + "p", max_new_tokens=1, repetition_penalty=2.0) != likeliest


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_counting_penalties_reach_back_to_the_prompt(chain: LlamaCppBackend, name: str) -> None:
    likeliest = text(chain, "p", max_new_tokens=1)
    job = ask(chain, likeliest + "p", max_new_tokens=1, **{name: 2.0})
    assert job.result.text != likeliest and job.result.settings[name] == 2.0


def test_log_probabilities_are_of_the_models_distribution(chain: LlamaCppBackend) -> None:
    job = ask(chain, "p", temperature=1.5, top_k=3, seed=5, top_logprobs=20, max_new_tokens=8)
    assert job.tokens == list(job.result.tokens)
    assert "".join(token.text for token in job.tokens) == job.result.text
    for token in job.tokens:
        assert len(token.top_logprobs) == 20
        assert token.text not in [other for other, _ in token.top_logprobs]
        assert list(token.top_logprobs) == sorted(token.top_logprobs, key=lambda other: -other[1])
        assert token.logprob is not None
        total = math.exp(token.logprob) + sum(math.exp(logprob) for _, logprob in token.top_logprobs)
        assert total == pytest.approx(1.0, abs=1e-4)
    assert job.result.mean_logprob == pytest.approx(sum(t.logprob or 0 for t in job.tokens) / 8)


def test_no_log_probabilities_unless_asked(chain: LlamaCppBackend) -> None:
    result = ask(chain, "p").result
    assert result.mean_logprob is None and result.tokens == ()


def test_a_character_of_several_tokens_comes_with_the_bytes_of_each(chain: LlamaCppBackend) -> None:
    """llama.cpp tells the log-probability of the last one only."""
    tokens = ask(chain, "a", top_logprobs=1, max_new_tokens=6).tokens
    smile = [("", True, byte) for byte in (b"\xf0", b"\x9f", b"\x98")] + [("😀", False, b"\x80")]
    assert [(token.text, token.logprob is None, token.raw) for token in tokens] == [
        ("b", False, None), *smile, ("c", False, None)]  # fmt: skip
    assert len({token.id for token in tokens}) == 6


def test_a_character_written_otherwise_than_it_is_read_has_no_log_probability() -> None:
    detail = {"id": 9, "token": "é", "logprob": -1.0, "top_logprobs": [{"id": 7, "bytes": [169], "logprob": -2.0}]}
    choice = {"text": "é", "logprobs": {"content": [detail]}}
    for read in ([], [(8, "é".encode())], [(5, b"\xc3"), (8, b"\xa9")]):
        (token,) = tokens_of(choice, 1, 2, lambda text, read=read: read)  # type: ignore[misc]
        assert token and (token.text, token.logprob, token.raw) == ("é", None, None)
        assert token.top_logprobs == (("\udca9", -2.0),)


def test_chat_is_answered_and_a_last_assistant_message_continued(chain: LlamaCppBackend) -> None:
    user = Message("user", "p")
    assert text(chain, messages=(user,), max_new_tokens=2) == "ab"
    assert text(chain, messages=(user, Message("assistant", "d")), max_new_tokens=2) == " e"


@pytest.mark.parametrize("typed", ["</s>", "p</s>d", "<s>", "<unk>"])
def test_control_tokens_that_people_typed_are_text(chain: LlamaCppBackend, typed: str) -> None:
    alone = ask(chain, f"{typed}a").result
    assert alone.prompt_tokens == 1 + chain.count_tokens(f"{typed}a") > 4 and alone.text.startswith("b😀")
    turn = ask(chain, messages=(Message("user", typed),)).result
    plain = ask(chain, messages=(Message("user", "p"),)).result
    assert turn.prompt_tokens == plain.prompt_tokens - 1 + chain.count_tokens(typed)


def test_a_grammar_is_kept_to(chain: LlamaCppBackend) -> None:
    assert text(chain, "a", grammar='root ::= ("b" | "c") ("a" | "d") "e"') in ("bae", "bde", "cae", "cde")
    assert ask(chain, "a", grammar='root ::= "b"').result.finish_reason == "stop"


def test_a_space_at_the_end_is_the_next_tokens(chain: LlamaCppBackend) -> None:
    assert text(chain, "d ", max_new_tokens=3) == "ea"
    assert ask(chain, "d ").result.prompt_tokens == ask(chain, "d").result.prompt_tokens
    turns = (Message("user", "p"), Message("assistant", "d "))
    assert text(chain, messages=turns, max_new_tokens=3) == "ea"


def test_no_chat_template_no_messages(tmp_path: Path) -> None:
    backend = open_file(write_chain(tmp_path / "base.gguf", chat_template=None), slots=1)
    with pytest.raises(UnsupportedError, match="no chat template"):
        ask(backend, messages=(Message("user", "a"),))
    assert text(backend, "a", max_new_tokens=1) == "b"
    backend.close()


def test_other_tasks_are_refused(chain: LlamaCppBackend) -> None:
    job = KeptJob(Embed("a"))
    chain.run([job])
    assert isinstance(job.error, UnsupportedError)


def test_prompt_over_the_context(chain: LlamaCppBackend) -> None:
    with pytest.raises(TooLargeError, match="256 tokens") as caught:
        ask(chain, "p" * (CONTEXT - 1))
    assert caught.value.param == "prompt"
    result = ask(chain, "p" * (CONTEXT - 2)).result
    assert (result.new_tokens, result.finish_reason) == (1, "length")


def test_cancel_ends_one_answer_and_no_other(chain: LlamaCppBackend) -> None:
    long = Sampling(max_new_tokens=200, temperature=0)
    jobs = [KeptJob(Generate("a", sampling=long), leaves_after=3 if index == 0 else None) for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda job: chain.run([job]), jobs))
    assert jobs[0].result.finish_reason == "cancelled"
    assert len(jobs[0].texts) == 3 and jobs[0].result.text == "".join(jobs[0].texts)
    assert {job.result.new_tokens for job in jobs[1:]} == {200}
    assert len({job.result.text for job in jobs[1:]}) == 1


def test_cancel_from_another_thread(chain: LlamaCppBackend) -> None:
    job = KeptJob(Generate("a", sampling=Sampling(max_new_tokens=250, temperature=0)))
    job.emit = lambda text, token=None: (job.texts.append(text), time.sleep(0.01))[0]  # type: ignore[method-assign]
    thread = threading.Thread(target=chain.run, args=([job],))
    thread.start()
    while len(job.texts) < 3:
        time.sleep(0.005)
    job.is_cancelled, seen = True, len(job.texts)
    thread.join(10)
    assert job.result.finish_reason == "cancelled" and len(job.texts) <= seen + 1


def test_cancelled_before_it_began(chain: LlamaCppBackend) -> None:
    job = KeptJob(Generate("a"), is_cancelled=True)
    chain.run([job])
    assert (job.result.text, job.result.finish_reason, job.result.new_tokens) == ("", "cancelled", 0)


def test_cancel_while_the_prompt_is_evaluated(chain: LlamaCppBackend) -> None:
    job = Leaving(Generate("q" * 200))
    chain.run([job])
    assert (job.result.finish_reason, job.result.new_tokens) == ("cancelled", 0)


def test_a_fault_of_the_reader_is_its_own(chain: LlamaCppBackend) -> None:
    job = KeptJob(Generate("a"))
    job.emit = lambda *_: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    chain.run([job])
    assert isinstance(job.error, ZeroDivisionError)
    assert text(chain, "a", max_new_tokens=1) == "b"


def test_eight_at_once_say_what_one_says(chain: LlamaCppBackend) -> None:
    requests = [Generate("p", sampling=Sampling(60, 1.0, seed=seed)) for seed in range(8)]
    alone = [at_once(chain, [request])[0].text for request in requests]
    assert [result.text for result in at_once(chain, requests)] == alone
    assert len(set(alone)) == 8


def test_a_crowd_is_given_more_slots_and_the_same_texts(file: Path) -> None:
    backend = open_file(file, slots=12)
    assert backend._servers.slots == 4 and backend.concurrency == 12
    requests = [Generate(one, sampling=Sampling(temperature=0.8, seed=3, max_new_tokens=40)) for one in "abcdefgpq"]
    alone = [text(backend, one.prompt, temperature=0.8, seed=3, max_new_tokens=40) for one in requests]
    for _ in range(6):  # short answers may be over before the crowd is seen
        assert [one.text for one in at_once(backend, requests)] == alone
        if backend._servers.slots == 12:
            break
    assert backend._servers.slots == 12
    backend.close()


def test_damaged_files_are_refused_in_words(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    damaged = tmp_path / "damaged.gguf"
    for content in (b"", b"GGUF", b"PK\x03\x04" * 100, whole[:200], whole[:-50_000], b"GGUF\x03\0\0\0" + b"\xff" * 500):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match=r"damaged\.gguf"):
            open_file(damaged)
    with pytest.raises(NotFoundError, match=r"absent\.gguf"):
        open_file(tmp_path / "absent.gguf")
    unknown = whole.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lxxma", 1)
    damaged.write_bytes(unknown)
    with pytest.raises(InputError, match="does not know its architecture"):
        open_file(damaged)


def test_too_little_memory_is_said_before_loading(file: Path) -> None:
    with pytest.raises(MemoryShortError, match="PARLANCE_CONTEXT_TOKENS"):
        open_file(file, memory_bytes=1_000_000)


def test_short_memory_means_fewer_slots(file: Path) -> None:
    header = read_header(file)
    for slots in (1, 4, 8):
        room = needed_bytes(header, CONTEXT, slots) * 2
        backend = open_file(file, slots=8, memory_bytes=room)
        assert backend.concurrency == slots and backend.memory_bytes * 2 <= room
        assert len(text(backend, "p")) == 12
        backend.close()


def test_header(file: Path) -> None:
    header = read_header(file)
    assert header.trained_context == CONTEXT and header.dtype == "f32"
    assert header.cache_bytes(100, 2) == 2 * 100 * 2 * 2 * 320 * 2, (
        "slots, tokens, layers, keys and values, width, bytes"
    )


def test_close_ends_its_process_and_leaves_other_models_alone(file: Path, chain: LlamaCppBackend) -> None:
    other = open_file(file, slots=2)
    assert text(other, "a", max_new_tokens=1) == "b"
    process = psutil.Process(other._servers.server.pid)
    assert process.ppid() == os.getpid() != process.pid, "nothing of it loads in the process that serves"
    assert os.getsid(process.pid) == os.getsid(0) and os.getpgid(process.pid) == process.pid
    assert process.nice() == priority.LONG, "answers of a moment go first"
    other.close()
    assert not process.is_running()
    assert text(chain, "a", max_new_tokens=1) == "b"


def test_a_process_that_is_killed_costs_one_answer(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_file(file, slots=2)
    job = KeptJob(Generate("a", sampling=Sampling(max_new_tokens=250, temperature=0)))

    def kill(stream: Any, chunk: dict[str, Any]) -> bool:
        stream._take(chunk)
        if stream.first_at:
            os.kill(backend._servers.server.pid, signal.SIGKILL)
            raise ConnectionResetError  # what is on its way would else still come
        return False

    with monkeypatch.context() as patched:
        patched.setattr("engine.backends.ggml.completion.Stream.__call__", kill)
        backend.run([job])
    assert isinstance(job.error, NotReadyError) and "begins anew" in str(job.error)
    assert text(backend, "a", max_new_tokens=1) == "b"
    backend.close()


def test_who_had_no_word_when_the_process_was_killed_gets_anothers(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_file(file, slots=1)
    said, stream, killed = text(backend, "a"), Llama.stream, []

    def kill_first(llama: Llama, *about: Any) -> None:
        if len(killed) < kills:
            killed.append(llama.pid)
            os.kill(llama.pid, signal.SIGKILL)
        stream(llama, *about)

    monkeypatch.setattr(Llama, "stream", kill_first)
    kills = 2
    assert text(backend, "a") == said and len(set(killed)) == 2
    kills = 9
    with pytest.raises(NotReadyError, match="begins anew"):
        text(backend, "a")
    assert len(killed) == 5, "not for ever"
    backend.close()


@pytest.fixture
def is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that somebody waits for hangs after half a second."""
    monkeypatch.setattr(process, "HUNG_SECONDS", 0.5)
    monkeypatch.setattr(process, "LOOK_SECONDS", 0.05)


@pytest.mark.parametrize("way", ["stream", "post"])
def test_a_process_that_hangs_is_ended_and_another_answers(
    file: Path, monkeypatch: pytest.MonkeyPatch, is_impatient: None, way: str
) -> None:
    backend = open_file(file, slots=1)
    asked: dict[str, Any] = {"messages": (Message("user", "de"),)} if way == "post" else {"prompt": "a"}
    said, ask_it, hung = text(backend, **asked), getattr(Llama, way), []

    def hang_first(llama: Llama, *about: Any) -> Any:
        if not hung:
            hung.append(llama.pid)
            os.kill(llama.pid, signal.SIGSTOP)
        return ask_it(llama, *about)

    monkeypatch.setattr(Llama, way, hang_first)
    assert text(backend, **asked) == said and backend.pid not in hung and not psutil.pid_exists(hung[0])
    backend.close()


def test_a_process_that_hangs_in_the_midst_of_an_answer_ends_it(file: Path, is_impatient: None) -> None:
    backend = open_file(file, slots=2)
    pid = backend.pid

    class Stopping(KeptJob):
        def emit(self, text: str, token: Any = None) -> None:
            os.kill(pid, signal.SIGSTOP)
            super().emit(text, token)

    job = Stopping(Generate("a", sampling=Sampling(max_new_tokens=250, temperature=0)))
    backend.run([job])
    assert isinstance(job.error, NotReadyError) and "begins anew" in str(job.error)
    assert text(backend, "a", max_new_tokens=1) == "b" and backend.pid != pid
    backend.close()


def test_a_process_that_hangs_while_it_loads_is_ended(is_impatient: None) -> None:
    llama = Llama()
    os.kill(llama.pid, signal.SIGSTOP)
    with pytest.raises(LlamaEnded):
        llama.load({}, "key")
    llama.close()


def test_a_process_that_computes_does_not_hang(is_impatient: None) -> None:
    busy, idle = (
        process.start([sys.executable, "-c", code]) for code in ("while True: pass", "import time; time.sleep(60)")
    )
    watches = [process.Watch(child.pid) for child in (busy, idle)]
    end = time.monotonic() + 30
    while not watches[1].is_hung():
        assert not watches[0].is_hung() and time.monotonic() < end
        time.sleep(0.02)
    for child in (busy, idle):
        process.end(child)
    assert not process.Watch(busy.pid).is_hung()


def test_two_that_grow_at_once_do_not_both_take_the_memory_that_is_there_for_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = needed_bytes(read_header(file), CONTEXT, 4)
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: 0)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 2 * needed - 1)
    backend = open_file(file, slots=8)
    with memory.set_aside("another", needed, MemoryShortError), pytest.raises(MemoryShortError):
        backend._servers._begun(4)
    with memory.set_aside("tiny", needed, MemoryShortError):
        backend._servers._begun(4).server.close()  # what is in it counts once
    if sys.platform == "linux":
        score = Path(f"/proc/{backend._servers.server.pid}/oom_score_adj")
        assert int(score.read_text()) >= 200, "it goes before the server"
    backend.close()


def test_it_ends_with_whoever_started_it(file: Path) -> None:
    backend = open_file(file, slots=1)
    llama = backend._servers.server
    llama._process.stdin.close()  # as the system does when the process that serves is killed
    assert llama._process.wait(10) == 0
    backend.close()


def test_a_long_prompt_is_read_in_stages_and_says_the_same(
    chain: LlamaCppBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt, options = "abcdefgp" * 25 + "p", {"temperature": 1.0, "seed": 4, "max_new_tokens": 30}
    whole = ask(chain, prompt, **options).result
    stages: list[int] = []
    plain = chain._evaluate

    def evaluate(place: Any, tokens: list[int], is_wanted: Any) -> None:
        stages.append(len(tokens))
        plain(place, tokens, is_wanted)

    monkeypatch.setattr(backend_module, "LONG_BYTES", 50)
    monkeypatch.setattr(chain, "_evaluate", evaluate)
    for first in ("x", "y", "z"):  # another beginning, so that no slot has it
        chain._token_seconds = 0.01
        job = ask(chain, first + prompt, **options)
        assert job.result.prompt_tokens == whole.prompt_tokens + 1
    assert stages and max(stages) < whole.prompt_tokens
    stages.clear()
    chain._token_seconds = 0.01
    assert text(chain, prompt[:-1] + "qp", **options) and not stages, "the slot has nearly all of it"
    assert text(chain, "w" + prompt, **options) == text(chain, "w" + prompt, **options)


def test_a_prompt_in_stages_is_left_between_two(chain: LlamaCppBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_module, "LONG_BYTES", 50)
    monkeypatch.setattr(chain, "_token_seconds", 0.1)
    job = KeptJob(Generate("v" + "q" * 200))
    monkeypatch.setattr(chain, "_evaluate", lambda *_: setattr(job, "is_cancelled", True))
    chain.run([job])
    assert (job.result.finish_reason, job.result.new_tokens) == ("cancelled", 0)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens that llama.cpp evaluates anew, for each of its completions."""
    found: list[int] = []
    stream = Llama.stream

    def counted(self: Llama, body: Any, take: Any, is_wanted: Any) -> None:
        last: dict[str, Any] = {}
        stream(self, body, lambda chunk: bool(last.update(chunk)) or take(chunk), is_wanted)
        found.append(last["timings"]["prompt_n"])

    monkeypatch.setattr(Llama, "stream", counted)
    return found


def test_a_visitors_prompt_makes_no_others_answer_quicker(file: Path, evaluated: list[int]) -> None:
    backend = open_file(file, slots=1, is_public=True)

    def tokens(circle: str | None, common_characters: int = 0) -> int:
        evaluated.clear()
        ask(backend, "abcdefgp" * 20, circle=circle, max_new_tokens=1, common_characters=common_characters)
        return sum(evaluated)

    first = tokens("visitor a")
    assert first >= 160 and tokens("visitor a") < 5
    assert tokens("visitor b") >= first - 1, "as long as if nobody had asked"
    assert tokens("visitor b") < 5 and tokens(None) >= first - 1 and tokens(None) >= first - 1
    for visitor in ("visitor a", "visitor b"):
        assert first - 105 <= tokens(visitor, common_characters=100) <= first - 95, "the application's part is common"
    backend.close()


def test_who_waits_for_a_first_word_does_from_the_slots_forgetting_on(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next stage of a long prompt would come between the two."""
    backend, waiting = open_file(file, slots=1, is_public=True), []
    forget = backend._forget
    monkeypatch.setattr(backend, "_forget", lambda *about: waiting.append(backend._turns._awaiting) or forget(*about))
    for circle in ("a", "b"):
        ask(backend, "abc" * 10, circle=circle)
    assert waiting == [1] and backend._turns._awaiting == backend._turns._answering == 0
    backend.close()


@pytest.mark.parametrize("is_chat", [True, False])
def test_what_is_the_applications_is_read_once_and_taken_up_by_any_slot(
    file: Path, chain: LlamaCppBackend, evaluated: list[int], is_chat: bool
) -> None:
    backend, ours = open_file(file, slots=3, is_public=True), "pqrs" * 15

    def tokens(typed: str, circle: str) -> int:
        asked: Any = {"messages": (Message("user", ours + typed),)} if is_chat else {"prompt": ours + typed}
        alone = text(chain, **asked)
        evaluated.clear()
        assert text(backend, circle=circle, common_characters=60, **asked) == alone
        return sum(evaluated)

    for circle in ("a", "b", "c"):
        ask(backend, "de" * 40, circle=circle)
    first = tokens("za", "d")
    for circle in ("e", "f", "d"):
        assert tokens("yxwva", circle) < 25 < 60 < first, "in slots that hold others' prompts"
    states = Path(backend._beginnings.parameters["slot_save_path"])
    assert len(list(states.iterdir())) == 1
    for path in states.iterdir():
        path.unlink()
    assert tokens("xwva", "g") >= 60, "without the file it is read anew"
    backend.close()
    assert not states.exists()


def test_a_state_is_of_the_applications_text_alone(file: Path, evaluated: list[int]) -> None:
    """Who asks first has typed something, too; nobody who types the same is answered sooner for it."""
    backend, ours = open_file(file, slots=1, is_public=True), "pqrs" * 15
    counts = []
    for circle in ("a", "b"):
        evaluated.clear()
        ask(backend, ours + "abcde" * 10, circle=circle, common_characters=60)
        counts.append(sum(evaluated))
    assert counts[1] >= 50, "all that was typed"
    backend.close()


def test_nothing_is_logged(file: Path, capfd: Any) -> None:
    backend = open_file(file, slots=1)
    text(backend, "a")
    backend.close()
    assert capfd.readouterr() == ("", "")


def test_real_model_streams_and_is_reproducible(real: LlamaCppBackend) -> None:
    options = {"temperature": 0.8, "max_new_tokens": 24}
    job = ask(real, "Once upon a time", seed=1, **options)
    assert job.result.text == "".join(job.texts) and job.result.new_tokens > 4
    assert text(real, "Once upon a time", seed=1, **options) == job.result.text
    assert text(real, "Once upon a time", seed=2, **options) != job.result.text
    assert text(real, "1, 2, 3, 4, 5, 6,", max_new_tokens=4).startswith(" 7")


def test_real_model_begins_with_a_word_after_a_space(real: LlamaCppBackend) -> None:
    prompt = "Once upon a time, there was"
    assert text(real, f"{prompt} ") == text(real, prompt).removeprefix(" ")
    assert text(real, "The cat ")[:1].isalpha()  # not "'s"


def test_real_model_repeats_a_prefix_faster(real: LlamaCppBackend) -> None:
    """The second prompt with the same long beginning needs fewer steps until its first token."""
    shots = "English: The cat sat on the mat.\nFrench: Le chat était assis sur le tapis.\n\n" * 8

    def steps(sentence: str) -> int:
        looks = []

        class Counting(KeptJob):
            @property  # type: ignore[override]
            def is_cancelled(self) -> bool:
                looks.append(len(self.texts))
                return False

            @is_cancelled.setter
            def is_cancelled(self, value: bool) -> None: ...

        job = Counting(Generate(f"{shots}English: {sentence}\nFrench:", sampling=Sampling(1, 0)))
        real.run([job])
        assert job.error is None
        return looks.count(0)

    assert steps("I am hungry.") > steps("You are tired.")


def test_real_chat_model_continues_its_answer(real: LlamaCppBackend) -> None:
    messages = (Message("user", "Count from 1 to 9."), Message("assistant", "1, 2, 3, 4, 5,"))
    try:
        assert text(real, messages=messages, max_new_tokens=3).startswith(" 6")
    except UnsupportedError as error:
        assert "no chat template" in str(error)
