"""Who may do what: the one place that knows what a public site keeps from its visitors."""

from __future__ import annotations

import secrets
from typing import Literal, get_args

from engine.errors import ConflictError, ForbiddenError, not_among
from engine.messages import Text
from engine.serving.protocol import Caller, Priority, Role
from engine.settings import Settings

Action = Literal[
    "ask",  # a model, which loads it where it is not in memory
    "ask while typing",  # without a button
    "fetch embedded",  # weights from the package index
    "fetch",  # other weights, as large as they may be
    "fetch data",  # rows from the Hub
    "upload",  # files into the server's memory
    "delete",
    "unload",
    "see runs",  # their titles and notes, figures, logs, rows held out and files
    "train",  # start, stop, change and delete runs, try their settings, put their models into the pickers
    "compare",  # a run's model with its base
    "export",  # a run's model as a file
    "publish",
    "work",  # every other job
    "see figures",  # of the process and its requests, under /metrics
    "pin",  # a shared result, which then has no end
]
ACTIONS: tuple[Action, ...] = get_args(Action)
VISITORS_MAY: frozenset[Action] = frozenset({"ask", "fetch embedded"})

REFUSALS: dict[Action, Text] = {
    "ask while typing": Text("Typing alone starts no work on this public site. Press the button."),
    "fetch": Text("Downloads are off on this public site. Use an embedded model."),
    "fetch data": Text("Fetching from the Hub is off on this public site. Choose one of the samples."),
    "upload": Text("This public site takes no files. Choose one of the samples."),
    "delete": Text("Deletions are off on this public site."),
    "unload": Text("Models are not unloaded by visitors of this public site. An idle one makes room by itself."),
    "see runs": Text("What was trained here is not shown on this public site."),
    "train": Text("Fine-tuning is off on this public site. Run Parlance on a machine of your own to train."),
    "compare": Text("Comparing models is off on this public site. Run Parlance on a machine of your own."),
    "export": Text("Exports are off on this public site. Run Parlance on a machine of your own."),
    "publish": Text("Publishing is off on this public site. Run Parlance on a machine of your own."),
    "see figures": Text("Figures of this public site are its host's, who set PARLANCE_METRICS_TOKEN for them."),
    "pin": Text("Shared results have an end on this public site."),
    "work": Text("Work in the background is off on this public site. Run Parlance on a machine of your own."),
}
PARAMS: dict[Action, str] = {
    "fetch data": "dataset", "upload": "file", "see runs": "run", "train": "run", "compare": "run", "export": "run",
    "publish": "run", "work": "job", "see figures": "authorization",
}  # fmt: skip


def may(caller: Caller, action: Action) -> bool:
    """Whether the caller may do that: the host everything, a visitor little and what the host grants."""
    return caller.role == "host" or action in VISITORS_MAY or action in caller.grants


def check(caller: Caller, action: Action) -> None:
    """Raise ConflictError, which says what to do instead, where the caller may not do that."""
    if not may(caller, action):
        raise ConflictError(REFUSALS[action], param=PARAMS.get(action, "model"))


def obstacle(settings: Settings, action: Action) -> Text | None:
    """What those who come to a site with these settings are told where they may not do that."""
    return None if may(caller_of(settings), action) else REFUSALS[action]


def caller_of(
    settings: Settings, id: str = "", priority: Priority = "normal", *, address: str = "", role: Role = "visitor"
) -> Caller:
    """Somebody who comes to a site with these settings: at home everybody is the host, elsewhere what they are."""
    grants = {"upload"} if settings.can_visitors_upload else set[str]()
    if role == "member":
        grants |= members_may(settings)
    return Caller(
        id, role if settings.is_public else "host", priority, frozenset(grants), address, secrets.token_hex(8)
    )


def owner_of(settings: Settings, caller: Caller) -> str:
    """Whose documents a caller's are: at home, where nobody else can reach the server, everybody's; elsewhere those of
    a browser or a key. Raises ForbiddenError for who is known by an address alone, which many may have."""
    if not settings.is_public and not settings.is_network_trusted:
        return "home"
    if not caller.id or (settings.is_public and caller.id == caller.address):
        raise ForbiddenError(
            "Documents here belong to a browser or to an API key. Send a key as Authorization: Bearer …", "documents"
        )
    return f"caller {caller.id}"


def members_may(settings: Settings) -> frozenset[str]:
    """What the setting grants members. Raises InputError for what is no action."""
    named = {name.strip() for name in settings.members_may.split(",") if name.strip()}
    if unknown := named - set(ACTIONS):
        raise not_among("PARLANCE_MEMBERS_MAY", ", ".join(sorted(unknown)), ACTIONS)
    return frozenset(named)
