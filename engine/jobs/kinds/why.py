"""What speaks for an answer: as long as it takes, whether or not somebody waits."""

from engine.jobs.kinds import FILE_SECONDS, JobKind

KIND = JobKind(
    "why", "Why this answer?", "engine.explain.taking_apart", runs_in="server", is_own=True, kept_seconds=FILE_SECONDS,
    action="ask",  # whoever may ask a model: it ends within half a minute, and each asker has a few at a time
)  # fmt: skip
