"""Fine-tuned models that are in use, for the catalogue: what `served/` in the folders of runs says."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from engine.catalogue.models import CatalogueError, Model, read_model

log = logging.getLogger(__name__)

PLACES = ("model", "served")
"""Where in a run's folder weights may be."""


def models(runs_folder: Path) -> list[Model]:
    """The models in use, oldest run first. A damaged one is left out and named in the log."""
    found = []
    for file in sorted(runs_folder.absolute().glob("*/served/model.json")):
        if file.parents[1].name.startswith("."):  # being made or deleted
            continue
        try:
            found.append(read(file.parents[1]))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("the model of run %s is left out: %s", file.parents[1].name, error)
    return found


def read(run_folder: Path) -> Model:
    """The model of one run, its source made absolute, so that a runs folder can move.

    Raises OSError, ValueError (CatalogueError among them), LookupError, TypeError or AttributeError for a damaged file.
    """
    run_folder = run_folder.absolute()
    table = json.loads((run_folder / "served" / "model.json").read_text(encoding="utf-8"))
    place = Path(table["source"]["folder"])
    if table["source"]["kind"] != "local" or place.is_absolute() or ".." in place.parts or place.parts[0] not in PLACES:
        raise CatalogueError(f"run-{run_folder.name}: its weights must be in its own folder")
    # Version 0.1 wrote the keys of all kinds of sources.
    base = str(table["source"].get("base") or "")
    source = {"kind": "local", "folder": str(run_folder / place), "is_run": True, "base": base}
    return read_model(f"run-{run_folder.name}", table | {"source": source})
