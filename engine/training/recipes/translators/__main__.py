"""`python -m engine.training.recipes.translators COMMAND -h`; docs/translators.md has the whole way."""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import sys
import threading
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from engine.errors import PeopleError

STARTED = time.monotonic()
PLAN_HELP = "a setting of the plan, such as width=320 (several allowed)"
TOKENIZER_ROWS = 400_000
"""Pairs of which the vocabulary is learned, drawn as they are read in training; more give the same pieces."""


def prepare(options: argparse.Namespace) -> None:
    """Clean the pairs, learn the vocabulary, write the pack."""
    from engine.applications.languages import guess_language
    from engine.training.recipes.translators import corpus, pack

    plan = pack.Plan(**_changes(options.set))
    rows = corpus.read(options.data, plan.languages)
    if options.rows:
        everything = list(rows)
        random.Random(plan.seed).shuffle(everything)
        rows = iter(everything[: options.rows])
    measured = [line for language in ("en", *plan.languages) for line in corpus.flores(options.data, language)]
    made = corpus.clean(rows, measured, None if options.unchecked else guess_language)
    forbidden = {corpus.key(line) for line in measured}
    leaks = [
        p for p in (*made.train, *made.everyday, *made.dev) if {corpus.key(p.english), corpus.key(p.other)} & forbidden
    ]
    if leaks:
        raise SystemExit(f"{len(leaks)} pairs hold a sentence of FLORES-200 dev")
    held_out = {"everyday": made.everyday, "dev": made.dev}
    sizes = pack.write_pack(options.pack, plan, held_out, made.train)
    _learn_vocabulary(made.train, plan, options.pack / pack.TOKENIZER)
    rows_read = {name: made.report.kept[name] for name in sorted(made.report.kept)}
    report = {
        "train": len(made.train),
        "sources": rows_read,
        "dropped": dict(made.report.dropped),
        "plan": asdict(plan),
    }
    (options.pack / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(*made.report.lines(), sep="\n")
    print(f"{len(made.train):,} to learn from, {len(made.everyday):,} and {len(made.dev):,} held out; {sizes} bytes")


def _learn_vocabulary(train: list[Any], plan: Any, folder: Path) -> None:
    from engine.backends.languages import TARGET_TAGS
    from engine.training import scratch
    from engine.training.recipes.translators import corpus

    rng = random.Random(plan.seed)
    drawn = rng.choices(train, [corpus.copies(pair) for pair in train], k=min(TOKENIZER_ROWS, 2 * len(train)))
    texts = {
        text for pair in drawn for text in (pair.english, pair.other) if text == pair.english or corpus.can_write(pair)
    }
    tags = [TARGET_TAGS[language] for language in ("en", *plan.languages)]
    scratch.marian_tokenizer(sorted(texts), plan.vocabulary_size, folder, tags=tags)


def learn(options: argparse.Namespace) -> None:
    """Train one piece, and lay out what is to come back."""
    from engine.training.recipes.translators import learn as learning

    options.run.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.FileHandler(options.run / "log.txt"), logging.StreamHandler(sys.stdout)]
    logging.basicConfig(level=logging.INFO, handlers=handlers, format="%(asctime)s %(message)s")
    piece = learning.Piece(options.seconds, options.steps, options.last, STARTED)
    stop = threading.Event()
    with learning.stopping(stop):
        found = learning.learn(
            options.pack, options.run, piece, extra=options.extra, workers=options.workers, is_compiled=options.compile,
            stop=stop,
        )  # fmt: skip
    print(json.dumps(found))
    if options.out:
        options.what = learning.AVERAGE if options.last else learning.STATE
        send(options)


def send(options: argparse.Namespace) -> None:
    """Lay out a parcel of the run, its log and its metrics in the folder from which files come back."""
    options.out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(options.run / options.what, options.out / options.what, dirs_exist_ok=True)
    for name in ("metrics.jsonl", "log.txt"):
        if (options.run / name).exists():
            shutil.copy(options.run / name, options.out / name)


def evaluate(options: argparse.Namespace) -> None:
    """Measure a model folder, or a model of the catalogue by its id."""
    from engine.training.recipes.translators import judge, pack, ship

    everyday = pack.read_pairs(options.pack / pack.HELD_OUT_FILES["everyday"]) if options.pack else ()
    folder = Path(options.model) if Path(options.model).is_dir() else None
    found = judge.evaluate(
        folder, options.directions, data=options.data, everyday=everyday, lines=options.lines, beams=options.beams,
        model_id=options.model,
    )  # fmt: skip
    print(ship.table(found))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def export(options: argparse.Namespace) -> None:
    """Write the model folder with its card."""
    from engine.training.recipes.translators import ship

    ship.export(options.pack, options.run, options.model, options.evaluation)


def again(options: argparse.Namespace) -> None:
    """Have a run's average write synthetic pairs."""
    import torch

    from engine.training.recipes.translators import again as synthetic
    from engine.training.recipes.translators import pack, ship

    model, tokenizer, _ = ship.load_translator(options.pack, options.run)
    model = model.to("cuda").bfloat16() if torch.cuda.is_available() else model
    pairs = synthetic.synthesise(
        model, tokenizer, pack.read_pairs(options.pack / pack.PAIRS_FILE), options.language, reads=options.reads,
        teaches=options.teaches, limit=options.limit, beams=options.beams,
    )  # fmt: skip
    pack.write_pairs(options.out, pairs)
    print(f"{len(pairs):,} pairs of {options.limit:,} sentences")


def _changes(settings: list[str]) -> dict[str, Any]:
    """Settings of the plan out of NAME=VALUE, each of its field's kind; languages are divided by commas."""
    from engine.training.recipes.translators.pack import Plan

    kinds: dict[str, Any] = {"int": int, "float": float, "str": str}
    known = {field.name: kinds.get(str(field.type), lambda text: tuple(text.split(","))) for field in fields(Plan)}
    changes: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in known:
            raise SystemExit(f"The plan has no {name!r}. It has {', '.join(known)}.")
        changes[name] = known[name](value)
    return changes


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m engine.training.recipes.translators", description=__doc__)
    commands = top.add_subparsers(required=True)

    def command(function: Any, **paths: bool) -> argparse.ArgumentParser:
        made = commands.add_parser(function.__name__, help=function.__doc__, description=function.__doc__)
        made.set_defaults(function=function)
        for name, is_needed in paths.items():
            made.add_argument(f"--{name}", type=Path, required=is_needed)
        return made

    one = command(prepare, data=True, pack=True)
    one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=PLAN_HELP)
    one.add_argument("--rows", type=int, default=0, help="take so many rows at random; 0 takes all")
    one.add_argument("--unchecked", action="store_true", help="do not check languages, which takes most of the time")
    one = command(learn, pack=True, run=True, out=False)
    one.add_argument("--seconds", type=float, default=float("inf"), help="the process ends within so many seconds")
    one.add_argument("--steps", type=int, default=0, help="steps of this piece; 0 sets no limit")
    one.add_argument("--last", action="store_true", help="the learning rate falls to nothing in this piece")
    one.add_argument(
        "--extra", type=Path, action="append", default=[], help="file of synthetic pairs (several allowed)"
    )
    one.add_argument("--workers", type=int, default=0, help="processes that cut sentences into tokens")
    one.add_argument("--compile", action="store_true", help="torch.compile: a minute or two before the first step")
    one = command(send, run=True, out=True)
    one.add_argument("--what", choices=("state", "average"), required=True)
    one = command(evaluate, data=False, pack=False, out=False)
    one.add_argument("--model", required=True, help="a model folder, or an id of the catalogue")
    one.add_argument("--directions", nargs="+", default=["en-fr", "fr-en"])
    one.add_argument("--lines", type=int, default=997)
    one.add_argument("--beams", type=int, default=4)
    command(export, pack=True, run=True, model=True, evaluation=False)
    one = command(again, pack=True, run=True, out=True)
    one.add_argument("--language", required=True)
    one.add_argument("--reads", required=True, help="en, or the language: the side that the model reads")
    one.add_argument("--teaches", choices=("written", "read"), required=True, help="distillation, or back-translation")
    one.add_argument("--limit", type=int, default=200_000)
    one.add_argument("--beams", type=int, default=1)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        options.function(options)
    except PeopleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
