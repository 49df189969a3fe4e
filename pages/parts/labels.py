"""What models call things, in words; light, since Home says them too."""

from __future__ import annotations

from collections.abc import Mapping

from engine.messages import Text
from pages.parts.language import _

LABELS = {"negative": Text("negative"), "neutral": Text("neutral"), "positive": Text("positive")}

EMOTIONS = {
    "admiration": Text("admiration"), "amusement": Text("amusement"), "anger": Text("anger"),
    "annoyance": Text("annoyance"), "approval": Text("approval"), "caring": Text("caring"),
    "confusion": Text("confusion"), "curiosity": Text("curiosity"), "desire": Text("desire"),
    "disappointment": Text("disappointment"), "disapproval": Text("disapproval"), "disgust": Text("disgust"),
    "embarrassment": Text("embarrassment"), "excitement": Text("excitement"), "fear": Text("fear"),
    "gratitude": Text("gratitude"), "grief": Text("grief"), "joy": Text("joy"), "love": Text("love"),
    "nervousness": Text("nervousness"), "optimism": Text("optimism"), "pride": Text("pride"),
    "realization": Text("realization"), "relief": Text("relief"), "remorse": Text("remorse"),
    "sadness": Text("sadness"), "surprise": Text("surprise"),
}  # fmt: skip
"""GoEmotions' names (Demszky et al. 2020)."""


def emotion_in_words(name: str) -> str:
    """An emotion in the visitor's language; one of another model as it is."""
    return _(EMOTIONS.get(name, "")) or name


def emotions_in_words(found: Mapping[str, float]) -> str:
    """Emotions with their probabilities, likeliest first, in the visitor's language."""
    return ", ".join(f"{emotion_in_words(name)} ({share:.0%})" for name, share in found.items()) or _("none")


def label_in_words(label: str) -> str:
    """Our own labels in the visitor's language; a person's own as they are."""
    return _(LABELS.get(label, "")) or label
