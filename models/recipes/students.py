"""How the translators for French, Spanish and German were made from the English-Portuguese ones of Firefox.

    python -m models.recipes.students en-fr --data DATA --parent ENPT --run RUN [--threads 2] [--tokens 12e6]
    python -m models.recipes.students en-fr --data DATA --parent ENPT --run RUN --finish 2e6

DATA holds `translation/`; ENPT is the parent's folder in the cache (of fr-en, `--parent ENPT --head PTEN`: the first
translates English for the alignment, the second is the parent). The first form trains at an even rate until it has seen
so many target tokens, and goes on from its checkpoint when started again; the second takes its checkpoint and lets the
rate fall to nothing, on better data, into RUN/finished, which leaves the checkpoint as it is. With `--quick` the first
sees twice as many tokens an hour on a processor without bfloat16; whether each is worth as much is not known: en-de had
BLEU 15.1 on the lines that choose after 4.8 M tokens so, 16.6 after 4.5 M without. A new run with
`--start models/student-en-fr` begins with what ships instead of the parent. With `LD_PRELOAD=libtcmalloc_minimal.so.4`
a step takes a seventh less: the C library looks long for room of a new size.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from engine.backends.marian.files import Translator, Vocabulary, open_student, read_vocabulary
from engine.backends.marian.model import EOS, Student, build, pad, shape_of
from engine.catalogue.models import read_catalogue
from engine.catalogue.sources.package import Package
from engine.files import read_json
from models.recipes.pieces import batches_of, filled, follow, put_back, tensors_of
from models.recipes.smoothed_loss import sampled_loss, smoothed_loss
from models.recipes.student_data import Pair, Pairs, read_pairs
from models.recipes.student_start import MAX_WORDS, begin, images, make_vocabulary
from models.recipes.student_translations import translated

SEED = 16
VOCABULARY_SIZE = 12_000
VOCABULARY_TEXTS = 300_000
ALIGNED_PAIRS = 16_000
BATCH_TOKENS = 3000
"""Target tokens of a batch, padding included."""
MAX_PIECES = 100
LENGTH_STEP = 4
"""Batches are filled up to a multiple of so many pieces."""
CHUNK_ROWS = 16_000
RATES = {
    "target": {
        "target_embedding": 1e-3,
        "output_bias": 1e-3,
        "decoder": 7e-4,
        "encoder": 2e-4,
        "source_embedding": 5e-5,
    },
    "source": {
        "source_embedding": 1e-3,
        "encoder": 2e-4,
        "decoder": 5e-5,
        "target_embedding": 5e-5,
        "output_bias": 5e-5,
    },
}
"""Rate by part, for the side whose language is new: the rest knows its work and is to keep it."""
STILL = {"target": ("encoder.", "source_embedding."), "source": ("target_embedding.", "output_bias")}
"""What a quick run leaves as it is: of English sources all that reads them."""
WARM_STEPS = 150
SMOOTHING = 0.1
AVERAGE_DECAY = 0.9985
BEST_SHARE, BEST_SHARE_AT_END = 0.05, 0.35
CHECKPOINT_SECONDS = 600.0
START, ENGLISH, OTHER = "start.json", "english.spm", "other.spm"
Row = tuple[list[int], list[int]]


@dataclass
class Progress:
    """What a checkpoint tells beside weights."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    chunks: int = 0
    best_bleu: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Direction:
    """One direction: which side is new, and what it is trained and chosen on."""

    pair: str
    vocabularies: tuple[Vocabulary, Vocabulary]
    many: list[Row]
    best: list[Row]
    choosing: list[Pair]

    @property
    def side(self) -> str:
        return "target" if self.pair.startswith("en-") else "source"

    def batches(self, chunk: int, best_share: float) -> Iterator[list[Row]]:
        """Batches of like lengths, in an order of their own; the same for the same chunk."""
        rng = random.Random(f"{SEED}-{chunk}")
        count = int(CHUNK_ROWS * best_share)
        rows = rng.sample(self.many, min(len(self.many), CHUNK_ROWS - count))
        rows += rng.choices(self.best, k=count)
        # The encoder has three times the decoder's layers, so that sources are what pads least.
        rows.sort(key=lambda row: (len(row[0]) // 2, len(row[1]), rng.random()))
        yield from batches_of(rows, lambda row: filled(max(map(len, row)), LENGTH_STEP), BATCH_TOKENS, rng)


class Trainer:
    """Weights, their running mean, Adam's moments, and how far it is."""

    def __init__(
        self, task: Direction, student: Student, folder: Path, *, is_mixed: bool = False, is_quick: bool = False
    ) -> None:
        self.task, self.student, self.folder = task, student.train(), folder
        self.is_mixed, self.is_quick = is_mixed, is_quick
        self.progress = Progress()
        self.rates = RATES[task.side]
        self.named = dict(student.named_parameters())
        groups: list[dict[str, Any]] = [
            {"params": [value for name, value in self.named.items() if name.startswith(part)], "lr": rate, "part": part}
            for part, rate in self.rates.items()
        ]
        assert sum(len(group["params"]) for group in groups) == len(self.named)
        for name, value in self.named.items():
            value.requires_grad_(not (is_quick and name.startswith(STILL[task.side])))
        self.adam = torch.optim.Adam(groups, betas=(0.9, 0.98), eps=1e-9, fused=True)
        self.mean = {name: value.detach().clone() for name, value in self.named.items()}

    def step(self, rows: list[Row], rate: float) -> float:
        """One batch; the loss by token, smoothing included."""
        loss, tokens = self._loss(rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        warm = min(1.0, (self.progress.steps + 1) / WARM_STEPS)
        for group in self.adam.param_groups:
            group["lr"] = self.rates[group["part"]] * rate * warm
        self.adam.step()
        self.adam.zero_grad()
        self.progress.steps += 1
        self.progress.tokens += tokens
        follow(self.mean, self.named, self.progress.steps, AVERAGE_DECAY)
        return float(loss.detach())

    def _loss(self, rows: list[Row]) -> tuple[Tensor, int]:
        sources, lengths = _padded([source for source, _ in rows])
        targets, target_lengths = _padded([target for _, target in rows])
        is_real = torch.arange(targets.shape[1])[None] < torch.tensor(target_lengths)[:, None]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_mixed):
            states, _ = self.student.decode(self.student.encode(sources, lengths), targets)
        weight, bias = self.student.target_embedding.weight, self.student.output_bias
        dtype = torch.bfloat16 if self.is_mixed else torch.float32
        judge = sampled_loss if self.is_quick else smoothed_loss
        return judge(states[is_real], weight, bias, targets[is_real], SMOOTHING, dtype), sum(target_lengths)

    def averaged(self) -> Student:
        """The student with the running mean of its weights."""
        return build(self.student.shape, {name: value.clone() for name, value in self.mean.items()})

    def bleu(self) -> float:
        """Of the averaged student, on the lines that choose."""
        return dev_bleu(self.averaged(), self.task)

    def save(self, folder: Path) -> None:
        """Write a checkpoint that replaces the one before."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors_of(self.named, self.mean, self.adam), folder / "checkpoint.new")
        (folder / "checkpoint.new").replace(folder / "checkpoint.safetensors")
        text = json.dumps(asdict(self.progress) | {"shape": self.student.shape.as_dict()}, indent=1)
        (folder / "progress.json").write_text(text, encoding="utf-8")

    def load(self, folder: Path) -> bool:
        """Go on from a checkpoint, if there is one."""
        path = folder / "checkpoint.safetensors"
        if not path.is_file():
            return False
        told = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        told.pop("shape")
        self.progress = Progress(**told)
        put_back(load_file(path), self.named, self.mean, self.adam, self.progress.steps)
        return True

    def report(self, loss: float, started: float, folder: Path) -> None:
        """Measure, keep a checkpoint, note it and print a line."""
        now = self.progress
        bleu = self.bleu()
        now.best_bleu = max(now.best_bleu, bleu)
        speed = now.tokens / max(1.0, now.seconds)
        note = {"tokens": now.tokens, "steps": now.steps, "loss": round(loss, 3), "bleu": round(bleu, 2)}
        now.history.append(note | {"seconds": round(now.seconds)})
        self.save(folder)
        print(
            f"{time.strftime('%H:%M')} {now.tokens / 1e6:.2f} M target tokens, {now.steps} steps, loss {loss:.3f}, "
            f"BLEU {bleu:.2f} on {len(self.task.choosing)} lines, {speed:.0f} tokens/s, {now.seconds / 60:.0f} min",
            flush=True,
        )


def _padded(rows: list[list[int]]) -> tuple[Tensor, list[int]]:
    ids, lengths = pad(rows)
    return F.pad(ids, (0, -ids.shape[1] % LENGTH_STEP), value=EOS), lengths


def dev_bleu(student: Student, task: Direction) -> float:
    """BLEU of greedy translations of the lines that choose."""
    import sacrebleu

    texts = [pair[0 if task.side == "target" else 1] for pair in task.choosing]
    references = [pair[1 if task.side == "target" else 0] for pair in task.choosing]
    outputs = translated(student, task.vocabularies, texts)
    way = "zh" if task.pair.endswith("-zh") else "13a"
    return float(sacrebleu.corpus_bleu(outputs, [references], tokenize=way).score)


def open_parent(folder: Path) -> Translator:
    """A student in the cache, by the entry of the catalogue whose files these are; or one of ours."""
    for model in read_catalogue().models.values():
        files = model.source.files if isinstance(model.source, Package) and model.runtime == "marian" else {}
        if files and all((folder / name).is_file() for name in files):
            return open_student(model.title, folder, files)
    return open_student(folder.name, folder)


def open_run(options: argparse.Namespace) -> tuple[Direction, Student]:
    """The untrained child, and the pairs as ids; made once, kept in the run's folder."""
    run: Path = options.run
    run.mkdir(parents=True, exist_ok=True)
    if not (run / START).is_file():
        _begin(options, run)
    told, tensors = json.loads((run / START).read_text(encoding="utf-8")), load_file(run / "start.safetensors")
    child = build(shape_of(told["shape"]), {name[6:]: value for name, value in tensors.items() if name[:6] == "child."})
    english, other = read_vocabulary(run / ENGLISH), read_vocabulary(run / OTHER)
    both = (english, other) if options.pair.startswith("en-") else (other, english)
    many, best = _unpacked(tensors, "many"), _unpacked(tensors, "best")
    choosing = [(pair[0], pair[1]) for pair in told["choosing"]]
    return Direction(options.pair, both, many, best, choosing), child


def _begin(options: argparse.Namespace, run: Path) -> None:
    """The child's first weights, its vocabularies, and all pairs cut into pieces."""
    rng = random.Random(SEED)
    pairs = read_pairs(options.data, options.pair.replace("en", "").strip("-"), rng)
    print(f"{len(pairs.many)} pairs, {len(pairs.best)} of the best, {len(pairs.choosing)} that choose", flush=True)
    side = "target" if options.pair.startswith("en-") else "source"
    before = {}
    if options.start:
        before = read_json(options.start / "config.json").get("learned", {})
        shipped = open_student(options.pair, options.start)
        state = shipped.student.state_dict()
        child = build(shipped.student.shape, {name: value.float() for name, value in state.items()})
        english, other = (shipped.source, shipped.target) if side == "target" else (shipped.target, shipped.source)
    else:
        child, english, other = _from_parent(options, pairs, side, rng)
    for name, vocabulary in ((ENGLISH, english), (OTHER, other)):
        (run / name).write_bytes(vocabulary.pieces.serialized_model_proto())
    tensors = {f"child.{name}": value for name, value in child.state_dict().items()}
    for name, given in (("many", pairs.many), ("best", pairs.best)):
        tensors |= _packed(name, _rows(given, side, english, other))
    save_file({name: value.clone() for name, value in tensors.items()}, run / "start.safetensors")
    told = {"shape": child.shape.as_dict(), "choosing": pairs.choosing, "before": before}
    (run / START).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


def _from_parent(
    options: argparse.Namespace, pairs: Pairs, side: str, rng: random.Random
) -> tuple[Student, Vocabulary, Vocabulary]:
    """A child with a new vocabulary whose pieces are aligned with the parent's; the English and the other pieces."""
    translator = open_parent(options.parent)
    parent = open_parent(options.head) if options.head else translator
    texts = [other for _, other in pairs.best + rng.sample(pairs.many, min(len(pairs.many), VOCABULARY_TEXTS))]
    vocabulary = make_vocabulary(texts, options.vocabulary, options.run / OTHER, options.threads)
    short = [pair for pair in pairs.many if len(pair[0].split()) <= MAX_WORDS]
    chosen = pairs.best[:2000] + rng.sample(short, min(len(short), ALIGNED_PAIRS))
    child, counts = begin(parent, side, vocabulary, images(translator, chosen, options.run / "images.json"))
    print(f"pieces by how they begin: {counts}", flush=True)
    return child, parent.source if side == "target" else parent.target, vocabulary


def _rows(pairs: list[Pair], side: str, english: Vocabulary, other: Vocabulary) -> list[Row]:
    made = [([*english.encode(a), EOS], [*other.encode(b), EOS]) for a, b in pairs]
    whole = [(a, b) for a, b in made if max(len(a), len(b)) <= MAX_PIECES and 1 < len(a) < 3 * len(b) + 9]
    return whole if side == "target" else [(b, a) for a, b in whole]


def _packed(name: str, rows: list[Row]) -> dict[str, Tensor]:
    flat = [id for row in rows for side in row for id in side]
    lengths = [len(side) for row in rows for side in row]
    return {f"{name}.ids": torch.tensor(flat, dtype=torch.int32), f"{name}.lengths": torch.tensor(lengths)}


def _unpacked(tensors: dict[str, Tensor], name: str) -> list[Row]:
    ends = tensors[f"{name}.lengths"].cumsum(0).tolist()
    ids = tensors[f"{name}.ids"].tolist()
    sides = [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return list(zip(sides[::2], sides[1::2], strict=True))


def train(trainer: Trainer, until: float, folder: Path, finish_from: int | None = None) -> None:
    """Train until so many target tokens are seen; from `finish_from` on the rate falls to nothing."""
    last_report, losses = time.monotonic(), []
    progress = trainer.progress
    while progress.tokens < until:
        share = BEST_SHARE if finish_from is None else BEST_SHARE_AT_END
        progress.chunks += 1
        for rows in trainer.task.batches(progress.chunks, share):
            begun = time.monotonic()
            rate = 1.0 if finish_from is None else max(0.0, (until - progress.tokens) / (until - finish_from))
            losses.append(trainer.step(rows, rate))
            progress.seconds += time.monotonic() - begun
            if progress.tokens >= until:
                break
            if progress.steps % 20 == 0:
                loss = sum(losses[-20:]) / len(losses[-20:])
                print(f"  step {progress.steps}, {progress.tokens} tokens, loss {loss:.3f}", flush=True)
            if time.monotonic() - last_report > CHECKPOINT_SECONDS:
                trainer.report(sum(losses) / len(losses), begun, folder)
                last_report, losses = time.monotonic(), []
    trainer.report(sum(losses) / max(1, len(losses)), 0.0, folder)


def main() -> None:
    """Train, or finish what was trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair", help="such as en-fr or fr-en")
    for name in ("data", "parent", "run"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--head", type=Path, help="the parent, where another one translates for the alignment")
    parser.add_argument("--start", type=Path, help="a shipped folder to go on from, where its checkpoint is lost")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mixed", action="store_true", help="matrix products in bfloat16 (processors with AMX)")
    parser.add_argument("--quick", action="store_true", help="leave what reads or writes English, and judge few words")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY_SIZE)
    parser.add_argument("--tokens", type=float, default=40e6)
    parser.add_argument("--finish", type=float, help="target tokens over which the rate falls to nothing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    task, child = open_run(options)
    trainer = Trainer(task, child, options.run, is_mixed=options.mixed, is_quick=options.quick)
    if not trainer.load(options.run):
        print(f"before training: BLEU {trainer.bleu():.2f}", flush=True)
    if options.finish is None:
        train(trainer, options.tokens, options.run)
    else:
        start = trainer.progress.tokens
        train(trainer, start + options.finish, options.run / "finished", start)


if __name__ == "__main__":
    main()
