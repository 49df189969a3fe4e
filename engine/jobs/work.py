"""Jobs as a person handles them: make, start, read, stop, delete. What a kind does is its own module's.

Their folders are in `.jobs` of the runs folder; a fine-tuning run is a job with a folder among the runs, which
`training.runs` looks after with what is here.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engine import errors
from engine.errors import BusyError, ConflictError, NotFoundError, NotReadyError
from engine.files import read_json, set_aside, write_json
from engine.jobs import process, reading, sweeping
from engine.jobs.askers import FOLDER, asker, check_asker, check_own, check_today, describe, is_askers
from engine.jobs.child import perform
from engine.jobs.failures import is_disk_full
from engine.jobs.folder import AT_ONCE, BEAT_FILE, KEPT_FIELDS, LIVE, STOP_FILE, Job, State, is_alive
from engine.jobs.kinds import JobKind, kinds
from engine.jobs.launching import IsHere, launch
from engine.jobs.reading import Standing
from engine.jobs.sweeping import MAKING
from engine.messages import Text, counted
from engine.serving.access import check
from engine.serving.protocol import Caller
from engine.settings import Settings
from engine.sizes import seconds_in_words, size_in_words

HOST = Caller(role="host")
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
MAX_LIVE = 4
"""Jobs of this folder at work and waiting; each is a process that has its libraries in memory."""
MAX_ASKING = 16
"""The same of those that are threads of the server."""
ROOM_BYTES = 512 * 2**20
"""Free disk space without which nothing is started."""
FAULTS = (400, 413, 422)
"""Statuses of errors that come again however often the same is tried."""

_threads: dict[Path, threading.Thread] = {}
"""Of this server, by the folder of the job that each works on."""


@dataclass(frozen=True, kw_only=True)
class JobView(Standing):
    """One job at one moment."""

    id: str
    kind: str
    title: str
    subject: str
    """What it is about, such as a run; with the kind it finds the job again."""
    created: float

    @property
    def seconds(self) -> float:
        """For how long it has been at work, or was."""
        end = time.time() if self.is_alive else float(self.status.get("updated") or 0)
        return max(0.0, end - float(self.status.get("started") or self.created))

    @property
    def kind_of(self) -> JobKind:
        """Raises NotFoundError where it is an extension's that is gone."""
        return kind_of(self.folder)

    @property
    def can_resume(self) -> bool:
        """Whether it ended before its end, and goes on where it stood."""
        is_over = self.state == "failed" and errors.named(str(self.status.get("error_type"))).status in FAULTS
        return self.kind_of.can_resume and self.state in ("stopped", "failed") and not is_over

    @property
    def result(self) -> Mapping[str, Any]:
        """What its work returned."""
        return dict(self.status.get("result") or {})

    def check(self) -> None:
        """Raise what made it fail, as its process raised it."""
        if self.state == "failed":
            sentence = Text("{error} {advice}", error=self.error, advice=self.advice) if self.advice else self.error
            raise errors.named(str(self.status.get("error_type")))(sentence, self.status.get("param"))


def begin(
    settings: Settings, kind: str, config: Mapping[str, Any], *, title: str = "", subject: str = "",
    caller: Caller = HOST, house: Any = None, secret: str = "", is_here: IsHere = None,
) -> str:  # fmt: skip
    """Make a job and start it; returns its id at once. `house` is for kinds that work in the server.

    `secret` reaches the process alone, never a file. Raises ConflictError for who may not or where the same
    is at work, BusyError, NotReadyError (disk full).
    """
    check(caller, kinds()[kind].action)
    with disk_explained():
        folder = new_folder(settings)
        write_json(folder / "config.json", config)
    try:
        return adopt(
            settings, folder, kind, title=title, subject=subject, caller=caller, house=house, secret=secret,
            is_here=is_here,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # where it was not begun


def new_folder(settings: Settings) -> Path:
    """A folder to put what a job needs into, for `adopt`; what is not begun is swept away."""
    folder = _folder(settings) / MAKING / new_id()
    folder.mkdir(parents=True)
    return folder


def adopt(
    settings: Settings, folder: Path, kind: str, *, title: str = "", subject: str = "", caller: Caller = HOST,
    house: Any = None, secret: str = "", is_here: IsHere = None,
) -> str:  # fmt: skip
    """Take a folder that is made already (with its config.json) as a job's, and start it; returns its id.

    Raises as `begin`.
    """
    check(caller, kinds()[kind].action)
    check_today(settings, caller)
    job_id, jobs = f"{kind}-{new_id()}", _folder(settings)
    with disk_explained():
        jobs.mkdir(parents=True, exist_ok=True)
        with held(jobs / ".making.lock", Text("Another job is just being started. Try again in a moment.")):
            _sweep(settings)
            _check_start(settings, kind, subject, caller)
            describe(folder, kind, title, subject, caller)
            start(settings, folder.rename(jobs / job_id), house=house, secret=secret, is_here=is_here)
    return job_id


def start(settings: Settings, folder: Path, *, house: Any = None, secret: str = "", is_here: IsHere = None) -> None:
    """Start the job in the folder, for the first time or again: a process, or a thread of this server."""
    kind, now = kind_of(folder), time.time()
    for name in (STOP_FILE, BEAT_FILE, "exit.json"):
        (folder / name).unlink(missing_ok=True)
    before = read_json(folder / "status.json")
    kept = {name: before[name] for name in (*KEPT_FIELDS, "step", "max_steps") if name in before}
    write_json(folder / "status.json", {"started": now} | kept | {"state": "queued", "launched": now, "updated": now})
    if kind.runs_in == "server":
        job = Job(folder)
        job.update("queued")
        _threads[folder] = threading.Thread(target=_perform, args=(job, kind, house), name=folder.name, daemon=True)
        _threads[folder].start()
    else:
        is_kept = kind.is_kept or asker(folder).get("role") == "host"
        launch(settings, folder, kind, now, secret, None if is_kept else is_here)


def _perform(job: Job, kind: JobKind, house: Any) -> None:
    try:
        perform(job, kind, house)
    finally:
        _threads.pop(job.folder, None)


def resume(settings: Settings, job_id: str, house: Any, caller: Caller = HOST) -> None:
    """Have a job that ended before its end go on where it stood. Raises NotFoundError, ConflictError, BusyError."""
    view = read(settings, job_id, caller)
    check(caller, view.kind_of.action)
    with held(_folder(settings) / ".making.lock", Text("Another job is just being started. Try again in a moment.")):
        if not read(settings, job_id, caller).can_resume:
            raise ConflictError("This is at work, or has come to its end: nothing is left to go on with.", param="job")
        _check_start(settings, view.kind, view.subject, caller)
        start(settings, view.folder, house=house)


def take_up(settings: Settings, house: Any) -> list[str]:
    """Go on with what a server that is gone had at work in its threads, where it stood; returns the ids."""
    taken: list[str] = []
    if not _folder(settings).is_dir():
        return taken
    with suppress(ConflictError), held(_folder(settings) / ".taken.lock", Text("Another server takes it up.")):
        taken += _taken_up(settings, house)
    return taken


def _taken_up(settings: Settings, house: Any) -> Iterator[str]:
    for path in _paths(settings):
        with suppress(NotFoundError, OSError, ValueError):
            kind, status = kind_of(path), read_json(path / "status.json")
            is_ours = kind.runs_in == "server" and kind.can_resume and status.get("state") in LIVE
            if is_ours and not (path / STOP_FILE).exists() and not _is_worked_on(path, status):
                start(settings, path, house=house)
                yield path.name


def _is_worked_on(folder: Path, status: Mapping[str, Any]) -> bool:
    """Whether a thread of this server or of another one that is there works on the job in the folder."""
    return folder in _threads if status.get("pid") == os.getpid() else "pid" in status and is_alive(status)


def kind_of(folder: Path) -> JobKind:
    """The kind of the job in a folder; one without job.json is a run of version 0.1. Raises NotFoundError."""
    name = str(read_json(folder / "job.json").get("kind") or "training")
    if name not in (known := kinds()):
        raise NotFoundError("There is no kind of job {name} here. It may be an extension's that is gone.", name=name)
    return known[name]


def listed(settings: Settings) -> list[JobView]:
    """All jobs of this folder, newest first."""
    views = [view for path in _paths(settings) if (view := _safe(path))]
    return sorted(views, key=lambda view: -view.created)


def own(settings: Settings, kinds: Collection[str], caller: Caller) -> list[JobView]:
    """The caller's own jobs of these kinds, newest first, without those whose time is over; a host's are all."""
    with suppress(OSError):
        _sweep(settings)
    views = [view for view in listed(settings) if view.kind in kinds]
    return [view for view in views if caller.role == "host" or is_askers(view.folder, caller)]


def read(settings: Settings, job_id: str, caller: Caller = HOST) -> JobView:
    """One job. Raises NotFoundError, also where it is another's own."""
    is_id = isinstance(job_id, str) and ID.fullmatch(job_id)
    view = _safe(_folder(settings) / job_id) if is_id and (_folder(settings) / job_id).is_dir() else None
    is_hidden = view and view.kind_of.is_own and caller.role != "host" and not is_askers(view.folder, caller)
    if view is None or is_hidden:
        raise NotFoundError("There is no job {name}.", name=repr(str(job_id)[:80]), param="job")
    return view


def latest(settings: Settings, kind: str, subject: str) -> JobView | None:
    """The newest job of that kind about that."""
    return next((view for view in listed(settings) if (view.kind, view.subject) == (kind, subject)), None)


def _safe(folder: Path) -> JobView | None:
    """The view of a folder; None for one that cannot be read."""
    with suppress(Exception):
        return view_of(folder)
    return None


def view_of(folder: Path) -> JobView:
    """The job in that folder, among the runs as well. Raises whatever a damaged file leads to."""
    about = reading.read_object(folder / "job.json")
    return JobView(
        **vars(reading.standing(folder)),
        id=folder.name,
        kind=str(about.get("kind") or "training"),
        title=str(reading.read_object(folder / "about.json").get("title") or about.get("title") or folder.name),
        subject=str(about.get("subject") or ""),
        created=float(about.get("created") or 0),
    )


def stop(folder: Path, seconds_a_step: float | None = None, is_now: bool = False, caller: Caller = HOST) -> Text:
    """Ask the job in the folder to end, and say when it does; `is_now` ends its process at once, also one that hangs.

    Never waits. Raises ConflictError where it is not at work and for who may not, NotReadyError where nothing can be
    written.
    """
    found, kind = reading.standing(folder), kind_of(folder)
    check_asker(folder, kind, caller)
    if not found.is_alive:
        raise ConflictError("This is not at work, so there is nothing to stop.", param="job")
    ends_now = is_now or not kind.stops_after
    with disk_explained():
        (folder / STOP_FILE).write_text(AT_ONCE if ends_now else "", encoding="utf-8")
    if kind.runs_in == "server":
        return Text("It ends in a moment.")
    if ends_now:
        if "pid" in found.status:
            process.signal_group(found.status["pid"], signal.SIGKILL if is_now else signal.SIGTERM)
        return Text("It was ended.")
    return when_it_ends(found.state, seconds_a_step)


def when_it_ends(state: State, seconds_a_step: float | None) -> Text:
    """What a stop does that lets a step come to its end."""
    if state == "queued":
        return Text("It leaves the queue.")
    if state == "preparing":
        return Text("It ends once what it loads is there.")
    if seconds_a_step is None:
        return Text("It ends after this step, and keeps the best so far.")
    time_left = seconds_in_words(max(1.0, seconds_a_step))
    return Text("It ends after this step, about {time}, and keeps the best so far.", time=time_left)


def delete(settings: Settings, job_id: str, caller: Caller = HOST) -> None:
    """Delete a job's folder. Raises NotFoundError, ConflictError while it is at work and for who may not."""
    view = read(settings, job_id, caller)
    check_asker(view.folder, view.kind_of, caller)
    if view.is_alive:
        raise ConflictError("This is at work. Stop it first, then delete it.", param="job")
    with suppress(OSError):
        shutil.rmtree(set_aside(view.folder), ignore_errors=True)


def new_id() -> str:
    """A name by time that no other has."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def check_room(folder: Path) -> None:
    """Raise NotReadyError where the disk is nearly full."""
    if shutil.disk_usage(folder).free < ROOM_BYTES:
        size = size_in_words(ROOM_BYTES)
        raise NotReadyError("The disk has less than {size} left. Free some space, then start.", size=size)


@contextmanager
def held(lock_file: Path, what: Text) -> Iterator[None]:
    """Keep two clicks, tabs or servers from doing things to the same at once."""
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        raise ConflictError(what, param="run") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def disk_explained() -> Iterator[None]:
    """Errors of the disk as sentences."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise NotReadyError("The disk is full. Delete runs, models or other files, then try again.") from error
        raise NotReadyError(
            "The runs folder cannot be written ({reason}). Check PARLANCE_RUNS_FOLDER and its permissions.",
            reason=error.strerror,
        ) from error


def _check_start(settings: Settings, kind: str, subject: str, caller: Caller) -> None:
    views, about = listed(settings), kinds()[kind]
    alive = [view for view in views if view.is_alive]
    if about.is_own:
        check_own(views, caller)
    elif any((view.kind, view.subject) == (kind, subject) for view in alive):
        raise ConflictError("This is at work already.", param="job")
    most = MAX_LIVE if about.runs_in == "process" else MAX_ASKING
    if sum(view.kind_of.runs_in == about.runs_in for view in alive) >= most:
        raise BusyError(
            counted("{count} job is at work. Wait for it to end, or stop it.",
                    "{count} jobs are at work. Wait for one to end, or stop one.", most),
            retry_seconds=60,
        )  # fmt: skip
    check_room(_folder(settings))


def sweep(settings: Settings) -> None:
    """What a server does after its start: drop what nobody needs any more, and settle what kills left half-written."""
    _sweep(settings)
    for path in _paths(settings):
        sweeping.tidy(path)


def _sweep(settings: Settings) -> None:
    sweeping.sweep(_paths(settings), _folder(settings))


def _paths(settings: Settings) -> list[Path]:
    return reading.folders(_folder(settings), ID)


def _folder(settings: Settings) -> Path:
    return settings.runs_folder.absolute() / FOLDER
