"""How the adapter `verse-smollm2` is learned: verse and stories by people, asked for as Write asks.

    python -m models.recipes.writing --data DATA --base SMOLLM2 --run RUN [--threads 2] [--prepare]

DATA holds `text/`: poems in the public domain (`poems_english`, `poems_forms`, `poems_rhyme`; their authors died before
1955) and children's stories (`stories_asp`, CC BY). What is old in its words or has one of the habits that
`engine/applications/habits.toml` lists is left out, long poems end with a stanza. What came of it: `docs/writing.md`;
`benchmarks.writers` has both sides write for a reader who does not know which is which.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from engine.applications.habits import stock_phrases
from engine.applications.judges import ENGLISH
from engine.applications.write import Kind, WriteRequest, messages
from engine.training.config import TrainingConfig
from models.recipes import read_arguments, train

SEED = 13
HELD_OUT_EVERY = 20
LINES, MOST_LINE, SONG_STANZAS, SONG_EVERY = (4, 16), 60, 3, 3
STORY_WORDS = (60, 260)
LAST_DEATH = 1954
FIRST_ERA = "1800"
LEAST_ENGLISH = 5
FEW = 4
SUBJECTS = 2
_OLD = re.compile(
    r"(?<![\w'])(?:thee|thou|thy|thine|ye|hath|doth|art|hast|dost|ere|e'er|ne'er|o'er|'tis|'twas|oft|unto|whilst|lo|wilt|"
    r"shalt|\w+eth|\w\w+'d|\w+'st|th'|methinks|hither|thither|whence|nay|yea|alas|quoth|yon|yonder|morn|bosom|maiden|o|amid|"
    r"sublime|heav'n|fair|doom|hail|breast|bliss|woe|steed|bower|god|lord|christ)(?![\w'])",
    re.IGNORECASE,
)
_ODD = re.compile(r"[\d_*\[\]|\"“”‘{}()]|--$")
_NOUN = re.compile(
    r"\b(?:the|a|an|my|his|her|our)\s+([a-z]{3,})(?=[,.;:!?\n]|\s(?:of|in|on|and|is|was|to|that|with|at)\b)"
)
_TEI = "{http://www.tei-c.org/ns/1.0}"
Stanzas = list[list[str]]


def verse(stanzas: Stanzas) -> Stanzas:
    """As much of a poem as fits, to the end of a stanza; a lone first line is its title. Empty where none is wanted."""
    read = [[" ".join(line.replace("’", "'").split()) for line in stanza] for stanza in stanzas]
    read = [stanza for stanza in read if any(stanza)]
    read = read[1:] if read and len(read[0]) == 1 else read
    kept: Stanzas = []
    for stanza in read:
        if sum(map(len, kept)) + len(stanza) > LINES[1]:
            break
        kept.append(stanza)
    if not kept or sum(map(len, kept)) < LINES[0]:
        return []
    first = " ".join(word.lower() if len(word) > 1 and word.isupper() else word for word in kept[0][0].split())
    kept[0][0] = first[:1].upper() + first[1:]  # printers began with capitals
    return kept if is_wanted([line for stanza in kept for line in stanza]) else []


def is_wanted(lines: Sequence[str]) -> bool:
    """Whether somebody of today could have written so, in English and without a habit of small models."""
    text = "\n".join(lines)
    is_odd = any(len(line) > MOST_LINE or line.isupper() or _ODD.search(line) for line in lines)
    is_odd |= any(line[:1].islower() and len(line.split()) < FEW for line in lines)  # what the printer had no room for
    is_english = len([word for word in text.lower().split() if word in ENGLISH]) >= LEAST_ENGLISH
    return is_english and not is_odd and not _OLD.search(text) and not stock_phrases(text, "en")


def subject_of(text: str) -> str:
    """What a poem is about, by the things that it names; empty where it names too few."""
    things = list(dict.fromkeys(_NOUN.findall(text)))[:SUBJECTS]
    return " and ".join(f"the {one}" for one in things) if len(things) == SUBJECTS else ""


def poems(folder: Path) -> Iterator[Stanzas]:
    """All poems, as they stand in their collections."""
    with gzip.open(folder / "poems_rhyme" / "stanzas.jsonl.gz", "rt", encoding="utf-8") as file:
        of_title: dict[tuple[str, str], Stanzas] = {}
        for row in map(json.loads, file):
            if row["lang"] == "en":
                of_title.setdefault((row["author"], row["title"]), []).append(row["lines"])
    yield from of_title.values()
    with (folder / "poems_forms" / "forms.filtered.jsonl").open(encoding="utf-8") as file:
        yield from ([part.split("\n") for part in re.split(r"\n\s*\n", json.loads(row)["text"])] for row in file)
    for archive in sorted((folder / "poems_english").glob("*.tar.gz")):
        with tarfile.open(archive) as tar:
            for member in sorted(tar.getmembers(), key=lambda member: member.name):
                if member.isfile() and member.name >= FIRST_ERA and (opened := tar.extractfile(member)):
                    yield from tei_poems(opened.read())


def tei_poems(content: bytes) -> Iterator[Stanzas]:
    """The poems of a book; none where its author died too late, or nobody wrote down when."""
    root = ElementTree.fromstring(content)
    death = root.findtext(f".//{_TEI}death/{_TEI}date") or ""
    if death.isdigit() and int(death) <= LAST_DEATH:
        for poem in root.iterfind(f".//{_TEI}body//{_TEI}lg"):
            found = [
                [_joined("".join(line.itertext())) for line in one.iter(f"{_TEI}l")]
                for one in poem.findall(f"{_TEI}lg")
            ]
            yield from [found] if found else []


def _joined(line: str) -> str:
    """A line whose tokens stood apart."""
    line = re.sub(r" ([,.;:!?])", r"\1", " ".join(line.split()))
    return re.sub(r" ('(?:s|d|ll|re|ve|m|t)\b|n't\b)", r"\1", line)


def song(stanzas: Stanzas) -> str:
    """Verse, chorus, verse and the chorus again, from the first stanzas of a poem."""
    first, chorus, second = ("\n".join(stanza) for stanza in stanzas[:SONG_STANZAS])
    parts = (("Verse 1", first), ("Chorus", chorus), ("Verse 2", second), ("Chorus", chorus))
    return "\n\n".join(f"[{name}]\n{text}" for name, text in parts)


def stories(folder: Path) -> Iterator[tuple[str, str]]:
    """What each story is about, by its title, and the story, three of its pages a paragraph."""
    with (folder / "stories_asp" / "stories.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            pages = [" ".join(page.split()) for page in row["sections"]]
            text = "\n\n".join(" ".join(pages[at : at + 3]) for at in range(0, len(pages), 3))
            is_short = STORY_WORDS[0] <= len(text.split()) <= STORY_WORDS[1]
            if row["lang"] == "en" and is_short and not stock_phrases(text, "en"):
                yield row["title"][:1].lower() + row["title"][1:].rstrip(".!"), text


def row_of(kind: Kind, about: str, text: str) -> dict[str, str]:
    """A row of the task `instructions`: the turns that Write sends a chat model, and what somebody wrote."""
    *before, order = messages(WriteRequest(about, kind), about)
    history = [{"role": turn.role, "content": turn.content} for turn in before]
    row = {"prompt": order.content, "response": text}
    return row | ({"history": json.dumps(history)} if history else {})


def rows_of(folder: Path) -> Iterator[dict[str, str]]:
    """All rows; of poems with stanzas enough every third becomes a song."""
    seen: set[str] = set()
    for number, stanzas in enumerate(filter(None, map(verse, poems(folder)))):
        text = "\n\n".join("\n".join(stanza) for stanza in stanzas)
        if stanzas[0][0] in seen or not (about := subject_of(text)):
            continue
        seen.add(stanzas[0][0])
        is_song = number % SONG_EVERY == 0 and len(stanzas) >= SONG_STANZAS and len(stanzas[0]) == LINES[0]
        yield row_of("lyrics", about, song(stanzas)) if is_song else row_of("poem", about, text)
    yield from (row_of("story", about, text) for about, text in stories(folder))


def write_data(rows: Iterable[dict[str, str]], folder: Path) -> tuple[Path, Path]:
    """Write what is learned from and what is held out, mixed, and return their paths."""
    mixed = list(rows)
    random.Random(SEED).shuffle(mixed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, is_held in (("train", False), ("validation", True)):
        part = [row for number, row in enumerate(mixed) if (number % HELD_OUT_EVERY == 0) == is_held]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return folder / "train.jsonl", folder / "validation.jsonl"


def main() -> None:
    """Prepare the data, write the config and, unless told only to prepare, train."""
    options = read_arguments(__doc__, "data", "base", "run")
    train_file, validation_file = write_data(rows_of(options.data / "text"), options.run / "data")
    config = TrainingConfig(
        task="instructions", base=str(options.base), base_id="smollm2-135m-instruct", train_file=str(train_file),
        validation_file=str(validation_file), method="lora", epochs=1.0, batch_size=8, max_length=512,
        learning_rate=2e-4, schedule="cosine", evaluations_per_epoch=2, sample_tokens=120, threads=options.threads,
        seed=SEED,
    )  # fmt: skip
    train(options.run, config, is_prepared_only=options.prepare)


if __name__ == "__main__":
    main()
