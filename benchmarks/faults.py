"""What breaks beneath a running server, and whether it works again by itself: `python -m benchmarks.faults ROW ...`.

Rows: child and process (kill -9), hung (SIGSTOP), database (a real PostgreSQL, killed and gone for `--gone` seconds),
disk (full), cache (damaged copies), clock (set back a day), nowhere (packets vanish), rolling (one server replaced by
the next). A line of JSON each.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psutil  # type: ignore[import-untyped]

from benchmarks import measuring
from benchmarks.browsers import Answer, Browser
from benchmarks.demo import WRITE_LABEL
from benchmarks.load import SMALL, Server, ask, prompt, server, stream
from benchmarks.pages import end, launch, wait
from benchmarks.sides import ROOT

GONE_SECONDS, DAY_SECONDS = 60.0, 86_400
DISK_BYTES = 24 * 2**20
Told = dict[str, Any]


@contextmanager
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="parlance-faults") as path:
        yield path


def write(ours: Server, length: int = 32) -> tuple[Answer, str]:
    """Press Write in a new session; the answer, and the address's settings by which it opens again ("" for none)."""
    with Browser(ours.host, "write", f"write_max_new_tokens={length}") as browser:
        answer = browser.press("Write", {WRITE_LABEL: prompt(4)})
        return answer, browser.query if "kept" in parse_qs(browser.query) else ""


def opens(ours: Server, address: str, answer: Answer) -> bool:
    """Whether a link shows what it led to."""
    with Browser(ours.host, "write", address) as browser:
        return bool(answer.text) and browser.shown == answer.text


def said(answer: Answer) -> str:
    """How an answer ended, for a figure."""
    return "; ".join(answer.errors) or ("text" if answer.text else "nothing")


def child() -> Told:
    """kill -9 of the process that holds a model, while eight pages show its answers."""
    with server() as ours:
        write(ours)
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(write, ours, 400) for _ in range(8)]
            time.sleep(6)
            for one in ours.tree()[1:]:
                _sent(one, signal.SIGKILL)
            ends = Counter(said(each.result()[0]) for each in asked)
        again, link = write(ours)
        return {"pages": ends, "next": said(again), "its_link_opens": opens(ours, link, again)}


def hung() -> Told:
    """SIGSTOP of the process that holds a model, while four pages show its answers and a fifth asks."""
    with server() as ours:
        write(ours)
        with ThreadPoolExecutor(5) as pool:
            asked = [pool.submit(write, ours, 400) for _ in range(4)]
            time.sleep(6)
            stopped = [one for one in ours.tree()[1:] if _sent(one, signal.SIGSTOP)]
            began = time.monotonic()
            fifth = pool.submit(write, ours)
            status = ask(ours.host, "/healthz")[0]
            ends = Counter(said(each.result()[0]) for each in asked)
            seconds = time.monotonic() - began
            words = said(fifth.result()[0])
        left = [one.pid for one in stopped if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        return {
            "pages": ends, "seconds": seconds, "healthz": status, "who_asked_then": words, "hung_left": len(left),
            "next": said(write(ours)[0]),
        }  # fmt: skip


def _sent(one: Any, number: int) -> bool:
    with suppress(psutil.Error):
        one.send_signal(number)
        return True
    return False


def process() -> Told:
    """kill -9 of the server in the midst of answers: what was finished is there afterwards, and nothing by halves."""
    with folder() as kept:
        about = {"PARLANCE_STORAGE_FOLDER": kept}
        with server(None, **about) as ours:
            finished = [write(ours) for _ in range(3)]
            with ThreadPoolExecutor(4) as pool:
                cut = [pool.submit(write, ours, 400) for _ in range(4)]
                time.sleep(3)
                children = [one.pid for one in ours.tree()[1:]]
                ours.process.kill()
                ends = Counter(type(each.exception()).__name__ for each in cut)
            time.sleep(2)
            left = [pid for pid in children if psutil.pid_exists(pid)]
        with server(None, **about) as ours:
            opened = [opens(ours, link, answer) for answer, link in finished]
            after = said(write(ours)[0])
        with closing(sqlite3.connect(next(Path(kept).rglob("*.db")))) as connection:
            check = connection.execute("pragma integrity_check").fetchone()[0]
    return {"cut_pages": ends, "children_left": len(left), "finished_open": opened, "database": check, "next": after}


def database(gone_seconds: float = GONE_SECONDS) -> Told:
    """PostgreSQL killed with kill -9, gone for a minute, and there again."""
    Postgres = import_module("tests.storage.conftest").Postgres

    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
    if programs is None:
        return {"skipped": "there is no PostgreSQL on this machine"}
    with folder() as place, folder() as kept:
        postgres = Postgres(Path(place), programs)
        try:
            with server(PARLANCE_DATABASE=postgres.url, PARLANCE_STORAGE_FOLDER=kept) as ours:
                before, link = write(ours)
                postgres.process.kill()
                for one in psutil.process_iter(["cmdline"]):
                    if str(place) in " ".join(one.info["cmdline"] or ()):
                        one.kill()
                postgres.process.wait()
                gone, started = [], time.monotonic()
                while time.monotonic() - started < gone_seconds:
                    gone.append(write(ours)[0])
                    status = ask(ours.host, "/healthz")[0]
                with Browser(ours.host, "write", link) as browser:
                    told = [one.alert.body for one in browser.opened if one.WhichOneof("type") == "alert"]
                postgres.start()
                time.sleep(5)
                after, again = write(ours)
                return {
                    "pages_while_gone": Counter(map(said, gone)), "longest_s": max(one.seconds for one in gone),
                    "healthz": status, "a_link_while_gone": told, "link_opens_after": opens(ours, link, before),
                    "next": said(after), "next_link_opens": opens(ours, again, after),
                }  # fmt: skip
        finally:
            with suppress(subprocess.TimeoutExpired):
                postgres.stop()


def disk() -> Told:
    """The disk of what is kept is full, and free again."""
    with folder() as kept:
        size = f"size={DISK_BYTES}"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", kept], capture_output=True).returncode:
            return {"skipped": "this user may mount no small disk"}
        try:
            with server(PARLANCE_STORAGE_FOLDER=kept) as ours:
                before, link = write(ours)
                filler = Path(kept) / "filler"
                with suppress(OSError), filler.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
                full, lost = write(ours)
                old = opens(ours, link, before)
                filler.unlink()
                after, again = write(ours)
                return {
                    "page_on_a_full_disk": said(full), "was_kept": bool(lost), "old_link_opens": old,
                    "next": said(after), "next_link_opens": opens(ours, again, after),
                }  # fmt: skip
        finally:
            subprocess.run(["umount", "-l", kept], check=False)


def cache() -> Told:
    """Bytes of a model's converted copy flipped, then of its weights, and a file cut in half."""
    from engine.settings import current

    told: Told = {}
    source = current().cache_folder / "models" / SMALL
    with folder() as place:
        models = Path(place) / "models" / SMALL
        shutil.copytree(source, models)
        about = {
            "PARLANCE_CACHE_FOLDER": place,
            "PARLANCE_PREFETCH": "false",
            "PARLANCE_STORAGE_FOLDER": place + "/kept",
        }
        for name, damage in (("copy flipped", _flip), ("copy cut", _cut)):
            copies = [path for path in models.rglob("*.gguf") if "requantized" in path.name]
            for path in copies:
                damage(path)
            with server(None, **about) as ours:
                told[name] = said(write(ours)[0])
        for path in models.rglob("*.gguf"):
            _flip(path)
        with server(None, **about) as ours:
            told["all flipped"] = said(write(ours)[0])
            told["healthz"] = ask(ours.host, "/healthz")[0]
    return told


def _flip(path: Path) -> None:
    """Other bytes of the same size and time, in the middle."""
    about = path.stat()
    with path.open("r+b") as file:
        file.seek(about.st_size // 2)
        middle = bytes(255 - byte for byte in file.read(4096))
        file.seek(about.st_size // 2)
        file.write(middle)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def clock() -> Told:
    """The clock is set back by a day while the server runs, then to what it was."""
    try:
        import libfaketime  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return {"skipped": "libfaketime is not installed (requirements-benchmarks.txt)"}
    library = next(Path(libfaketime.__file__).parent.rglob("libfaketime.so.1"))
    with folder() as kept:
        moved = Path(kept) / "moved"
        moved.write_text("+0")
        about = {
            "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(moved), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "PARLANCE_STORAGE_FOLDER": kept,
        }  # fmt: skip
        with server(None, **about) as ours:
            before, link = write(ours)
            moved.write_text(f"-{DAY_SECONDS}")
            back, earlier = write(ours)
            facts = {
                "page": said(back), "seconds": back.seconds, "link_from_before_opens": opens(ours, link, before),
                "its_link_opens": opens(ours, earlier, back), "stream": stream(ours.host, SMALL, prompt(8), 16).end,
                "date_header": _date(ours),
            }  # fmt: skip
            moved.write_text("+0")
            after, _ = write(ours)
            return facts | {
                "and_forward": said(after),
                "all_open": [opens(ours, link, before), opens(ours, earlier, back)],
            }


def _date(ours: Server) -> str:
    connection = http.client.HTTPConnection(ours.host, timeout=30)
    connection.request("GET", "/healthz")
    return str(connection.getresponse().getheader("date"))


NOWHERE = """
mount --bind "$1" /etc/resolv.conf
ip link set lo up && ip link add nowhere type dummy && ip link set nowhere up
ip address add 192.0.2.2/24 dev nowhere && ip route add default via 192.0.2.1
exec "$2" -c "$3" "$4"
"""
"""In a network of its own, all packets that leave this machine vanish, those to whoever knows names too."""
OPENED = """
import json, sys, time
from urllib.parse import urlsplit
from benchmarks.browsers import Browser
from benchmarks.pages import end, launch, wait
began = time.monotonic()
process, address = launch("app.py", PARLANCE_CACHE_FOLDER=sys.argv[1], PARLANCE_STORAGE_FOLDER=sys.argv[1])
try:
    wait(address)
    told = {"start_s": time.monotonic() - began}
    for name in ("first_page_s", "next_page_s"):
        began = time.monotonic()
        with Browser(urlsplit(address).netloc, "write"):
            told[name] = time.monotonic() - began
    print(json.dumps(told))
finally:
    end(process)
"""


def nowhere() -> Told:
    """Packets vanish on their way out, and no model is there yet: how long the start takes, and a page with its
    handshake."""
    with folder() as kept:
        names = Path(kept) / "resolv.conf"
        names.write_text("nameserver 192.0.2.53\n")
        command = ["unshare", "--net", "--mount", "sh", "-e", "-c", NOWHERE, "sh", str(names), sys.executable, OPENED]
        command.append(kept)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"skipped": done.stderr.strip().rpartition("\n")[2]}
        found: Told = json.loads(done.stdout)
        return found


def rolling() -> Told:
    """A public server is told to end while it answers pages and streams, and another goes on with what is kept."""
    with folder() as kept:
        about = {"PARLANCE_STORAGE_FOLDER": kept, "PARLANCE_IS_PUBLIC": "true", "PARLANCE_ADDRESS_VISITORS": "1000",
                 "PARLANCE_REQUESTS_A_MINUTE": "0"}  # fmt: skip
        with _public(about) as (first, cookie):
            before, link = write(first)
            with ThreadPoolExecutor(8) as pool:
                pages = [pool.submit(write, first, 400) for _ in range(4)]
                streams = [pool.submit(stream, first.host, SMALL, prompt(8), 2000) for _ in range(4)]
                time.sleep(6)
                first.process.send_signal(signal.SIGTERM)
                status = first.process.wait(60)
                ends = Counter(each.result().end for each in streams)
                cut = Counter(type(each.exception()).__name__ for each in pages)
        with server(None, **about) as second:
            again = stream(second.host, SMALL, prompt(8), 16).end
            return {
                "status": status, "streams": ends, "pages": cut, "repeated": again,
                "page_repeated": said(write(second)[0]), "link_opens": opens(second, link, before),
                "host_is_signed_in": [_is_host(second, cookie), _is_host(second, "")],
            }  # fmt: skip


@contextmanager
def _public(about: dict[str, str]) -> Iterator[tuple[Server, str]]:
    """A public server, and the cookie of whoever opened the address that it printed."""
    running, address = launch("app.py", said=subprocess.PIPE, **about)
    ours = Server(running, address)
    try:
        wait(address)
        assert running.stdout is not None
        words = iter(running.stdout.readline, b"")
        path = next(found[0] for line in words if (found := re.findall(r"/sign-in/\S+", line.decode())))
        connection = http.client.HTTPConnection(ours.host, timeout=30)
        connection.request("POST", path, "", {"Origin": address, "Content-Type": "application/x-www-form-urlencoded"})
        cookie = str(connection.getresponse().getheader("set-cookie") or "").split(";")[0]
        yield ours, cookie
    finally:
        end(running)


def _is_host(ours: Server, cookie: str) -> bool:
    """Whether figures that are a host's are shown."""
    connection = http.client.HTTPConnection(ours.host, timeout=30)
    connection.request("GET", "/metrics", headers={"Cookie": cookie} if cookie else {})
    return connection.getresponse().status == 200


ROWS: dict[str, Callable[..., Told]] = {
    row.__name__: row for row in (child, hung, process, database, disk, cache, clock, nowhere, rolling)
}


def main() -> None:
    """Try the rows that are named, one after the other."""
    parser = measuring.parser("faults", __doc__, ROWS)
    parser.add_argument("--gone", type=float, default=GONE_SECONDS, help="seconds without the database")
    arguments = parser.parse_args()
    measuring.measure(ROWS, arguments.rows, {"database": {"gone_seconds": arguments.gone}})


if __name__ == "__main__":
    main()
