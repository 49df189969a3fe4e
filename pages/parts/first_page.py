"""What first visitors would wait for, done before: of the first page, while their browser still loads its own part; of
all others, once nobody waits for an answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

MODULES = ("numpy", "PIL.Image", "engine.applications", "pages.parts.status", "pages.parts.streaming")
"""What it is drawn with."""


def warm_up() -> None:
    """Import that, and have Python look for the file of every module, which Streamlit asks for at its first element."""
    for name in MODULES:
        import_module(name)
    inspect.stack()  # 70 ms


def others() -> Iterator[Callable[[], object]]:
    """Steps that import what all pages are drawn with: in a first visit it would hold Python for everybody."""
    parts = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    for name in ("pyarrow", "pandas", *(f"{__package__}.{part}" for part in parts)):
        yield partial(import_module, name)
