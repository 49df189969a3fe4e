"""Whether a trained writer does better than the shipped one, for a reader who does not know which is which.

    python -m benchmarks.writers --weights GGUF --out FOLDER [--count 10]   both write what Write's page asks for
    python -m benchmarks.writers --out FOLDER --judged FILE                 what the reader chose

The first asks both for ten poems, stories, songs and slogans, with the same prompts, seeds and settings. It writes
`pairs.md`, where chance chose the sides, and `key.json`, which the reader opens last, and prints what the readers'
rules (`docs/writing.md`) cost each. FILE has a line for each pair: its number and A, B or = for neither.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.ours import CALLER, open_engine, wait_loaded
from benchmarks.verse import themes
from engine.applications.habits import HABITS, cost_of, habits_of, is_weak
from engine.applications.ranking import measured, score
from engine.applications.rhymes import last_word
from engine.applications.syllables import strange_words
from engine.applications.verse import STRANGE
from engine.applications.write import APPLICATION, EXAMPLES, Kind, WriteRequest, WriteResult
from engine.catalogue.models import Model, read_catalogue
from engine.catalogue.sources.folder import Folder

SHIPPED, TRAINED = "smollm2-135m-instruct", "trained-writer"
SHOPS = (
    "a bicycle repair shop", "a night bakery", "a plant nursery", "a second-hand bookshop", "a swimming school",
    "a hearing aid", "a village cinema", "a honey maker", "a raincoat", "a language school",
)  # fmt: skip
BEFORE = 4
"""Lines before one with which it is compared."""
KINDS: tuple[Kind, ...] = ("poem", "story", "lyrics", "slogan")


def requests(count: int) -> list[WriteRequest]:
    """What Write's page asks for: of each kind so many, each with its seed."""
    about = {kind: themes("en")[start : start + count] for kind, start in zip(KINDS, (0, 10, 20), strict=False)}
    about["slogan"] = list(SHOPS[:count])
    asked = [(kind, one) for kind in KINDS for one in about[kind]]
    return [WriteRequest(one, kind, seed=number, is_finished=True) for number, (kind, one) in enumerate(asked)]


def write(weights: Path, asked: Sequence[WriteRequest]) -> dict[str, list[WriteResult]]:
    """What each of both makes of them."""
    shipped = read_catalogue().find(SHIPPED)
    trained = replace(
        shipped, id=TRAINED, title="Trained writer", source=Folder(str(weights.absolute())), is_embedded=False,
        size_bytes=weights.stat().st_size,
    )  # fmt: skip
    return {model.id: _written(trained, model, asked) for model in (shipped, trained)}


def _written(trained: Model, model: Model, asked: Sequence[WriteRequest]) -> list[WriteResult]:
    engine = open_engine(trained)
    wait_loaded(engine, model.id)
    found = [APPLICATION.run(engine, replace(one, model=model.id), CALLER) for one in asked]
    engine.close()
    return found


def cost(request: WriteRequest, text: str) -> float:
    """What the readers' rules cost a text, for each of its lines (of a story, its sentences)."""
    units = [one.strip() for one in re.split(r"\n|(?<=[.!?])\s" if request.kind == "story" else r"\n", text)]
    units = [one for one in units if one and not one.startswith("[")]
    examples = "\n".join(example for _, example in EXAMPLES.get(request.kind, ()))
    spent = 0.0
    for place, unit in enumerate(units):
        before = units[max(0, place - BEFORE) : place]
        spent += cost_of(habits_of(unit, "en", about=request.text, before=before, examples=examples))
        spent += STRANGE * strange_words(unit)
        spent += HABITS["weak"].cost * (request.kind != "story" and is_weak(last_word(unit), "en"))
    return spent / max(1, len(units))


def pairs(asked: Sequence[WriteRequest], made: dict[str, list[WriteResult]]) -> tuple[str, dict[str, str]]:
    """The texts beside each other, and which is the trained writer's of each number."""
    text, key = "", {}
    for number, request in enumerate(asked, 1):
        sides = [TRAINED, SHIPPED]
        random.SystemRandom().shuffle(sides)
        key[str(number)] = "AB"[sides.index(TRAINED)]
        text += f"## {number} {request.kind}: {request.text}\n\n"
        for side, model in zip("AB", sides, strict=True):
            text += f"**{side}**\n\n{made[model][number - 1].text.strip()}\n\n"
    return text, key


def told(asked: Sequence[WriteRequest], made: dict[str, list[WriteResult]]) -> str:
    """What the rules and the measures of ranking say, kind by kind: of the shipped writer, of the trained one."""
    lines = []
    for kind in KINDS:
        places = [place for place, one in enumerate(asked) if one.kind == kind]
        costs = [fmean(cost(asked[at], made[model][at].text) for at in places) for model in (SHIPPED, TRAINED)]
        ranks = [fmean(score(measured(asked[at], made[model][at])) for at in places) for model in (SHIPPED, TRAINED)]
        told = f"rules cost a line {costs[0]:.2f}, {costs[1]:.2f}; measures of ranking {ranks[0]:.3f}, {ranks[1]:.3f}"
        lines.append(f"{kind}: {told}")
    return "\n".join(lines)


def chosen(judged: str, key: dict[str, str], kinds: Sequence[str]) -> str:
    """How often the reader preferred whom, of each kind."""
    found: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for line in judged.splitlines():
        if match := re.match(r"(\d+)\s+([AB=])", line):
            side = "neither" if match[2] == "=" else TRAINED if match[2] == key[match[1]] else SHIPPED
            found[kinds[int(match[1]) - 1]][side] += 1
    return "\n".join(f"{kind}: {dict(count)}" for kind, count in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--judged", type=Path)
    options = parser.parse_args()
    if options.judged:
        known: dict[str, Any] = json.loads((options.out / "key.json").read_text(encoding="utf-8"))
        print(chosen(options.judged.read_text(encoding="utf-8"), known["trained"], known["kinds"]))
        return
    asked = requests(options.count)
    made = write(options.weights, asked)
    text, key = pairs(asked, made)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "pairs.md").write_text(text, encoding="utf-8")
    known = {"trained": key, "kinds": [one.kind for one in asked]}
    (options.out / "key.json").write_text(json.dumps(known), encoding="utf-8")
    print(told(asked, made))


if __name__ == "__main__":
    main()
