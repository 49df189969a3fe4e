"""Questions that a student translated: by the embedded one, and where an answer is found again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from engine.backends.marian.files import open_student
from engine.catalogue.models import read_catalogue
from engine.catalogue.sources.package import Package
from engine.catalogue.store import Store
from engine.settings import current
from models.recipes.answers_data import Asked, read
from models.recipes.student_translations import translated
from models.recipes.translated_questions import Translate, find_answer, translated_rows, write

PASSAGE = "The old bridge was built in 1894. Anna Berg painted it in bright red! It has three arches."
STUDENT = "firefox-en-pt"


@pytest.fixture(scope="module")
def translate() -> Translate:
    catalogue = read_catalogue()
    store = Store(replace(current(), prefetch=False), catalogue)
    if store.availability(STUDENT).state != "ready":
        pytest.skip(f"{STUDENT} is not in the cache")
    source = catalogue.find(STUDENT).source
    assert isinstance(source, Package)
    student = open_student(STUDENT, store.path(STUDENT), source.files)
    return partial(translated, student.quick, (student.source, student.target), shortlist=student.shortlist)


def asked(question: str, answer: str, passage: str = PASSAGE) -> Asked:
    return Asked(question, passage, ((answer, passage.index(answer)),), 0, "en", "bridge")


def test_rows_are_translated_with_their_answers_places(translate: Translate, tmp_path: Path) -> None:
    rows = [
        asked("When was the bridge built?", "1894"),
        asked("Who painted the bridge?", "Anna Berg"),
        asked("How many arches does it have?", "three arches"),
    ]
    made = translated_rows(rows, translate, "pt")
    assert [row.answers[0][0] for row in made] == ["1894", "Anna Berg", "três arcos"]
    assert len({row.passage for row in made}) == 1 and made[0].passage.startswith("A antiga ponte")
    assert {row.language for row in made} == {"pt"} and made[0].question.endswith("?")
    write(made, tmp_path / "squad.pt.json.gz")
    back = read(tmp_path / "squad.pt.json.gz", "pt")
    assert [(row.question, row.passage, row.answers) for row in back] == [
        (row.question, row.passage, row.answers) for row in made
    ]


def test_an_answer_over_two_sentences_is_left_out() -> None:
    row = asked("What of it?", "1894. Anna Berg")
    assert translated_rows([row], lambda texts: [text.upper() for text in texts], "xx") == []


def test_a_sentence_with_quotation_marks_is_not_marked_again() -> None:
    seen: list[str] = []

    def translate(texts: list[str]) -> list[str]:
        seen.extend(texts)
        return list(texts)

    passage = 'She called it "my bridge" in a letter.'
    (row,) = translated_rows([asked("Where?", "a letter", passage)], translate, "xx")
    assert row.answers == (("a letter", passage.index("a letter")),)
    assert sum('"' in text for text in seen) == 1


@pytest.mark.parametrize(
    ("sentence", "answer", "offered", "found"),
    [
        ("Sie malte die Brücke rot.", "the bridge", ["die Brücke", "Die Brücke."], "die Brücke"),
        ("Sie malte die Brücke rot.", "the bridge", ["", "die Brücke", "the bridge"], "die Brücke"),
        ("Es kostet 1.500 Mark.", "1,500 marks", ["1.500 Mark"], "1.500 Mark"),
        ("Es kostet 1.500 Mark.", "2,500 marks", ["1.500 Mark"], None),
        ("Rot auf Rot.", "red", ["rot"], None),
        ("Die Rotte malte.", "red", ["rot"], None),
        ("Anna malte, Berta sang.", "Anna", ["Berta", "Anna"], None),
        ("Anna malte.", "she", ["", "sie"], None),
        ("Was (nun)?", "what (now)", ["Was (nun)?"], "Was (nun)"),
    ],
    ids=["found", "second", "numbers", "other-numbers", "twice", "part", "apart", "absent", "brackets"],
)
def test_an_answer_is_where_all_that_is_offered_agrees(
    sentence: str, answer: str, offered: list[str], found: str | None
) -> None:
    span = find_answer(sentence, answer, offered)
    assert (sentence[slice(*span)] if span else None) == found
