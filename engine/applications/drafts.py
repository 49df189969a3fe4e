"""Several drafts of one request, at one temperature or at several, side by side and ranked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial

from engine.applications import Application, write
from engine.applications.ranking import measured, score
from engine.applications.together import together
from engine.applications.write import WriteRequest, WriteResult
from engine.errors import not_between
from engine.messages import Text
from engine.requests import MAX_SEED, Event
from engine.serving.protocol import Caller, Engine

MOST_DRAFTS = 5


@dataclass(frozen=True)
class DraftsRequest(WriteRequest):
    """As a WriteRequest, `count` times with the seeds that follow, or once at each of `temperatures` with one seed."""

    count: int = 3
    """How many drafts, 2 to 5; where there are temperatures, as many as these."""
    temperatures: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Draft:
    """A draft, its measures from 0 to 1 by name (see `ranking`), and their mean."""

    written: WriteResult
    measures: dict[str, float]
    score: float


@dataclass(frozen=True)
class DraftsResult:
    """The drafts, the best first."""

    drafts: list[Draft]
    model: str


def stream(engine: Engine, request: DraftsRequest, caller: Caller) -> Iterator[Event]:
    """Yields events, "working" whenever a draft is ready; the last one's result is a DraftsResult."""
    asked = requests_of(request)
    found: dict[int, WriteResult] = {}
    for number, item in together([partial(write.stream, engine, one, caller) for one in asked]):
        if isinstance(item, Exception):
            raise item
        if item.kind == "done":
            found[number] = item.result
            yield Event("working", part=len(found), parts=len(asked))
        else:
            yield item if item.kind in ("queued", "loading") else Event("queued")
    drafts = ranked([(asked[number], found[number]) for number in sorted(found)])
    told = drafts if request.rivals else [replace(one, written=replace(one.written, tokens=[])) for one in drafts]
    yield Event("done", result=DraftsResult(told, told[0].written.model))


def requests_of(request: DraftsRequest) -> list[WriteRequest]:
    """What is asked for each draft: with its tokens, which tell how likely it is. Raises InputError."""
    heats = request.temperatures
    count = len(heats) or request.count
    if not 2 <= count <= MOST_DRAFTS:
        raise not_between("temperatures" if heats else "count", 2, MOST_DRAFTS)
    own = WriteRequest(**{one.name: getattr(request, one.name) for one in fields(WriteRequest)})
    own = replace(own, seed=drawn(own.seed), rivals=max(1, own.rivals))
    return [replace(own, temperature=heat) for heat in heats] if heats else seeded(own, count)


def seeded(request: WriteRequest, count: int, first: int = 0) -> list[WriteRequest]:
    """The request with as many seeds, from its own on; its own has one."""
    seed = request.seed or 0
    return [replace(request, seed=(seed + place) % (MAX_SEED + 1)) for place in range(first, first + count)]


def drawn(seed: int | None) -> int:
    """The seed, or one that is drawn."""
    return random.randrange(MAX_SEED) if seed is None else seed


def ranked(written: Sequence[tuple[WriteRequest, WriteResult]]) -> list[Draft]:
    """The best first, of equal ones the earlier; a measure counts where it can be told of all of them."""
    found = [(result, measured(request, result)) for request, result in written]
    shared = set.intersection(*(set(measures) for _, measures in found)) if found else set()
    drafts = [
        Draft(result, measures, score({name: measures[name] for name in measures if name in shared}))
        for result, measures in found
    ]
    return sorted(drafts, key=lambda one: -one.score)


PART = Application(
    id="write/drafts",
    title=Text("Drafts"),
    summary=Text("Several drafts of one request, ranked by measures that are told."),
    icon="stacks",
    architectures=frozenset({"causal"}),
    default_model=write.DEFAULT_MODEL,
    request_type=DraftsRequest,
    result_type=DraftsResult,
    stream=stream,
    samples=(DraftsRequest("the first snow in the city", "poem", count=3),),
)
