"""What everybody's prompts of one kind begin with, kept as states of a slot: taking one up costs a millisecond, reading
the text anew a tenth of a second and more, for each of a crowd.

Such a text is the application's own; nothing that anybody typed is in it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from engine.backends.ggml.llama import LlamaEnded
from engine.backends.ggml.slots import ANY, Place
from engine.files import is_writers, remove

LEAST_CHARACTERS = 40
"""Of a text, for which a state is worth a file."""
WAIT_SECONDS = 2.0
"""For a state that is being made: a crowd that presses at once would read the text once for each."""
FOLDER = "parlance-slots-"
"""What the names of their folders begin with, before the number of the process."""
MOST_STATES = 16
"""Of one model; each is some tens of kilobytes a token."""


def _sweep(folder: Path) -> None:
    """Delete the folders of processes that were killed."""
    for path in folder.glob(f"{FOLDER}*-*"):
        number = path.name.removeprefix(FOLDER).partition("-")[0]
        if number.isdigit() and not is_writers(int(number), path):
            remove(path)


class Beginnings:
    """The states of one model, in a folder that `close` deletes. Without a place for files there are none."""

    def __init__(self) -> None:
        self._folder = ""
        with suppress(OSError):
            _sweep(Path(tempfile.gettempdir()))
            self._folder = tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-")
        self._files: dict[str, str] = {}
        """By text; "" while somebody makes it."""
        self._numbers, self._changed = count(), threading.Condition()

    @property
    def parameters(self) -> dict[str, str]:
        """llama.cpp's parameters."""
        return {"slot_save_path": f"{self._folder}/"} if self._folder else {}

    def make(self, place: Place, evaluate: Callable[[str], bool]) -> None:
        """Evaluate a text that is not known yet in a slot and keep the state; who comes meanwhile waits for that."""
        text = self._wanted(place)
        if not text or not self._is_first(text):
            return
        file = ""
        try:
            if evaluate(text) and self._act(place, "save", name := f"{next(self._numbers)}.state"):
                file = name
                self._taken(place, text)
        finally:
            with self._changed:
                self._files[text] = file
                if not file:
                    del self._files[text]
                self._changed.notify_all()

    def take_up(self, place: Place) -> None:
        """Have a slot hold nothing but what its prompt begins with, where that is known and more than it shares."""
        text = self._wanted(place)
        if text and (file := self._files.get(text)) and self._act(place, "restore", file):
            self._taken(place, text)

    def close(self) -> None:
        """Delete the files."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _is_first(self, text: str) -> bool:
        """Whether somebody is to make a state now; where another does already, wait for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._files.get(text) != "", WAIT_SECONDS)
            if text in self._files or len(self._files) >= MOST_STATES:
                return False
            self._files[text] = ""
            return True

    def _wanted(self, place: Place) -> str:
        """The text that a slot should hold; "" where it holds it."""
        text = place.prompt.text[: place.prompt.common_characters]
        is_short = len(text) < LEAST_CHARACTERS or place.slot == ANY
        is_there = place.shared >= len(text) and not place.is_strange
        return "" if is_short or is_there or not self._folder else text

    def _act(self, place: Place, action: str, file: str) -> bool:
        with suppress(OSError, LlamaEnded):  # the answer does without, or ends with a sentence of its own
            return "error" not in place.server.post(f"/slots/{place.slot}?action={action}", {"filename": file})
        return False

    def _taken(self, place: Place, text: str) -> None:
        place.shared, place.is_strange, place.evaluated = len(text), False, text
