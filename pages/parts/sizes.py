"""Numbers as people read them."""

from __future__ import annotations

from engine import sizes
from engine.sizes import seconds_in_words
from pages.parts.language import _

__all__ = ["confidence_in_words", "parameters_in_words", "percent_in_words", "seconds_in_words", "size_in_words"]


def size_in_words(size_bytes: float) -> str:
    """As in sentences, and never broken between the number and its unit."""
    return sizes.size_in_words(size_bytes).replace(" ", "\u00a0")


def percent_in_words(share: float) -> str:
    """0.834 -> "83%"; never 0 or 100 for what is merely near them."""
    if share < 0.01:
        return _("under 1%")
    return _("over 99%") if share > 0.99 else f"{share:.0%}"


def confidence_in_words(score: float, doubtful: float = 0.6) -> str:
    """A probability in words that people read rightly; unsure is what is `doubtful`, which a page may mark too."""
    if score >= doubtful:
        return _("very sure") if score >= 0.85 else _("fairly sure")
    return _("unsure")


def parameters_in_words(count: int) -> str:
    """134_515_008 -> "135M"."""
    if count >= 1e9:
        return f"{count / 1e9:.1f}B"
    return f"{count / 1e6:.0f}M" if count >= 1e6 else f"{count / 1e3:.0f}k"
