"""What of a hundred and eighty sentences must survive a translation, and does.

Run `python -m benchmarks.literals [--targets fr de es pt]`. A line of literals.tsv is an English sentence and what must
stand in its translation, parted by tabs; forms that are as good are parted by |. A number may have the target's own
marks, and a sum its sign on either side.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from benchmarks.ours import CALLER
from engine.applications.translate import APPLICATION, TranslateRequest
from engine.serving.compose import open_house
from engine.settings import current

SENTENCES = Path(__file__).with_name("literals.tsv")
TARGETS = ("fr", "de", "es", "pt")
_AMOUNT = re.compile(r"([€£$]?)(-?\d[\d.,]*\d|\d)(\s?[^\d\s]\S*)?")


def sentences() -> list[tuple[str, list[str]]]:
    """Each with what must be kept of it."""
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()
    return [(text, literals) for text, *literals in (line.split("\t") for line in lines)]


def is_kept(literal: str, translation: str) -> bool:
    """Whether one of the literal's forms is in a translation."""
    text = re.sub(r"[\u00a0\u202f]", " ", translation)
    return any(form in text or _is_written(form, text) for form in literal.split("|"))


def _is_written(form: str, text: str) -> bool:
    """Whether a number is there with other marks: a comma for a point, a space between thousands."""
    found = _AMOUNT.fullmatch(form)
    if not found:
        return False
    sign, number, unit = found[1], re.escape(found[2]), (found[3] or "").strip()
    number = re.sub(
        r"\\\.|,", lambda mark: r"[.,\s]?" if re.match(r"\d{3}\b", number[mark.end() :]) else "[.,]", number
    )
    ways = [rf"{number}\s?{re.escape(unit)}"]
    ways = [rf"\{sign}\s?{number}", rf"{number}\s?\{sign}"] if sign else ways
    return any(re.search(rf"(?<!\d){way}(?!\d)", text) for way in ways)


def main() -> None:
    """Print how many are kept in each direction, and the sentences that lost some."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=TARGETS)
    house, asked = open_house(current()), sentences()
    for target in parser.parse_args().targets:
        request = TranslateRequest([text for text, _ in asked], "en", target)
        done = APPLICATION.run(house.engine, request, CALLER).translations
        lost = [
            (text, one.text, [literal for literal in literals if not is_kept(literal, one.text)], bool(one.warning))
            for (text, literals), one in zip(asked, done, strict=True)
        ]
        count, gone = sum(len(literals) for _, literals in asked), sum(len(literals) for *_, literals, _ in lost)
        warned = sum(is_warned for *_, literals, is_warned in lost if literals)
        print(f"en-{target}: {count - gone} of {count} kept, {1 - gone / count:.1%}; of what lost some {warned} warned")
        for text, translation, literals, is_warned in lost:
            if literals:
                print(f"    {text} -> {translation}  lacks {literals}{' (warned)' if is_warned else ''}")
    house.close()


if __name__ == "__main__":
    main()
