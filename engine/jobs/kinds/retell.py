"""One prompt by the weights that a run has kept: before, on the way, after."""

from engine.jobs.kinds import HEAVY, JobKind

KIND = JobKind("retell", "One prompt through a run", "engine.training.retelling", queue=HEAVY, action="compare")
