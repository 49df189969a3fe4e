"""The HTTP API beside the pages: request models and routes, nothing else."""

from __future__ import annotations

from starlette.routing import BaseRoute


def routes() -> list[BaseRoute]:
    """Routes to mount beside Streamlit's own."""
    return []
