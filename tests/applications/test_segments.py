"""Sentences: cut where a reader would cut, and put back without losing a character."""

from __future__ import annotations

import pytest

from engine.applications.segments import MAX_SENTENCE_CHARACTERS, split

LAYOUT = (
    "  Dear all,\n\n\t- first point. Second one!\n  2) numbered\u00a0item\n* star\r\n\n\n> quoted line\n"
    "# Title\n12.5 %\nhttps://example.org/a?b=c\nme@example.org\n***\nlast line without an end   "
)


def sentences(text: str, language: str = "en") -> list[str]:
    return [segment.text for segment in split(text, language) if segment.text]


@pytest.mark.parametrize(
    "text", [LAYOUT, "", " ", "\n\n", "。", "…", "你好。\n\n  我叫李明！走吧", "a" * 3000, "x, " * 900]
)
def test_before_and_text_joined_are_the_text(text: str) -> None:
    assert "".join(segment.before + segment.text for segment in split(text)) == text


def test_layout_numbers_and_addresses_are_kept_and_not_translated() -> None:
    assert sentences(LAYOUT) == [
        "Dear all,", "first point.", "Second one!", "numbered\u00a0item", "star", "quoted line", "Title",
        "last line without an end",
    ]  # fmt: skip


def test_markers_of_lists_and_what_is_no_word_are_not_translated() -> None:
    text = "   a) one\n   (b) two\n1) three\n(2) four\n  iv. five\nII) six\n" + "a" * 300 + " seven\nx is eight"
    text += "\n" + "ab" * 5_000
    assert sentences(text)[:6] == ["one", "two", "three", "four", "five", "six"]
    assert sentences(text)[-1] == "x is eight" and all(len(one) < 400 for one in sentences(text))


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("| Bread | 2 | fresh. Every day |", ["Bread", "fresh.", "Every day"]),
        ("Bread | 2 | fresh", ["Bread", "fresh"]),
        ("Bread\t2\tfresh", ["Bread", "fresh"]), ("|Bread|2|fresh|", ["Bread", "fresh"]), ("|:---|---:|", []),
        (r"| Bread \| milk | fresh |", [r"Bread \| milk", "fresh"]),
        ("| use `a | b` here | x |", ["use `a | b` here", "x"]),
        ("Say a|b, please.", ["Say a|b, please."]),
        ("<ul><li>Milk</li> <li>Fresh <b>bread</b></li></ul>", ["Milk", "Fresh <b>bread</b>"]),
        ('<p class="x">One. Two.<br/>Three</p>', ["One.", "Two.", "Three"]),
        ("Use <br/> or <p> here.", ["Use <br/> or <p> here."]),
        ("<b>Bold</b> and <i>thin</i>.", ["<b>Bold</b> and <i>thin</i>."]),
    ],
)  # fmt: skip
def test_cells_of_a_table_are_read_one_by_one(row: str, cells: list[str]) -> None:
    assert sentences(row) == cells
    assert "".join(segment.before + segment.text for segment in split(row)) == row


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["Dr. Smith paid $3.50 on Jan. 3.", "He left at 5 p.m. on Monday."]),
        ("en", ["“I am late,” he said.", "“Why?” she asked.", "Nobody knew."]),
        ("en", ["Wait... what?", "I mean it."]),
        ("en", ["We use e.g. Python, etc. and more.", "See https://example.org/a.b?c=d for more.", "J. R. wrote it."]),
        ("fr", ["M. Dupont habite au no. 5.", "Il a dit : « Bonjour ! »", "Puis il est parti."]),
        ("fr", ["Que voulez-vous ?", "Rien…", "Tant pis !"]),
        ("de", ["Am 3. Mai kam Dr. Müller z. B. zu spät.", "Das war schlecht."]),
        ("de", ["„Kommst du?“, fragte er.", "Das gilt z.B. Häusern.", "Wir kaufen Obst usw. im Laden."]),
        ("es", ["¿Dónde está?", "¡No lo sé!", "El Sr. García salió a las 8.30 a.m. hoy."]),
        ("zh", ["你好。", "他说：“我走了。”", "她没有回答。", "“你来吗？”他问。", "价格是3.5元！"]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(language: str, expected: list[str]) -> None:
    joined = ("" if language == "zh" else " ").join(expected)
    assert sentences(joined, language) == expected


def test_a_number_with_a_point_ends_a_sentence_except_in_german() -> None:
    assert sentences("It costs 5. Then we left.") == ["It costs 5.", "Then we left."]
    assert sentences("Am 5. Mai ging er.", "de") == ["Am 5. Mai ging er."]


def test_over_long_sentences_are_cut_at_commas() -> None:
    text = "word word, " * 100
    parts = sentences(text)
    assert all(len(part) <= MAX_SENTENCE_CHARACTERS for part in parts)
    assert all(part.endswith(",") for part in parts)


@pytest.mark.parametrize("text", ["." * 20_000 + "a", "!? " * 6_000, "。”" * 10_000, "- " * 10_000, "1@1." * 5_000])
@pytest.mark.timeout(20)
def test_hostile_texts_take_no_more_than_quadratic_time(text: str) -> None:
    assert "".join(segment.before + segment.text for segment in split(text)) == text
