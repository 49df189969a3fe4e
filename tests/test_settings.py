"""Settings come from the environment, and a wrong one names its variable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import settings as settings_module
from engine.errors import InputError
from engine.settings import available_cores, available_memory_bytes, free_memory_bytes, read_settings


def test_defaults_fit_the_machine() -> None:
    settings = read_settings({})
    assert settings.threads == 0, "left to engine.backends.threads"
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


def groups(folder: Path, own: str, **quotas: str) -> tuple[Path, Path]:
    """A made-up tree of control groups, "_" in a name standing for "/"."""
    for name, words in quotas.items():
        place = folder / "groups" / name.strip("_").replace("_", "/")
        place.mkdir(parents=True, exist_ok=True)
        for file, word in zip(("cpu.max",) if " " in words else CFS, words.split("/"), strict=True):
            (place / file).write_text(word + "\n")
    (folder / "own").write_text(own)
    return folder / "groups", folder / "own"


CFS = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
CASES = [
    ("0::/\n", {"_": "50000 100000"}, 1),
    ("0::/\n", {"_": "150000 100000"}, 2),
    ("0::/\n", {"_": "max 100000"}, 6),
    ("0::/a/b\n", {"a": "300000 100000", "a_b": "max 100000"}, 3),
    ("0::/a/b\n", {"a": "300000 100000", "a_b": "200000 100000"}, 2),
    ("0::/../other\n", {"other": "100000 100000"}, 6),
    ("4:cpu,cpuacct:/a\n3:memory:/z\n", {"cpu_a": "250000/100000"}, 3),
    ("4:cpu,cpuacct:/a\n", {"cpu": "-1/100000"}, 6),
    ("4:cpu,cpuacct:/gone\n", {"cpu": "400000/100000"}, 4),
    ("not a line of that file", {"_": "nonsense nonsense"}, 6),
]


@pytest.mark.parametrize(("own", "quotas", "cores"), CASES)
def test_a_containers_share_of_the_processor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, quotas: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    assert available_cores(*groups(tmp_path, own, **quotas)) == cores


def test_without_control_groups_the_cores_of_the_machine_count(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "none", tmp_path / "none") == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("own", "names", "stat"),
    [
        ("0::/outer/inner", ("memory.max", "memory.current"), "anon 4\ninactive_file 400\nactive_file 50\n"),
        (
            "4:memory:/outer/inner\n3:cpu:/other",
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            "inactive_file 7\nactive_file 7\ntotal_inactive_file 400\ntotal_active_file 50\n",
        ),
    ],
)
def test_memory_is_that_of_the_innermost_group(tmp_path: Path, own: str, names: tuple[str, str], stat: str) -> None:
    groups, file, machine = tmp_path / "groups", tmp_path / "own", tmp_path / "meminfo"
    inner = groups / ("memory" if "memory" in own else "") / "outer" / "inner"
    inner.mkdir(parents=True)
    file.write_text(own + "\n")
    machine.write_text("MemTotal:       24684096 kB\nMemAvailable:   4000 kB\nHugePages_Total:       0\n")
    whole = available_memory_bytes(tmp_path / "none", tmp_path / "none")
    (inner.parent / names[0]).write_text("max\n")
    assert available_memory_bytes(groups, file) == whole
    assert free_memory_bytes(groups, file, machine) == 4_096_000
    (inner / names[0]).write_text("3000000\n")
    (inner / names[1]).write_text("1000000\n")
    (inner / "memory.stat").write_text(stat)
    assert available_memory_bytes(groups, file) == 3_000_000
    assert free_memory_bytes(groups, file, machine) == 2_000_450, "files' pages can be read anew"
    (inner.parent / names[0]).write_text("1500000\n")
    (inner.parent / names[1]).write_text("1600000\n")
    assert free_memory_bytes(groups, file, machine) == 0, "a group around it counts too"
    assert free_memory_bytes(tmp_path / "none", tmp_path / "none", tmp_path / "none") == whole


def test_a_small_machine_has_small_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "available_memory_bytes", lambda: 2**30)
    assert (read_settings({}).slots, read_settings({}).context_tokens) == (1, 2048)
    assert read_settings({"PARLANCE_SLOTS": "3"}).slots == 3 and read_settings({}).memory_bytes == 2**29
    monkeypatch.setattr(settings_module, "available_memory_bytes", lambda: 2 * 2**30)
    assert (read_settings({}).slots, read_settings({}).context_tokens) == (32, 4096)
    assert read_settings({}).memory_bytes == int(0.7 * 2 * 2**30)
