"""What can be seen inside a model: one file a view, with request and result; the tensor work is the runtimes'."""

from __future__ import annotations

from engine.explain import attention, chain, choosing, counting, lens, masked, meaning, tokens, why
from engine.explain.view import View

VIEWS: dict[str, View] = {
    "tokens": tokens.VIEW,
    "next": choosing.VIEW,
    "chain": chain.VIEW,
    "counting": counting.VIEW,
    "meaning": meaning.VIEW,
    "attention": attention.VIEW,
    "lens": lens.VIEW,
    "masked": masked.VIEW,
    "why": why.VIEW,
}
"""By the end of their address under `/api/explore/`, in the order of the page."""
