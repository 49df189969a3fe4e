"""The app in a real browser: how soon it is there, how soon it writes, what moving a slider costs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.sides import ROOT, alternate
from benchmarks.weights import fetched, safetensors
from engine.backends.marian.files import open_student
from engine.catalogue.models import read_catalogue
from engine.catalogue.sources.package import Package
from engine.catalogue.store import Store
from engine.settings import available_cores, current
from models.recipes.student_translations import translated
from pages.parts.typing import PAUSE_MILLISECONDS

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PATIENCE_SECONDS, RUN_SECONDS = 180.0, 30.0
QUIET_SECONDS = 1.0
"""Without a message from the browser for so long, an act causes no run."""
MODEL = "smollm2-135m-instruct"
STUDENT = "firefox-en-pt"
TYPED = {"book": "livro", "house": "casa", "car": "carro", "bicycle": "bicicleta", "dog": "cã", "ship": "navio"}
"""What ends the last of six sentences, and how the translation must then go on."""
TYPED_TEXT = (
    "The train leaves at nine. My sister lives in a small town. We had coffee at the station. "
    "It rained all morning. Nobody knew the way. I would like to buy this "
)
PEER_APP, EMPTY_PAGE = "benchmarks/apps/transformers_app.py", "benchmarks/apps/empty_page.py"


class BrowserMissing(Exception):
    """There is no Chromium here, so that the rows of the page cannot be measured."""


def start(options: Options, rates: Rates) -> list[Figure]:
    """Seconds of `import engine`, from server's start to the drawn page that it opens with, and from the first click to
    the first token, on a page opened by its link."""
    fetched(MODEL)
    weights = str(safetensors(MODEL))
    imports = alternate(
        {
            "ours": lambda: _import_seconds("import engine.serving.local"),
            "theirs": lambda: _import_seconds("import transformers; transformers.pipeline"),
        },
        options.pairs,
    )
    with browser() as chromium:
        rounds = alternate(
            {
                "ours": lambda: _first_use(chromium, "app.py", "/write", "Write", ".st-key-answer-box [data-answer]"),
                "theirs": lambda: _first_use(chromium, PEER_APP, "/", "Write", "[data-testid='stMarkdown'] p", weights),
                "home": lambda: _first_page(chromium, "app.py"),
                "empty": lambda: _first_page(chromium, EMPTY_PAGE),
            },
            1 if options.is_short else options.pairs,
        )
    homes = [{"ours": one["home"], "theirs": one["theirs"]} for one in rounds]
    empty, write = (median(one[side]["page"] for one in rounds) for side in ("empty", "ours"))
    peer = "a Streamlit app that loads transformers on start"
    shared: dict[str, Any] = {
        "row": "start", "kind": "s", "is_at_most": True, "unit": "s", "combine": lambda ours, theirs: ours, "peer": peer
    }  # fmt: skip
    imported = shared | {"peer": "import transformers"}
    reading = fetched(MODEL).stat().st_size / rates.bandwidth
    return [
        figure(imports, "seconds", "theirs", work="import engine", reach=0.3, **imported),
        figure(
            homes, "page", "theirs", work="first page, from the server's start", reach=2.0,
            note=f"Home; a link to Write takes {write:.2f} s, an empty Streamlit page {empty:.2f} s", **shared,
        ),
        figure(
            rounds, "token", "theirs", work="first token, from the first click", reach=3.0, limit=reading,
            limit_note="bytes of the weights read once from memory", **shared,
        ),
    ]  # fmt: skip


def rerun(options: Options, rates: Rates) -> list[Figure]:
    """Milliseconds of the run that a moved slider causes, on Write (none) and on an empty page."""
    times = 2 if options.is_short else 10
    with browser() as chromium, served("app.py") as app, served(EMPTY_PAGE) as empty:
        ours, theirs = _opened(chromium, app + "/write"), _opened(chromium, empty)
        works = {
            "ours": lambda: _runs(ours, _slide, times),
            "whole": lambda: _runs(ours, _choose, times),
            "empty": lambda: _runs(theirs, _slide, times),
        }
        alternate(works, 1)
        rounds = alternate(works, options.pairs)
    whole = figure(
        [{"ours": one["whole"], "empty": one["empty"]} for one in rounds], "ms", "empty", row="", work="", reach=0
    )
    return [
        figure(
            rounds, "ms", "empty", row="rerun", reach=1.5, is_at_most=True, unit="ms",
            work="a slider moved on Write: the runs that it causes", peer="an empty Streamlit page with one slider",
            note=f"it causes none; another kind chosen, which draws the page anew, {whole.ours:.0f} ms "
            f"({whole.value:.1f} times)",
        )
    ]  # fmt: skip


def typing(options: Options, rates: Rates) -> list[Figure]:
    """Seconds from the last key to the changed sentence's translation, on Translate, where nothing is pressed."""
    times = 2 if options.is_short else len(TYPED)
    with browser() as chromium, served("app.py") as app:
        page = _opened(chromium, app + "/translate?to=Portuguese")
        student = _sentence_seconds()
        rounds = [
            {"ours": {"s": seconds}, "theirs": {"s": student}}
            for _ in range(options.pairs)
            for seconds in _typed_seconds(page, list(TYPED)[:times])
        ]
    return [
        figure(
            rounds[1:], "s", "theirs", row="typing", kind="s", is_at_most=True, unit="s", reach=0.5,
            combine=lambda ours, theirs: ours, peer="the bare student, that sentence",
            work="from the last key in the last of six sentences to its translation",
            note=f"{PAUSE_MILLISECONDS} ms of it are the pause that is waited for",
        )
    ]  # fmt: skip


def _sentence_seconds() -> float:
    """What one sentence takes the network alone."""
    model = read_catalogue().find(STUDENT)
    assert isinstance(model.source, Package)
    folder = Store(replace(current(), prefetch=False), read_catalogue()).path(model.id)
    translator, text = open_student(model.title, folder, model.source.files), TYPED_TEXT.rpartition(". ")[2] + "book."
    felt = []
    for _ in range(5):
        started = time.perf_counter()
        translated(translator.quick, (translator.source, translator.target), [text], translator.shortlist, 1)
        felt.append(time.perf_counter() - started)
    return median(felt)


def _typed_seconds(page: Any, words: list[str]) -> Iterator[float]:
    area = page.get_by_label("Text", exact=True)
    for word in words:
        area.fill(TYPED_TEXT)
        page.wait_for_timeout(1000 * QUIET_SECONDS)
        area.press("End")
        area.press_sequentially(f"{word}.", delay=60)
        started = time.perf_counter()
        page.wait_for_function(
            "(word) => [...document.querySelectorAll('.st-key-answer-box :is([data-words], [data-answer])')]"
            ".some((box) => (box.dataset.words ?? box.innerText).includes(word))",
            arg=TYPED[word],
        )
        yield time.perf_counter() - started


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium. Raises BrowserMissing."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise BrowserMissing("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@contextmanager
def served(script: str, *arguments: str) -> Iterator[str]:
    """`streamlit run` on a free port; yields its address as soon as it answers."""
    server, address = launch(script, *arguments)
    try:
        wait(address)
        yield address
    finally:
        end(server)


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def launch(
    script: str, *arguments: str, said: int = subprocess.DEVNULL, **variables: str
) -> tuple[subprocess.Popen[bytes], str]:
    """`streamlit run` on a free port, with these variables in its environment; it need not answer yet. `said` is where
    what it prints goes."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        script,
        "--server.headless",
        "true",
        "--server.port",
        str(port),
    ]
    command += ["--server.address", "127.0.0.1", "--browser.gatherUsageStats", "false", "--", *arguments]
    ours = {"PARLANCE_THREADS": str(available_cores()), "PARLANCE_RESULT_CACHE_BYTES": "0"}
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)} | ours | variables
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=quiet, env=environment), f"http://127.0.0.1:{port}"


def end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()


def wait(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("the server did not start")


def _import_seconds(statement: str) -> dict[str, Any]:
    """Of a fresh interpreter, less what an empty one takes."""
    seconds = {}
    for name, code in (("empty", "pass"), ("whole", statement)):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
        seconds[name] = time.perf_counter() - started
    return {"seconds": seconds["whole"] - seconds["empty"]}


def _first_use(chromium: Any, script: str, path: str, button: str, answer: str, *arguments: str) -> dict[str, Any]:
    """A fresh server and visitor: seconds to the heading, and from the click to the answer's first text."""
    started = time.perf_counter()
    with served(script, *arguments) as address:
        page = _opened(chromium, address + path)
        drawn = time.perf_counter() - started
        press = page.get_by_role("button", name=button, exact=True)
        press.wait_for()
        clicked = time.perf_counter()
        press.click()
        page.wait_for_function("(box) => (document.querySelector(box)?.innerText ?? '').length > 0", arg=answer)
        token = time.perf_counter() - clicked
        page.context.close()
        return {"page": drawn, "token": token}


def _first_page(chromium: Any, script: str) -> dict[str, Any]:
    """A fresh server and visitor: seconds to the heading."""
    started = time.perf_counter()
    with served(script) as address:
        page = _opened(chromium, address)
        drawn = time.perf_counter() - started
        page.context.close()
        return {"page": drawn}


def _opened(chromium: Any, address: str) -> Any:
    page = chromium.new_context().new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    page.on("websocket", lambda socket: _listen(page, socket))
    page.goto(address, wait_until="domcontentloaded")
    page.locator("h1").wait_for()
    return page


def _listen(page: Any, socket: Any) -> None:
    """Note when the page asks for a run of its whole script and when that is over; fragments run by themselves."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    page.asked = page.finished = 0.0

    def sent(frame: Any) -> None:
        message = BackMsg.FromString(frame) if isinstance(frame, bytes) else BackMsg()
        if message.WhichOneof("type") == "rerun_script" and not message.rerun_script.fragment_id:
            page.asked = time.perf_counter()

    def received(frame: Any) -> None:
        message = ForwardMsg.FromString(frame) if isinstance(frame, bytes) else ForwardMsg()
        if (
            message.WhichOneof("type") == "script_finished"
            and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
        ):
            page.finished = time.perf_counter()

    socket.on("framesent", sent)
    socket.on("framereceived", received)


def _slide(page: Any, number: int) -> None:
    """Move the first slider to and fro."""
    page.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight" if number % 2 == 0 else "ArrowLeft")


def _choose(page: Any, number: int) -> None:
    """Choose another kind of text on Write."""
    page.get_by_test_id("stButtonGroup").get_by_text("Poem" if number % 2 == 0 else "Story", exact=True).first.click()


def _runs(page: Any, act: Callable[[Any, int], None], times: int) -> dict[str, Any]:
    """Act so often; the median time from the act to the end of the run that it causes, 0 where it causes none."""
    felt = []
    for number in range(times):
        page.asked = page.finished = 0.0
        started = time.perf_counter()
        act(page, number)
        while not (page.asked and page.finished > page.asked):
            page.wait_for_timeout(2)
            if not page.asked and time.perf_counter() - started > QUIET_SECONDS:
                break
            if time.perf_counter() - started > RUN_SECONDS:
                raise RuntimeError("the page did not finish its run")
        felt.append(1000 * max(0.0, page.finished - started) if page.asked else 0.0)
        page.wait_for_timeout(300)
    return {"ms": median(felt)}
