"""Sampling limits and the cleaning of what people type."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import pytest

from engine.errors import InputError, TooLargeError
from engine.requests import Extraction, Sampling, Span, clean_text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", math.nan),
        ("temperature", True),
        ("top_p", 0),
        ("top_k", -1),
        ("min_p", "half"),
        ("max_new_tokens", 0),
        ("max_new_tokens", 10**9),
        ("repetition_penalty", math.inf),
        ("seed", -1),
        ("stop", ("a",) * 9),
        ("stop", ("a" * 65,)),
    ],
)
def test_sampling_out_of_bounds_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        Sampling(**{field: value}).resolved()
    assert caught.value.param == field
    assert field in str(caught.value)


def test_greedy_reports_that_filters_do_not_act() -> None:
    acting = Sampling(temperature=0, top_p=0.5, top_k=7, min_p=0.2, repetition_penalty=1.2).resolved()
    assert (acting.top_p, acting.top_k, acting.min_p, acting.repetition_penalty) == (1.0, 0, 0.0, 1.2)


def test_a_seed_is_drawn_and_reported() -> None:
    first, second = Sampling().resolved(), Sampling().resolved()
    assert first.seed is not None and first.seed != second.seed
    assert Sampling(seed=7).resolved().as_dict()["seed"] == 7


def test_clean_text_keeps_every_language_and_drops_control_characters() -> None:
    assert clean_text("héllo\x00\x1b[31m 你好 👩‍👩‍👧 שלום\r\nb\tc", "text", 100) == "héllo[31m 你好 👩‍👩‍👧 שלום\nb\tc"
    assert clean_text("e\u0301", "text", 100) == "é"
    assert clean_text("lone \ud800 surrogate", "text", 100) == "lone  surrogate"


def test_clean_text_drops_the_classes_cc_and_cs_alone() -> None:
    everything = "".join(map(chr, range(0x3000))) + "".join(map(chr, range(0xD7F0, 0xE010)))
    kept = "".join(c for c in everything if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    cleaned = clean_text(everything.replace("\r", ""), "text", len(everything))
    assert cleaned == unicodedata.normalize("NFC", kept)


@pytest.mark.parametrize("text", ["", "  \n\t ", "\x00\x07", "\u200b\ufeff", "\u3164 \u2800\u00ad"])
def test_clean_text_refuses_nothing(text: str) -> None:
    with pytest.raises(InputError, match="text is empty") as caught:
        clean_text(text, "text", 100)
    assert caught.value.param == "text"


def test_clean_text_refuses_what_is_too_long_or_no_text() -> None:
    with pytest.raises(TooLargeError, match="1,001 characters; the limit is 1,000"):
        clean_text("a" * 1001, "passage", 1000)
    with pytest.raises(InputError, match="passage must be text"):
        clean_text(None, "passage", 1000)


def test_extraction_stands_by_its_answer_below_the_threshold() -> None:
    spans = (Span("a", 0, 1, 0.4),)
    assert Extraction(spans, null_score=0.3).has_answer
    assert not Extraction(spans, null_score=0.6).has_answer
    assert not Extraction((), null_score=0.0).has_answer
