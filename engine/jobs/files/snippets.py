"""Code for what was done with a file: brought to the HTTP API, waited for and fetched, in curl and in Python."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import Any
from urllib.parse import urlencode

from engine.jobs.files import desk
from engine.jobs.folder import LIVE
from engine.jobs.work import JobView


def path_of(view: JobView) -> str:
    """Where the file is brought to: the order stands in the address, but for what it says anyway."""
    order = desk.order_of(view)
    plain = type(order)()
    named: dict[str, Any] = {field.name: getattr(order, field.name) for field in fields(order)}
    said = {name: _said(value) for name, value in named.items() if value != getattr(plain, name)}
    return f"/api/{desk.application_of(view)}/file?{urlencode({'name': view.title} | said, doseq=True)}"


def _said(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def curl(address: str, view: JobView) -> str:
    """For a POSIX shell; `address` is the beginning of the server's addresses. Of a job with a result."""
    given, made = shlex.quote(f"@{view.title}"), shlex.quote(desk.result_path(view).name)
    about = shlex.quote(f"{address}/api/files/") + '"$ID"'
    return " &&\n".join(
        [
            f"JOB=$(curl -fsS --data-binary {given} {shlex.quote(address + path_of(view))})",
            """ID=$(printf %s "$JOB" | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')""",
            f"""while curl -fsS {about} | grep -Eq '"state":"({"|".join(LIVE)})"'; do sleep 1; done""",
            f"curl -fsS -o {made} {about}/result",
        ]
    )


def python(address: str, view: JobView) -> str:
    """For Python 3 without any package. Of a job with a result."""
    return "\n".join(
        [
            "import json",
            "import time",
            "import urllib.request",
            "from pathlib import Path",
            "",
            f"content = Path({view.title!r}).read_bytes()",
            f"request = urllib.request.Request({address + path_of(view)!r}, data=content)",
            "with urllib.request.urlopen(request) as answer:",
            "    job = json.load(answer)",
            f'about = "{address}/api/files/" + job["id"]',
            f'while job["state"] in {LIVE!r}:',
            "    time.sleep(1)",
            "    with urllib.request.urlopen(about) as answer:",
            "        job = json.load(answer)",
            'with urllib.request.urlopen(about + "/result") as answer:',
            f"    Path({desk.result_path(view).name!r}).write_bytes(answer.read())",
        ]
    )
