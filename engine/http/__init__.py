"""The HTTP API beside the pages: request models and routes, nothing else."""

from __future__ import annotations

from engine.http.api import routes
from engine.http.streams import ended_by_signals

__all__ = ["ended_by_signals", "routes"]
