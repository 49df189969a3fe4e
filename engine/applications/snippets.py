"""Code for what was just done: the same request to the HTTP API, in curl and in Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pprint import pformat
from typing import Any
from urllib.parse import urlencode

from engine.applications import Application
from engine.applications.records import reader

MAX_CHARACTERS = 6_000
"""Of a body that is written into the code; a longer one is read from a file beside it."""
FILE = "request.json"
UNSAID: tuple[Any, ...] = (None, "", [], ())
"""Values that say nothing where they are what a field has anyway."""


def body_of(application: Application[Any, Any], request: Any, result: Any = None) -> dict[str, Any]:
    """The request as the API takes it, with the seed that was drawn, so that the same comes again."""
    named: dict[str, Any] = reader(application.request_type).dump_python(request, mode="json")
    drawn = getattr(result, "settings", {}).get("seed")
    if "seed" in named and named["seed"] is None and named.get("temperature") != 0:
        named["seed"] = drawn
    plain = {field.name: _default(field) for field in fields(application.request_type)}
    return {name: value for name, value in named.items() if value not in UNSAID or plain[name] not in UNSAID}


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def as_json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False)


def is_long(body: Mapping[str, Any]) -> bool:
    """Whether the code reads the body from `request.json`."""
    return len(as_json(body)) > MAX_CHARACTERS


def curl(address: str, path: str, body: Mapping[str, Any]) -> str:
    """For a POSIX shell; `address` is the beginning of the server's addresses, `path` what stands behind `/api/`."""
    data = f"@{FILE}" if is_long(body) else shlex.quote(as_json(body))
    place = shlex.quote(f"{address}/api/{path}")
    return f"curl {place} \\\n  -H 'Content-Type: application/json' \\\n  --data-binary {data}"


def python(address: str, path: str, body: Mapping[str, Any]) -> str:
    """For Python 3 without any package."""
    given = f'open("{FILE}", "rb").read()' if is_long(body) else "json.dumps(body).encode()"
    lines = [
        "import json",
        "import urllib.request",
        "",
        *([] if is_long(body) else [f"body = {pformat(dict(body), width=100, sort_dicts=False)}"]),
        "request = urllib.request.Request(",
        f'    "{address}/api/{path}",',
        f"    data={given},",
        '    headers={"Content-Type": "application/json"},',
        ")",
        "with urllib.request.urlopen(request) as answer:",
        "    result = json.load(answer)",
        "print(json.dumps(result, ensure_ascii=False, indent=2))",
    ]
    return "\n".join(lines)


def curl_document(address: str, name: str) -> str:
    """Brings a document of that name, which lies here, looks how far its index is, and deletes it again."""
    place, given = f"{address}/api/documents?{urlencode({'name': name})}", shlex.quote(f"@{name}")
    about = shlex.quote(f"{address}/api/documents/") + '"$ID"'
    return "\n".join(
        [
            f"DOCUMENT=$(curl -fsS --data-binary {given} {shlex.quote(place)})",
            """ID=$(printf %s "$DOCUMENT" | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')""",
            f"curl -fsS {about}",
            f"curl -fsS -X DELETE {about}",
        ]
    )


def python_document(address: str, name: str) -> str:
    """The same for Python 3 without any package."""
    place = f"{address}/api/documents?{urlencode({'name': name})}"
    return "\n".join(
        [
            "import json",
            "import urllib.request",
            "from pathlib import Path",
            "",
            f"request = urllib.request.Request({place!r}, data=Path({name!r}).read_bytes())",
            "with urllib.request.urlopen(request) as answer:",
            "    document = json.load(answer)",
            f'about = "{address}/api/documents/" + document["id"]',
            "with urllib.request.urlopen(about) as answer:",
            "    print(json.load(answer))",
            'urllib.request.urlopen(urllib.request.Request(about, method="DELETE")).close()',
        ]
    )
