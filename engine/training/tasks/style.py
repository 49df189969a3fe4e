"""A way of writing: a language model goes on learning from running text."""

from __future__ import annotations

from engine.messages import Text
from engine.training.tasks import SAMPLES, Sample, TrainingTask, lazily
from engine.training.verdicts import opened

TASK = TrainingTask(
    id="style",
    title=Text("A way of writing"),
    summary=Text("A language model goes on learning from your text, and then writes like it. For the page Write."),
    order=1,
    roles=("text",),
    lesson=lazily("causal", "running_text"),
    judge=lazily("causal", "judge_text"),
    architecture="causal",
    applications=("write", "explore"),
    bases=("causal",),
    first_base="smollm2-135m-instruct",
    is_lower_better=True,
    compared_rows=40,
    defaults={"method": "lora", "epochs": 3.0, "batch_size": 4, "max_length": 128},
    learning_rates={"full": 3e-5, "lora": 5e-4, "head": 1e-4},
    settings=frozenset({"sample_prompts", "sample_tokens"}),
    is_running_text=True,
    shown=lambda row: opened(row["text"]),
    inputs={"text": Text("Beginning, which both continue")},
    description="goes on with text in the style of the training texts",
    samples=(
        Sample(
            "lighthouse",
            Text("A lighthouse keeper's log"),
            Text(
                "170 entries in one dry voice: weather with manners, a thieving gull, "
                "a closing line that never changes."
            ),
            SAMPLES / "lighthouse.txt",
            ("Day 300.", "The Admiral"),
        ),
    ),
)
