"""One version, told by the command line, and what is new in it told by the changelog."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from engine import __version__

ROOT = Path(__file__).parents[1]


def test_the_command_line_tells_the_version() -> None:
    ran = subprocess.run([sys.executable, "-m", "engine", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.strip() == f"Parlance {__version__}"


def test_the_changelog_begins_with_it() -> None:
    entries = re.findall(r"^## (\S+)$", (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8"), re.M)
    assert entries[0] == __version__ and len(set(entries)) == len(entries)
