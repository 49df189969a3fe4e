"""The rows of a file judged, by the serving engine."""

from engine.jobs.kinds import FILE_SECONDS, JobKind

KIND = JobKind(
    "sentiment-file", "Judging a file", "engine.jobs.files.judging", runs_in="server", can_resume=True,
    action="upload", is_own=True, kept_seconds=FILE_SECONDS,
)  # fmt: skip
