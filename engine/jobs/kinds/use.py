"""A run's model into the pickers, converted for llama.cpp where that serves it: the server's own catalogue changes."""

from engine.jobs.kinds import HEAVY, JobKind

KIND = JobKind("use", "Getting a model ready", "engine.training.runs", runs_in="server", queue=HEAVY, action="train")
