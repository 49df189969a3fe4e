"""What backends can do, in words, and the sentence for those who ask one for something else."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.backends.protocol import Job
from engine.errors import UnsupportedError
from engine.messages import Text
from engine.requests import needs

VERBS = {
    "generate": Text("write text"),
    "classify": Text("classify texts"),
    "extract": Text("find answers in a passage"),
    "fill": Text("guess masked words"),
    "embed": Text("embed texts"),
    "score": Text("tell how likely a text is"),
    "score_translation": Text("tell how likely a translation is"),
    "sample": Text("write with a temperature"),
    "penalties": Text("take presence and frequency penalties"),
    "top_logprobs": Text("tell the tokens it did not choose"),
    "grammar": Text("keep to a grammar"),
    "beginning": Text("go on from a given beginning"),
    "alternatives": Text("write several answers"),
    "align": Text("tell which words a translation comes from"),
    "align_texts": Text("tell which words of two texts say the same"),
    "rivals": Text("tell the tokens that could have come"),
    "tokenize": Text("cut text into tokens"),
    "next": Text("tell what could come next"),
    "attend": Text("tell its attention"),
    "attend_translation": Text("tell its attention to a source"),
    "attribute": Text("tell which words speak for an answer"),
    "lens": Text("tell what it would say after each layer"),
}


def able(jobs: Sequence[Job], title: str, tasks: Collection[str]) -> list[Job]:
    """The jobs that need no more than these tasks; the others fail."""
    mine = []
    for job in jobs:
        if missing := needs(job.request).difference(tasks):
            job.fail(unable(title, tasks, missing))
        else:
            mine.append(job)
    return mine


def unable(title: str, tasks: Collection[str], missing: Collection[str]) -> UnsupportedError:
    """What to say where a model cannot do what is missing."""
    return UnsupportedError(
        "{title} can {able}; it cannot {unable}. Choose another model.",
        param="model",
        title=title,
        able=[VERBS[name] for name in VERBS if name in tasks],
        unable=VERBS[min(missing)],
    )
