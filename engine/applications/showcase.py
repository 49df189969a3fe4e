"""One answer of each application, really computed on this machine, for Home: kept under the hash of the weights."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.applications import Application
from engine.applications.records import as_record, from_record
from engine.errors import PeopleError
from engine.serving import footprints
from engine.serving.compose import House
from engine.serving.protocol import Caller
from engine.storage import at_hand

log = logging.getLogger(__name__)

KEEP_SECONDS = 365 * 86_400.0
BUSY_SECONDS = 0.25
OURSELVES = Caller("showcase", "host", "low")


@dataclass(frozen=True)
class Shown:
    """What was asked, the text that came, and the result."""

    request: Any
    text: str
    result: Any


def find(home: House, application: Application[Any, Any]) -> Shown | None:
    """What was computed with the weights that are here; None until it was."""
    name = _name(home, application)
    record = at_hand(home.storage, name) if name else None
    request, result = from_record(application, record) if record else (None, None)
    return Shown(request, str(record["text"]), result) if record and result is not None else None


def compute(home: House, applications: Iterable[Application[Any, Any]], is_over: threading.Event) -> None:
    """Compute what is missing, one after the other while nobody waits; memory is left as it was.

    What cannot be computed now is left for the next start.
    """
    for application in applications if home.settings.prefetch and home.settings.storage_bytes else ():
        while home.engine.is_busy and not is_over.wait(BUSY_SECONDS):
            pass
        if is_over.is_set():
            return
        try:
            if _name(home, application) and find(home, application) is None:
                _compute(home, application)
        except PeopleError as error:
            log.info("no example of %s: %s", application.id, error)


def _compute(home: House, application: Application[Any, Any]) -> None:
    loaded = {model.id for model in home.engine.status().models}
    name, text, result = _name(home, application), "", None
    for event in application.stream(home.engine, application.shown, OURSELVES):
        text = event.text if event.kind == "replace" else text + event.text
        result = event.result if event.kind == "done" else None
    record = as_record(application, application.shown, result) | {"text": text}
    home.storage.write(name, record, KEEP_SECONDS, kind="example")
    footprints.note(home, home.engine.status())
    for model_id in {application.default_model, getattr(result, "model", "")} - loaded - {""}:
        home.engine.unload(model_id, OURSELVES)


def _name(home: House, application: Application[Any, Any]) -> str:
    """Of what is kept: application, request and weights; "" where there is nothing to ask, or no model to ask."""
    model = home.catalogue.models.get(application.default_model)
    if application.shown is None or model is None or home.store.availability(model.id).state != "ready":
        return ""
    weights = home.engine.weights(model.id)
    others = (one for one in application.models(home.catalogue) if one.best_in or one.source.carrier)
    best = [home.engine.weights(one.id) for one in others]
    digest = hashlib.sha256(repr((application.shown, weights, best)).encode()).hexdigest()
    return f"shown {application.id} {digest}" if weights else ""
