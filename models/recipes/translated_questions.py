"""SQuAD's questions in another language, by a student: passages by sentences, the answers' places found again.

    python -m models.recipes.translated_questions --data DATA --student FOLDER --language es --out FILE.json.gz
    python -m models.recipes.answers … --translated es=FILE.json.gz

Two things say where an answer is in the translation of its sentence: the answer translated alone (or left as it is),
and the sentence translated once more with the answer in quotation marks. A row is kept where one of them is there,
once, no other is elsewhere, and the numbers in it are the same. Articles that are held out are not translated.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from engine.applications.segments import split
from models.recipes.answers_data import Asked, read_rows
from models.recipes.student_translations import translated
from models.recipes.students import open_parent

Translate = Callable[[Sequence[str]], list[str]]
_MARK = re.compile(r"[\"“”„‟«»]")


def translated_rows(rows: Sequence[Asked], translate: Translate, language: str) -> list[Asked]:
    """The rows in the language, without those whose answer is not surely found again."""
    placed = [(row, found) for row in rows if (found := _sentence_of(row))]
    texts = [segment.text for passage in dict.fromkeys(row.passage for row, _ in placed) for segment in split(passage)]
    for row, (place, start) in placed:
        texts += [row.question, row.answers[0][0], _marked(split(row.passage)[place].text, start, row.answers[0][0])]
    unique = [text for text in dict.fromkeys(texts) if text]
    known = dict(zip(unique, translate(unique), strict=True)) | {"": ""}
    made = (_translated(row, *found, known, language) for row, found in placed)
    return [row for row in made if row]


def _sentence_of(row: Asked) -> tuple[int, int] | None:
    """The number of the passage's segment that holds the first answer whole, and the answer's place in it."""
    text, at = row.answers[0]
    start = 0
    for number, segment in enumerate(split(row.passage)):
        start += len(segment.before)
        if start <= at and at + len(text) <= start + len(segment.text):
            return number, at - start
        start += len(segment.text)
    return None


def _marked(sentence: str, start: int, answer: str) -> str:
    """The sentence with the answer in quotation marks; empty where it has such marks already."""
    end = start + len(answer)
    return "" if _MARK.search(sentence) else f'{sentence[:start]}"{answer}"{sentence[end:]}'


def _translated(row: Asked, place: int, start: int, known: dict[str, str], language: str) -> Asked | None:
    segments, answer = split(row.passage), row.answers[0][0]
    sentence = known[segments[place].text]
    quoted = _MARK.split(known[_marked(segments[place].text, start, answer)])
    offered = [quoted[1] if len(quoted) == 3 else "", known[answer], answer]
    span = find_answer(sentence, answer, offered)
    if span is None or not known[row.question]:
        return None
    before = "".join(one.before + known[one.text] for one in segments[:place]) + segments[place].before
    after = "".join(one.before + known[one.text] for one in segments[place + 1 :])
    answers = ((sentence[span[0] : span[1]], len(before) + span[0]),)
    passage = before + sentence + after
    return replace(row, question=known[row.question], passage=passage, answers=answers, language=language)


def find_answer(sentence: str, answer: str, offered: Sequence[str]) -> tuple[int, int] | None:
    """Where the first that is offered stands in the translated sentence; nothing where two of them are apart.

    Each is looked for as whole words, in capitals or not, and counts where it stands once and has the answer's numbers.
    """
    spans = []
    for text in offered:
        bare = text.strip(" .,;:!?¿¡")
        found = [one.span() for one in re.finditer(rf"(?<!\w){re.escape(bare)}(?!\w)", sentence, re.I)] if bare else []
        if len(found) == 1 and _numbers(bare) == _numbers(answer):
            spans += found
    first = spans[0] if spans else None
    is_one = all(first[0] < end and start < first[1] for start, end in spans) if first else False
    return first if is_one else None


def _numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+", text))


def write(rows: Sequence[Asked], file: Path) -> None:
    """The rows in SQuAD's form, for `answers_data.read`."""
    articles: dict[str, dict[str, list[Asked]]] = {}
    for row in rows:
        articles.setdefault(row.article, {}).setdefault(row.passage, []).append(row)
    data = [
        {
            "title": article,
            "paragraphs": [
                {"context": passage, "qas": [_question(row) for row in asked]} for passage, asked in passages.items()
            ],
        }
        for article, passages in articles.items()
    ]
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        json.dump({"data": data}, opened, ensure_ascii=False)


def _question(row: Asked) -> dict[str, object]:
    return {"question": row.question, "answers": [{"text": text, "answer_start": at} for text, at in row.answers]}


def main() -> None:
    """Translate, write, and tell how many rows were kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "student", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--rows", type=int, default=10**6, help="at most")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    student = open_parent(options.student)
    sides = (student.source, student.target)
    rows = read_rows(options.data).learned["squad"][: options.rows]
    begun = time.monotonic()
    made = translated_rows(
        rows, partial(translated, student.quick, sides, shortlist=student.shortlist), options.language
    )
    write(made, options.out)
    print(f"{len(made)} of {len(rows)} rows kept, {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
