"""What the trial writer learns from: verse and stories without the habits, asked for as Write asks, ending whole."""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from benchmarks import writers
from engine.applications.write import WriteRequest, WriteResult, messages
from engine.training.config import read_config
from engine.training.data import read_rows
from models.recipes import writing

STANZA = [
    "The cat is on the mat, my dear,",
    "And all the house is still.",
    "The clock is on the wall to hear",
    "The wind come down the hill.",
]
TEI = """<TEI xmlns="http://www.tei-c.org/ns/1.0"><death><date>{year}</date></death>
<text><body><lg>{stanzas}</lg></body></text></TEI>"""


def stanza(*lines: str) -> str:
    return f"<lg>{''.join(f'<l>{line}</l>' for line in lines)}</lg>"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Collections as they lie in the folder of data, a poem or story each."""
    text = tmp_path / "text"
    for name in ("poems_rhyme", "poems_forms", "poems_english", "stories_asp"):
        (text / name).mkdir(parents=True)
    rhymed = [{"lang": "en", "author": "A", "title": "T", "lines": STANZA}] * 5
    with gzip.open(text / "poems_rhyme" / "stanzas.jsonl.gz", "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in [*rhymed, rhymed[0] | {"lang": "fr"}]))
    poem = "A Title\n\nA DOG is at the gate, and he\nWill wait for you and me"
    poem += "\nThe gate, the road and all the day\nAnd off he goes."
    (text / "poems_forms" / "forms.filtered.jsonl").write_text(json.dumps({"text": poem}) + "\n")
    said = "The sea , the sea is in my head ,", "And it is all that I have said ."
    lines = stanza(*said, "I 'd see the ship again", "And the gull in the rain .")
    with tarfile.open(text / "poems_english" / "books.tar.gz", "w:gz") as tar:
        for name, year in (("1850/a.xml", 1899), ("1850/b.xml", 1999), ("1500/c.xml", 1599)):
            content = TEI.format(year=year, stanzas=lines.replace("sea", "sea" if year == 1899 else "lake")).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    pages = ["A goat lived in our village and ate all the maize that there was."] * 6
    told = {"lang": "en", "title": "The greedy goat", "sections": pages}
    others = [told | {"sections": pages[:1]}, told | {"lang": "de"}, told | {"sections": ["Once upon a time", *pages]}]
    (text / "stories_asp" / "stories.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [told, *others]))
    return tmp_path


def test_poems_songs_and_stories_are_asked_for_as_write_asks(data: Path) -> None:
    rows = list(writing.rows_of(data / "text"))
    song, dog, sea, story = rows
    assert song["response"].startswith("[Verse 1]\nThe cat") and song["response"].count("[Chorus]") == 2
    assert dog["response"].startswith("A dog is at the gate"), "without its title and the printer's capitals"
    assert sea["response"].splitlines()[0] == "The sea, the sea is in my head," and "I'd see" in sea["response"]
    assert story["prompt"] == "Write a short story about the greedy goat." and "history" not in story
    *before, order = messages(WriteRequest("the gate and the road", "poem"), "the gate and the road")
    assert dog["prompt"] == order.content
    assert json.loads(dog["history"]) == [{"role": turn.role, "content": turn.content} for turn in before]


@pytest.mark.parametrize(
    "line",
    ["Thou art the cat, and I am he", "And o'er the hill", "It whispers of the night", "In 1850 it was all",
     "Le chat est sur le toit de la maison et il dort et il est bien, mon cher ami"],
)  # fmt: skip
def test_what_is_old_odd_or_a_habit_is_left_out(line: str) -> None:
    assert writing.verse([STANZA]) and not writing.verse([[line, *STANZA[1:]]])


def test_a_long_poem_ends_with_a_stanza() -> None:
    assert writing.verse([STANZA] * 9) == writing.verse([STANZA] * 4) and not writing.verse([STANZA * 5])


def test_the_recipe_can_stop_before_it_trains(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    options = ["writing", "--data", str(data), "--base", "base", "--run", str(run), "--prepare"]
    monkeypatch.setattr(sys, "argv", options)
    writing.main()
    config = read_config(run / "config.json")
    learned, held = (
        read_rows(Path(file), ("prompt", "response")) for file in (config.train_file, config.validation_file)
    )
    assert len(learned) == 3 and len(held) == 1 and config.method == "lora"
    judged = {request.text for request in writers.requests(10)}
    assert len(judged) == 40 and not any(subject in row["prompt"] for row in (*learned, *held) for subject in judged)


def test_the_reader_does_not_see_whose_a_text_is_and_the_rules_cost() -> None:
    asked = writers.requests(1)
    made = {
        model: [WriteResult(f"{words} {number}.", model, "stop", {}, 9) for number in range(4)]
        for model, words in ((writers.SHIPPED, "A whisper"), (writers.TRAINED, "A dog"))
    }
    text, key = writers.pairs(asked, made)
    assert writers.SHIPPED not in text and writers.TRAINED not in text and text.count("A whisper") == 4
    other = {"A": "B", "B": "A"}
    judged = f"1 {key['1']} a better end\n2 {other[key['2']]}\n3 ="
    told = writers.chosen(judged, key, [request.kind for request in asked])
    assert told.splitlines()[:3] == [
        "poem: {'trained-writer': 1}", "story: {'smollm2-135m-instruct': 1}", "lyrics: {'neither': 1}"
    ]  # fmt: skip
    assert writers.cost(asked[0], "A whisper is in the trees.") > writers.cost(asked[0], "A dog is in the trees.") == 0
    assert writers.told(asked, made).startswith("poem: rules cost a line 1.20, 0.00;")
