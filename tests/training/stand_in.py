"""A child process that trains nothing but keeps its folder, its turn and its checkpoints as the real one does.

What the parent's side is tested on without waiting for torch. `PARLANCE_STAND_IN_SECONDS` paces its steps,
`PARLANCE_STAND_IN_END` is how
it ends at step 4: a number of a signal that it sends itself, or "status 3".
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from engine.jobs.folder import Stopped
from engine.jobs.turns import turn
from engine.training.config import read_config
from engine.training.run import STATE_FILE, WEIGHTS_FILE, Run, last_checkpoint, memory_now
from engine.training.turns import step_back

EVERY = 5
EMPTY_WEIGHTS = (2).to_bytes(8, "little") + b"{}"


def save(folder: Path, step: int) -> None:
    part = folder / f"checkpoint-{step}.part"
    part.mkdir(parents=True)
    (part / WEIGHTS_FILE).write_bytes(EMPTY_WEIGHTS)
    (part / STATE_FILE).write_text(f'{{"global_step": {step}}}')
    part.rename(folder / f"checkpoint-{step}")


def end_if_asked(step: int) -> None:
    how = os.environ.get("PARLANCE_STAND_IN_END", "")
    if step == 4 and how.startswith("status"):
        sys.exit(int(how.split()[1]))
    if step == 4 and how:
        os.kill(os.getpid(), int(how))


def work(run: Run, steps: int) -> None:
    run.clean()
    last = last_checkpoint(run.folder)
    first = int(last.name.rpartition("-")[2]) if last else 0
    if not first:
        run.record({"step": 0, "eval_loss": 2.0, "time": time.time()})
    for step in range(first + 1, steps + 1):
        time.sleep(float(os.environ.get("PARLANCE_STAND_IN_SECONDS", "0.01")))
        run.record({"step": step, "loss": 1 / step, "time": time.time()})
        run.update("running", step=step, max_steps=steps, **memory_now())
        end_if_asked(step)
        if step % EVERY == 0:
            run.record({"step": step, "eval_loss": 1.5 / step, "time": time.time()})
            run.show(step, [("Once", f"upon step {step}")])
            save(run.folder / "checkpoints", step)
        if run.is_stop_asked:
            run.update("stopped")
            return
    run.update("finished", metrics={"eval_loss": 1.5 / steps})


def main(folder: Path) -> None:
    step_back()
    run = Run(folder)
    try:
        with turn(run, lambda: run.is_stop_asked):
            run.update("preparing", nice=os.nice(0), has_token="HF_TOKEN" in os.environ)
            print("at work in", folder.name, flush=True)
            work(run, read_config(folder / "config.json").max_steps)
    except Stopped:
        run.update("stopped")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
