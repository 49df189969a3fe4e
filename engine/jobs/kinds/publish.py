"""A run's model to a repository on the Hub."""

from engine.jobs.kinds import HEAVY, JobKind

KIND = JobKind(
    "publish", "Push to the Hub", "engine.training.publish", queue=HEAVY, max_seconds=3600.0, has_network=True,
    action="publish",
)  # fmt: skip
