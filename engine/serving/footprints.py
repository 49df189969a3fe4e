"""What each model was measured to take in memory when it was last there, kept under the hash of its weights."""

from __future__ import annotations

from engine.serving.compose import House
from engine.serving.protocol import EngineStatus
from engine.storage import at_hand

KEEP_SECONDS = 365 * 86_400.0


def note(home: House, status: EngineStatus) -> None:
    """Keep what the models in memory take, where that is news."""
    for model in status.models:
        name = _name(home, model.id) if model.state == "ready" else ""
        value = {"bytes": model.measured_bytes}
        if name and model.measured_bytes and at_hand(home.storage, name) != value:
            home.storage.write(name, value, KEEP_SECONDS, kind="footprint")


def measured(home: House, model_id: str) -> int | None:
    """In bytes; None for a model that was not in memory yet, or came with other weights since."""
    name = _name(home, model_id)
    kept = at_hand(home.storage, name) if name else None
    return int(kept["bytes"]) if kept else None


def _name(home: House, model_id: str) -> str:
    weights = home.engine.weights(model_id) if home.store.availability(model_id).state == "ready" else None
    return f"footprint {model_id} {weights}" if weights else ""
