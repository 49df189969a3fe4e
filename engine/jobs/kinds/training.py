"""A fine-tuning run, in a folder among the runs."""

from engine.jobs.kinds import JobKind

KIND = JobKind(
    "training", "Fine-tuning", "engine.training.session", program="engine.training.train", queue="training",
    stops_after="step", can_resume=True, max_seconds=0, action="train",
)  # fmt: skip
