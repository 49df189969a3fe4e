"""Work on files: translated and judged with low priority, stopped, gone on with, refused, and whose it is."""

from __future__ import annotations

import csv
import io
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import Bench, embedded_models, model
from fakes import HOST, FakeBackend

from engine.applications import APPLICATIONS, emotions
from engine.applications.translate import TranslateRequest
from engine.errors import BusyError, ConflictError, InputError, LimitError, NotFoundError, PeopleError, TooLargeError
from engine.files import write_json
from engine.jobs import askers, work
from engine.jobs.files import asking, comparing, desk
from engine.jobs.files.desk import SentimentFile, TranslateFile
from engine.jobs.files.figures import over_time
from engine.jobs.folder import json_lines
from engine.jobs.work import JobView
from engine.requests import Classification, Generation, Score, Scoring
from engine.serving import access
from engine.serving.protocol import Caller

PATIENCE_SECONDS = 60
VOWELS = str.maketrans("aeiou", "eioua")
CUE = "1\n00:00:01,000 --> 00:00:02,000\n"
ANN, BOB = (Caller(name, "visitor", grants=frozenset({"upload"})) for name in ("ann", "bob"))


class Translator(FakeBackend):
    """Changes the vowels of the last line but one of a prompt; waits for `gate` before each."""

    def __init__(self) -> None:
        super().__init__(concurrency=2, batch=1)
        self.gate: Callable[[str], None] = lambda text: None

    def _generate(self, job: Any) -> None:
        text = job.request.prompt.split("\n")[-2].partition(": ")[2]
        self.gate(text)
        reason = "cancelled" if job.is_cancelled else "stop"
        job.finish(Generation(text.translate(VOWELS), reason, 5, 5, {}, 0.01, 50.0, -0.5))  # type: ignore[arg-type]

    def texts(self) -> Counter[str]:
        return Counter(request.prompt.split("\n")[-2].partition(": ")[2] for request in self.seen)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = opened(tmp_path)
    yield made
    closed(made)


def opened(folder: Path, **settings: Any) -> Bench:
    made = Bench(*embedded_models(), queue_length=64, runs_folder=folder / "runs", **settings)
    made.plan["gemma-3-270m"] = Translator()
    return made


def closed(bench: Bench) -> None:
    bench.house.ending.set()
    wait_until(lambda: not work._threads)
    bench.engine.close()


def wait_until(is_so: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := is_so()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


def begin(
    bench: Bench, name: str = "a.txt", content: str | bytes = "Good day.", order: Any = None, caller: Caller = HOST
) -> str:
    data = content.encode() if isinstance(content, str) else content
    order = order or TranslateFile("en", "fr")
    application = "sentiment" if isinstance(order, SentimentFile) else "translate"
    return desk.begin(bench.house, application, name, data, order, caller)


def ended(bench: Bench, job_id: str) -> JobView:
    wait_until(lambda: not work.read(bench.house.settings, job_id).is_alive)
    wait_until(lambda: not work._threads)
    return work.read(bench.house.settings, job_id)


def lines(count: int) -> str:
    return "\n\n".join(f"The boat number {number} leaves the harbour." for number in range(count))


def translator(bench: Bench) -> Translator:
    found = bench.plan["gemma-3-270m"]
    assert isinstance(found, Translator)
    return found


def test_a_file_is_translated_with_low_priority(bench: Bench) -> None:
    job = ended(bench, begin(bench, "../My letter.TXT", "Good day, my friend.\r\n\r\n42\r\n\r\nIt rains."))
    assert (job.state, job.title, job.progress, job.status["max_steps"]) == ("finished", "My letter.txt", 1.0, 2)
    path = desk.result_path(job)
    assert path.name == "My letter.fr.txt" and path.read_bytes() == b"Guud dey, my froind.\r\n\r\n42\r\n\r\nIt reons."
    assert work.Job(job.folder).caller.priority == "low"
    assert job.result["models"] == ["gemma-3-270m"] and job.result["doubtful"] == 0
    report = desk.report(job)["sentences"]
    assert report[0] == {
        "row": 1, "source": "Good day, my friend.", "text": "Guud dey, my froind.", "score": pytest.approx(0.607, 0.01),
        "warning": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.md", "# My day\n\n- **the boat** at [home](x.md)\n", "# My dey\n\n- **thi buet** et [humi](x.md)\n"),
        ("a.csv", "id,text\n1,\"Good, day\"\n2,\n", "id,text\n1,\"Guud, dey\"\n2,\n"),
        ("a.srt", f"{CUE}Boats there.\n", f"{CUE}Buets thiri.\n"),
    ],
    ids=["md", "csv", "srt"],
)  # fmt: skip
def test_its_form_is_kept(bench: Bench, name: str, content: str, expected: str) -> None:
    job = ended(bench, begin(bench, name, content))
    assert desk.result_path(job).read_text() == expected


@pytest.mark.parametrize(
    "content", ["id,text\n1,Good day.\n2,It rains.\n3,\n4,Go home.\n", "text\nOne.\n\nTwo.\nGo home.\n"]
)
def test_rows_have_the_numbers_of_the_file(bench: Bench, content: str) -> None:
    job = ended(bench, begin(bench, "f.csv", content))
    last = {"of the report": desk.report(job)["sentences"][-1], "of the page": desk.figures(job)["sentences"][-1]}
    assert {where: (one["row"], one["source"]) for where, one in last.items()} == dict.fromkeys(last, (4, "Go home."))


def test_one_bad_row_fails_no_file(bench: Bench) -> None:
    content = f"text\nGood day.\n{'x' * 30_000}\nIt rains.\n"
    job = ended(bench, begin(bench, "a.csv", content))
    assert job.state == "finished" and job.result["doubtful"] == 1
    assert desk.result_path(job).read_text() == content.translate(VOWELS).replace("tixt", "text")
    assert "limit is 20,000" in str(desk.report(job)["sentences"][1]["warning"])


def test_what_cannot_be_read_is_told(bench: Bench) -> None:
    job = ended(bench, begin(bench, "cut.docx", b"PK\x03\x04 cut"))
    assert job.state == "failed" and "cut.docx is a Word document that is damaged" in str(job.error)
    with pytest.raises(ConflictError, match="no result yet"):
        desk.result_path(job)
    assert (job.folder / "source").exists()


def test_it_is_stopped_at_once_and_goes_on_where_it_stood(bench: Bench) -> None:
    held = threading.Event()
    is_open = threading.Event()

    def gate(text: str) -> None:
        if "number 20 " in text and not is_open.is_set():
            held.set()
            is_open.wait(PATIENCE_SECONDS)

    translator(bench).gate = gate
    job_id = begin(bench, "a.txt", lines(40))
    assert held.wait(PATIENCE_SECONDS)
    folder = work.read(bench.house.settings, job_id).folder
    began = time.monotonic()
    work.stop(folder)
    job = ended(bench, job_id)
    assert job.state == "stopped" and job.can_resume and time.monotonic() - began < 5
    done = len(json_lines(folder / "done.jsonl"))
    assert 0 < done < 40 and job.status["step"] == done
    is_open.set()
    work.resume(bench.house.settings, job_id, bench.house)
    job = ended(bench, job_id)
    assert job.state == "finished" and desk.result_path(job).read_text() == lines(40).translate(VOWELS)
    asked = translator(bench).texts()
    assert all(asked[f"The boat number {number} leaves the harbour."] == 1 for number in range(done))
    with pytest.raises(ConflictError, match="nothing is left"):
        work.resume(bench.house.settings, job_id, bench.house)


@pytest.mark.parametrize("is_killed", [False, True], ids=["ended", "killed"])
def test_a_new_server_takes_it_up_where_it_stood(tmp_path: Path, is_killed: bool) -> None:
    first, held = opened(tmp_path), threading.Event()

    def gate(text: str) -> None:
        if "number 20 " in text:
            held.set()
            first.house.ending.wait(PATIENCE_SECONDS)

    translator(first).gate = gate
    job_id = begin(first, "a.txt", lines(40))
    assert held.wait(PATIENCE_SECONDS)
    closed(first)
    job = work.read(first.house.settings, job_id)
    assert job.state == "queued" and not job.can_resume
    done = json_lines(job.folder / "done.jsonl")
    if is_killed:  # nothing could be told, and half a line was written
        write_json(job.folder / "status.json", {**job.status, "state": "running", "pid": 2**22 + 1})
        with (job.folder / "done.jsonl").open("a") as file:
            file.write('{"text": "Thi bu')
    second = opened(tmp_path)
    assert work.take_up(second.house.settings, second.house) == [job_id]
    assert work.take_up(second.house.settings, second.house) == []
    job = ended(second, job_id)
    assert job.state == "finished" and desk.result_path(job).read_text() == lines(40).translate(VOWELS)
    asked = translator(second).texts()
    assert not any(f"The boat number {number} leaves the harbour." in asked for number in range(len(done)))
    closed(second)


def test_what_was_stopped_is_not_taken_up(bench: Bench) -> None:
    translator(bench).gate = lambda text: time.sleep(0.05)
    job_id = begin(bench, "a.txt", lines(400))
    work.stop(work.read(bench.house.settings, job_id).folder)
    ended(bench, job_id)
    assert work.take_up(bench.house.settings, bench.house) == []


def test_a_visitors_question_comes_before_a_file(bench: Bench) -> None:
    translator(bench).gate = lambda text: time.sleep(0.01)
    job_id = begin(bench, "a.txt", lines(200))
    wait_until(lambda: work.read(bench.house.settings, job_id).status.get("step"))
    request = TranslateRequest("A question for now.", "en", "fr", "gemma-3-270m")
    APPLICATIONS["translate"].run(bench.engine, request, HOST)
    asked = [request.prompt.split("\n")[-2] for request in translator(bench).seen]
    assert "A question" in "".join(asked[-20:]) and work.read(bench.house.settings, job_id).is_alive
    work.stop(work.read(bench.house.settings, job_id).folder)


def test_a_busy_engine_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(asking, "_pause", lambda job, house, seconds: waited.append(seconds))
    run = bench.engine.stream_all

    def stream_all(*arguments: Any, **options: Any) -> Any:
        if len(waited) < 3 and arguments[2].priority == "low" and len(arguments[1]) > 1:
            raise BusyError("full", retry_seconds=5)
        return run(*arguments, **options)

    monkeypatch.setattr(bench.engine, "stream_all", stream_all)
    job = ended(bench, begin(bench, "a.txt", lines(9)))
    assert job.state == "finished" and len(waited) == 3 and waited[0] == 5
    assert desk.result_path(job).read_text() == lines(9).translate(VOWELS)


def test_an_allowance_that_is_used_up_stops_it_and_it_can_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run, calls = bench.engine.stream_all, []

    def stream_all(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise LimitError("This site gives each visitor {limit} tokens a day.", limit=5)
        return run(*arguments, **options)

    monkeypatch.setattr(bench.engine, "stream_all", stream_all)
    job = ended(bench, begin(bench, "a.txt", lines(60)))
    assert job.state == "failed" and "5 tokens a day" in str(job.error) and job.can_resume
    work.resume(bench.house.settings, job.id, bench.house)
    assert ended(bench, job.id).state == "finished"


# What a sentence's words tell of its formatting.


class Pair(Translator):
    """A translator of a pair, whose words stand in the source's order."""

    def _generate(self, job: Any) -> None:
        text = job.request.prompt
        job.finish(Generation(text.translate(VOWELS), "stop", 5, 5, {}, 0.01, 50.0, -0.5))

    def _score(self, job: Any) -> None:
        from engine.requests import Alignment, Token

        assert isinstance(job.request, Score)
        words = job.request.text.split(" ")
        tokens = tuple(Token(word if not place else f" {word}", place, -0.1) for place, word in enumerate(words))
        ends, spans = 0, []
        for word in job.request.source.split(" "):
            spans.append((ends, ends + len(word)))
            ends += len(word) + 1
        weights = tuple((*(float(place == other) for other in range(len(spans))), 0.0) for place in range(len(words)))
        job.finish(Scoring(tokens, Alignment(tuple(spans), weights)))


def test_formatting_goes_with_the_words_of_a_model_that_tells_them(tmp_path: Path) -> None:
    legs = [
        model(f"{a}-{b}", architecture="seq2seq", pair=(a, b), languages=(a, b), applications=("translate",))
        for a, b in (("de", "en"), ("en", "fr"))
    ]
    bench = Bench(*embedded_models(), *legs, queue_length=64, runs_folder=tmp_path)
    bench.plan |= {"de-en": Pair(), "en-fr": Pair()}
    content = "The **red** boat [is here](x.md).\n"
    job = ended(bench, begin(bench, "a.md", content, TranslateFile("en", "fr")))
    assert desk.result_path(job).read_text() == "Thi **rid** buet [os hiri](x.md).\n"
    job = ended(bench, begin(bench, "a.md", content, TranslateFile("de", "fr")))
    assert job.result["models"] == ["de-en", "en-fr"]
    assert desk.result_path(job).read_text() == "Tho **rod** bait [us horo](x.md).\n"
    closed(bench)


# Judging.


def test_rows_are_judged_with_figures(bench: Bench) -> None:
    texts = ["a good film", "a bad film", "good", "", "a bad film"]
    table = "when,review\n" + "".join(f"2024-0{number + 1}-03,{text}\n" for number, text in enumerate(texts))
    job = ended(bench, begin(bench, "r.csv", table, SentimentFile(date="when")))
    rows = list(csv.DictReader(io.StringIO(desk.result_path(job).read_text())))
    assert [row["label"] for row in rows] == ["positive", "negative", "positive", "", "negative"]
    assert rows[0]["review"] == "a good film" and rows[0]["P(positive)"] == "0.9000"
    figures = desk.figures(job)
    assert figures["counts"] == {"positive": 2, "negative": 2} and job.result["counts"] == figures["counts"]
    assert figures["over_time"]["period"] == "day" and len(figures["over_time"]["periods"]) == 4
    assert [one["row"] for one in figures["ends"]["positive"]] == [2, 4]
    assert sum(map(sum, figures["histogram"].values())) == 4
    assert len(bench.backends["sentiment-e5"].seen) == 3  # what is equal is asked once


def test_a_row_that_is_not_judged_counts_for_no_label(bench: Bench) -> None:
    long = "a good film " * (bench.engine.settings.max_text_characters // 12 + 1)
    job = ended(bench, begin(bench, "r.csv", f"review\na good film\n{long}\n\u200b\n", SentimentFile()))
    rows = list(csv.DictReader(io.StringIO(desk.result_path(job).read_text())))
    assert [row["label"] for row in rows] == ["positive", "", ""] and "characters" in rows[1]["note"]
    assert desk.figures(job)["counts"] == {"positive": 1}


class Grumbler(FakeBackend):
    """Finds nothing good."""

    def _classify(self, job: Any) -> None:
        job.finish(Classification("negative", {"negative": 0.8, "neutral": 0.1, "positive": 0.1}))


def test_two_results_of_a_file_are_told_apart_row_by_row(bench: Bench) -> None:
    bench.engine.catalogue.add(model("grumbler", architecture="classification", applications=("sentiment",)))
    bench.plan["grumbler"] = Grumbler()
    first = ended(bench, begin(bench, "r.csv", "id,review\n1,a good film\n2,\n3,a bad film\n", SentimentFile()))
    assert first.result["models"] == ["sentiment-e5"] and comparing.twins(bench.house, first, HOST) == []
    assert [one.id for one in comparing.others(bench.house, first)] == ["grumbler"]
    second = ended(bench, comparing.begin_again(bench.house, first, "grumbler", HOST))
    assert desk.order_of(second) == SentimentFile("grumbler") and comparing.twins(bench.house, second, BOB) == []
    assert [one.id for one in comparing.twins(bench.house, second, HOST)] == [first.id]
    found = comparing.compare(first, second)
    assert (found.rows, found.same) == (2, 1)
    assert found.differences == [comparing.Difference(2, "a good film", "positive", "negative", 0.9, 0.8)]
    own = ended(bench, begin(bench, "r.csv", "id,review\n1,a good film\n", SentimentFile(labels=["late", "early"])))
    assert comparing.others(bench.house, own) == [] and comparing.twins(bench.house, own, HOST) == []
    with pytest.raises(ConflictError, match="same file"):
        comparing.compare(own, first)


def test_translations_of_a_file_are_compared_within_a_language(bench: Bench) -> None:
    bench.engine.catalogue.add(model("one-way", architecture="seq2seq", applications=("translate",), pair=("en", "fr")))
    bench.engine.catalogue.add(model("other", architecture="seq2seq", applications=("translate",), pair=("en", "de")))
    order = TranslateFile("en", "fr", "gemma-3-270m")
    first = ended(bench, begin(bench, "a.txt", "Good day.\n\n42\n\nIt rains.", order))
    assert [one.id for one in comparing.others(bench.house, first)] == ["one-way"]
    second = ended(bench, comparing.begin_again(bench.house, first, "one-way", HOST))
    found = comparing.compare(first, second)
    assert [each.source for each in found.differences] == ["Good day.", "It rains."] and found.differences[1].row == 2
    german = ended(bench, begin(bench, "a.txt", "Good day.\n\n42\n\nIt rains.", replace(order, target="de")))
    assert not comparing.are_alike(first, german)


def test_words_that_carried_it_are_a_column_and_a_table(bench: Bench) -> None:
    rows = 'review\na good film\na bad film\nGood or good\ngood\n"so, good"\n'
    job = ended(bench, begin(bench, "r.csv", rows, SentimentFile(with_words=True)))
    cells = [row["words"] for row in csv.DictReader(io.StringIO(desk.result_path(job).read_text()))]
    assert cells == ["good +0.85", "", "good +0.85", "", "good +0.85"]
    assert desk.figures(job)["words"] == {"positive": [{"word": "good", "rows": 3, "part": pytest.approx(0.85)}]}
    assert desk.report(job)["rows"][0]["words"] == [["good", pytest.approx(0.85)]]


def test_emotions_are_a_column_and_counted(bench: Bench) -> None:
    rows = "review\na good film\na bad film\ngood\n\0\n".replace("\0", "x" * 20_001)
    with pytest.raises(NotFoundError, match="Emotions cannot be named here"):
        begin(bench, "r.csv", rows, SentimentFile(emotions=True))
    bench.engine.catalogue.add(model(emotions.MODEL, architecture="classification", applications=()))

    class Feeling(FakeBackend):
        def _classify(self, job: Any) -> None:
            found = ("joy", "neutral") if "good" in job.request.text else ("neutral",)
            job.finish(Classification("joy", {"joy": 0.7, "neutral": 0.4}, found))

    bench.plan[emotions.MODEL] = Feeling()
    job = ended(bench, begin(bench, "r.csv", rows, SentimentFile(emotions=True)))
    table = list(csv.DictReader(io.StringIO(desk.result_path(job).read_text())))
    assert [row["emotions"] for row in table] == ["joy 0.70", "", "joy 0.70", ""] and "characters" in table[3]["note"]
    assert desk.figures(job)["emotions"] == {"joy": 2}
    assert desk.report(job)["rows"][0]["emotions"] == {"joy": 0.7}


@pytest.mark.parametrize(("days", "period"), [(30, "day"), (200, "week"), (900, "month"), (4000, "year")])
def test_periods_are_as_short_as_they_can_be(days: int, period: str) -> None:
    values = [(f"{2000 + day // 365}-{day % 365 // 31 + 1:02}-{day % 31 + 1:02}", "positive") for day in range(days)]
    found = over_time(values)
    assert found["period"] == period and len(found["periods"]) <= 36


# Who may, how much, and whose it is.


@pytest.mark.parametrize(
    ("name", "content", "order", "error", "sentence"),
    [
        ("a.exe", b"x", None, PeopleError, "a.exe is of no known kind"),
        ("a.pdf", b"x", SentimentFile(), PeopleError, "of no known kind"),
        ("a.txt", b"", None, InputError, "is empty"),
        ("a.txt", b"x" * 2_000, None, TooLargeError, "the limit is"),
        ("a.txt", b"x", TranslateFile("en", "xx"), InputError, "xx"),
        ("a.txt", b"x", TranslateFile("fr", "fr"), InputError, "already in French"),
        ("a.txt", b"x", TranslateFile("en", "fr", model="none"), NotFoundError, "none"),
        ("a.pdf", b"x", TranslateFile("en", "fr", output="exe"), InputError, "docx"),
        ("a.csv", b"x", SentimentFile(model="gemma-3-270m"), PeopleError, "does not do this"),
    ],
)
def test_what_is_wrong_is_told_before_it_begins(
    tmp_path: Path, name: str, content: bytes, order: Any, error: type[Exception], sentence: str
) -> None:
    bench = opened(tmp_path, file_bytes=1_000)
    with pytest.raises(error) as caught:
        begin(bench, name, content, order)
    assert sentence in str(caught.value)
    assert work.listed(bench.house.settings) == []
    closed(bench)


def test_a_file_of_too_many_rows_is_told(tmp_path: Path) -> None:
    bench = opened(tmp_path, file_rows=5)
    job = ended(bench, begin(bench, "a.txt", lines(6)))
    assert job.state == "failed" and "6 rows or paragraphs; the limit is 5" in str(job.error)
    closed(bench)


def test_a_file_is_its_visitors_alone(tmp_path: Path) -> None:
    bench = opened(tmp_path, is_public=True, can_visitors_upload=True)
    settings = bench.house.settings
    with pytest.raises(ConflictError, match="takes no files"):
        begin(bench, caller=replace(ANN, grants=frozenset()))
    job_id = begin(bench, caller=ANN)
    ended(bench, job_id)
    assert [view.id for view in desk.jobs_of(bench.house, "translate", ANN)] == [job_id]
    assert [view.id for view in desk.jobs_of(bench.house, "translate", HOST)] == [job_id]
    assert desk.jobs_of(bench.house, "translate", BOB) == [] == desk.jobs_of(bench.house, "sentiment", ANN)
    for change in (work.read, work.delete, lambda *about: work.resume(*about[:2], bench.house, about[2])):
        with pytest.raises(NotFoundError):
            change(settings, job_id, BOB)
    with pytest.raises(NotFoundError):
        work.stop(work.read(settings, job_id).folder, caller=BOB)
    work.delete(settings, job_id, ANN)
    assert desk.all_jobs_of(bench.house, ANN) == [] and not list((tmp_path / "runs" / ".jobs").glob("translate*"))
    closed(bench)


def test_a_visitor_has_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = opened(tmp_path, is_public=True, can_visitors_upload=True, jobs_a_day=0)
    translator(bench).gate = lambda text: time.sleep(0.02)
    first = [begin(bench, content=lines(500), caller=ANN) for _ in range(askers.MAX_OWN_LIVE)]
    with pytest.raises(BusyError, match="2 jobs of yours are at work"):
        begin(bench, caller=ANN)
    begin(bench, caller=BOB)
    for job_id in first:
        work.stop(work.read(bench.house.settings, job_id).folder, caller=ANN)
    wait_until(lambda: not work._threads)
    monkeypatch.setattr(askers, "MAX_OWN_KEPT", 2)
    with pytest.raises(BusyError, match="2 jobs of yours are kept"):
        begin(bench, caller=ANN)
    closed(bench)


def test_it_expires(bench: Bench) -> None:
    job = ended(bench, begin(bench))
    past = time.time() - 4 * 24 * 3600
    os.utime(job.folder, (past, past))
    assert desk.all_jobs_of(bench.house, HOST) == [] and not job.folder.exists()


def test_a_public_site_has_limits_of_its_own(tmp_path: Path) -> None:
    bench = opened(tmp_path, is_public=True, can_visitors_upload=True, public_file_bytes=100, public_file_rows=3)
    assert bench.engine.settings.file_rows == 3
    with pytest.raises(TooLargeError, match="the limit is 100"):
        begin(bench, content="x" * 101, caller=ANN)
    assert access.may(ANN, "upload") and not access.may(ANN, "work")
    closed(bench)
