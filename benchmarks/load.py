"""The whole server under load and faults: `python -m benchmarks.load ROW ...`, each row on servers of its own.

Rows: health (while models load, /healthz of this server and of an idle one in turns), long (beside long prompts),
alone (a long prompt in stages and whole), beside (as long, on the runtime transformers), visitors, crowd, hangups,
sessions, limit (visitors in 3 GiB), uploads (files in 3 GiB), one_gib and two_gib (one visitor of everything), rows
(many of a file), hops (threads that compute beside others), apart (models in another process beside such threads),
stop (SIGTERM), kills. Figures are printed as JSON lines and kept by hand in docs/reliability.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]

from benchmarks import measuring
from benchmarks.apart import apart, computing
from benchmarks.pages import end, launch, wait
from benchmarks.prompts import alone, beside
from benchmarks.sides import ROOT

SMALL, OTHER = "smollm2-135m-instruct", "gemma-3-270m"
WORDS = "time sun sea sky road bird rain snow tree fire lake moon star wind song hand door bed cup".split()  # noqa: SIM905
PING_SECONDS = 0.01
LIMIT_BYTES = 3 * 2**30
PATIENCE_SECONDS = 600.0
TEXTS = (
    ("sentiment", {"text": "The plot is thin, but the actors are so charming that I left smiling."}),
    (
        "answer",
        {"question": "Who built it?", "context": "The harbour was built in 1742 by Karin Ostberg."},
    ),
)


@dataclass
class Server:
    """The app in a process of its own."""

    process: subprocess.Popen[bytes]
    address: str

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def tree(self) -> list[Any]:
        """The server's process and its children."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def megabytes(self) -> float:
        """Memory of the server and its children; pages that they share count once (PSS)."""
        total = 0
        for one in self.tree():
            with suppress(psutil.Error):
                total += getattr(one.memory_full_info(), "pss", 0) or one.memory_info().rss
        return total / 1e6


@contextmanager
def server(group: Path | None = None, **environment: str) -> Iterator[Server]:
    """A server that has finished its warm-up, in a control group where one is given; who measures it is not in that."""
    with _inside(group):
        process, address = launch("app.py", said=subprocess.DEVNULL, **environment)
    try:
        wait(address)
        ask(urlsplit(address).netloc, "/healthz")
        time.sleep(5)  # what it imports in the background
        yield Server(process, address)
    finally:
        end(process)


@contextmanager
def _inside(group: Path | None) -> Iterator[None]:
    """Be in a control group, as whatever is started meanwhile stays."""
    if group is None:
        yield
        return
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()))


def ask(host: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """One request; its status and answer."""
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_SECONDS)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@dataclass
class Visit:
    """One streamed answer as its reader saw it; times in seconds since the request."""

    status: int = 0
    started: float = field(default_factory=time.perf_counter)
    words: list[float] = field(default_factory=list)
    seconds: float = 0.0
    text: str = ""
    end: str = ""
    """"done", "error" (an event that says so), or "broken"."""

    @property
    def first(self) -> float:
        return self.words[0] if self.words else float("nan")


def stream(
    host: str,
    model: str,
    prompt: str,
    tokens: int,
    leave: Callable[[Visit], bool] = lambda visit: False,
    temperature: float = 0.8,
) -> Visit:
    """Ask for a streamed completion; `leave` hangs up when it says so."""
    visit = Visit()
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "stream": True, "temperature": temperature}
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        visit.status = response.status
        while visit.status == 200 and (line := response.readline()):
            now = time.perf_counter() - visit.started
            if line.startswith(b"data: [DONE]"):
                visit.end = visit.end or "done"
            elif line.startswith(b"data: ") and b'"error"' in line[:20]:
                visit.end = "error"
            elif line.startswith(b"data: ") and b'"text":""' not in line.replace(b" ", b""):
                visit.words.append(now)
                visit.text += json.loads(line[6:])["choices"][0].get("text", "")
            if leave(visit):
                break
    except (OSError, http.client.HTTPException):
        visit.end = "broken"
    finally:
        connection.close()
    visit.seconds = time.perf_counter() - visit.started
    return visit


def prompt(words: int) -> str:
    """A text that nobody asked about before."""
    return " ".join(random.choice(WORDS) for _ in range(words))


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """All of it at the same moment."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [each.result() for each in [pool.submit(work) for work in works]]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def health() -> dict[str, Any]:
    """/healthz every 10 ms, in turns with an idle server's, while the first questions to all models meet a crowd."""
    with server() as ours, server() as idle:
        command = [sys.executable, "-m", "benchmarks.load", "--ping", ours.host, idle.host]
        pings = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        time.sleep(2)
        started = time.perf_counter()
        works: list[Callable[[], Any]] = [lambda: stream(ours.host, OTHER, prompt(20), 48)]
        works += [lambda: stream(ours.host, SMALL, prompt(20), 32) for _ in range(16)]
        works += [lambda: stream(ours.host, OTHER, prompt(20), 32) for _ in range(16)]
        works += [lambda one=one: ask(ours.host, f"/api/{one[0]}", one[1]) for one in TEXTS]  # type: ignore[misc]
        at_once(works)
        seconds = time.perf_counter() - started
        said, _ = pings.communicate("stop\n", timeout=60)
    both: dict[str, list[float]] = json.loads(said)
    mine, theirs = both[ours.host], both[idle.host]
    return {
        "seconds": seconds,
        "asked": len(mine),
        "failed": both["failed"],
        "p50_ms": [median(mine), median(theirs)],
        "p99_ms": [percentile(mine, 0.99), percentile(theirs, 0.99)],
        "p99_later_ms": percentile(mine, 0.99) - percentile(theirs, 0.99),
        "longest_ms": [max(mine), max(theirs)],
    }


def ping(hosts: Sequence[str]) -> None:
    """Ask the hosts for /healthz until a line comes in, a thread and a kept connection each; print milliseconds."""
    seen: dict[str, Any] = {host: [] for host in hosts} | {"failed": 0}
    is_over = threading.Event()

    def look(host: str) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        while not is_over.is_set():
            started = time.perf_counter()
            try:
                connection.request("GET", "/healthz")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                seen["failed"] += 1
                connection.close()
            seen[host].append(1000 * (time.perf_counter() - started))
            time.sleep(max(0.0, started + PING_SECONDS - time.perf_counter()))

    threads = [threading.Thread(target=look, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    is_over.set()
    for thread in threads:
        thread.join()
    print(json.dumps(seen))


def long() -> dict[str, Any]:
    """A short request and a running stream alone and beside four long prompts."""
    with server() as ours:

        def short() -> float:
            return stream(ours.host, SMALL, prompt(12), 8).first

        def speed(seconds: float) -> float:
            visit = stream(ours.host, SMALL, prompt(12), 2000, lambda one: time.perf_counter() - one.started > seconds)
            return (len(visit.words) - 1) / (visit.words[-1] - visit.words[0])

        at_once([short] * 8)  # the slots for all that follows
        alone, alone_speed = [short() for _ in range(12)], speed(6)
        leave = threading.Event()
        words = [f"{number} {prompt(3750)}" for number in range(4)]
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(stream, ours.host, SMALL, one, 8, lambda visit: leave.is_set()) for one in words]
            time.sleep(5)
            beside = [short() for _ in range(20)]
            beside_speed = speed(15)
            still = sum(not each.done() for each in asked)  # all four, else one was refused
            for one in ours.tree()[1:]:
                with suppress(psutil.Error):
                    one.kill()  # so that nobody waits for the rest
            leave.set()
    return {
        "short_first_s": [median(alone), median(beside)],
        "short_times": median(beside) / median(alone),
        "short_longest_s": max(beside),
        "stream_tokens_s": [alone_speed, beside_speed],
        "stream_share": beside_speed / alone_speed,
        "long_prompts_still_read": still,
    }


def visitors(count: int = 50, group: Path | None = None) -> dict[str, Any]:
    """So many at once, a third each on two language models and on classifying and answering."""
    with server(group) as ours:
        before = ours.megabytes()
        visits: list[Visit] = []
        others: list[tuple[int, float]] = []

        def one(number: int) -> None:
            if number % 3 < 2:
                visits.append(stream(ours.host, (SMALL, OTHER)[number % 3], prompt(20), 64))
            else:
                path, body = TEXTS[number % 2]
                started = time.perf_counter()
                status, _ = ask(ours.host, f"/api/{path}", body)
                others.append((status, time.perf_counter() - started))

        most = _watched(ours, lambda: at_once([lambda number=number: one(number) for number in range(count)]))  # type: ignore[misc]
        times = [visit.seconds for visit in visits] + [seconds for _, seconds in others]
        return {
            "answered": sum(visit.end == "done" for visit in visits) + sum(status == 200 for status, _ in others),
            "of": count,
            "median_s": median(times),
            "longest_s": max(times),
            "first_word_median_s": median(visit.first for visit in visits),
            "first_word_longest_s": max(visit.first for visit in visits),
            "megabytes": [before, most, ours.megabytes()],
        }


def _watched(ours: Server, work: Callable[[], Any]) -> float:
    """The most memory while the work is done."""
    seen, is_over = [0.0], threading.Event()

    def look() -> None:
        while not is_over.wait(0.5):
            seen.append(ours.megabytes())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        work()
    finally:
        is_over.set()
        thread.join()
    return max(seen)


def crowd() -> dict[str, Any]:
    """A hundred streams at once: what is too much is refused at once, and nothing else goes wrong."""
    with server() as ours:
        visits = at_once([lambda: stream(ours.host, SMALL, prompt(12), 24)] * 100)
    done = [visit for visit in visits if visit.end == "done"]
    return {
        "statuses": Counter(visit.status for visit in visits),
        "ends": Counter(visit.end for visit in visits),
        "longest_s": max(visit.seconds for visit in done),
        "refused_after_s": max((visit.seconds for visit in visits if visit.status == 429), default=0.0),
    }


def hangups() -> dict[str, Any]:
    """Of fifty streams thirty hang up; how long until as many new ones have a slot, seen by llama.cpp's own count."""
    with server() as ours:
        leave = threading.Event()

        def visit(number: int) -> Visit:
            return stream(ours.host, SMALL, prompt(12), 400, lambda one: number < 30 and leave.is_set())

        with ThreadPoolExecutor(50) as pool:
            asked = [pool.submit(visit, number) for number in range(50)]
            time.sleep(20)
            busy = _running(ours)
            leave.set()
            started = time.perf_counter()
            while _running(ours) > 20 and time.perf_counter() - started < 60:
                time.sleep(0.02)
            seconds = time.perf_counter() - started
            ends = Counter(each.result().end for each in asked[30:])
    return {"slots_busy": busy, "free_after_s": seconds, "the_others": ends}


def _running(ours: Server) -> int:
    """Requests that are answered or wait now, as the server's connections tell."""
    return sum(one.status == "ESTABLISHED" for child in ours.tree()[1:] for one in _connections(child))


def _connections(process: Any) -> list[Any]:
    with suppress(psutil.Error):
        return list(process.net_connections("tcp"))
    return []


def sessions(count: int = 200) -> dict[str, Any]:
    """So many browser sessions on the first page: memory before, with them, and after they are gone."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from websockets.sync.client import connect

    message = BackMsg()
    message.rerun_script.query_string = ""

    def visit() -> Any:
        wanted: dict[str, Any] = {"subprotocols": ["streamlit"], "max_size": None, "ping_interval": None}
        line = connect(f"ws://{ours.host}/_stcore/stream", open_timeout=60, **wanted)
        line.send(message.SerializeToString())
        with suppress(TimeoutError):
            for _ in range(200):
                line.recv(timeout=2)
        return line

    with server() as ours:
        visit().close()
        before, started = ours.megabytes(), time.perf_counter()
        with ThreadPoolExecutor(10) as pool:
            lines = [each.result() for each in [pool.submit(visit) for _ in range(count)]]
        seconds, most = time.perf_counter() - started, ours.megabytes()
        for line in lines:
            line.close()
        time.sleep(30)
        status, _ = ask(ours.host, "/healthz")
        return {"sessions": count, "seconds": seconds, "megabytes": [before, most, ours.megabytes()], "healthz": status}


def stop() -> dict[str, Any]:
    """SIGTERM in the midst of eight streams."""
    with server() as ours:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(stream, ours.host, SMALL, prompt(12), 2000) for _ in range(8)]
            time.sleep(8)
            children = [one.pid for one in ours.tree()[1:]]
            started = time.perf_counter()
            ours.process.send_signal(signal.SIGTERM)
            status = ours.process.wait(60)
            seconds = time.perf_counter() - started
            ends = Counter(each.result().end for each in asked)
        time.sleep(1)
        left = [pid for pid in children if psutil.pid_exists(pid)]
    return {"seconds": seconds, "status": status, "streams": ends, "children_left": len(left)}


def kills() -> dict[str, Any]:
    """kill -9: of the process that holds a model in the midst of eight streams, then of the server itself."""
    with server() as ours:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(stream, ours.host, SMALL, prompt(12), 2000) for _ in range(8)]
            time.sleep(8)
            for child in ours.tree()[1:]:
                child.kill()
            ends = Counter(each.result().end for each in asked)
        started = time.perf_counter()
        after = stream(ours.host, SMALL, prompt(12), 8)
        again = time.perf_counter() - started
        children = [one.pid for one in ours.tree()[1:]]
        ours.process.kill()
        time.sleep(2)
        left = [pid for pid in children if psutil.pid_exists(pid)]
    return {"streams": ends, "next_answer": after.end, "next_answer_s": again, "children_left": len(left)}


def limit() -> dict[str, Any]:
    """The visitors again where the server may have 3 GiB."""
    return _limited(lambda group: visitors(group=group))


def uploads() -> dict[str, Any]:
    """The files that stopped earlier versions, brought where the server may have 3 GiB, with a question after each."""
    return _limited(_uploads)


def _uploads(group: Path) -> dict[str, Any]:
    from benchmarks import attacks

    told: dict[str, Any] = {}
    with TemporaryDirectory() as folder, server(group, PARLANCE_RUNS_FOLDER=folder) as ours:
        at_once([lambda model=model: stream(ours.host, model, prompt(12), 32) for model in (SMALL, OTHER) * 6])  # type: ignore[misc]
        for title, name, content in attacks.files():
            watch = attacks.Watch(ours.address, ours.process.pid)
            answer = attacks.brought(ours.address, watch, name, content, Path(folder))
            after = stream(ours.host, SMALL, prompt(12), 8)
            told[title] = [answer[:100], round(watch.seconds, 1), round(watch.longest * 1000), after.end]
    return told


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "sentiment": ("/api/sentiment", {"text": "A fine film."}),
    "translate": ("/api/translate", {"text": "The cat sleeps on the warm stove.", "source": "en", "target": "pt"}),
    "answer": ("/api/answer", {"question": "Where does the cat sleep?", "context": "The cat sleeps on the stove."}),
    "write": ("/api/write", {"text": "a lighthouse", "max_new_tokens": 32}),
    "chat": ("/v1/chat/completions", {"model": OTHER, "messages": [{"role": "user", "content": "Hello."}]}),
    "translate, few-shot": ("/api/translate", {"text": "The cat sleeps.", "source": "en", "target": "fr"}),
    "embeddings": ("/v1/embeddings", {"model": "multilingual-e5-small", "input": "The cat sleeps."}),
}
"""A question to each application, one after the other, twice over."""


def one_gib() -> dict[str, Any]:
    """A visitor of everything where the server may have 1 GiB."""
    return _limited(_tour, 2**30)


def two_gib() -> dict[str, Any]:
    """A visitor of everything where the server may have 2 GiB."""
    return _limited(_tour, 2 * 2**30)


def _tour(group: Path) -> dict[str, Any]:
    told: dict[str, Any] = {}
    with server(group) as ours:
        told["idle_mb"] = ours.megabytes()
        for number, (name, (path, body)) in enumerate([*ASKED.items()] * 2):
            started = time.perf_counter()
            status, answer = ask(ours.host, path, body)
            said = "" if status == 200 else json.loads(answer)["error"]["message"]
            told[f"{name} {number // len(ASKED) + 1}"] = [status, round(time.perf_counter() - started, 1), said]
        told |= at_once_in(ours)
        told["mb"] = ours.megabytes()
    return told


def at_once_in(ours: Server) -> dict[str, Any]:
    """Eight streams of the default at once."""
    visits = at_once([lambda: stream(ours.host, SMALL, prompt(12), 32)] * 8)
    return {"eight_streams": dict(Counter(visit.end or str(visit.status) for visit in visits))}


def rows(count: int = 400_000) -> dict[str, Any]:
    """A file of so many rows read, parted and checked: the longest that a thread beside it stood still."""
    from engine.training import columns, splitting
    from engine.training.formats import read_apart

    lines = (b"a fine film number %d,%s\n" % (number, b"good" if number % 2 else b"bad") for number in range(count))
    content, longest, is_over = b"text,label\n" + b"".join(lines), [0.0], threading.Event()

    def wake() -> None:
        before = time.perf_counter()
        while not is_over.wait(0.005):
            now = time.perf_counter()
            longest[0], before = max(longest[0], now - before), now

    thread = threading.Thread(target=wake)
    thread.start()
    started = time.perf_counter()
    table = read_apart(content, "f.csv")
    mapping = columns.guess(table, "classification")
    made = splitting.make("classification", table, None, mapping, 0.15, False, 1)
    found = splitting.check("classification", made, {})
    is_over.set()
    thread.join()
    return {
        "rows": [len(made.usable_train), len(made.usable_validation)],
        "seconds": time.perf_counter() - started,
        "longest_ms": 1000 * longest[0],
        "findings": len(found),
        "megabytes": psutil.Process().memory_info().rss / 1e6,
    }


def hops() -> dict[str, Any]:
    """Ten hand-overs between two threads beside three that compute in Python, as pages do: seconds, and what is
    computed in a second of the processor, by Python's own time for a thread's turn and by the app's."""
    from app import TURN_SECONDS

    usual, told = sys.getswitchinterval(), dict[str, Any]()
    for name, interval in (("python", usual), ("app", TURN_SECONDS)) * 3:
        sys.setswitchinterval(interval)
        seconds, works = _hops(3)
        told.setdefault(name, []).append([interval, seconds, works])
    sys.setswitchinterval(usual)
    return told


def _hops(busy: int, rounds: int = 3) -> tuple[list[float], float]:
    asked, answered = SimpleQueue[bool](), SimpleQueue[bool]()

    def answer() -> None:
        while asked.get():
            answered.put(True)

    began, seconds = time.process_time(), list[float]()
    answering = threading.Thread(target=answer)
    answering.start()
    with computing(busy) as done:
        for _ in range(rounds):
            started = time.perf_counter()
            for _ in range(5):
                asked.put(True)
                answered.get()
            seconds.append(time.perf_counter() - started)
    asked.put(False)
    answering.join()
    return seconds, sum(done) / (time.process_time() - began)


def _limited(work: Callable[[Path], dict[str, Any]], limit_bytes: int = LIMIT_BYTES) -> dict[str, Any]:
    """Done with a control group that has a limit of memory, where this user may make one."""
    group = _group(limit_bytes)
    if group is None:
        return {"limited_by": "nothing: this user may make no control group here"}
    try:
        return work(group) | {"limited_by": str(limit_bytes), "killed": _killed(group)}
    finally:
        with suppress(OSError):
            group.rmdir()


def _group(limit_bytes: int) -> Path | None:
    """A control group below this process's own with a limit of memory (version 2, then 1)."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, kinds, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup") / ("memory" if kinds == "memory" else "")
        name = {"": "memory.max", "memory": "memory.limit_in_bytes"}.get(kinds)
        folder = root / path.lstrip("/") / f"parlance-{os.getpid()}"
        if name is None:
            continue
        with suppress(OSError):
            folder.mkdir()
            if (folder / name).exists():
                (folder / name).write_text(str(limit_bytes))
                return folder
            folder.rmdir()
    return None


def _killed(folder: Path) -> int:
    """How often the system ended a process of the group for its memory."""
    for name in ("memory.events", "memory.oom_control"):
        with suppress(OSError):
            facts = dict(line.split() for line in (folder / name).read_text(encoding="utf-8").splitlines())
            return int(facts.get("oom_kill", 0))
    return -1


ROWS: dict[str, Callable[[], dict[str, Any]]] = {
    row.__name__: row
    for row in (
        health,
        long,
        alone,
        beside,
        visitors,
        crowd,
        hangups,
        sessions,
        limit,
        uploads,
        rows,
        hops,
        apart,
        one_gib,
        two_gib,
        stop,
        kills,
    )
}


def main() -> None:
    """Measure the rows that are named, one after the other."""
    parser = measuring.parser("load", __doc__, ROWS)
    parser.add_argument("--ping", nargs=2, metavar="HOST", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ping:
        ping(arguments.ping)
    else:
        measuring.measure(ROWS, arguments.rows)


if __name__ == "__main__":
    main()
