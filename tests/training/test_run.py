"""A run's folder tells the truth after a kill at any moment."""

from __future__ import annotations

import json
import os
from pathlib import Path

from engine.jobs.folder import is_alive
from engine.training.run import Run
from tests.training.told import read_metrics, read_samples, read_status


def test_a_line_cut_by_a_kill_costs_only_itself(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.record({"step": 10, "loss": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20, "lo')
    assert read_metrics(tmp_path) == [{"step": 10, "loss": 0.5}]
    Run(tmp_path).record({"step": 20, "loss": 0.4})
    assert [line["step"] for line in read_metrics(tmp_path)] == [10, 20]


def test_no_metrics_yet(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []


def test_a_running_status_of_another_process_is_a_failure(tmp_path: Path) -> None:
    Run(tmp_path).update("running", step=3)
    status = read_status(tmp_path)
    assert status["state"] == "running" and status["pid"] == os.getpid() and is_alive(status)
    # The same number, given to a later process.
    stolen = status | {"process_started": status["process_started"] - 60}
    (tmp_path / "status.json").write_text(json.dumps(stolen))
    assert read_status(tmp_path)["state"] == "failed"
    assert not (tmp_path / "status.json.part").exists()


def test_infinite_numbers_become_null(tmp_path: Path) -> None:
    Run(tmp_path).record({"step": 1, "loss": float("nan"), "grad_norm": float("inf"), "eval_loss": 1.0})
    assert read_metrics(tmp_path) == [{"step": 1, "loss": None, "grad_norm": None, "eval_loss": 1.0}]


def test_samples_are_read_back(tmp_path: Path) -> None:
    Run(tmp_path).show(5, [("Once", "upon\na time — ja"), ("Il était", "une fois")])
    assert read_samples(tmp_path)[0] == {"step": 5, "prompt": "Once", "text": "upon\na time — ja"}


def test_a_restart_keeps_the_baseline_and_the_beginning(tmp_path: Path) -> None:
    Run(tmp_path).update("running", baseline={"eval_loss": 2.0}, step=4)
    started = read_status(tmp_path)["started"]
    Run(tmp_path).update("preparing")
    status = read_status(tmp_path)
    assert status["baseline"] == {"eval_loss": 2.0} and status["started"] == started and "step" not in status


def test_what_was_half_written_goes(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for name in ("model.part", "checkpoints/checkpoint-5.part", "checkpoints/checkpoint-4"):
        (tmp_path / name).mkdir()
    (tmp_path / "status.json.part").write_text("{")
    run.clean()
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoints"}
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-4"]
