"""Whose a job is: who asked for it, who may see and change it, and how many somebody may have."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BusyError, LimitError, NotFoundError
from engine.files import read_json, write_json
from engine.jobs.kinds import JobKind
from engine.messages import counted
from engine.serving.access import check
from engine.serving.protocol import Caller
from engine.settings import Settings
from engine.sizes import seconds_in_words

if TYPE_CHECKING:
    from engine.jobs.work import JobView

FOLDER = ".jobs"
"""Of all jobs but runs, in the runs folder."""
DAY_SECONDS = 24 * 3600.0
MAX_OWN_LIVE, MAX_OWN_KEPT = 2, 20
"""Jobs of one visitor that are its own: at work at a time, and kept."""


def describe(folder: Path, kind: str, title: str = "", subject: str = "", caller: Caller | None = None) -> None:
    """Write job.json. A visitor's address stands in it, by which limits are counted."""
    caller = caller or Caller(role="host")
    who = {"id": caller.id, "role": caller.role} | ({"address": caller.address} if caller.role == "visitor" else {})
    about = {"kind": kind, "title": title, "subject": subject, "caller": who, "created": time.time()}
    write_json(folder / "job.json", about)


def asker(folder: Path) -> dict[str, Any]:
    """Who wanted the job in the folder, as job.json tells."""
    found = read_json(folder / "job.json").get("caller")
    return found if isinstance(found, dict) else {}


def is_askers(folder: Path, caller: Caller) -> bool:
    """Whether the caller wanted the job in the folder."""
    return bool(caller.id) and asker(folder).get("id") == caller.id


def check_asker(folder: Path, kind: JobKind, caller: Caller) -> None:
    """Raise ConflictError for who neither may do such work nor asked for this; NotFoundError where it is another's
    own, of which nothing is told."""
    if is_askers(folder, caller):
        return
    if kind.is_own and caller.role != "host":
        raise NotFoundError("There is no job {name}.", name=repr(folder.name), param="job")
    check(caller, kind.action)


def check_today(settings: Settings, caller: Caller) -> None:
    """Raise LimitError where somebody who is not the host began as much work within a day as a public site does."""
    most = settings.jobs_a_day
    if caller.role == "host" or not settings.is_public or not most:
        return
    places = (settings.runs_folder.absolute() / FOLDER, settings.runs_folder)
    found = [read_json(path) for place in places for path in place.glob("*/job.json")]
    times = [float(one["created"]) for one in found if (one.get("caller") or {}).get("id") == caller.id]
    recent = sorted(at for at in times if 0 <= time.time() - at < DAY_SECONDS)
    if len(recent) >= most:
        wait = recent[-most] + DAY_SECONDS - time.time()
        raise LimitError(
            "This site does {limit:,} jobs a day for each of its members. Begin the next in {wait}.",
            retry_seconds=wait, limit=most, wait=seconds_in_words(wait),
        )  # fmt: skip


def check_own(views: Sequence[JobView], caller: Caller) -> None:
    """Raise BusyError where a visitor has as many jobs of its own as there may be; the host may have any number."""
    if caller.role == "host":
        return
    own = [view for view in views if view.kind_of.is_own and is_askers(view.folder, caller)]
    if sum(view.is_alive for view in own) >= MAX_OWN_LIVE:
        raise BusyError(
            counted("{count} job of yours is at work. Wait for it to end, or stop it.",
                    "{count} jobs of yours are at work. Wait for one to end, or stop one.", MAX_OWN_LIVE),
            retry_seconds=60,
        )  # fmt: skip
    if len(own) >= MAX_OWN_KEPT:
        raise BusyError(
            counted("{count} job of yours is kept here. Delete it, then begin the next.",
                    "{count} jobs of yours are kept here. Delete one, then begin the next.", MAX_OWN_KEPT)
        )  # fmt: skip
