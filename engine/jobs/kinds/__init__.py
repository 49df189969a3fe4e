"""Kinds of jobs: one value a file here, and in `jobs/kinds/` of the host's folder. Importing one loads no library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.extensions import modules
from engine.serving.access import Action

HEAVY = "heavy"
"""The queue of what computes in a process of its own; runs, which take hours, have another."""


FILE_SECONDS = 3 * 24 * 3600.0
"""How long a visitor's file and what was made of it are kept."""


@dataclass(frozen=True)
class JobKind:
    """What a kind of job is, and who does its work."""

    id: str
    title: str
    module: str
    """Has `work(job)`, or `work(job, house)` in the server; its own `describe(error)` where it has one."""
    runs_in: Literal["process", "server"] = "process"
    """A process of its own for what computes; a thread of the server for what only asks models or changes the house."""
    program: str = "engine.jobs.child"
    """A process is started as `python -m <program> FOLDER`."""
    queue: str = ""
    """Jobs of one queue work one after the other, first come first served; "" waits for nobody."""
    stops_after: Literal["", "step"] = ""
    """What a stop lets it finish; "" ends it at once."""
    can_resume: bool = False
    """Goes on where it stood. One that a thread of a server does is taken up again when that begins anew."""
    max_seconds: float = 1800.0
    """After so long its process is ended; 0 is never. A thread of the server keeps its own time."""
    has_network: bool = False
    action: Action = "work"
    """What its asker must be allowed to do."""
    is_kept: bool = True
    """Leaves something worth keeping; where not, it ends when its asker goes, unless that is the host."""
    is_own: bool = False
    """Nobody but its asker and the site's host sees, stops or deletes it; each asker has a few at a time."""
    kept_seconds: float = 7 * 24 * 3600.0
    """How long its folder is kept after its end."""


def kinds() -> dict[str, JobKind]:
    """All kinds by id."""
    return {module.KIND.id: module.KIND for module in modules("jobs/kinds")}
