"""Language, from nothing: a tiny GPT with a tokenizer of its own."""

from __future__ import annotations

from dataclasses import replace

from engine.messages import Text
from engine.training.tasks import SAMPLES, Sample
from engine.training.tasks.style import TASK as STYLE

TASK = replace(
    STYLE,
    id="pretraining",
    title=Text("Language, from nothing"),
    summary=Text("A tiny GPT with a tokenizer of its own, which knows nothing before. For the page Write."),
    order=7,
    bases=(),
    first_base="",
    scratch={},
    continued_as="style",
    defaults={
        "epochs": 20.0, "batch_size": 16, "max_length": 128, "schedule": "cosine", "weight_decay": 0.1, "layers": 4,
        "width": 192, "heads": 4, "vocabulary_size": 2000,
    },
    learning_rates={"full": 1e-3, "lora": 1e-3, "head": 1e-3},
    inputs={"text": Text("Beginning, which the model continues")},
    description="is a small language model, trained from scratch",
    samples=(
        Sample(
            "stories",
            Text("Stories in simple words"),
            Text("460 little stories about children and animals: enough for a tiny GPT to learn to tell one."),
            SAMPLES / "stories.txt",
            ("Once upon a time, there was a", "One day,"),
        ),
    ),
)  # fmt: skip
