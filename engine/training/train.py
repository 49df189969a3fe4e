"""The child process of a run: `python -m engine.training.train RUN` trains what `config.json` in the folder RUN says.

RUN may also be the path of that config. It waits while another run of the same folder trains. Started again it goes on
from the last checkpoint; SIGTERM, or a file `stop` in the folder, makes it stop after the step it is in and keep the
best model so far.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from engine.errors import PeopleError
from engine.jobs.folder import Stopped, beating, logged
from engine.jobs.turns import turn
from engine.training.run import Run
from engine.training.turns import is_asked_to_stop, spin_freely, step_back

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Train the run in the given folder; its status says how it ended. Returns the exit status."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    path = Path(arguments[0])
    folder = path.parent if path.suffix == ".json" else path
    folder.mkdir(parents=True, exist_ok=True)
    run, stop = Run(folder), threading.Event()
    run.forget_stop()
    run.clean()
    with logged(folder / "log.txt"), beating(folder), _stopped_by_signal(stop):
        try:
            return _in_turn(run, stop)
        except Exception as error:
            from engine.training.failures import describe

            log.exception("the run failed")
            run.clean()
            sentence, advice = describe(error)
            Run(folder).update("failed", error=sentence, advice=advice)
            print(error if isinstance(error, PeopleError) else sentence, file=sys.stderr)
            return 1


def _in_turn(run: Run, stop: threading.Event) -> int:
    try:
        with turn(run, partial(is_asked_to_stop, run, stop)):
            run.update("preparing")
            # Only now torch, which takes seconds and memory, of which a run that waits needs none.
            from engine.training.session import train

            print(json.dumps(train(run.folder, stop)))
    except Stopped:
        run.update("stopped")
    return 0


@contextmanager
def _stopped_by_signal(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


if __name__ == "__main__":
    step_back()
    spin_freely()
    sys.exit(main(sys.argv[1:]))
