"""Base and tuned model of a run on the same rows held out."""

from engine.jobs.kinds import HEAVY, JobKind

KIND = JobKind("compare", "Base against tuned", "engine.training.compare", queue=HEAVY, action="compare")
