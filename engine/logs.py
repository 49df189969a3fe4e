"""Structured logs, a line of JSON an event (PARLANCE_LOG=json), without what people typed.

Of an error only its kind and its places in the code are written: its words may repeat somebody's text.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from engine.errors import InputError

if TYPE_CHECKING:
    from engine.settings import Settings

OTHERS = ("streamlit", "uvicorn")
"""Loggers that have handlers of their own, whose lines would be no JSON."""
SILENT = "uvicorn.access"
"""It would write addresses as they were asked for, with what was typed in them."""
MAX_PLACES = 12


def set_up(settings: Settings) -> None:
    """Have this process log as the settings say. Raises InputError where structlog is wanted and not installed."""
    if settings.log != "json":
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter())
    handler.addFilter(_without_words)
    root = logging.getLogger()
    root.handlers = [handler]
    logging.getLogger("engine").setLevel(logging.INFO)  # of libraries it has addresses, with all in them
    for name in logging.root.manager.loggerDict:
        if name.partition(".")[0] in OTHERS:
            one = logging.getLogger(name)
            one.handlers, one.propagate = [], name != SILENT


def _formatter() -> logging.Formatter:
    try:
        import structlog
    except ImportError:
        raise InputError("PARLANCE_LOG=json needs structlog: install requirements-host.txt.") from None
    before = (
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _placed,
    )
    after = (structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer())
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=after)


def _without_words(record: logging.LogRecord) -> bool:
    """An error that a line names is named by its kind alone."""
    if isinstance(record.args, tuple):
        record.args = tuple(type(one).__name__ if isinstance(one, BaseException) else one for one in record.args)
    return True


def _placed(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback as the error's kind and where it was, the place at fault last."""
    error = event.pop("exc_info", None)
    error = sys.exc_info() if error is True else error
    error = error[1] if isinstance(error, tuple) else error
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-MAX_PLACES:]
        event["error"] = type(error).__name__
        event["places"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event
