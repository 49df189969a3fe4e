"""The project's own hostile and harmless sentences: what is drawn of them, who learns and who chooses, disguises."""

from __future__ import annotations

import random
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from models.recipes import own_toxicity, toxicity
from models.recipes.own_toxicity import Template

LANGUAGES = ("en", "de", "fr", "es", "zh")
TOXIC = {"derogation", "threat", "insult", "implied", "spelling", "profanity", "reclaimed"}
HARMLESS = {"identity", "counter", "target", "threat", "insult", "implied", "spelling", "profanity", "reclaimed"}


@pytest.mark.parametrize(("count", "is_choosing"), [(4000, False), (400, True)])
def test_all_languages_labels_and_kinds_are_drawn_evenly(count: int, is_choosing: bool) -> None:
    rows = own_toxicity.own_rows(count, is_choosing)
    of_label = Counter((row.template.language, row.template.is_toxic) for row in rows)
    assert set(of_label) == {(code, is_toxic) for code in LANGUAGES for is_toxic in (True, False)}
    assert set(of_label.values()) == {count // 10}
    for code in LANGUAGES:
        for is_toxic, kinds in ((True, TOXIC), (False, HARMLESS)):
            of_kind = Counter(
                row.template.kind for row in rows if (row.template.language, row.template.is_toxic) == (code, is_toxic)
            )
            assert set(of_kind) == kinds and max(of_kind.values()) < count // 10 / 4
    texts = [row.text.lower() for row in rows]
    assert len(set(texts)) == len(texts) and not any("{" in text or not text.strip() for text in texts)


def test_the_same_rows_come_each_time_and_no_more_than_asked_for() -> None:
    assert own_toxicity.own_rows(200, False) == own_toxicity.own_rows(200, False)
    assert len(own_toxicity.own_rows(200, False)) == 200


def test_no_template_is_learned_from_and_chosen_by() -> None:
    learned, choosing = (
        {(row.template.language, row.template.text) for row in own_toxicity.own_rows(10**6, is_choosing)}
        for is_choosing in (False, True)
    )
    assert learned and choosing and not learned & choosing


def test_a_harmless_template_stays_with_its_hostile_one(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    lists = {name: [f"{name} {number}" for number in range(12)] for name in ("bad", "good")}
    file.write_text(f"[en]\nthreat.toxic = {lists['bad']}\nthreat.harmless = {lists['good']}\n")
    for is_choosing, places in ((False, {0, *range(2, 11)}), (True, {1, 11})):
        rows = own_toxicity.own_rows(1000, is_choosing, file)
        assert {(row.text.lower().split()[0], int(row.text.split()[1])) for row in rows} == {
            (name, place) for name in ("bad", "good") for place in places
        }
        assert all(row.template.is_toxic == row.text.lower().startswith("bad") for row in rows)


def test_words_are_filled_in_and_sentences_begin_with_a_capital() -> None:
    template = Template("{one} and {two}. {one}!", "insult", True, "en", 0)
    rows = own_toxicity.fill(template, {"one": ["you"], "two": ["me", "us"]}, random.Random(1))
    assert {row.text.lower() for row in rows} == {"you and me. you!", "you and us. you!"}
    assert any(row.text.startswith("You and") and row.text.endswith(". You!") for row in rows)


@pytest.mark.parametrize("word", ["idiot", "kill", "um", "Mörder", "people in wheelchairs", "笨蛋", "垃圾"])
def test_a_disguised_word_is_another_and_its_neighbours_stay(word: str) -> None:
    rng, hidden = random.Random(3), max(word.split(), key=len)
    found = {own_toxicity.disguise(word, rng, {"笨": "ben", "蛋": "dan"}) for _ in range(60)}
    assert len(found) > 3 and word not in found
    if word != hidden:
        assert all(one.startswith("people in ") for one in found)


def test_disguises_are_of_many_forms() -> None:
    rng = random.Random(4)
    found = {own_toxicity.disguise("stupid", rng, {}) for _ in range(400)}
    assert {"s.t.u.p.i.d", "s t u p i d", "s-t-u-p-i-d", "stpd", "st*pid", "stup*d", "sutpid"} <= found
    assert any(re.search("[0-9$!@]", one) for one in found) and any(re.search(r"([a-z])\1", one) for one in found)
    chinese = {own_toxicity.disguise("笨蛋", rng, {"笨": "ben", "蛋": "dan"}) for _ in range(100)}
    assert {"ben蛋", "笨dan", "bendan", "b蛋", "笨.蛋", "笨 蛋"} <= chinese


def test_rows_of_disguises_do_not_hold_the_plain_sentence() -> None:
    languages = tomllib.loads(own_toxicity.FILE.read_text(encoding="utf-8"))
    plain = {
        row.text.lower().rstrip(".。")
        for code, words in languages.items()
        for one in own_toxicity.read_templates(words, code) if one.kind == "spelling"
        for row in own_toxicity.fill(
            Template(one.text.replace("*", ""), one.kind, one.is_toxic, code, one.place), words, random.Random(5)
        )
    }  # fmt: skip
    rows = [row for row in own_toxicity.own_rows(4000, False) if row.template.kind == "spelling"]
    assert len(rows) > 200 and not any(row.text.lower().rstrip(".。") in plain for row in rows)
    assert not any(row.text.count("*") and "*" + row.template.text.split("*")[1] + "*" in row.text for row in rows)


def test_the_recipe_learns_from_them_and_measures_on_none(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = toxicity.read_rows(shared_data)
    monkeypatch.setattr(own_toxicity, "own_rows", lambda count, is_choosing: [])
    without = toxicity.read_rows(shared_data)
    assert rows.measured == without.measured
    assert {row.language for row in rows.learned} == {row.language for row in rows.choosing} == set(LANGUAGES)
    for part, before, limit in (
        (rows.learned, without.learned, toxicity.OWN_LEARNED),
        (rows.choosing, without.choosing, toxicity.OWN_CHOOSING),
    ):
        assert part[: len(before)] == before
        assert limit * 0.95 < len(part) - len(before) <= limit and limit < len(part) / 4
