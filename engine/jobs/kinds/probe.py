"""A trial of settings and data before a run: time, memory, disk, and what the trainer sees."""

from engine.jobs.kinds import HEAVY, JobKind

KIND = JobKind("probe", "Check", "engine.training.probe", queue=HEAVY, action="train", is_kept=False)
