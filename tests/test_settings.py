"""Settings come from the environment, and a wrong one names its variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InputError
from engine.settings import read_settings


def test_defaults_fit_the_machine() -> None:
    settings = read_settings({})
    assert settings.threads >= 1
    assert settings.memory_bytes > 2**28


def test_environment_overrides() -> None:
    settings = read_settings(
        {"PARLANCE_CACHE_FOLDER": "weights", "PARLANCE_SLOTS": "3", "PARLANCE_IS_PUBLIC": "yes", "PARLANCE_DTYPE": ""}
    )
    assert settings.cache_folder == Path("weights")
    assert (settings.slots, settings.is_public, settings.dtype) == (3, True, "auto")


@pytest.mark.parametrize(("name", "value"), [("SLOTS", "many"), ("PREFETCH", "perhaps"), ("DEADLINE_SECONDS", "1s")])
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"PARLANCE_{name}"):
        read_settings({f"PARLANCE_{name}": value})
