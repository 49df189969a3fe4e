"""Rules of the design that a test can hold: who imports whom, and what an import must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from engine.backends.ctranslate2_conversion import NAME

ROOT = Path(__file__).parents[1]


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_the_engine_never_imports_streamlit_or_pages() -> None:
    for path in (ROOT / "engine").rglob("*.py"):
        assert not {name for name in imported(path) if name.split(".")[0] in ("streamlit", "pages")}, path


def test_pages_hold_no_torch_and_reach_the_engine_through_parts() -> None:
    for path in (ROOT / "pages").rglob("*.py"):
        names = imported(path)
        assert not {name for name in names if name.split(".")[0] in ("torch", "transformers", "xllamacpp")}, path
        if path.parent.name == "pages":
            assert "engine.serving.local" not in names and "engine.catalogue.store" not in names, path


def test_serving_never_imports_training() -> None:
    for path in (ROOT / "engine").rglob("*.py"):
        if "training" not in path.parts and "evaluation" not in path.parts:
            assert not {name for name in imported(path) if name.startswith("engine.training")}, path


@pytest.mark.parametrize(
    "module",
    [
        "engine", "engine.serving.local", "engine.applications", "engine.http", "engine.training", "engine.jobs.queue",
        "engine.training.train",
    ],
)  # fmt: skip
def test_importing_loads_neither_torch_nor_weights(module: str) -> None:
    heavy = ("torch", "transformers", "streamlit", "xllamacpp", "sacrebleu", "plotly", "pandas")
    code = f"import {module}, sys; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_models_are_small_and_have_cards() -> None:
    folders = [folder for folder in (ROOT / "models").iterdir() if (folder / "README.md").exists()]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file() and NAME not in str(file)]
    sizes = [file.stat().st_size for file in files]
    assert max(sizes, default=0) <= 60 * 2**20 and sum(sizes) <= 200 * 2**20
    for folder in folders:
        card = (folder / "README.md").read_text(encoding="utf-8")
        for word in ("icen", "python -m models.recipes", "Data"):
            assert word in card, f"{folder.name}: {word}"
        assert (folder / "model.safetensors").exists()
    assert not any(file.suffix == ".bin" for file in files)
