"""What is waited for, for how long, and what is told at once."""

from __future__ import annotations

import pytest

from engine.errors import BusyError, InputError, LimitError, NotReadyError, PeopleError
from engine.serving import patience
from engine.serving.patience import Patience


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (BusyError("Full."), 2.0),
        (BusyError("Full.", retry_seconds=5), 5),
        (NotReadyError("On its way.", retry_seconds=300), 60),
        (NotReadyError("It cannot be read. Choose another model."), None),
        (LimitError("An allowance is used up.", retry_seconds=5), None),
        (InputError("Empty."), None),
    ],
)  # fmt: skip
def test_what_passes_is_waited_for_and_the_rest_is_raised(error: PeopleError, seconds: float | None) -> None:
    waited: list[float] = []
    if seconds is None:
        with pytest.raises(type(error)):
            Patience(waited.append).wait(error)
    else:
        Patience(waited.append).wait(error)
    assert waited == ([] if seconds is None else [seconds])


def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(BusyError):
        Patience(lambda _seconds: None).wait(BusyError("Full."))
