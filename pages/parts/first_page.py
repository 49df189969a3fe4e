"""What the first visitor's page would wait for, done while their browser still loads its own part."""

from __future__ import annotations

import inspect
from importlib import import_module

MODULES = ("numpy", "PIL.Image", "engine.applications", "pages.parts.status", "pages.parts.streaming")
"""What it is drawn with."""


def warm_up() -> None:
    """Import that, and have Python look for the file of every module, which Streamlit asks for at its first element."""
    for name in MODULES:
        import_module(name)
    inspect.stack()  # 70 ms
