"""The run whose model is the mean of others' models: made and judged as one."""

from engine.jobs.kinds import JobKind

KIND = JobKind(
    "average", "Mean of models", "engine.training.session", program="engine.training.train", queue="training",
    can_resume=True, action="train",
)  # fmt: skip
