"""Code for what was just done: the same request to the HTTP API, in curl and in Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pprint import pformat
from typing import Any

from engine.applications import Application

MAX_CHARACTERS = 6_000
"""Of a body that is written into the code; a longer one is read from a file beside it."""
FILE = "request.json"
UNSAID: tuple[Any, ...] = (None, "", [], ())
"""Values that say nothing where they are what a field has anyway."""


def body_of(application: Application[Any, Any], request: Any, result: Any) -> dict[str, Any]:
    """The request as the API takes it, with the seed that was drawn, so that the same comes again."""
    named = {field.name: getattr(request, field.name) for field in fields(application.request_type)}
    drawn = getattr(result, "settings", {}).get("seed")
    if "seed" in named and named["seed"] is None and named.get("temperature") != 0:
        named["seed"] = drawn
    defaults = {field.name: field.default for field in fields(application.request_type)}
    return {name: value for name, value in named.items() if value not in UNSAID or value != defaults[name]}


def as_json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False)


def is_long(body: Mapping[str, Any]) -> bool:
    """Whether the code reads the body from `request.json`."""
    return len(as_json(body)) > MAX_CHARACTERS


def curl(address: str, application: Application[Any, Any], body: Mapping[str, Any]) -> str:
    """For a POSIX shell; `address` is the beginning of the server's addresses."""
    data = f"@{FILE}" if is_long(body) else shlex.quote(as_json(body))
    path = shlex.quote(f"{address}/api/{application.id}")
    return f"curl {path} \\\n  -H 'Content-Type: application/json' \\\n  --data-binary {data}"


def python(address: str, application: Application[Any, Any], body: Mapping[str, Any]) -> str:
    """For Python 3 without any package."""
    given = f'open("{FILE}", "rb").read()' if is_long(body) else "json.dumps(body).encode()"
    lines = [
        "import json",
        "import urllib.request",
        "",
        *([] if is_long(body) else [f"body = {pformat(dict(body), width=100, sort_dicts=False)}"]),
        "request = urllib.request.Request(",
        f'    "{address}/api/{application.id}",',
        f"    data={given},",
        '    headers={"Content-Type": "application/json"},',
        ")",
        "with urllib.request.urlopen(request) as answer:",
        "    result = json.load(answer)",
        "print(json.dumps(result, ensure_ascii=False, indent=2))",
    ]
    return "\n".join(lines)
