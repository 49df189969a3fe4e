"""A run's model as a zip."""

from engine.jobs.kinds import JobKind

KIND = JobKind("export", "Export", "engine.training.export", queue="export")
