"""The few functions of the pages that are worth a test of their own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.applications.sentences import DOUBTFUL, Sentence
from engine.requests import Event, Sampling
from pages.parts import streaming
from pages.parts.decoding import settings_in_words
from pages.parts.sizes import (
    confidence_in_words,
    parameters_in_words,
    percent_in_words,
    seconds_in_words,
    size_in_words,
)
from pages.parts.tables import as_csv
from pages.parts.text import _cut_at_words, in_short, plain
from pages.parts.visits import Exchange


def test_numbers_in_words() -> None:
    assert [size_in_words(n) for n in (0, 999, 1_500, 92_871_040, 2_340_000_000)] == [
        "0\u00a0bytes", "999\u00a0bytes", "1.5\u00a0kB", "93\u00a0MB", "2.3\u00a0GB",
    ]  # fmt: skip
    assert [seconds_in_words(s) for s in (0.4, 59.6, 75)] == ["0 s", "1 min 0 s", "1 min 15 s"]
    assert [percent_in_words(p) for p in (0.0, 0.004, 0.834, 0.999)] == ["under 1%", "under 1%", "83%", "over 99%"]
    assert [parameters_in_words(n) for n in (134_515_008, 1_700_000_000)] == ["135M", "1.7B"]


def test_a_translation_is_unsure_from_where_it_is_marked() -> None:
    words = [confidence_in_words(score, DOUBTFUL) for score in (0.49, 0.5, 0.59, 0.85)]
    assert words == ["unsure", "fairly sure", "fairly sure", "very sure"]
    assert [Sentence("a", "b", score).is_doubtful for score in (0.49, 0.5)] == [True, False]


def test_how_far_it_is_stays_told_while_text_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    noted, now = list[str](), [100.0]
    monkeypatch.setattr(streaming, "time", SimpleNamespace(monotonic=lambda: now[0]))
    place, note = SimpleNamespace(html=lambda _: None), SimpleNamespace(caption=noted.append)
    spot = streaming.Spot(Exchange(None, state="coming"), None, place, note=note)
    working = Event("working", part=1, parts=9)
    for event in (Event("queued"), Event("text", text="One. "), working, Event("text", text="T")):
        spot.take(event)
        now[0] += 0.1
    assert noted == [
        ":material/hourglass_top: Thinking…", ":material/edit: 1 token", ":material/edit: Part 1 of 9 · 1 token",
        ":material/edit: Part 1 of 9 · 2 tokens",
    ]  # fmt: skip


def test_csv_holds_no_formula() -> None:
    text = as_csv([{"Text": "=1+1", "n": -1.5}, {"Text": 'a "b", c', "n": 2}])
    assert text.splitlines() == ["Text,n", "'=1+1,-1.5", '"a ""b"", c",2']
    assert as_csv([{"=1+1": "a", "@b": "=c"}]).splitlines() == ["'=1+1,'@b", "a,'=c"], "columns are a stranger's too"
    wide = as_csv([{"a": first + "1"} for first in "\uff1d\uff0b\uff0d\uff20"]).splitlines()[1:]
    assert len(wide) == 4 and all(line.startswith("'") for line in wide)


def test_settings_in_words_leave_out_what_did_not_act() -> None:
    sampled = settings_in_words(Sampling(200, 0.7, top_p=0.95, stop=("*",), seed=7).resolved().as_dict())
    assert sampled == "Settings: max new tokens 200 · temperature 0\\.7 · top p 0\\.95 · stop '\\*' · seed 7"
    greedy = settings_in_words(Sampling(200, 0.0, top_p=0.95, seed=7).resolved().as_dict())
    assert "top p 0" not in greedy and "seed 7" not in greedy and "did not act" in greedy


def test_plain_text_survives_markdown() -> None:
    assert plain("a*b_[c](d) :red[e] $f$") == "a\\*b\\_\\[c\\]\\(d\\) \\:red\\[e\\] \\$f\\$"


@pytest.mark.parametrize(("text", "shown"), [
    ("short", "short"),
    ("", ""),
    ("The experiment reveals a surprising twist in the relationship.", "The experiment reveals a\u00a0…"),
    ("蜜蜂互相学习解谜，这是没有一只蜜蜂能独自解决的。第二句。", "蜜蜂互相学习解谜，\u00a0…"),
    ("x" * 80, "x" * 15 + "\u00a0…"),
])  # fmt: skip
def test_a_text_in_a_select_is_cut_between_words(text: str, shown: str) -> None:
    assert in_short(text) == shown


def test_a_passage_is_cut_between_words() -> None:
    passage = "one two three four five"
    assert passage[slice(*_cut_at_words(passage, 8, 13, 6))] == "two three four"
    assert passage[slice(*_cut_at_words(passage, 0, 3, 400))] == passage
    chinese = "港口由工程师建造。" * 9
    assert _cut_at_words(chinese, 20, 25, 10) == (10, 35), "no spaces: cut where it falls"


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 17), (0.02, 6), (5.0, 1)])
def test_text_is_redrawn_less_often_where_drawing_takes_long(
    seconds: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, drawn, noted = [100.0], list[str](), list[str]()

    def draw(text: str) -> None:
        drawn.append(text)
        now[0] += seconds

    monkeypatch.setattr(streaming, "time", SimpleNamespace(monotonic=lambda: now[0]))
    answer = Exchange(None, state="coming")
    spot = streaming.Spot(answer, None, SimpleNamespace(html=draw), note=SimpleNamespace(caption=noted.append))
    for number in range(100):
        spot.take(Event("text", text=f"{number} "))
        now[0] += 0.01
    assert answer.text.split() == [str(number) for number in range(100)]
    assert most - 2 <= len(drawn) <= most and len(noted) <= 3
