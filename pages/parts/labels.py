"""What models call things, in words; light, since Home says them too."""

from __future__ import annotations

from engine.messages import Text
from pages.parts.language import _

LABELS = {"negative": Text("negative"), "neutral": Text("neutral"), "positive": Text("positive")}


def label_in_words(label: str) -> str:
    """Our own labels in the visitor's language; a person's own as they are."""
    return _(LABELS.get(label, "")) or label
