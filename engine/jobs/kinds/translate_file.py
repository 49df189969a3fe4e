"""A file translated, by the serving engine."""

from engine.jobs.kinds import FILE_SECONDS, JobKind

KIND = JobKind(
    "translate-file", "Translating a file", "engine.jobs.files.translating", runs_in="server", can_resume=True,
    action="upload", is_own=True, kept_seconds=FILE_SECONDS,
)  # fmt: skip
