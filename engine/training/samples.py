"""Built-in data for each task, written for this project, so that a first run needs no file of one's own.

The files are in `samples/`, written for this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import NotFoundError
from engine.training.config import Task
from engine.training.formats import Table, read_table

FOLDER = Path(__file__).with_name("samples")


@dataclass(frozen=True)
class Sample:
    """A file of data, what it is good for, and which column means what. `prompts` show how a model learns it."""

    id: str
    title: str
    description: str
    file: Path
    mapping: Mapping[str, str]
    prompts: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """Fields of the config that belong to the data, such as the languages."""


SAMPLES: dict[Task, tuple[Sample, ...]] = {
    "style": (
        Sample(
            "lighthouse",
            "A lighthouse keeper's log",
            "170 entries in one dry voice: weather with manners, a thieving gull, a closing line that never changes.",
            FOLDER / "lighthouse.txt",
            {"text": "text"},
            ("Day 300.", "The Admiral"),
        ),
    ),
    "instructions": (
        Sample(
            "cards",
            "Cards of four lines",
            "154 questions about things, each answered in the same form: kind, where, known for, in a word.",
            FOLDER / "cards.jsonl",
            {"prompt": "prompt", "response": "response"},
            ("Tell me about the fox.", "What should I know about butter?"),
        ),
    ),
    "classification": (
        Sample(
            "tickets",
            "Support tickets",
            "280 messages to a shop with four labels: billing, delivery, technical, account.",
            FOLDER / "tickets.jsonl",
            {"text": "text", "label": "label"},
        ),
    ),
    "answer": (
        Sample(
            "passages",
            "Questions over invented places",
            "396 questions over 66 passages on villages, bridges, fairs and inventors; one in eight has no answer.",
            FOLDER / "passages.jsonl",
            {"question": "question", "passage": "passage", "answer": "answer"},
        ),
    ),
    "translation": (
        Sample(
            "pairs",
            "Everyday English and French",
            "1,200 short pairs: greetings, questions, and sentences from a small grammar.",
            FOLDER / "pairs.jsonl",
            {"source": "source", "target": "target"},
            ("My sister looks for the key.", "Do you like cheese?", "The cat is behind the church."),
            {"source_language": "en", "target_language": "fr"},
        ),
    ),
    "summary": (
        Sample(
            "headlines",
            "News of small towns",
            "420 reports of a few sentences, each with its headline.",
            FOLDER / "headlines.jsonl",
            {"text": "text", "summary": "summary"},
        ),
    ),
    "pretraining": (
        Sample(
            "stories",
            "Stories in simple words",
            "460 little stories about children and animals: enough for a tiny GPT to learn to tell one.",
            FOLDER / "stories.txt",
            {"text": "text"},
            ("Once upon a time, there was a", "One day,"),
        ),
    ),
}
"""The samples of each task, the one to begin with first."""


def find(id: str) -> Sample:
    """A sample by its id. Raises NotFoundError."""
    for samples in SAMPLES.values():
        for sample in samples:
            if sample.id == id:
                return sample
    raise NotFoundError("There is no such built-in sample. Choose one of the list.", param="sample")


def read(sample: Sample) -> Table:
    """The rows of a sample."""
    return read_table(sample.file, sample.file.name)
