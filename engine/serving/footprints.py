"""What each model was measured to take in memory when it was last there, kept under the hash of its weights."""

from __future__ import annotations

from engine.serving.compose import House
from engine.serving.protocol import EngineStatus
from engine.storage import at_hand

KEEP_SECONDS = 365 * 86_400.0


def note(home: House, status: EngineStatus) -> None:
    """Keep what the models in memory take, where that is news; of one with several runtimes what most of them takes."""
    most = dict[str, int]()
    for model in status.models:
        if model.state == "ready" and model.measured_bytes:
            most[model.id] = max(model.measured_bytes, most.get(model.id, 0))
    for model_id, size in most.items():
        if (name := _name(home, model_id)) and at_hand(home.storage, name) != {"bytes": size}:
            home.storage.write(name, {"bytes": size}, KEEP_SECONDS, kind="footprint")


def measured(home: House, model_id: str) -> int | None:
    """In bytes; None for a model that was not in memory yet, or came with other weights since."""
    name = _name(home, model_id)
    kept = at_hand(home.storage, name) if name else None
    return int(kept["bytes"]) if kept else None


def _name(home: House, model_id: str) -> str:
    weights = home.engine.weights(model_id) if home.store.availability(model_id).state == "ready" else None
    return f"measured {model_id} {weights}" if weights else ""
