"""This checkout against another one (the commit before, say), through the HTTP API, in turns.

`python -m benchmarks.against OTHER [--rounds 15] [--rows write-8 ...]`: both are served at once by this Python, one is
asked while the other is idle. Prints, a row: the median of ours and theirs, and of the ratio round by round (above 1,
ours is faster), with its lowest and highest. `--memory` prints each server's memory before and after instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.pages import end, free_port, wait
from benchmarks.texts import QUESTIONS, mixed_rows, passages, short_sentences, story_prompt

ROOT = Path(__file__).parents[1]
SMOLLM, GEMMA = "smollm2-135m-instruct", "gemma-3-270m"
TOKENS = 64


def ask(address: str, path: str, body: dict[str, Any]) -> Any:
    """The answer to one request."""
    request = urllib.request.Request(
        f"{address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def complete(address: str, model: str, number: int) -> int:
    """Have a story carried on; the number of new tokens."""
    body = {
        "model": model, "prompt": story_prompt(number), "max_tokens": TOKENS, "seed": number, "top_k": 50,
        "temperature": 0.8,
    }  # fmt: skip
    return int(ask(address, "/v1/completions", body)["usage"]["completion_tokens"])


def stories(model: str, visitors: int) -> Callable[[str, int], float]:
    """Tokens a second of so many visitors at once."""

    def work(address: str, turn: int) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(visitors) as pool:
            numbers = [turn * 1000 + number for number in range(visitors)]
            tokens = sum(pool.map(lambda number: complete(address, model, number), numbers))
        return tokens / (time.perf_counter() - started)

    return work


def posted(path: str, count: int, body: Callable[[int], dict[str, Any]]) -> Callable[[str, int], float]:
    """Rows a second of one request with `count` rows."""

    def work(address: str, turn: int) -> float:
        started = time.perf_counter()
        ask(address, path, body(turn))
        return count / (time.perf_counter() - started)

    return work


def answers(address: str, turn: int) -> float:
    """Questions a second, eight visitors at once."""
    texts, source = passages(16, seed=turn), Random(turn)
    started = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        bodies = [{"question": source.choice(QUESTIONS), "context": text} for text in texts]
        list(pool.map(lambda body: ask(address, "/api/answer", body), bodies))
    return len(texts) / (time.perf_counter() - started)


ROWS: dict[str, Callable[[str, int], float]] = {
    "write-1": stories(SMOLLM, 1),
    "write-8": stories(SMOLLM, 8),
    "write-32": stories(SMOLLM, 32),
    "gemma-1": stories(GEMMA, 1),
    "gemma-8": stories(GEMMA, 8),
    "sentiment": posted("/api/sentiment", 200, lambda turn: {"text": mixed_rows(200, seed=turn)}),
    "answer": answers,
    "translate": posted(
        "/api/translate",
        4,
        lambda turn: {
            "text": short_sentences(4, seed=turn),
            "source": "en",
            "target": "fr",
            "model": GEMMA,
        },
    ),
}


@contextmanager
def served(checkout: Path, slots: int | None) -> Iterator[tuple[str, int]]:
    """A checkout's app on a free port: its address and the number of its process."""
    port = free_port()
    options = ["--server.headless", "true", "--server.port", str(port), "--server.address", "127.0.0.1"]
    settings = {"PARLANCE_RESULT_CACHE_BYTES": "0", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(checkout)}
    settings |= {"PARLANCE_SLOTS": str(slots)} if slots else {}
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", *options], cwd=checkout, env=os.environ | settings,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        wait(address)
        yield address, server.pid
    finally:
        end(server)


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children, in MB."""
    import psutil  # type: ignore[import-untyped]

    process = psutil.Process(pid)
    return float(sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])) / 1e6


def compare(name: str, ours: str, theirs: str, rounds: int) -> str:
    """One row: both sides in turns, who begins changing from round to round."""
    work, seen, ratios = ROWS[name], {ours: [0.0], theirs: [0.0]}, []
    for turn in range(rounds + 1):
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        now = {address: work(address, turn) for address in order}
        if turn:  # the first one warms both up
            ratios.append(now[ours] / now[theirs])
            for address, value in now.items():
                seen[address].append(value)
    mine, other = (median(seen[address][1:]) for address in (ours, theirs))
    return (
        f"{name:10}  ours {mine:7.2f}/s  theirs {other:7.2f}/s  "
        f"ratio {median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds)"
    )


def main() -> None:
    """Print one line a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--slots", type=int)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    checkouts = {"ours": ROOT, "theirs": options.other.absolute()}
    with ExitStack() as stack:
        sides = {name: stack.enter_context(served(path, options.slots)) for name, path in checkouts.items()}
        if options.memory:
            for name, (address, pid) in sides.items():
                before = memory_mb(pid)
                for row in ("write-1", "gemma-1", "sentiment", "answer", "write-32", "gemma-8"):
                    ROWS[row](address, 1)
                    print(f"{name}: {before:.0f} MB at the start, {memory_mb(pid):.0f} MB after {row}", flush=True)
            return
        for row in options.rows:
            print(compare(row, sides["ours"][0], sides["theirs"][0], options.rounds), flush=True)


if __name__ == "__main__":
    main()
