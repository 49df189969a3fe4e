"""The app in a real browser: how soon it is there, how soon it writes, what moving a slider costs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.sides import ROOT, alternate
from benchmarks.weights import gguf, safetensors

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PATIENCE_SECONDS = 180.0
MODEL = "smollm2-135m-instruct"
PEER_APP, EMPTY_PAGE = "benchmarks/apps/transformers_app.py", "benchmarks/apps/empty_page.py"


class BrowserMissing(Exception):
    """There is no Chromium here, so that the rows of the page cannot be measured."""


def start(options: Options, rates: Rates) -> list[Figure]:
    """Seconds of `import engine`, from server's start to drawn page, and from the first click to the first token."""
    gguf(MODEL)
    weights = str(safetensors(MODEL))
    imports = alternate(
        {
            "ours": lambda: _import_seconds("import engine.core"),
            "theirs": lambda: _import_seconds("import transformers; transformers.pipeline"),
        },
        options.pairs,
    )
    with browser() as chromium:
        rounds = alternate(
            {
                "ours": lambda: _first_use(chromium, "app.py", "/write", "Write", ".st-key-answer-box [data-answer]"),
                "theirs": lambda: _first_use(chromium, PEER_APP, "/", "Write", "[data-testid='stMarkdown'] p", weights),
            },
            options.choose(options.pairs, 1),
        )
    peer = "a Streamlit app that loads transformers on start"
    shared: dict[str, Any] = {
        "row": "start", "kind": "s", "is_at_most": True, "unit": "s", "combine": lambda ours, theirs: ours, "peer": peer
    }  # fmt: skip
    imported = shared | {"peer": "import transformers"}
    reading = gguf(MODEL).stat().st_size / rates.bandwidth
    return [
        figure(imports, "seconds", "theirs", work="import engine", reach=0.3, **imported),
        figure(rounds, "page", "theirs", work="first page, from the server's start", reach=2.0, **shared),
        figure(
            rounds, "token", "theirs", work="first token, from the first click", reach=3.0, limit=reading,
            limit_note="bytes of the weights read once from memory", **shared,
        ),
    ]  # fmt: skip


def rerun(options: Options, rates: Rates) -> list[Figure]:
    """Milliseconds from a key on the slider to the end of the script's run."""
    presses = options.choose(10, 2)
    with browser() as chromium, served("app.py") as app, served(EMPTY_PAGE) as empty:
        pages = {"ours": _opened(chromium, app + "/write"), "an empty page": _opened(chromium, empty)}
        for page in pages.values():
            _press(page, presses)
        rounds = alternate({name: lambda p=page: _press(p, presses) for name, page in pages.items()}, options.pairs)  # type: ignore[misc]
    script = figure(rounds, "script_ms", "an empty page", row="", work="", reach=0)
    alone = f"{script.ours:.0f} ms against {script.theirs:.0f} ms ({script.value:.1f} times)"
    return [
        figure(
            rounds, "felt_ms", "an empty page", row="rerun", work="a slider moved on Write, key to settled page",
            peer="an empty Streamlit page with one slider", reach=1.5, is_at_most=True, unit="ms",
            note=f"the script's run alone {alone}",
        )
    ]  # fmt: skip


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
    server, address = _launch(script, *arguments)
    try:
        _wait(address)
        yield address
    finally:
        _end(server)


def _launch(script: str, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet, env=environment), f"http://127.0.0.1:{port}"


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()


def _wait(address: str) -> None:
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
    server, address = _launch(script, *arguments)
    try:
        _wait(address)
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
    finally:
        _end(server)


def _opened(chromium: Any, address: str) -> Any:
    page = chromium.new_context().new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    page.goto(address, wait_until="domcontentloaded")
    page.locator("h1").wait_for()
    return page


WATCH = """() => new Promise((resolve) => {
  const app = document.querySelector('[data-testid="stApp"]');
  const state = () => app.getAttribute('data-test-script-state');
  const begun = performance.now();
  let running = 0;
  const watcher = new MutationObserver(() => {
    if (state() === 'running' && !running) running = performance.now();
    if (state() === 'notRunning' && running) {
      watcher.disconnect();
      const now = performance.now();
      resolve({felt_ms: now - begun, script_ms: now - running});
    }
  });
  watcher.observe(app, {attributes: true, attributeFilter: ['data-test-script-state']});
})"""


def _press(page: Any, presses: int) -> dict[str, Any]:
    """Move the first slider to and fro; medians over the presses."""
    slider = page.get_by_role("slider").first
    seen = []
    for number in range(presses):
        slider.focus()
        waiting = page.evaluate_handle(f"() => {{ window.settled = ({WATCH})(); }}")
        page.keyboard.press("ArrowRight" if number % 2 == 0 else "ArrowLeft")
        seen.append(page.evaluate("() => window.settled"))
        waiting.dispose()
        time.sleep(0.3)
    return {key: median(one[key] for one in seen) for key in ("felt_ms", "script_ms")}
