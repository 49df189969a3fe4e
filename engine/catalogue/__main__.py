"""The command line of the store of weights: fetches, lists and deletes models."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engine.catalogue import registry
from engine.catalogue.models import Model, read_catalogue
from engine.catalogue.store import Store
from engine.errors import PeopleError
from engine.settings import current
from engine.sizes import seconds_in_words, size_in_words

EXAMPLES = """examples:
  python -m engine.catalogue                        fetch the embedded models
  python -m engine.catalogue fetch gpt2 hub:owner/name
  python -m engine.catalogue list
  python -m engine.catalogue delete gpt2
  python -m engine.catalogue mirror /srv/translators en-fr fr-en   (or all directions)

PARLANCE_CACHE_FOLDER says where the weights are kept."""
LOOK_SECONDS, LINE_SECONDS = 0.2, 5.0
"""Between two looks at a download; between two lines about it where the output is no terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = _parser().parse_args(arguments)
    store = Store(current(), read_catalogue())
    try:
        return int(_run(store, given))
    except PeopleError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What arrived whole is kept for the next time.", file=sys.stderr)
        return 130
    finally:
        store.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine.catalogue", description="The weights on this machine: fetch, list, delete them.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    commands.add_parser("prefetch", help="fetch the embedded models (without a command, this one)")
    fetch = commands.add_parser("fetch", help="fetch the models named")
    fetch.add_argument("ids", nargs="+", metavar="ID", help="a model of the catalogue, or hub:owner/name[@revision]")
    commands.add_parser("list", help="list what the cache holds")
    delete = commands.add_parser("delete", help="delete models from the cache")
    delete.add_argument("ids", nargs="+", metavar="ID", help="as `list` shows it")
    mirror = commands.add_parser("mirror", help="copy Firefox Translations' models into a folder for a web server")
    mirror.add_argument("folder", type=Path, help="serve it, and set PARLANCE_TRANSLATORS_URL to its models.json")
    mirror.add_argument("directions", nargs="*", metavar="DIRECTION", help="such as en-fr; all without")
    return parser


def _run(store: Store, given: argparse.Namespace) -> bool:
    """Whether something failed, which does not end the rest."""
    if given.command in ("list", "delete"):
        for id in getattr(given, "ids", ()):
            store.delete(id)
        _list(store)
        return False
    if given.command == "mirror":
        settings = store.settings
        copy = (settings.translators_url, given.folder, given.directions, settings.network_timeout_seconds)
        registry.mirror(*copy, tell=lambda line: print(line, flush=True))
        return False
    models = store.embedded() if given.command != "fetch" else list(map(store.catalogue.find, given.ids))
    return not all([_follow(store, model) for model in models])  # noqa: C419


def _list(store: Store) -> None:
    for entry in store.entries():
        copies = f"  ({size_in_words(entry.copies_bytes)} of it are faster copies)" if entry.copies_bytes else ""
        state = "" if entry.is_ready else "  (unfinished or damaged)"
        print(f"{entry.id:<32}{size_in_words(entry.size_bytes):>10}  {entry.title}{copies}{state}")
    print(f"{size_in_words(store.size_bytes())} in {store.settings.cache_folder}")


def _follow(store: Store, model: Model) -> bool:
    """Fetch one model with its progress on the terminal; says whether it is ready then."""
    store.fetch(model.id)
    is_terminal, printed = sys.stdout.isatty(), time.monotonic()
    while (now := store.availability(model.id)).state == "fetching":
        if is_terminal or time.monotonic() - printed > LINE_SECONDS:
            printed = time.monotonic()
            speed = f"{size_in_words(now.bytes_per_second)}/s" if now.bytes_per_second else now.message
            left = f", {seconds_in_words(now.seconds_left)} left" if now.seconds_left is not None else ""
            line = f"{model.title}: {size_in_words(now.done_bytes)} of {size_in_words(now.total_bytes)}, {speed}{left}"
            print(f"\r{line:<100}" if is_terminal else line, end="" if is_terminal else "\n", flush=True)
        time.sleep(LOOK_SECONDS)
    last = f"{model.title}: {'ready' if now.state == 'ready' else now.message}"
    print(f"\r{last:<100}" if is_terminal else last, flush=True)
    return now.state == "ready"


if __name__ == "__main__":
    sys.exit(main())
