"""The HTTP API beside the pages: request models and routes, nothing else."""

from __future__ import annotations

from engine.http.api import routes

__all__ = ["routes"]
