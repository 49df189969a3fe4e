"""A question why as a job: it goes on when the page is left, and its result is found again by the question's name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from engine.errors import PeopleError
from engine.explain.why import VIEW, WhyRequest, WhyResult
from engine.files import read_json, write_json
from engine.jobs import work as jobs
from engine.jobs.folder import Job, Stopped
from engine.jobs.work import JobView
from engine.serving.compose import House
from engine.serving.protocol import Caller

KIND, RESULT = "why", "result.json"
MOST_KEPT = 10
"""Of a visitor's; the oldest makes room for the next."""


def begin(house: House, request: WhyRequest, caller: Caller) -> None:
    """Start it. Raises what `jobs.work.begin` does."""
    if caller.role != "host":
        for old in jobs.own(house.settings, {KIND}, caller)[MOST_KEPT - 1 :]:
            with suppress(PeopleError):  # at work still
                jobs.delete(house.settings, old.id, caller)
    jobs.begin(
        house.settings, KIND, asdict(request), title=str(VIEW.title), subject=request.name, caller=caller, house=house
    )


def find(house: House, request: WhyRequest, caller: Caller) -> JobView | None:
    """The caller's newest job of that question."""
    own = jobs.own(house.settings, {KIND}, caller)
    return next((job for job in own if job.subject == request.name), None)


def result_of(job: JobView) -> WhyResult:
    """What came of a finished one."""
    return TypeAdapter(WhyResult).validate_python(read_json(job.folder / RESULT))


def work(job: Job, house: House) -> Mapping[str, Any]:
    """Ask the model, and tell how far it is."""
    request = TypeAdapter(WhyRequest).validate_python(job.config)
    events = VIEW.stream(house.engine, request, job.caller)
    try:
        for event in events:
            if event.kind == "text":
                done, total = map(int, event.text.split("/"))
                job.advance(done, total)
            elif event.kind == "done":
                write_json(job.folder / RESULT, asdict(event.result) | {"origin": event.result.origin.as_json()})
            elif job.is_stop_asked:
                raise Stopped
    finally:
        events.close()  # type: ignore[attr-defined]
    return {}
