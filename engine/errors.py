"""The few errors meant for people. Each says in one sentence what is wrong and what to do next.

Pages and the HTTP API say its `text` in the visitor's language; the API answers `status` with
`{error: {type, message, param}}`. Everything else that is raised is a bug and surfaces as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.messages import Text


class PeopleError(Exception):
    """An error with a sentence for people: a template with its named facts, or a Text that was made before.

    `param` names the field at fault, `retry_seconds` says when trying again makes sense (HTTP Retry-After).
    """

    status = 400
    kind = "invalid_request"
    code: str | None = None

    def __init__(
        self, template: str | Text, param: str | None = None, retry_seconds: float | None = None, **facts: Any
    ) -> None:
        self.text = template if isinstance(template, Text) else Text(template, **facts)
        super().__init__(str(self.text))
        self.param = param
        self.retry_seconds = retry_seconds


class InputError(PeopleError):
    """A field holds something that cannot be worked on."""


def not_among(field: str, value: object, choices: Iterable[object]) -> InputError:
    """The error for a value that is none of those there are."""
    return InputError(
        "{field} is {value}; choose one of {choices}.", field, field=field, value=repr(value), choices=list(choices)
    )


def not_between(field: str, low: int, high: int) -> InputError:
    """The error for a number that is out of bounds, or none."""
    return InputError("{field} takes a number from {low} to {high}.", field, field=field, low=low, high=high)


class NotFoundError(PeopleError):
    """Nothing of that name exists (a model, a run, an application)."""

    status = 404
    kind = "not_found"


class ConflictError(PeopleError):
    """The request does not fit the present state: a model not downloaded yet, one that is in use."""

    status = 409
    kind = "conflict"


class TooLargeError(PeopleError):
    """A text, file or answer is over its limit."""

    status = 413
    kind = "too_large"


class ContextError(TooLargeError):
    """A prompt has more tokens than the model takes; the code is OpenAI's, by which clients know to leave some out."""

    status = 400
    kind = "invalid_request"
    code = "context_length_exceeded"


def too_long(tokens: int, model: str, limit: int, param: str) -> ContextError:
    """Of a prompt with so many tokens, for a model that takes at most `limit`."""
    return ContextError(
        "The prompt has {tokens:,} tokens; {model} takes at most {limit:,}. Shorten it.",
        param=param, tokens=tokens, model=model, limit=limit,
    )  # fmt: skip


class EncodingError(PeopleError):
    """The body is packed in a way that is not taken."""

    status = 415
    kind = "unsupported_media_type"


class UnsupportedError(PeopleError):
    """The request is well-formed, but this model cannot do it (a language pair, a task)."""

    status = 422
    kind = "unsupported"


class BusyError(PeopleError):
    """The queue is full."""

    status = 429
    kind = "busy"


class UnknownKeyError(PeopleError):
    """No API key, or one that is not known, where one is needed."""

    status = 401
    kind = "unauthorized"
    code = "invalid_api_key"


class ForbiddenError(PeopleError):
    """Who asks may not have that."""

    status = 403
    kind = "forbidden"


class LimitError(BusyError):
    """An allowance is used up; the sentence says when it begins anew."""

    kind = "rate_limited"
    code = "rate_limit_exceeded"


class NotReadyError(PeopleError):
    """Weights are on their way or could not be had, memory is short, or the time limit passed."""

    status = 503
    kind = "not_ready"


def before_its_turn() -> NotReadyError:
    """The error for a request that nobody waits for any more, or whose time passed."""
    return NotReadyError("The request was stopped, or its time limit passed, before its turn came.", retry_seconds=1)


def stopped_at_work(model: str) -> NotReadyError:
    """The error for a request whose model's process ended when some of the answer was out."""
    return NotReadyError(
        "{model} stopped in the middle of its work and begins anew. Try again.", retry_seconds=1, model=model
    )


class MemoryShortError(NotReadyError):
    """There is not enough memory for a model or a request."""

    kind = "out_of_memory"


def named(name: str) -> type[PeopleError]:
    """The kind of error that another process raised, by its name; NotReadyError for one that is unknown."""
    kind = globals().get(name)
    return kind if isinstance(kind, type) and issubclass(kind, PeopleError) else NotReadyError
