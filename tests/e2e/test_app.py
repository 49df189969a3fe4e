"""One run a page in a real browser, on the embedded models: type, click, watch the text come, stop, share."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pages.parts.text import day_of

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=60_000)
pytestmark = pytest.mark.timeout(240)
BOX = ".st-key-answer-box"
MAIN = "[data-testid^=stBaseButton-primary]"
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")

PRESS_AT_ONCE = """
new MutationObserver((_, watcher) => {
    const button = document.querySelector("[data-testid^=stBaseButton-primary]:enabled");
    if (button) { watcher.disconnect(); button.focus(); button.click(); }
}).observe(document, { childList: true, subtree: true });
"""
"""Presses the page's main button as soon as it stands, long before the page's own scripts run."""

SINKS_INTO_THE_PAGE = """() => {
    const [[, nothing]] = document.querySelector("[role=img][aria-label*='as a matrix']").data[0].colorscale;
    const parts = [1, 3, 5].map((at) => parseInt(nothing.slice(at, at + 2), 16)).join(", ");
    return getComputedStyle(document.querySelector(".stApp")).backgroundColor === `rgb(${parts})`;
}"""
"""Whether a cell of a matrix that is nothing has the page's own colour."""
LINES = """(texts) => texts.map((text) => {
    const box = document.querySelector("[data-testid=stMain]").appendChild(document.createElement("div"));
    box.style.cssText = "width: 1px; line-height: 20px";
    box.textContent = text;
    return Math.round(box.getBoundingClientRect().height / 20);
})"""
"""In how many lines each text stands where there is no room."""

Visit = Callable[..., Any]
Need = Callable[[str], None]


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def text_of(page: Any) -> str:
    """The answer's text as it stands."""
    return "\n".join(page.locator(f"{BOX} [data-answer]").all_inner_texts())


def wait_for_text(page: Any, longer_than: int) -> str:
    """The answer's text as soon as it is longer, taken at that very moment."""
    return str(
        page.wait_for_function(
            """([box, length]) => {
                const texts = [...document.querySelectorAll(box + ' [data-answer]')].map(part => part.innerText)
                return texts.join('\\n').length > length && texts.join('\\n')
            }""",
            arg=[BOX, longer_than],
        ).json_value()
    )


ENDLESS = (
    "/write?kind=free&writer=gemma-3-270m&about=1,+2,+3,+4,+5,+6,+7,"
    "&write_temperature=0.0&write_repetition_penalty=1.0&write_max_new_tokens=1000"
)
"""Counting, greedily: the model goes on to the limit, where a story may end of itself before the test is done."""


def expect_at_work(watcher: Any, count: int) -> None:
    """On an open page Models: the number of answers that the models in memory work on, as the engine says itself."""
    if count:
        expect(watcher.get_by_text(f"{count} at work, 0 waiting").first).to_be_visible()
    else:
        expect(watcher.get_by_text(re.compile("[1-9][0-9]* at work"))).to_have_count(0)


def test_home_leads_to_a_page_and_has_its_example_run(visit: Visit, address: str, need: Need) -> None:
    need("smollm2-135m-instruct")
    page = visit(address)
    expect(page.get_by_role("heading", level=1)).to_contain_text("What language models are for")
    expect(page).to_have_title("Home · Parlance")
    links = page.locator("[data-testid=stMain] [data-testid=stPageLink-NavLink] p")
    expect(links).to_have_count(2)
    assert not links.evaluate_all("(all) => all.some((one) => one.scrollWidth > one.clientWidth + 1)"), "words are cut"
    page.locator(".st-key-try-write button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Write")
    expect(page.get_by_label("What is the poem about?")).to_have_value("the first snow in the city")
    wait_for_text(page, 20)
    expect(page).to_have_title("Write · Parlance")


def test_translate(visit: Visit, address: str, need: Need) -> None:
    need("gemma-3-270m")
    page = visit(f"{address}/translate?translator=Gemma+3+270M&to=French")
    page.get_by_label("Text", exact=True).fill("Good morning.")
    press(page, "Translate")
    page.get_by_text("translated from English").wait_for()
    # The examples before the text are in every slot's cache only now; until then all sentences may come at once.
    page.get_by_label("Text", exact=True).fill("The train leaves at nine, and we wait at the old station. " * 8)
    press(page, "Translate")
    expect(page.get_by_text("Stop", exact=True)).to_be_visible()
    early = wait_for_text(page, 0)
    assert len(wait_for_text(page, len(early))) > len(early)
    page.get_by_text("translated from English").wait_for()
    field = page.get_by_label("Text", exact=True)
    field.press("Enter")  # a new line, which sends nothing
    field.press_sequentially("It is late.")
    expect(page.locator(f"{BOX}[data-edited]")).to_have_count(1)
    heights = []
    for count in (1, 20, 400):
        field.fill("A line of a text.\n" * count)
        heights.append(
            field.evaluate("async (one) => { await new Promise(requestAnimationFrame); return one.offsetHeight }")
        )
    window = page.evaluate("innerHeight")
    assert heights[0] < heights[1] <= heights[2] <= 0.66 * window, "it grows with its text, up to most of the window"
    page.get_by_label("Text", exact=True).fill("   ")
    press(page, "Translate")
    page.get_by_text("Text is empty.").wait_for()
    need("firefox-en-pt")
    page = visit(f"{address}/translate?to=Portuguese")
    page.get_by_label("Text", exact=True).fill("")
    page.get_by_label("Text", exact=True).press_sequentially("My sister bought a heavy coat.")  # nothing is pressed
    page.get_by_role("button", name="casaco").click()
    expect(page.locator("#parlance-live")).to_contain_text("casaco")  # also for who does not see it
    page.get_by_text("Instead:").wait_for()
    page.locator(".st-key-word-0 button").first.click()
    expect(page.get_by_role("button", name="casaco")).to_have_count(0)


def test_write_streams_stops_and_goes_on(visit: Visit, address: str, need: Need) -> None:
    need("smollm2-135m-instruct")
    watcher = visit(f"{address}/models")
    page = visit(f"{address}/write?write_max_new_tokens=1000")
    page.get_by_label("What is the story about?").fill("a clockmaker on the moon")
    press(page, "Write")
    early = wait_for_text(page, 40)
    later = wait_for_text(page, len(early) + 40)
    assert later.startswith(early[:30])
    expect_at_work(watcher, 1)
    press(page, "Stop")
    page.get_by_text("Stopped").wait_for()
    stopped = text_of(page)
    assert stopped.startswith(early[:30])
    expect_at_work(watcher, 0)
    assert text_of(page) == stopped
    press(page, "Continue")
    wait_for_text(page, len(stopped) + 20)
    press(page, "Stop")
    page.get_by_text("Stopped").wait_for()


def test_one_visitors_stop_leaves_the_other(visit: Visit, address: str, need: Need) -> None:
    need("gemma-3-270m")
    watcher = visit(f"{address}/models")
    # Another text: the same at temperature 0 would wait for the first one's result.
    one, other = visit(f"{address}{ENDLESS}"), visit(f"{address}{ENDLESS.replace('about=1,+2,', 'about=')}")
    press(one, "Write")
    press(other, "Write")
    wait_for_text(one, 20)
    wait_for_text(other, 20)
    expect_at_work(watcher, 2)
    press(one, "Stop")
    one.get_by_text("Stopped").wait_for()
    expect_at_work(watcher, 1)
    wait_for_text(other, len(text_of(other)) + 40)
    expect(other.get_by_text("Stopped")).to_have_count(0)
    other.close()  # a closed tab frees its slot too
    expect_at_work(watcher, 0)


def test_sentiment(visit: Visit, address: str, need: Need) -> None:
    need("sentiment-e5")
    page = visit(f"{address}/sentiment")
    page.get_by_label("Text", exact=True).fill("What a wonderful evening, I loved every minute of it!")
    press(page, "Judge")
    expect(page.locator(BOX).get_by_role("heading")).to_contain_text("Positive")
    page.locator(f"{BOX} .js-plotly-plot").wait_for()
    page.wait_for_url(re.compile("kept="))
    first = page.url
    page.get_by_text("Four lines", exact=True).click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(re.compile("Best soup"))
    press(page, "Judge")
    page.get_by_role("button", name="Download CSV").wait_for()
    page.wait_for_function("(first) => location.search && location.href !== first", arg=first)
    for there in (page.go_back, page.reload, page.go_forward):  # inputs and result belong together everywhere
        there()
        is_first = there != page.go_forward
        text = re.compile("What a wonderful" if is_first else "Best soup")
        expect(page.get_by_label("Text", exact=True)).to_have_value(text)
        result = page.locator(BOX).get_by_role("heading")
        expect(result).to_contain_text("Positive" if is_first else re.compile("[0-9] positive"))
    page.get_by_label("Text", exact=True).fill("Another line.")
    expect(page.locator(f"{BOX}[data-edited]")).to_have_count(1)
    page.get_by_label("Text", exact=True).fill("\n")
    press(page, "Judge")
    page.get_by_text("Text is empty.").wait_for()


def test_answer(visit: Visit, address: str, need: Need) -> None:
    need("answer-e5")
    page = visit(f"{address}/answer")
    press(page, "Find the answer")
    expect(page.locator(f"{BOX} mark")).to_contain_text("Ostberg")
    page.get_by_label("Question").fill("")
    press(page, "Find the answer")
    page.get_by_text("Question is empty.").wait_for()


def test_a_link_opens_on_a_fresh_server_and_is_copied_from_there(visit: Visit, fresh_address: str) -> None:
    about = "<img src=x onerror=alert(1)> **night**"
    link = f"/write?kind=Poem&about={quote(about)}&write_temperature=0.3&write_seed=7&genre=mystery"
    page = visit(fresh_address + link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Write")
    expect(page.get_by_role("link", name="Translate")).to_be_visible()
    expect(page.get_by_label("What is the poem about?")).to_have_value(about)
    expect(page.get_by_role("slider", name="Temperature")).to_have_value("0.3")
    page = visit(f"{fresh_address}/translate", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Swap languages").click()
    page.wait_for_url(re.compile("to=English"))
    press(page, "Share")
    press(page, "Copy link")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    expect(page.get_by_text("Opens on this machine alone.").first).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    again = visit(copied)
    assert copied == page.url and "to=English" in again.url
    expect(again.get_by_role("combobox", name=re.compile("To"))).to_have_value("English")


def expect_readable(page: Any) -> None:
    """In both schemes, which the page takes on as the device changes."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(
            """(isLight) => {
                const parts = getComputedStyle(document.querySelector(".stApp")).backgroundColor.match(/\\d+/g)
                return parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) > 600 === isLight
            }""",
            arg=scheme == "light",
        )
        deadline = time.monotonic() + 10
        page.wait_for_timeout(300)
        while (faint := page.evaluate(CONTRAST)) and time.monotonic() < deadline:
            page.wait_for_timeout(200)  # the colours change slowly, one by one, on a busy machine seconds later
        assert faint == [], scheme


PRESSED = {
    "translate?to=French": "[data-words]", "write?kind=poem&write_max_new_tokens=32": "[data-answer]",
    "summarize": "[data-answer]", "sentiment": "h3",
}  # fmt: skip
"""Pages with a main button below a text, and what tells that its result is there."""


def expect_brought_into_view(page: Any, came: str) -> None:
    page.locator(f"{BOX} {came}").first.wait_for()
    page.wait_for_function(
        f"() => {{ const {{ top }} = document.querySelector('{BOX}').getBoundingClientRect();"
        " return top > 0 && top < innerHeight * 0.8 }"
    )


@pytest.mark.timeout(480)
def test_a_phone_shows_all_in_colours_that_can_be_read(visit: Visit, address: str, need: Need) -> None:
    for model in ("smollm2-135m-instruct", "gemma-3-270m", "sentiment-e5", "answer-e5"):
        need(model)
    page = visit(f"{address}/finetune?tune_mode=Expert", viewport={"width": 390, "height": 844})
    page.get_by_text("rows to learn from").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(f"{address}/write")
    for name in ("Temperature", "Length in tokens"):
        slider = page.get_by_role("slider", name=name)
        slider.wait_for()
        assert slider.bounding_box()["y"] < 844, "seen without scrolling"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect_readable(page)
    page.goto(f"{address}/explore?step=1")  # what comes stands below the button, and nobody is taken to the top
    press(page, "Look inside")
    page.wait_for_function(
        f"() => {{ const {{ top }} = document.querySelector('{MAIN}').getBoundingClientRect();"
        " return top > 0 && top < innerHeight * 0.6 }"
    )
    page.add_init_script(PRESS_AT_ONCE)
    for link, came in PRESSED.items():
        page.goto(f"{address}/{link}")
        expect_brought_into_view(page, came)
        page.locator("[data-testid=stMain] textarea").first.fill(" ")
        page.locator(MAIN).first.click()
        expect(page.get_by_test_id("stAlert").first).to_be_in_viewport(ratio=0.9)  # what is wrong, too
    page.goto(f"{address}/answer")
    expect_brought_into_view(page, "mark")
    fields = page.locator("[data-testid=stMain] :is(textarea, input[type=text])")  # right-to-left by their own letters
    assert set(fields.evaluate_all("(all) => all.map((one) => getComputedStyle(one).unicodeBidi)")) == {"plaintext"}
    assert page.locator(f"{BOX} mark").evaluate("(mark) => mark.closest('[dir]').dir") == "auto"
    page.get_by_role("button", name="Find the answer").hover()
    expect_readable(page)
    page.mouse.move(0, 0)
    page.get_by_role("button", name="Find the answer").focus()
    for key in ("Shift+Tab", "Tab"):
        page.keyboard.press(key)
    expect_readable(page)
    page.goto(f"{address}/models")
    page.get_by_text("Download or delete").wait_for()
    expect_readable(page)
    for _ in range(5):  # past the menu, which is folded away, to what scrolls, and further
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        assert page.evaluate(CONTRAST) == []
    dates = ["2026-05-04", day_of(datetime(2026, 5, 4)), day_of(datetime(2026, 5, 4, 9, 30), "%Y-%m-%d, %H:%M")]
    assert page.evaluate(LINES, dates) == [3, 1, 2], "only between a day and a time"


def test_who_does_not_see_a_plot_reads_its_figures(visit: Visit, address: str, need: Need) -> None:
    need("sentiment-e5")
    page = visit(f"{address}/explore?step=6&look=yes&model6={quote('BERT: looks both ways')}")
    for label in ("Table and files", "What each head is in the habit of"):
        page.get_by_text(label, exact=True).click()
    cells = "(table) => [...table.rows].slice(1).map((row) => [...row.cells].map((cell) => cell.textContent))"
    tables = [one.evaluate(cells) for one in (page.get_by_role("table").first, page.get_by_role("table").nth(1))]
    page.get_by_role("img", name=re.compile("A habit of every head")).wait_for()
    page.wait_for_function("() => [...document.querySelectorAll('[data-chart]')].every((chart) => chart.data)")
    matrix = page.get_by_role("img", name=re.compile("as a matrix")).evaluate("(chart) => chart.data[0].z")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(SINKS_INTO_THE_PAGE)
    page.emulate_media(color_scheme="light")
    told = [[float(cell) for cell in row[1:]] for row in tables[0]]
    assert told == [pytest.approx(row, abs=1e-3) for row in matrix]
    assert all(sum(row) == pytest.approx(1, abs=5e-3) for row in told)
    heads = page.get_by_role("img", name=re.compile("A habit of every head")).evaluate("(chart) => chart.data[0]")
    drawn = {
        (layer, head): value
        for layer, line in enumerate(heads["z"], heads["y0"]) for head, value in enumerate(line, heads["x0"])
    }  # fmt: skip
    assert {(int(row[0]), int(row[1])): float(row[2]) for row in tables[1]} == pytest.approx(drawn, abs=1e-3)
    for link in ("step=1&look=yes&text1=A+b", "step=4&look=yes"):  # what each further plot says of itself has figures
        page.goto(f"{address}/explore?{link}")
        expect(page.locator(".js-plotly-plot").first).to_have_attribute("aria-label", re.compile("[0-9]"))
        page.get_by_text("Table and files", exact=True).last.click()
        expect(page.get_by_role("table").last.get_by_role("cell").first).to_be_visible()
