"""`python -m engine.storage backup FILE` and `restore FILE`: what is kept, as one file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from engine.errors import PeopleError
from engine.settings import current
from engine.storage.backups import backup, restore


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.storage", description="What is kept, as one file.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (("backup", "write a new file"), ("restore", "put a file into the database")):
        command = commands.add_parser(name, help=words)
        command.add_argument("file", type=Path)
    command.add_argument("--replace", action="store_true", help="delete what is there")
    given = parser.parse_args(arguments)
    try:
        if given.command == "backup":
            print(f"{backup(current(), given.file)} rows written to {given.file}")
        else:
            print(f"{restore(current(), given.file, given.replace)} rows restored")
    except (PeopleError, SQLAlchemyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
