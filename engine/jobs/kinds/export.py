"""A run's model as a zip."""

from engine.jobs.kinds import HEAVY, JobKind

KIND = JobKind("export", "Export", "engine.training.export", queue=HEAVY, action="export")
