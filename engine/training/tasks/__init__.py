"""What each task brings to training: its model, its features, and how it is judged. One file a family.

A new task is one function and its name in `TASKS`; the loop in `session.py` stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.training.config import Task, TrainingConfig
from engine.training.tasks import answer, causal, classification, seq2seq
from engine.training.tasks.lesson import Lesson

TASKS: dict[Task, Callable[[TrainingConfig, Path], Lesson]] = {
    "style": causal.running_text,
    "instructions": causal.instructions,
    "classification": classification.prepare,
    "answer": answer.prepare,
    "translation": seq2seq.translation,
    "summary": seq2seq.summary,
    "pretraining": causal.running_text,
}
"""Each takes the config and the run's folder."""

__all__ = ["TASKS", "Lesson"]
