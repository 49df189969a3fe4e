"""Takes over what version 0.2 and earlier kept as files: one a value, named by its hash, its time of change its end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[0-9a-f]{64}\.json")


def take_over(folder: Path, put: Callable[[Mapping[str, Any]], None]) -> list[Path]:
    """Put each file's value as a row; the files to delete once that is sure, also those that nobody could read."""
    paths = [path for path in folder.glob("*.json") if _NAME.fullmatch(path.name)]
    for path in paths:
        with suppress(OSError, ValueError):
            content, ends, now = path.read_text(encoding="utf-8"), path.stat().st_mtime, time.time()
            row = {"name": path.stem, "kind": _kind(json.loads(content)), "owner": "", "made": now, "ends": ends}
            if ends > now:
                put({**row, "bytes": len(content.encode()), "value": content})
    return paths


def _kind(value: dict[str, Any]) -> str:
    return "visit" if "content" in value else "history" if "visits" in value else ""
