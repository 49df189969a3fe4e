"""The measuring itself: turns, medians, verdicts, children, the page that is written. What is measured needs time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from backends.checkpoints import bert, wordpiece

from benchmarks import __main__ as table
from benchmarks import demo, fine_tuning, gpu, load, report, texts
from benchmarks.browsers import Browser
from benchmarks.figures import Figure, Options, figure, read_store, stamped, write_store
from benchmarks.pages import served
from benchmarks.sides import Side, alternate, at_once, opened

ECHO = """
import os

def load(word):
    print("libraries print what they like")
    calls = []
    def work(**arguments):
        calls.append(1)
        return {"word": word, "calls": len(calls), "threads": os.environ["OMP_NUM_THREADS"]} | arguments
    return work

def broken():
    raise ValueError("no weights")
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echo_side.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("echo")
def test_a_side_keeps_its_process_between_calls() -> None:
    with opened({"one": ("echo_side:load", {"word": "hello"})}, 3) as sides:
        first, second = sides["one"](), sides["one"](size=7)
    assert (first["word"], first["calls"], first["threads"]) == ("hello", 1, "3")
    assert (second["calls"], second["size"]) == (2, 7) and second["seconds"] > 0


@pytest.mark.usefixtures("echo")
def test_a_side_that_cannot_load_is_told() -> None:
    with pytest.raises(RuntimeError, match="echo_side:broken ended with status 1"):
        Side("echo_side:broken", 1)


def test_turns_change_direction() -> None:
    seen: list[str] = []
    works = {name: lambda name=name: seen.append(name) or {"name": name} for name in ("ours", "peer")}
    rounds = alternate(works, 3)
    assert seen == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert [one["peer"]["name"] for one in rounds] == ["peer"] * 3


def test_a_crowd_is_added_up() -> None:
    seen = at_once(lambda number, tokens: (tokens + number, 0.1 * (number + 1)), 3, 10)
    assert seen["tokens"] == 33 and seen["speed"] > 0
    assert (seen["first_ms"], seen["last_first_ms"]) == pytest.approx((100, 300))


def test_a_figure_is_the_median_of_the_rounds_ratios() -> None:
    rounds = [{"ours": {"s": ours}, "peer": {"s": theirs}} for ours, theirs in ((2, 1), (9, 3), (4, 4))]
    made = figure(rounds, "s", "peer", row="r", work="w", reach=2.0, unit="s", limit=1.0)
    assert (made.value, made.low, made.high, made.ours, made.theirs, made.rounds) == (2.0, 1.0, 3.0, 4.0, 3.0, 3)
    assert made.peer == "peer" and made.is_reached and made.share_of_limit == 0.25
    more = figure(rounds, "s", "peer", row="r", work="w", reach=2.0, is_at_most=True, combine=lambda a, b: a - b)
    assert more.value == 1 and more.is_reached and more.share_of_limit is None


def test_scores_are_one_at_the_goal() -> None:
    assert report.score(Figure("r", "w", "p", value=3.0, reach=2.0)) == 1.5
    assert report.score(Figure("r", "w", "p", value=2.0, reach=1.0, is_at_most=True)) == 0.5
    assert report.score(Figure("r", "w", "p", value=20.0, reach=20.0, kind="ms", is_at_most=True)) == 1.0


def test_the_store_and_the_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = Figure("sentiment", "2,000 rows", "pipeline", 1.5, 2.0, 1.4, 1.6, ours=2, theirs=3, unit="s", limit=0.5)
    curves = {name: {"title": name, "x": "x", "y": "y", "points": [[1, 2.0], [2, 3.0]]} for name in ("length", "rows")}
    rates = {"bandwidth": 3e10, "float32": 1e11, "bfloat16": 3e11, "int8": 6e11}
    machine = {
        "processor": "Made up", "cores": 2, "threads": 2, "memory_bytes": 2**34, "system": "Linux", "load": 0.1,
        "packages": {"torch": "2"}, "rates": rates,
    }  # fmt: skip
    kept = {"machine": machine, "figures": {"sentiment": stamped([found], Options())}, "curves": curves}
    write_store(kept, tmp_path / "kept.json")
    again = read_store(tmp_path / "kept.json")
    assert again["figures"] == kept["figures"]
    report.write(again, tmp_path / "none.md", tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert "| 1.50 times (1.40 to 1.60) | ≥ 2 times | **missed** |" in page
    assert "30 GB/s" in page and "| 25% |" in page
    assert all((tmp_path / name).read_text().lstrip().startswith("<?xml") for name in ("performance.svg", "growth.svg"))


def test_rows_that_cannot_run_do_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(row: str, options: Options, rates: object) -> list[Figure]:
        if row == "answers":
            raise RuntimeError("no weights here")
        return [Figure(row, "work", "peer", 1.0, 1.0)]

    monkeypatch.setattr(table, "probe", lambda options: table.Rates(1, 1, 1, 1))
    monkeypatch.setattr(table, "measure", measure)
    assert table.main(["answers", "sentiment", "--short"]) == 1
    printed = capsys.readouterr().out
    assert "no weights here" in printed and "| work | peer | 0.00" in printed


def test_texts_are_the_same_at_every_call() -> None:
    rows = texts.mixed_rows(200)
    assert rows == texts.mixed_rows(200)
    lengths = sorted(len(row.split()) for row in rows)
    assert lengths[0] >= 4 and lengths[-1] <= 120 and lengths[100] < 40
    assert 900 <= len(texts.documents(1)[0].split()) <= 1000


def test_both_trainers_count_real_tokens(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    base = str(bert(tmp_path / "base", "", tokenizer))
    for work in (
        fine_tuning.ours(base, 64),
        fine_tuning.plain(base, 64, is_tuned=False),
        fine_tuning.plain(base, 64, is_tuned=True),
    ):
        seen = work(steps=2)
        assert 2 * fine_tuning.BATCH * 4 < seen["tokens"] < 2 * fine_tuning.BATCH * fine_tuning.MAX_LENGTH
        assert seen["speed"] > 0


def test_the_gpu_script_is_rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "gpu.json"
    arguments = ["--shapes", "tiny", "--visitors", "1", "3", "--tokens", "4", "--pairs", "1", "--device", "cpu"]
    assert gpu.main([*arguments, "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["visitors"] for row in rows] == [1, 3] and all(row["ours"] > 0 < row["generate"] for row in rows)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu.main(["--pairs", "1"]) == 1


class _Answers(BaseHTTPRequestHandler):
    """Streams two words, or refuses; /healthz is alive."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, b"{}")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = {"error": ["", "one"], "full": []}.get(asked["model"], ["", "one", " two"])
        lines = [f"data: {json.dumps({'choices': [{'text': text}]}, separators=(',', ':'))}\n\n" for text in texts]
        lines.append('data: {"error": {}}\n\n' if asked["model"] == "error" else "data: [DONE]\n\n")
        self._answer(429 if asked["model"] == "full" else 200, "".join(lines).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: object) -> None: ...


def test_load_sees_what_a_reader_of_a_stream_sees() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        whole, error, full = (load.stream(host, model, "x", 2) for model in ("whole", "error", "full"))
        left = load.stream(host, "whole", "x", 2, lambda visit: len(visit.words) == 1)
        command = [sys.executable, "-m", "benchmarks.load", "--ping", host, host.replace("127.0.0.1", "localhost")]
        pings = subprocess.run(command, cwd=load.ROOT, input="stop\n", capture_output=True, text=True, check=True)
        server.shutdown()
    assert (whole.status, whole.end, len(whole.words)) == (200, "done", 2) and whole.first <= whole.seconds
    assert (error.end, len(error.words), full.status, full.words) == ("error", 1, 429, [])
    assert (left.end, len(left.words)) == ("", 1)
    seen = json.loads(pings.stdout)
    assert seen["failed"] == 0 and len(seen[host]) >= 1
    assert load.percentile([3.0, 1.0, 2.0], 0.99) == 3.0


PAGE = """
import streamlit as st

@st.fragment(run_every="1s")
def clock():
    st.caption("a run of its own, whose end is not the page's")

clock()
with st.form("form"):
    text = st.text_area("Text", "nothing", key="text")
    is_asked = st.form_submit_button("Go")
place = st.empty()
if is_asked:
    for end in range(1, len(text) + 1):
        place.html(f"<div data-answer>{text[:end]}</div>")
    st.query_params["kept"] = "1"
    if text == "bad":
        st.error("No.")
"""


def test_a_browser_without_a_window_presses_and_reads(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(PAGE)
    with served(str(tmp_path / "page.py")) as address, Browser(address.removeprefix("http://"), "", "a=b") as browser:
        answer = browser.press("Go", {"Text": "one & two"})
        assert (answer.text, answer.errors, answer.is_over) == ("one & two", [], True)
        assert 0 < answer.first <= answer.words[-1] <= answer.seconds and "kept=1" in browser.query
        assert browser.press("Go", {"Text": "bad"}).errors == ["No."]
        with pytest.raises(LookupError, match="no button"):
            browser.press("Stop", {})


def test_what_visitors_saw_is_told() -> None:
    deed, seen = demo.DEEDS[0], demo.Seen()
    for answer, fault, seconds in (
        ("a", "", 1.0),
        ("a", "", 2.0),
        ("b", "", 3.0),
        ("", "", 1.0),
        ("", "429", 9.0),
        ("", "500", 9.0),
    ):
        demo._note(deed, "t", answer, fault, seconds, {(deed.name, "t"): "a"}, seen)
    other = demo.Seen()
    other.add(seen)
    told = demo._told(other, [(minute, 100.0 + minute) for minute in range(11)], 10)
    assert (told["asked"], told["lost"], told["mixed_up"]) == (4, 1, 1)
    assert (sum(told["refused"].values()), sum(told["faults"].values())) == (1, 1)
    assert told["waits_s"][deed.name] == {"count": 4, "median": 1.5, "99 of 100": 3.0, "times": 2.0}
    assert told["growth"] == pytest.approx((109 - 104.5) / 104.5)
