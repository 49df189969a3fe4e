"""What travels to the GPU, and what it becomes there: a few compressed files, and batches of token ids out of them.

Sentences travel as text, not as ids: sampling splits (Kudo 2018) needs it, and ids are only an eighth smaller under xz.
Batches depend on the plan's seed and the portion's number alone, so that a resumed run sees what it would have seen.
No torch here: workers that cut sentences into tokens import this module.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from engine.backends.languages import TARGET_TAGS
from engine.errors import InputError
from engine.training.recipes.translators.corpus import Pair, can_write, copies

PAIRS_FILE, PLAN_FILE, TOKENIZER = "pairs.xz", "plan.json", "tokenizer"
HELD_OUT_FILES = {"everyday": "everyday.xz", "dev": "dev.xz"}
CHUNK = 2048
"""Rows that a worker encodes at once."""
BEST_SPLITS = 16
"""Splits of a word that are drawn from."""
MAX_KNOWN_WORDS = 300_000
"""Words whose splits a worker remembers."""
SPANS = 8
"""Widths of batches are multiples of this, which tensor cores like."""
SYNTHETIC = "synthetic"
"""Source of pairs whose other side a model of ours wrote."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides a translator, but for how long it learns."""

    languages: tuple[str, ...] = ("fr", "de", "es", "zh")
    """Other languages than English."""
    directions: str = "both"
    """both, from-english or to-english."""
    vocabulary_size: int = 24_000
    width: int = 384
    heads: int = 6
    encoder_layers: int = 6
    decoder_layers: int = 3
    feed_forward: int = 1536
    dropout: float = 0.1
    label_smoothing: float = 0.1
    batch_tokens: int = 32_768
    """Tokens of a batch with its padding, on its wider side."""
    max_tokens: int = 128
    """Pairs with a longer side are left out."""
    learning_rate: float = 1.2e-3
    """At the end of the warm-up; it then falls with the inverse root of the steps."""
    warmup_steps: int = 1500
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    sampling_share: float = 0.5
    """Share of sentences whose split into tokens is sampled, on either side."""
    sampling_alpha: float = 0.2
    average_decay: float = 0.9995
    """Decay a step of the moving average of the weights, which is what is shipped."""
    portion_rows: int = 200_000
    """Rows that are encoded and sorted by length together."""
    evaluate_every: int = 1000
    """Steps after which held-out pairs are measured and the state is kept."""
    log_every: int = 50
    seed: int = 13

    def __post_init__(self) -> None:
        if self.directions not in ("both", "from-english", "to-english"):
            raise InputError(
                f"directions is {self.directions!r}; choose both, from-english or to-english.", "directions"
            )

    @property
    def digest(self) -> str:
        """Changes with everything but how often is logged."""
        values = {name: value for name, value in asdict(self).items() if name != "log_every"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """A plan from its file. Raises InputError for unknown fields or broken JSON."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["languages"] = tuple(values["languages"])
        if unknown := set(values) - {field.name for field in fields(Plan)}:
            raise InputError(f"The plan has unknown fields: {', '.join(sorted(unknown))}.", param="plan")
        return Plan(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The plan {path.name} cannot be read ({error}).", param="plan") from None


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write pairs as columns, one after another: xz then finds the repeated English of several languages."""
    columns = (
        [pair.english for pair in pairs],
        [pair.other for pair in pairs],
        [f"{pair.language} {pair.source}" for pair in pairs],
    )
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 27}]
    with lzma.open(path, "wb", format=lzma.FORMAT_XZ, filters=filters) as file:
        file.write("\n".join(line for column in columns for line in column).encode())


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file of `write_pairs`. Raises InputError for a damaged one."""
    try:
        with lzma.open(path) as file:
            lines = file.read().decode().split("\n")
        count, rest = divmod(len(lines), 3)
        if rest:
            raise ValueError(f"{len(lines)} lines")
        names = (line.split(" ", 1) for line in lines[2 * count :])
        return [
            Pair(english, other, language, source)
            for english, other, (language, source) in zip(lines[:count], lines[count : 2 * count], names, strict=True)
        ]
    except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
        raise InputError(f"The pairs in {path.name} cannot be read ({error}). Prepare them again.", "pairs") from None


@dataclass(frozen=True)
class Row:
    """A pair in one direction; `to_other` is from English."""

    pair: Pair
    to_other: bool

    @property
    def direction(self) -> str:
        """Such as en-fr."""
        return f"en-{self.pair.language}" if self.to_other else f"{self.pair.language}-en"

    @property
    def sides(self) -> tuple[str, str, str]:
        """Tag, source and target."""
        target = self.pair.language if self.to_other else "en"
        one, other = self.pair.english, self.pair.other
        return TARGET_TAGS[target], *((one, other) if self.to_other else (other, one))


def rows_of(pairs: Sequence[Pair], plan: Plan) -> list[Row]:
    """All rows of the plan's languages and directions.

    A synthetic pair is for one direction, which its source names: `synthetic-en` teaches to write the English side.
    """
    rows = []
    for pair in pairs:
        if pair.language not in plan.languages:
            continue
        for to_other in (True, False):
            is_wanted = plan.directions in ("both", "from-english" if to_other else "to-english")
            if is_wanted and (not to_other or can_write(pair)) and _is_worth(pair, to_other):
                rows.append(Row(pair, to_other))
    return rows


def _is_worth(pair: Pair, to_other: bool) -> bool:
    if not pair.source.startswith(SYNTHETIC):
        return True
    return pair.source == f"{SYNTHETIC}-{pair.language if to_other else 'en'}"


class Encoder:
    """Cuts sentences into the ids of the tokenizer in a folder. A worker keeps one (`encode_rows`).

    No piece goes over a space, so the splits of a sentence are those of its words, drawn one by one. sentencepiece's
    own sampling is not used: the same seed gives other splits in another process.
    """

    def __init__(self, tokenizer: Path) -> None:
        import sentencepiece

        vocabulary = json.loads((tokenizer / "vocab.json").read_text(encoding="utf-8"))
        self._spm = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer / "source.spm"))
        unknown, numbers = vocabulary["<unk>"], range(self._spm.get_piece_size())
        self._ids = np.array([vocabulary.get(self._spm.id_to_piece(n), unknown) for n in numbers], dtype=np.uint16)
        self._scores = np.array([self._spm.get_score(number) for number in numbers])
        self._tags = {tag: vocabulary[tag] for tag in TARGET_TAGS.values() if tag in vocabulary}
        self._end = vocabulary["</s>"]
        self._splits: dict[str, tuple[list[np.ndarray], list[float]]] = {}
        self.pad = vocabulary["<pad>"]

    def source(self, tag: str, text: str, alpha: float = 0.0, rng: np.random.Generator | None = None) -> np.ndarray:
        """Tag, tokens and end, as MarianTokenizer has them for tag and text; with alpha, a split at random."""
        return np.concatenate([[self._tags[tag]], self._tokens(text, alpha, rng), [self._end]]).astype(np.uint16)

    def target(self, text: str, alpha: float = 0.0, rng: np.random.Generator | None = None) -> np.ndarray:
        """Tokens and end."""
        return np.concatenate([self._tokens(text, alpha, rng), [self._end]]).astype(np.uint16)

    def _tokens(self, text: str, alpha: float, rng: np.random.Generator | None) -> np.ndarray:
        words = text.split()
        if not alpha or rng is None or not words:
            return self._ids[np.array(self._spm.encode(text), dtype=np.int64)]
        draws = rng.random(len(words)).tolist()
        return np.concatenate([self._drawn(word, alpha, draw) for word, draw in zip(words, draws, strict=True)])

    def _drawn(self, word: str, alpha: float, draw: float) -> np.ndarray:
        """One of the word's best splits, by its probability to the power of alpha."""
        known = self._splits.get(word)
        if known is None:
            if len(self._splits) >= MAX_KNOWN_WORDS:
                self._splits.clear()
            known = self._splits[word] = self._weighed(word, alpha)
        splits, upto = known
        return splits[min(bisect(upto, draw), len(splits) - 1)]

    def _weighed(self, word: str, alpha: float) -> tuple[list[np.ndarray], list[float]]:
        """The best splits of a word and the sums of their shares up to each."""
        found = self._spm.nbest_encode(word, nbest_size=BEST_SPLITS) or [[]]
        numbers = [np.array(split, dtype=np.int64) for split in found]
        logs = alpha * np.array([self._scores[split].sum() for split in numbers])
        shares = np.exp(logs - logs.max())
        return [self._ids[split] for split in numbers], (shares.cumsum() / shares.sum()).tolist()


_encoders: dict[str, Encoder] = {}


def encode_rows(
    tokenizer: str, sides: Sequence[tuple[str, str, str]], seed: int, share: float, alpha: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ids of sources and targets; the seed decides which sentences are split at random, and how."""
    if tokenizer not in _encoders:
        _encoders[tokenizer] = Encoder(Path(tokenizer))
    encoder, rng = _encoders[tokenizer], np.random.default_rng(seed)
    alphas = np.where(rng.random((len(sides), 2)) < share, alpha, 0.0).tolist()
    return [
        (encoder.source(tag, source, one, rng), encoder.target(target, other, rng))
        for (tag, source, target), (one, other) in zip(sides, alphas, strict=True)
    ]


@dataclass(frozen=True)
class Batch:
    """Ids of (rows, width), filled up with the pad id on the right."""

    source: np.ndarray
    target: np.ndarray


class Portions:
    """The endless row of portions of a training set. `workers` encodes; None does it here."""

    def __init__(self, rows: Sequence[Row], plan: Plan, tokenizer: Path, workers: Executor | None = None) -> None:
        if not rows:
            raise InputError("There are no pairs to learn from. Prepare the data first.", param="pairs")
        self._rows, self._plan, self._tokenizer, self._workers = rows, plan, str(tokenizer), workers
        self._copies = np.array([copies(row.pair) for row in rows])
        self._pad = Encoder(tokenizer).pad
        self._count = max(1, round(float(self._copies.sum()) / plan.portion_rows))
        self._pass = (-1, np.zeros(0, dtype=np.int64))

    def batches(self, number: int) -> list[Batch]:
        """The batches of a portion in the order in which they are learned."""
        rng = np.random.default_rng([self._plan.seed, number])
        pairs = self._encoded(self._chosen(number), number)
        kept = [ids for ids in pairs if max(map(len, ids)) <= self._plan.max_tokens]
        groups = list(group(kept, self._plan.batch_tokens, rng))
        rng.shuffle(groups)
        return [Batch(*(pad([ids[side] for ids in rows], self._pad) for side in (0, 1))) for rows in groups]

    def _chosen(self, number: int) -> np.ndarray:
        """Numbers of the rows of a portion; all portions of a pass together hold each row about `copies` times."""
        which, part = divmod(number, self._count)
        if self._pass[0] != which:
            rng = np.random.default_rng([self._plan.seed, which, 1])
            times = np.floor(self._copies + rng.random(len(self._copies))).astype(np.int64)
            self._pass = (which, rng.permutation(np.repeat(np.arange(len(times)), times)))
        return self._pass[1][part :: self._count]

    def _encoded(self, chosen: np.ndarray, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
        chunks = [chosen[start : start + CHUNK] for start in range(0, len(chosen), CHUNK)]
        share, alpha = self._plan.sampling_share, self._plan.sampling_alpha
        calls = [
            (self._tokenizer, [self._rows[i].sides for i in chunk], _seed(self._plan.seed, number, at), share, alpha)
            for at, chunk in enumerate(chunks)
        ]
        if self._workers is None:
            parts = [encode_rows(*call) for call in calls]
        else:
            parts = [waiting.result() for waiting in [self._workers.submit(encode_rows, *call) for call in calls]]
        return [ids for part in parts for ids in part]


def _seed(*numbers: int) -> int:
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=4).digest(), "big")


def group(
    rows: Sequence[tuple[np.ndarray, np.ndarray]], batch_tokens: int, rng: np.random.Generator | None = None
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Groups of rows of like lengths, each with at most `batch_tokens` on its wider side, padding included."""
    lengths = np.array([[len(source), len(target)] for source, target in rows]).reshape(-1, 2)
    ties = rng.random(len(rows)) if rng is not None else np.zeros(len(rows))
    order = np.lexsort((ties, lengths[:, 0], lengths.max(1, initial=0)))
    taken: list[tuple[np.ndarray, np.ndarray]] = []
    for index in order:
        width = _rounded(int(lengths[index].max()))
        if taken and width * (len(taken) + 1) > batch_tokens:
            yield taken
            taken = []
        taken.append(rows[index])
    if taken:
        yield taken


def pad(ids: Sequence[np.ndarray], with_id: int) -> np.ndarray:
    """Rows of one width, a multiple of eight."""
    filled = np.full((len(ids), _rounded(max(map(len, ids)))), with_id, dtype=np.uint16)
    for row, of in zip(filled, ids, strict=True):
        row[: len(of)] = of
    return filled


def _rounded(width: int) -> int:
    return -(-width // SPANS) * SPANS


def measured_batches(pairs: Sequence[Pair], plan: Plan, tokenizer: Path) -> dict[str, list[Batch]]:
    """Batches of held-out pairs by direction, with the best splits."""
    encoder, rows, found = Encoder(tokenizer), rows_of(pairs, plan), {}
    for direction in sorted({row.direction for row in rows}):
        of = [row.sides for row in rows if row.direction == direction]
        ids = [(encoder.source(tag, source), encoder.target(target)) for tag, source, target in of]
        kept = [row for row in ids if max(map(len, row)) <= plan.max_tokens]
        found[direction] = [
            Batch(*(pad([row[side] for row in taken], encoder.pad) for side in (0, 1)))
            for taken in group(kept, plan.batch_tokens)
        ]
    return found


def write_pack(
    folder: Path, plan: Plan, held_out: Mapping[str, Sequence[Pair]], train: Sequence[Pair]
) -> dict[str, Any]:
    """Write all that travels but the tokenizer; returns the sizes of the files in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    plan.save(folder / PLAN_FILE)
    write_pairs(folder / PAIRS_FILE, train)
    for name, pairs in held_out.items():
        write_pairs(folder / HELD_OUT_FILES[name], pairs)
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
