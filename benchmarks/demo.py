"""A hosted demo as its visitors use it, over real websockets and the API: `python -m benchmarks.demo ROW ...`.

Rows: thirty (press at once on Write), mixed (fifty visitors for `--minutes`), openings (short answers beside pages
that are being opened). Faults and restarts are in `benchmarks.faults`. Figures are printed as JSON lines and kept by
hand in docs/reliability.md.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from statistics import mean, median
from typing import Any

from benchmarks import measuring
from benchmarks.browsers import Answer, Browser
from benchmarks.load import SMALL, WORDS, Server, ask, at_once, percentile, prompt, server, stream

VISITORS, LENGTH = 30, 64
"""The slider of Write goes by 8, so that 64 stands for 60 tokens."""
WRITE_LABEL = "What is the story about?"
MINUTES, SETTLED_MINUTES = 30.0, 5.0
LOOK_SECONDS = 20.0
"""From one look at the memory to the next; each takes 40 to 150 ms of a processor, which somebody else waits for."""
CROWDS = 5
REST_SECONDS = 4.0
"""Of a visitor between two questions, at most."""
STARTING_SECONDS = 5.0
"""Of the visitors' processes, about."""
COMING_SECONDS = 5.0
"""In which all come at the same moment; what they ask then is looked at, but is no wait of the even load."""


def thirty() -> dict[str, Any]:
    """As many press at once on Write with the embedded default; slots grown by other prompts, then by Write's own."""
    with server() as ours:
        at_once([lambda: stream(ours.host, SMALL, prompt(12), 8)] * VISITORS)
        browsers = [Browser(ours.host, "write", f"write_max_new_tokens={LENGTH}") for _ in range(VISITORS)]
        told = {name: _pressed(browsers) for name in ("after_other_prompts", "after_writes", "again")}
        for one in browsers:
            one.line.close()
    return told


def _pressed(browsers: Sequence[Browser]) -> dict[str, Any]:
    started = time.perf_counter()
    answers: list[Answer] = at_once(
        [partial(one.press, "Write", {WRITE_LABEL: f"{prompt(3)} {n}"}) for n, one in enumerate(browsers)]
    )
    seconds, firsts = time.perf_counter() - started, [answer.first for answer in answers]
    return {
        "first_words_s": {"median": median(firsts), "95 of 100": percentile(firsts, 0.95), "longest": max(firsts)},
        "all_done_s": seconds,
        "errors": Counter(error for answer in answers for error in answer.errors),
        "without_text": sum(not answer.text for answer in answers),
    }


@dataclass(frozen=True)
class Deed:
    """A kind of thing that visitors do: it answers with a text, which is the same whenever the same is asked."""

    name: str
    asked: tuple[str, ...]
    do: Callable[[str, str], tuple[str, str]]
    """Of a server's host and a text, the answer and what went wrong, "" where nothing did."""


@dataclass
class Seen:
    """What visitors saw, by the deed's name."""

    waits: dict[str, list[float]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    lost: int = 0

    def add(self, other: Seen) -> None:
        """What others saw."""
        for name, waits in other.waits.items():
            self.waits.setdefault(name, []).extend(waits)
        self.faults += other.faults
        self.refused += other.refused
        self.mixed += other.mixed
        self.lost += other.lost


def _api(path: str, make: Callable[[str], dict[str, Any]], read: Callable[[Any], str]) -> Any:
    def do(host: str, text: str) -> tuple[str, str]:
        status, body = ask(host, path, make(text))
        return (read(json.loads(body)), "") if status == 200 else ("", str(status))

    return do


def _chat(host: str, text: str) -> tuple[str, str]:
    visit = stream(host, SMALL, text, 32, temperature=0.0)
    fault = "" if visit.end == "done" else str(visit.status if visit.status != 200 else visit.end)
    return visit.text, fault


def _page(page: str, query: str, button: str, label: str) -> Any:
    def do(host: str, text: str) -> tuple[str, str]:
        with Browser(host, page, query) as browser:
            answer = browser.press(button, {label: text})
        return answer.text, "; ".join(answer.errors)

    return do


def _texts(beginning: str, end: str = "") -> tuple[str, ...]:
    return tuple(f"{beginning} {word}{end}" for word in WORDS[:8])


DEEDS = (
    Deed(
        "Write, page", _texts("a story about the"),
        _page("write", "write_max_new_tokens=48&write_temperature=0", "Write", WRITE_LABEL),
    ),
    Deed("Write, API", _texts("Once upon a time there was a"), _chat),
    Deed(
        "Translate, page", _texts("I saw the", " in the morning."),
        _page("translate", "from=English&to=Portuguese", "Translate", "Text"),
    ),
    Deed(
        "Translate, API", _texts("We talked about the", " all day."),
        _api("/api/translate", lambda text: {"text": text, "source": "en", "target": "pt"},
             lambda body: str(body["translations"][0]["text"])),
    ),
    Deed(
        "Sentiment, API", (*_texts("I was happy with the")[::2], *_texts("A dull film about a broken")[1::2]),
        _api("/api/sentiment", lambda text: {"text": text}, lambda body: str(body["results"][0]["label"])),
    ),
    Deed(
        "Answer, API", _texts("Karin painted the", " in 1742."),
        _api("/api/answer", lambda text: {"question": "What did Karin paint?", "context": text},
             lambda body: str(body["answer"])),
    ),
    Deed(
        "embeddings, API", _texts("the"),
        _api("/v1/embeddings", lambda text: {"model": "multilingual-e5-small", "input": text},
             lambda body: json.dumps([round(value, 2) for value in body["data"][0]["embedding"][:4]])),
    ),
)  # fmt: skip
SHORT = tuple(deed for deed in DEEDS if deed.name.endswith("API") and deed.do is not _chat)


def mixed(minutes: float = MINUTES, visitors: int = 50) -> dict[str, Any]:
    """So many visitors, each asking one thing after the other with a rest between; in several processes, so that none
    waits for another's interpreter."""
    seen, megabytes, share = Seen(), list[tuple[float, float]](), visitors // CROWDS
    with server() as ours, ProcessPoolExecutor(CROWDS, mp_context=get_context("spawn")) as pool:
        expected = {(deed.name, text): deed.do(ours.host, text)[0] for deed in DEEDS for text in deed.asked}
        with _watched(ours, megabytes):
            crowds = [
                pool.submit(_crowd, ours.host, range(first, first + share), minutes, expected)
                for first in range(0, visitors, share)
            ]
            time.sleep(STARTING_SECONDS + COMING_SECONDS)
            before = _server_counts(ours.host)
            for one in crowds:
                seen.add(one.result())
        left, waits = ours.megabytes(), _server_waits(before, _server_counts(ours.host))
    return _told(seen, megabytes, minutes) | {"megabytes_after": left, "of_those_in_the_server_s": waits}


def openings(seconds: float = 40.0, openers: int = 2) -> dict[str, Any]:
    """Short answers one after the other, beside visitors who open Translate again and again."""
    chance, waits = random.Random(1), dict[str, list[float]]()
    with server() as ours, ProcessPoolExecutor(openers, mp_context=get_context("spawn")) as pool:
        for deed in SHORT:
            deed.do(ours.host, deed.asked[0])  # which loads its model
        opened = [pool.submit(_open, ours.host, number, STARTING_SECONDS + seconds) for number in range(openers)]
        time.sleep(STARTING_SECONDS)
        while not all(one.done() for one in opened):
            for deed in SHORT:
                text, started = chance.choice(deed.asked), time.perf_counter()
                deed.do(ours.host, text)
                waits.setdefault(deed.name, []).append(time.perf_counter() - started)
                time.sleep(chance.uniform(0, 0.1))
    return {"opened": sum(one.result() for one in opened)} | {
        f"{name}, ms": {
            "count": len(found), "median": 1000 * median(found),
            "90 of 100": 1000 * percentile(found, 0.9), "97 of 100": 1000 * percentile(found, 0.97),
        }
        for name, found in waits.items()
    }  # fmt: skip


def _open(host: str, number: int, seconds: float) -> int:
    """Open the page for so long; how often."""
    chance, until, opened = random.Random(number), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        with Browser(host, "translate", "from=English&to=Portuguese"):
            opened += 1
        time.sleep(chance.uniform(0, 0.4))
    return opened


@contextmanager
def _watched(ours: Server, megabytes: list[tuple[float, float]]) -> Iterator[None]:
    is_over, started = threading.Event(), time.monotonic()

    def look() -> None:
        while not is_over.wait(LOOK_SECONDS):
            megabytes.append(((time.monotonic() - started) / 60, ours.megabytes()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _crowd(host: str, numbers: Sequence[int], minutes: float, expected: dict[tuple[str, str], str]) -> Seen:
    seen, lock, over = Seen(), threading.Lock(), time.monotonic() + 60 * minutes
    at_once([partial(_visit, host, number, over, expected, seen, lock) for number in numbers])
    return seen


def _visit(
    host: str, number: int, over: float, expected: dict[tuple[str, str], str], seen: Seen, lock: threading.Lock
) -> None:
    chance, come = random.Random(number), time.monotonic()
    while time.monotonic() < over:
        deed, is_timed = chance.choice(DEEDS), time.monotonic() - come > COMING_SECONDS
        text, started = chance.choice(deed.asked), time.perf_counter()
        try:
            answer, fault = deed.do(host, text)
        except Exception as error:  # whatever a client meets is told
            answer, fault = "", f"{type(error).__name__}: {error}"[:200]
        with lock:
            _note(deed, text, answer, fault, time.perf_counter() - started if is_timed else None, expected, seen)
        time.sleep(chance.uniform(0, REST_SECONDS))


Counts = dict[str, list[tuple[float, float]]]
"""By path, up to how many seconds so many requests took."""


def _server_counts(host: str) -> Counts:
    """Of all requests so far: the histogram of /metrics, without what a client adds."""
    counts: Counts = {}
    for line in ask(host, "/metrics")[1].decode().split("\n"):
        if found := re.match(r'parlance_http_request_seconds_bucket\{le="(.+?)",path="(.+?)"\} (\S+)', line):
            counts.setdefault(found[2], []).append((float(found[1]), float(found[3])))
    return counts


def _server_waits(before: Counts, after: Counts) -> dict[str, dict[str, float]]:
    """By path, within which time half and 99 of 100 of the requests between were answered."""
    found = {}
    for path, ends in after.items():
        earlier = dict(before.get(path, []))
        new = [(end, count - earlier.get(end, 0.0)) for end, count in ends]
        if new[-1][1]:
            middle, most = (_within(new, share) for share in (0.5, 0.99))
            found[path] = {"count": new[-1][1], "median": middle, "99 of 100": most, "times": most / middle}
    return found


def _within(ends: Sequence[tuple[float, float]], share: float) -> float:
    """Between two ends of the histogram's parts as if they were spread evenly, as Prometheus reckons."""
    wanted, low, passed = share * ends[-1][1], 0.0, 0.0
    for end, count in ends:
        if count >= wanted:
            return low + (end - low) * (wanted - passed) / (count - passed) if count > passed else end
        low, passed = end, count
    return low


def _note(
    deed: Deed,
    text: str,
    answer: str,
    fault: str,
    seconds: float | None,
    expected: dict[tuple[str, str], str],
    seen: Seen,
) -> None:
    if fault in ("429", "503"):
        seen.refused[f"{deed.name}: {fault}"] += 1
    elif fault:
        seen.faults[f"{deed.name}: {fault}"] += 1
    else:
        if seconds is not None:
            seen.waits.setdefault(deed.name, []).append(seconds)
        if not answer:
            seen.lost += 1
        elif answer != expected[deed.name, text]:
            seen.mixed += 1
            print(json.dumps({"other": deed.name, "asked": text, "came": answer, "alone": expected[deed.name, text]}))


def _told(seen: Seen, megabytes: Sequence[tuple[float, float]], minutes: float) -> dict[str, Any]:
    begin = min(SETTLED_MINUTES, minutes / 2)
    early = [size for at, size in megabytes if begin - 1 <= at < begin + 1]
    late = [size for at, size in megabytes if at >= minutes - 2]
    return {
        "minutes": minutes,
        "asked": sum(map(len, seen.waits.values())),
        "refused": seen.refused,
        "faults": seen.faults,
        "lost": seen.lost,
        "mixed_up": seen.mixed,
        "waits_s": {
            name: {
                "count": len(waits), "median": round(median(waits), 2), "99 of 100": round(percentile(waits, 0.99), 2),
                "times": round(percentile(waits, 0.99) / median(waits), 2),
            }
            for name, waits in seen.waits.items()
        },
        "megabytes": [round(mean(early)), round(mean(late))] if early and late else [],
        "growth": mean(late) / mean(early) - 1 if early and late else None,
        "megabytes_by_minute": [
            round(mean(found)) for minute in range(round(minutes) + 1)
            if (found := [size for at, size in megabytes if minute <= at < minute + 1])
        ],
    }  # fmt: skip


ROWS: dict[str, Callable[..., dict[str, Any]]] = {"thirty": thirty, "mixed": mixed, "openings": openings}


def main() -> None:
    """Measure the rows that are named, one after the other."""
    parser = measuring.parser("demo", __doc__, ROWS)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of mixed (default %(default)g)")
    arguments = parser.parse_args()
    measuring.measure(ROWS, arguments.rows, {"mixed": {"minutes": arguments.minutes}})


if __name__ == "__main__":
    main()
