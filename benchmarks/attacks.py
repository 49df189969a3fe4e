"""What a stranger can send to stop the server: `python -m benchmarks.attacks` serves the app and tries it.

Of each attack: how it was answered and when, the longest that `/healthz` (asked all the time) kept anybody waiting, and
the most memory that the server held with all of its children. Figures are kept in docs/reliability.md.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil  # type: ignore[import-untyped]
import streamlit

from benchmarks.pages import browser, end, launch, wait
from engine.training import tasks

MB = 2**20
ONES = b"[" + b"1," * 3_900_000 + b"1]"
FEW_ONES = b"[" + b"1," * 9_000 + b"1]"
CHAT = b'{"model": "smollm2-135m-instruct", "messages": [{"role": "user", "content": %s}]}'
TEXT = b'{"model": "smollm2-135m-instruct", "prompt": "a", "stop": %s}'
KEYS = b"{" + b",".join(b'"k%d":1' % number for number in range(600_000)) + b"}"
BODIES = {
    "3.9 million numbers as content": ("/v1/chat/completions", CHAT % ONES),
    "3.9 million numbers as stop": ("/v1/completions", TEXT % ONES),
    "3.9 million numbers as text": ("/api/sentiment", b'{"text": %s}' % ONES),
    "600,000 unknown keys": ("/v1/completions", KEYS),
    "100,000 lists in lists": ("/api/write", b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a number of 400 digits": ("/v1/completions", TEXT.replace(b"stop", b"max_tokens") % (b"9" * 400)),
    "9,000 numbers as content, 18 kB": ("/v1/chat/completions", CHAT % FEW_ONES),
    "9,000 numbers as stop, 18 kB": ("/v1/completions", TEXT % FEW_ONES),
}
CONNECTIONS, HEAD_SECONDS, UNTAKEN_SECONDS = 600, 25.0, 110.0
STATIC = Path(streamlit.__file__).parent / "static" / "static"
FILES, FILE_BYTES = 20, 45 * MB
PART = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
ANSWERED_SECONDS, WARM_SECONDS = 150.0, 15.0


ASK = """
import http.client, sys, threading, time
over, longest = threading.Event(), 0.0
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=300)
while not over.is_set():
    started = time.perf_counter()
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()
    longest = max(longest, time.perf_counter() - started)
    time.sleep(0.01)
print(longest)
"""
"""In a process of its own, which the sending does not hold up."""


class Watch:
    """Asks `/healthz` every 10 ms, and adds up the memory of the server and its children."""

    def __init__(self, address: str, pid: int) -> None:
        self.port, self.process = address.rpartition(":")[2], psutil.Process(pid)
        self.longest, self.peak, self.seconds, self.is_over = 0.0, 0.0, 0.0, False

    def __enter__(self) -> Watch:
        pipe = subprocess.PIPE
        self.asking = subprocess.Popen([sys.executable, "-c", ASK, self.port], stdin=pipe, stdout=pipe, text=True)
        self.weighing = threading.Thread(target=self._weigh, daemon=True)
        self.weighing.start()
        time.sleep(0.5)
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.began
        time.sleep(0.3)
        self.is_over = True
        self.longest = float(self.asking.communicate()[0])
        self.weighing.join()

    def _weigh(self) -> None:
        while not self.is_over:
            total = 0
            with suppress(psutil.NoSuchProcess):
                for process in (self.process, *self.process.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        total += process.memory_info().rss
            self.peak = max(self.peak, total / MB)
            time.sleep(0.05)


Attack = Callable[[str, Watch], str]


def post(address: str, path: str, body: bytes, method: str = "POST", **headers: str) -> tuple[int, str]:
    """Status and body of the answer."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=300)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} | headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:  # refused before all of it was sent
        return 0, type(error).__name__
    finally:
        connection.close()


def body(address: str, path: str, content: bytes) -> str:
    """A body, sent once."""
    status, words = post(address, path, content)
    with suppress(ValueError, KeyError, TypeError):
        words = json.loads(words)["error"]["message"]
    return f"{status}: {words}"


def flood(address: str) -> str:
    """The same 18 kB from eight clients for five seconds."""
    until, statuses = time.monotonic() + 5, Counter[int]()

    def client(_: int) -> None:
        while time.monotonic() < until:
            statuses[post(address, "/v1/completions", TEXT % FEW_ONES)[0]] += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))
    return ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))


def half_sent(address: str) -> str:
    """Connections that begin a request and say no more."""
    port = int(address.rpartition(":")[2])
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    for one in held:
        one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Half: ")
    time.sleep(HEAD_SECONDS)
    left = sum(map(_is_open, held))
    for one in held:
        one.close()
    return f"{left} of {CONNECTIONS} open after {HEAD_SECONDS:.0f} s"


def untaken(address: str) -> str:
    """Connections that ask for a large file and take nothing of it."""
    port = int(address.rpartition(":")[2])
    largest = max((STATIC / "js").glob("*.js"), key=lambda path: path.stat().st_size)
    held = []
    for _ in range(CONNECTIONS):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(f"GET /static/js/{largest.name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        held.append(one)
    time.sleep(UNTAKEN_SECONDS)
    ours = {one.getsockname()[1] for one in held}
    ends = [one.raddr.port for one in psutil.net_connections("tcp") if one.raddr and one.laddr.port == port]
    left = len(ours & set(ends))
    for one in held:
        one.close()
    return f"{left} of {CONNECTIONS} open after {UNTAKEN_SECONDS:.0f} s"


def pages_held(address: str) -> str:
    """Pages that one address opens, and then one of another."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    host, port = address.removeprefix("http://"), int(address.rpartition(":")[2])
    opened: list[Any] = []

    def visit(own: str) -> bool:
        line = socket.create_connection(("127.0.0.1", port), source_address=(own, 0))
        try:
            asked_for: Any = {"origin": address, "subprotocols": ["streamlit"], "legacy": True}
            opened.append(connect(f"ws://{host}/_stcore/stream", sock=line, **asked_for))
        except (WebSocketException, OSError):
            return False
        return True

    with ExitStack() as over:
        over.callback(lambda: [one.close() for one in opened])
        count = sum(visit("127.0.0.1") for _ in range(CONNECTIONS))
        return f"{count} of {CONNECTIONS} let in, another address: {visit('127.0.0.2')}"


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def stuffed(address: str) -> str:
    """Files into a session that shows no place for any."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    host = address.removeprefix("http://")
    asked = http.client.HTTPConnection(host)
    asked.request("GET", "/_stcore/health")
    answer = asked.getresponse()
    cookie = (answer.headers.get("Set-Cookie") or "").partition(";")[0]
    token, statuses = cookie.partition("=")[2], Counter[int]()
    asked_for: Any = {"subprotocols": ["streamlit", token or "x"], "origin": address}
    with connect(f"ws://{host}/_stcore/stream", **asked_for) as stream:
        session = ""
        stream.send(BackMsg(rerun_script=BackMsg().rerun_script).SerializeToString())
        while not session:
            message = ForwardMsg.FromString(bytes(stream.recv(60, decode=False)))
            session = message.new_session.initialize.session_id
        for number in range(FILES):
            part = (
                b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
                + b"x" * FILE_BYTES
                + b"\r\n--x--\r\n"
            )
            path = f"/_stcore/upload_file/{session}/{number}"
            headers = {"Content-Type": "multipart/form-data; boundary=x", "Cookie": cookie, "X-Xsrftoken": token}
            statuses[post(address, path, part, "PUT", **headers)[0]] += 1
    return ", ".join(f"{count} × {status or 'closed'}" for status, count in sorted(statuses.items()))


def files() -> Iterator[tuple[str, str, bytes]]:
    """What is brought, under which name."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    def parquet(table: Any) -> bytes:
        out = io.BytesIO()
        pq.write_table(table, out)
        return out.getvalue()

    rows, nothing = 1_000_000, 50_000_000
    empty = pa.nulls(rows, pa.string())
    ends = pa.array(range(0, nothing + 1, 50_000), pa.int32())
    yield "a file of two rows", "s.csv", b"text,label\na fine film,good\na dull film,bad\n" * 20
    yield "200 empty columns × 1 M rows", "a.parquet", parquet(pa.table({f"c{n}": empty for n in range(200)}))
    yield (
        "list<null> of 50 M",
        "b.parquet",
        parquet(pa.table({"text": pa.ListArray.from_arrays(ends, pa.nulls(nothing))})),
    )
    yield "40 MB of `a\\n`", "c.txt", b"a\n" * 20_000_000
    yield "24 MB with one empty line", "d.txt", b"a\n\n" + b"word word\n" * 2_400_000
    yield "38 MB of `[],`", "e.json", b"[" + b"[]," * 13_000_000 + b"[]]"
    yield (
        "400,000 rows that are fine",
        "f.csv",
        b"text,label\n"
        + b"".join(b"a fine film number %d,%s\n" % (n, b"good" if n % 2 else b"bad") for n in range(400_000)),
    )


@contextmanager
def page_of(address: str) -> Iterator[Any]:
    """A browser's page where a file can be brought."""
    task = next(iter(tasks.registry()))
    asked = urlencode({f"tune_data_{task}": "Upload a file"})
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(f"{address}/finetune?{asked}")
        page.get_by_text("What the data looks like").wait_for(timeout=60_000)
        yield page
        page.close()


def brought(address: str, watch: Watch, name: str, content: bytes, folder: Path) -> str:
    """A file, brought on a page that is open; what the page then says."""
    path = folder / name
    path.write_bytes(content)
    with page_of(address) as page, watch:
        page.locator("input[type=file]").first.set_input_files(path)
        said = page.get_by_test_id("stAlert").or_(page.get_by_text("rows to learn from")).first
        said.wait_for(timeout=ANSWERED_SECONDS * 1000)
        return str(said.inner_text()).replace("\n", " ")


def idle(address: str) -> str:
    """Nobody but who asks for the server's health."""
    time.sleep(5)
    return "idle"


def attacks(folder: Path) -> Iterator[tuple[str, Attack]]:
    """All of them by name; those that end with "public" are for such a site."""
    yield "nothing", _watched(idle)
    for name, (path, content) in BODIES.items():
        yield name, _watched(partial(body, path=path, content=content))
    yield "9,000 numbers as stop, from eight clients for 5 s", _watched(flood)
    yield f"{CONNECTIONS} half-sent requests", _watched(half_sent)
    yield f"{CONNECTIONS} answers that nobody takes", _watched(untaken)
    yield f"{CONNECTIONS} pages of one address", _watched(pages_held)
    for title, name, content in files():
        yield title, partial(brought, name=name, content=content, folder=folder)
    yield f"{FILES} × 45 MB into a session without a place for files", _watched(stuffed)
    yield "nothing, afterwards", _watched(idle)
    yield f"{FILES} × 45 MB, public", _watched(stuffed)


def _watched(attack: Callable[[str], str]) -> Attack:
    def whole(address: str, watch: Watch) -> str:
        with watch:
            return attack(address)

    return whole


@contextmanager
def served(is_public: bool) -> Iterator[tuple[str, int]]:
    """A server that has everything imported and one model loaded: its address and process."""
    os.environ["PARLANCE_IS_PUBLIC"] = str(int(is_public))
    for name in (
        "REQUESTS_A_MINUTE",
        "TOKENS_A_DAY",
        "SECONDS_A_DAY",
        "UPLOADS_A_DAY",
    ):  # what a request costs, not how many
        os.environ[f"PARLANCE_{name}"] = "0"
    server, address = launch("app.py")
    try:
        wait(address)
        time.sleep(WARM_SECONDS)
        post(address, "/api/sentiment", b'{"text": "good"}')
        yield address, server.pid
    finally:
        end(server)


def main() -> None:
    """Try each whose name holds one of the given words, or all, and print a table."""
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PARLANCE_RUNS_FOLDER"] = folder
        print("| attack | answer | seconds | longest /healthz | most memory |\n|---|---|---|---|---|", flush=True)
        chosen = [
            (name, attack)
            for name, attack in attacks(Path(folder))
            if not wanted or any(word in name for word in wanted)
        ]
        for is_public in (False, True):
            some = [(name, attack) for name, attack in chosen if name.endswith("public") is is_public]
            if some:
                with served(is_public) as (address, pid):
                    for name, attack in some:
                        _try(name, attack, address, Watch(address, pid))


def _try(name: str, attack: Attack, address: str, watch: Watch) -> None:
    answer = attack(address, watch)
    longest, memory = f"{watch.longest * 1000:.0f} ms", f"{watch.peak:,.0f} MB"
    print(f"| {name} | {answer[:140]} | {watch.seconds:.1f} | {longest} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
