"""A trial of a run: `python -m engine.training.probe RUN` writes probe.json into the run's folder.

It builds the very trainer of `session`, takes a few real steps of typical length and one of the longest, and tells what
the run will cost and what the trainer sees. Nothing that it learns is kept.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from transformers import TrainerCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from engine.files import read_json, write_json
from engine.jobs.folder import Job
from engine.training import checkpoints, tasks
from engine.training.config import TrainingConfig, count_steps, read_config, steps_between_validations
from engine.training.data import IGNORED, Feature
from engine.training.failures import describe as describe
from engine.training.figures import EXAMINED_ROWS
from engine.training.lessons import Lesson
from engine.training.preflight import check_machine, check_steps, cut_off
from engine.training.run import MAX_KEPT_BYTES, memory_now
from engine.training.session import make_lesson, make_trainer
from engine.training.turns import step_back

now = time.perf_counter

PROBE_FILE = "probe.json"
TRIED_ROWS = 32
"""Validation rows that the trial judges."""
TIMED = (3 / 6, 1 / 6, 5 / 6)
"""Of the batches sorted by size, those that are timed."""
UNTIMED = 2
"""Steps before: one to warm up, and the longest."""
PATIENCE_SECONDS = 60.0
"""After this long, what was timed is enough."""
SHOWN_ROWS, SHOWN_TOKENS, SHOWN_LENGTHS = 8, 300, 20_000
GENERATED_SHARE = 1.5
"""How much longer than the longest reference a generated batch goes on, about."""

Piece = tuple[str, bool]
"""A token's text, and whether the model learns to write it."""


@dataclass
class Clock(TrainerCallback):
    """Seconds of each step: for learning from the batch, and for changing the weights."""

    learning: list[float] = field(default_factory=list)
    changing: list[float] = field(default_factory=list)
    _mark: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    def _lap(self) -> float:
        before, self._mark = self._mark, now()
        return self._mark - before

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._lap()

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.learning.append(self._lap())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.changing.append(self._lap())
        is_enough = len(self.changing) > UNTIMED and time.monotonic() - self._began > PATIENCE_SECONDS
        control.should_training_stop |= is_enough


@dataclass(frozen=True)
class Costs:
    """What the trial measured. Seconds are of one training step, one validation, one checkpoint."""

    step_seconds: float
    validation_seconds: float
    checkpoint_seconds: float
    checkpoint_bytes: int
    memory_bytes: int


def probe(folder: Path) -> dict[str, Any]:
    """Try a run and return what probe.json holds. Raises PeopleError for bad settings or data."""
    began = psutil.Process().create_time()
    config = read_config(folder / "config.json")
    scratch = folder / "probe.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        shown = replace(config, validation_file=str(_few_rows(folder / config.validation_file, scratch)))
        lesson = make_lesson(shown, folder)
        preparing = time.time() - began
        facts = _facts(config, lesson, folder)
        costs = _measure(config, lesson, folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _with_estimates(facts, config, lesson, costs, preparing, folder)


def _few_rows(file: Path, scratch: Path) -> Path:
    """A file with some rows of the validation file, evenly taken. SQuAD JSON stays whole."""
    if file.suffix != ".jsonl":
        return file
    few = scratch / "validation.jsonl"
    few.write_text("".join(f"{line}\n" for line in _tried(_lines(file))), encoding="utf-8")
    return few


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]


def _tried(lines: Sequence[str]) -> Sequence[str]:
    """Those of a file's rows that the trial judges, evenly taken."""
    return lines[:: max(1, len(lines) // TRIED_ROWS)][:TRIED_ROWS]


def _facts(config: TrainingConfig, lesson: Lesson, folder: Path) -> dict[str, Any]:
    """What can be told without a step: counts, lengths, rows cut off, the first batch."""
    lengths = [feature["length"] for feature in lesson.train_set]
    steps, _ = count_steps(config, len(lengths))
    numbers = _row_numbers(folder)
    cut = [numbers.get(row, row) for row in lesson.cut_rows]
    return {
        "inputs": len(lengths),
        "steps": steps,
        "tokens_per_epoch": sum(lengths),
        "lengths": lengths[:: max(1, len(lengths) // SHOWN_LENGTHS)],
        "cut_rows": cut,
    }


def _row_numbers(folder: Path) -> Mapping[int, int]:
    """From lines of train.jsonl to the rows of the file that a person brought, where the run knows them."""
    return dict(enumerate(read_json(folder / "data" / "rows.json").get("train") or [], 1))


def _measure(config: TrainingConfig, lesson: Lesson, folder: Path, scratch: Path) -> Costs:
    """Take the steps, judge once and save once."""
    clock = Clock()
    size = min(config.batch_size, len(lesson.train_set))
    trainer = make_trainer(replace(config, batch_size=size, accumulation_steps=1, patience=0), lesson, scratch, clock)
    batches = _batches(trainer, size)
    tried, sizes = _chosen(batches, lesson)
    trainer.order = [index for batch in tried for index in batch]
    trainer.args.max_steps = len(tried)
    trainer.args.eval_strategy, trainer.args.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
    trainer.train()
    timed = slice(UNTIMED, len(clock.changing))
    mean = sum(sizes) / len(sizes)
    a_token = sum(clock.learning[timed]) / max(1, sum(_size(batch, lesson) for batch in tried[timed]))
    changing = sum(clock.changing[timed]) / len(clock.changing[timed])
    validation = _time_validation(config, lesson, trainer, folder)
    averages = trainer.averager.average if trainer.averager else {}
    saving = _seconds(lambda: checkpoints.save(scratch / "checkpoint-1", trainer, averages))
    return Costs(
        step_seconds=min(config.accumulation_steps, len(batches)) * a_token * mean + changing,
        validation_seconds=validation,
        checkpoint_seconds=saving,
        checkpoint_bytes=sum(path.stat().st_size for path in (scratch / "checkpoint-1").iterdir()),
        memory_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else memory_now()["memory_bytes"],
    )


def _seconds(work: Callable[[], Any]) -> float:
    begin = now()
    work()
    return now() - begin


def _batches(trainer: Any, batch_size: int) -> list[list[int]]:
    """The batches of the first epoch, as the run will have them."""
    indices = list(trainer.make_order())
    return [indices[at : at + batch_size] for at in range(0, len(indices), batch_size)]


def _size(batch: Sequence[int], lesson: Lesson) -> int:
    """Tokens of a batch with its padding."""
    return len(batch) * max(lesson.train_set[index]["length"] for index in batch)


def _chosen(batches: Sequence[list[int]], lesson: Lesson) -> tuple[list[list[int]], list[int]]:
    """Batches to try: one to warm up, the longest (when the optimizer has its memory), those to time. And all sizes."""
    sizes = [_size(batch, lesson) for batch in batches]
    by_size = sorted(range(len(batches)), key=lambda index: sizes[index])
    full = [index for index in by_size if len(batches[index]) == len(batches[0])]
    timed = [batches[full[int(len(full) * share)]] for share in TIMED]
    inputs = sorted(range(len(lesson.train_set)), key=lambda index: -lesson.train_set[index]["length"])
    return [timed[0], inputs[: len(batches[0])], *timed], sizes


def _time_validation(config: TrainingConfig, lesson: Lesson, trainer: Any, folder: Path) -> float:
    """Seconds of one validation of the whole file, judged from a part of it."""
    examining: list[float] = []

    def examine(model: Any) -> dict[str, float]:
        begin = now()
        result = lesson.examine(model)
        examining.append(now() - begin)
        return result

    trainer.lesson = replace(lesson, examine=examine)
    whole = _seconds(trainer.evaluate)
    sampling = _seconds(lambda: lesson.sample(trainer.model))
    rows, share = _validation_share(folder / config.validation_file)
    judging = (whole - examining[0]) / share
    generating = examining[0] * min(rows, EXAMINED_ROWS) / max(1, min(rows, TRIED_ROWS))
    if not config.base and generating:
        generating *= _shortened(config, lesson)
    return judging + generating + sampling


def _validation_share(file: Path) -> tuple[int, float]:
    """Rows of the validation file, and the share of its text that was tried."""
    if file.suffix != ".jsonl":
        return EXAMINED_ROWS, 1.0
    lines = _lines(file)
    return len(lines), sum(map(len, _tried(lines))) / max(1, sum(map(len, lines)))


def _shortened(config: TrainingConfig, lesson: Lesson) -> float:
    """A model from scratch never ends by itself at first; soon it writes about as much as the references have."""
    longest = max((len(feature["labels"]) for feature in lesson.validation_set), default=config.max_target_length)
    return min(1.0, GENERATED_SHARE * longest / config.max_target_length)


def _with_estimates(
    facts: dict[str, Any], config: TrainingConfig, lesson: Lesson, costs: Costs, preparing: float, folder: Path
) -> dict[str, Any]:
    steps = facts["steps"]
    saved = max(1, steps // steps_between_validations(config, facts["inputs"]))
    weights = sum(weight.numel() for weight in lesson.model.parameters())
    seconds = preparing + steps * costs.step_seconds
    seconds += (saved + 1) * costs.validation_seconds + saved * costs.checkpoint_seconds
    found = check_steps(steps)
    if facts["cut_rows"]:
        limit = "max_target_length" if _targets_alone_are_cut(config, lesson) else "max_length"
        found.append(cut_off(config, facts["cut_rows"], len(facts["cut_rows"]), limit))
    # Adam keeps two numbers of its own with each weight.
    kept = min(config.kept_checkpoints * costs.checkpoint_bytes // 3, MAX_KEPT_BYTES)
    estimates = {
        "preparing_seconds": round(preparing, 2),
        "seconds_per_step": round(costs.step_seconds, 4),
        "validation_seconds": round(costs.validation_seconds, 2),
        "evaluations": saved + 1,
        "estimated_seconds": round(seconds, 1),
        "estimated_memory_bytes": costs.memory_bytes,
        "free_memory_bytes": _free_memory(),
        # The best, the last and the one being written; then the model in half precision.
        "estimated_disk_bytes": min(3, saved) * costs.checkpoint_bytes + 2 * weights + kept,
    }
    found += check_machine(facts | estimates, estimates["free_memory_bytes"], shutil.disk_usage(folder).free)
    findings = [finding.as_json() for finding in found]
    return facts | estimates | {"batch": first_batch(config, lesson), "findings": findings}


def _free_memory() -> int:
    """What a run could have on its device: free memory, and what this process gives back."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved())
    return memory_now()["free_memory_bytes"] + int(psutil.Process().memory_info().rss)


def _targets_alone_are_cut(config: TrainingConfig, lesson: Lesson) -> bool:
    sources = [len(feature["input_ids"]) for feature in lesson.train_set if feature["is_cut"]]
    return _has_targets(config) and max(sources, default=0) < config.max_length


def _has_targets(config: TrainingConfig) -> bool:
    return "max_target_length" in tasks.find(config.task).settings


def first_batch(config: TrainingConfig, lesson: Lesson) -> list[dict[str, list[Piece]]]:
    """The first rows that the trainer sees, token by token, each with whether it is learned."""
    shown = islice(lesson.train_set, min(SHOWN_ROWS, config.batch_size))
    return [{"tokens": _pieces(config, lesson, feature)} for feature in shown]


def _pieces(config: TrainingConfig, lesson: Lesson, feature: Feature) -> list[Piece]:
    """A row's tokens; of two parts (a text and its label, a source and its target) an arrow parts them."""
    ids, labels = list(feature["input_ids"]), feature.get("labels")
    texts = token_texts(getattr(lesson.tokenizer, "of_source", lesson.tokenizer), ids[:SHOWN_TOKENS])
    if "start_positions" in feature:
        answer = range(feature["start_positions"], feature["end_positions"] + 1)
        return [(text, index in answer) for index, text in enumerate(texts)]
    if isinstance(labels, int):
        name = lesson.model.config.id2label[labels]
        return [*((text, False) for text in texts), (" → ", False), (name, True)]
    if _has_targets(config):
        target = token_texts(lesson.tokenizer, list(labels or [])[:SHOWN_TOKENS])
        return [*((text, False) for text in texts), (" → ", False), *((text, True) for text in target)]
    learned = [label != IGNORED for label in labels or []]
    return list(zip(texts, learned[: len(texts)], strict=True))


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text that each token adds; a character of several tokens is given to the last of them."""
    texts, before = [], ""
    for end in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        is_whole = not text.endswith("\ufffd")
        texts.append(text[len(before) :] if is_whole else "")
        before = text if is_whole else before
    return texts


def work(job: Job) -> None:
    """The work of a job, whose folder is made as a run's."""
    write_json(job.folder / PROBE_FILE, probe(job.folder))


if __name__ == "__main__":
    step_back()
    work(Job(Path(sys.argv[1])))
