"""Windows and spans: offsets must be those of the Python string, whatever is in it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from tokenizers_on_the_spot import wordpiece

from engine.backends.spans import Window, best_spans, label_window, make_windows

PASSAGE = "Ada 👩🏽‍🔬 Lovelace wrote the first program in 1843. 她住在伦敦。 Straße, café, e\u0301tude. " * 12


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return wordpiece([PASSAGE, "Who wrote the first program? in which year"])


def logits_for(windows: Any, start: int, end: int, value: float = 9.0) -> tuple[list[Any], list[Any]]:
    """Logits of a model that is sure of the characters [start, end) wherever it sees them."""
    starts = [np.zeros(len(window.input_ids)) for window in windows]
    ends = [np.zeros(len(window.input_ids)) for window in windows]
    for i, window in enumerate(windows):
        first, last = label_window(window, start, end)
        starts[i][first] = ends[i][last] = value
    return starts, ends


@pytest.mark.parametrize("answer", ["Lovelace", "1843", "她住在伦敦", "Straße", "café", "👩🏽‍🔬 Lovelace wrote"])
def test_a_span_is_exactly_its_characters(tokenizer: Any, answer: str) -> None:
    start = PASSAGE.index(answer, len(PASSAGE) // 2)
    windows = make_windows(tokenizer, "Who wrote it?", PASSAGE, max_length=64, stride=24)
    assert len(windows) > 5
    spans, null = best_spans(
        PASSAGE, windows, *logits_for(windows, start, start + len(answer)), top_k=3, max_answer_tokens=20
    )
    assert PASSAGE[spans[0].start : spans[0].end] == spans[0].text == answer
    assert spans[0].start == start
    assert spans[0].score > 0.5 > null


def test_windows_cover_every_token_and_share_their_stride(tokenizer: Any) -> None:
    windows = make_windows(tokenizer, "Who?", PASSAGE, max_length=48, stride=16)
    covered = {c for window in windows for span in window.offsets if span for c in range(*span)}
    assert {i for i, c in enumerate(PASSAGE) if c.isalnum() and ord(c) < 128} <= covered
    assert all(len(window.input_ids) <= 48 for window in windows)
    first, second = ([span for span in window.offsets if span] for window in windows[:2])
    assert len(set(first) & set(second)) == 16


def test_spans_do_not_overlap_and_probabilities_add_up_to_at_most_one(tokenizer: Any) -> None:
    windows = make_windows(tokenizer, "Who?", PASSAGE, max_length=64, stride=24)
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=len(window.input_ids)) for window in windows]
    ends = [rng.normal(size=len(window.input_ids)) for window in windows]
    spans, null = best_spans(PASSAGE, windows, starts, ends, top_k=20, max_answer_tokens=5)
    assert len(spans) == 20
    ordered = sorted(spans, key=lambda span: span.start)
    assert all(a.end <= b.start for a, b in itertools.pairwise(ordered))
    assert [s.score for s in spans] == sorted((s.score for s in spans), reverse=True)
    assert sum(s.score for s in spans) + null <= 1 + 1e-9


def test_the_null_answer_wins_only_when_every_window_says_so(tokenizer: Any) -> None:
    windows = make_windows(tokenizer, "Who?", PASSAGE, max_length=64, stride=24)
    starts = [np.where(np.arange(len(w.input_ids)) == 0, 12.0, 0.0) for w in windows]
    ends = [row.copy() for row in starts]
    assert best_spans(PASSAGE, windows, starts, ends, top_k=1, max_answer_tokens=5)[1] > 0.99
    start = PASSAGE.index("1843")
    first, last = label_window(windows[0], start, start + 4)
    starts[0][0] = ends[0][0] = 0.0
    starts[0][first] = ends[0][last] = 12.0
    spans, null = best_spans(PASSAGE, windows, starts, ends, top_k=1, max_answer_tokens=5)
    assert PASSAGE[spans[0].start : spans[0].end] == "1843" and null < 0.01


def test_an_answer_across_the_edge_of_a_window_is_labelled_null_there(tokenizer: Any) -> None:
    windows = make_windows(tokenizer, "Who?", PASSAGE, max_length=32, stride=8)
    last = [span for span in windows[0].offsets if span][-1]
    assert label_window(windows[0], last[0], last[1] + 20) == (0, 0)


def test_empty_passage_and_endless_question(tokenizer: Any) -> None:
    windows = make_windows(tokenizer, "Who?", "", max_length=32, stride=8)
    zeros = [np.zeros(len(window.input_ids)) for window in windows]
    assert best_spans("", windows, zeros, zeros, top_k=3, max_answer_tokens=5) == ([], 1.0)
    windows = make_windows(tokenizer, "who wrote " * 500, PASSAGE, max_length=32, stride=8)
    assert all(len(window.input_ids) <= 32 and any(window.offsets) for window in windows)


def test_the_first_span_is_the_one_that_agrees_best_with_the_others() -> None:
    words = ["the", "old", "grey", "mill", "by", "the", "sea"]
    offsets: list[tuple[int, int] | None] = [None]
    at = 0
    for word in words:
        offsets.append((at, at + len(word)))
        at += len(word) + 1
    window = Window(list(range(8)), None, offsets)
    starts = np.array([-9.0, -9, 2.0, 2.0, 1.9, -9, -9, 2.1])
    ends = np.array([-9.0, -9, -9, -9, 2.0, -9, -9, 2.0])
    text = " ".join(words)
    spans, _ = best_spans(text, [window], [starts], [ends], top_k=2, max_answer_tokens=4)
    assert [span.text for span in spans] == ["grey mill", "sea"]
    assert spans[1].score > spans[0].score
