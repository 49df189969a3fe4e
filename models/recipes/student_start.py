"""What a child begins with: a vocabulary for the new language, and for each of its pieces an embedding of the parent's.

The parent translates English sentences into Portuguese; IBM model 1 (Brown et al. 1993) aligns the pieces of the other
language with the Portuguese ones, and each new piece starts as the weighted mean of its images.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from torch import Tensor

from engine.backends.marian.decoding import translate
from engine.backends.marian.files import Translator, Vocabulary, read_vocabulary
from engine.backends.marian.model import EOS, UNKNOWN, Shape, Student, build
from models.recipes.student_data import Pair

ROUNDS = 5
LEAST_SHARE = 0.03
"""Images less likely than this are left out of the mean."""
MAX_WORDS = 18
CHUNK = 1024


def make_vocabulary(texts: Sequence[str], size: int, path: Path, threads: int) -> Vocabulary:
    """A SentencePiece vocabulary of the texts, with the parent's ids for end and unknown."""
    if not path.is_file():
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, vocab_size=size, model_type="unigram",
            character_coverage=0.9998, eos_id=EOS, unk_id=UNKNOWN, bos_id=-1, pad_id=-1, num_threads=threads,
            minloglevel=2,
        )  # fmt: skip
        path.write_bytes(model.getvalue())
    return read_vocabulary(path)


def images(parent: Translator, pairs: Sequence[Pair], path: Path) -> list[Pair]:
    """Portuguese for the English of these pairs, beside their other side: (Portuguese, other). Kept in `path`."""
    if path.is_file():
        return [(pair[0], pair[1]) for pair in json.loads(path.read_text(encoding="utf-8"))]
    sources = [[*parent.source.encode(english), EOS] for english, _ in pairs]
    order = sorted(range(len(pairs)), key=lambda place: len(sources[place]))
    found: list[Pair] = []
    for start in range(0, len(order), CHUNK // 8):
        places = order[start : start + CHUNK // 8]
        done = translate(parent.student, [sources[place] for place in places], parent.shortlist)
        found += [(parent.target.decode(ids), pairs[place][1]) for place, ids in zip(places, done, strict=True)]
        if start % (CHUNK * 2) == 0:
            print(f"{start} of {len(order)} sentences translated by the parent", flush=True)
    path.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    return found


def align(rows: Sequence[tuple[list[int], list[int]]], size: int, image_size: int) -> Tensor:
    """IBM model 1: the probability of each image piece for each new piece, as a sparse (size, image_size) matrix.

    A row `size` stands for no piece at all and takes what nothing explains.
    """
    keys, groups, group = [], [], 0
    for new, image in rows:
        news, imaged = np.array([*new, size]), np.array(image)
        keys.append((news[None] * image_size + imaged[:, None]).ravel())
        groups.append(np.repeat(np.arange(group, group + len(imaged)), len(news)))
        group += len(imaged)
    every, index = np.unique(np.concatenate(keys), return_inverse=True)
    place, owner = np.concatenate(groups), every // image_size
    probability = np.ones(len(every))
    for _ in range(ROUNDS):
        share = probability[index]
        share /= np.bincount(place, share, minlength=group)[place]
        expected = np.bincount(index, share, minlength=len(every))
        probability = expected / np.bincount(owner, expected)[owner]
    kept = (probability >= LEAST_SHARE) & (owner < size) & (expected > 0.5)
    where = torch.from_numpy(np.stack([owner[kept], every[kept] % image_size]))
    return torch.sparse_coo_tensor(where, torch.from_numpy(probability[kept]).float(), (size, image_size)).coalesce()


def begin(
    parent: Translator, side: str, vocabulary: Vocabulary, rows: Sequence[Pair]
) -> tuple[Student, dict[str, int]]:
    """The child before training, and how its pieces begin; `side` ("source" or "target") is the new one."""
    known = parent.target if side == "target" else parent.source
    aligned = align([(vocabulary.encode(b), known.encode(a)) for a, b in rows if a and b], len(vocabulary), len(known))
    mixing, counts = _mixing(aligned, vocabulary, known)
    old = parent.student
    embedding = torch.sparse.mm(mixing, old.source_embedding.weight.detach())
    weights = {name: value.detach().clone() for name, value in old.state_dict().items()}
    weights["target_embedding.weight"] = weights["source_embedding.weight"].clone()
    weights[f"{side}_embedding.weight"] = embedding
    if side == "target":
        weights["output_bias"] = torch.sparse.mm(mixing, old.output_bias.detach()[:, None])[:, 0]
    sizes = (len(vocabulary), len(known)) if side == "source" else (len(known), len(vocabulary))
    shape = Shape(**old.shape.as_dict() | {"source_size": sizes[0], "target_size": sizes[1]})
    return build(shape, weights), counts


def _mixing(aligned: Tensor, vocabulary: Vocabulary, known: Vocabulary) -> tuple[Tensor, dict[str, int]]:
    """For each new piece its shares in the parent's pieces: the same piece for what is no word, else its images, else
    its parts."""
    rows: dict[int, list[tuple[int, float]]] = {}
    for (new, image), share in zip(aligned.indices().T.tolist(), aligned.values().tolist(), strict=True):
        rows.setdefault(new, []).append((image, share))
    counts = {"same": 0, "images": 0, "parts": 0}
    entries: list[tuple[int, int, float]] = []
    for id in range(len(vocabulary)):
        piece = vocabulary.pieces.id_to_piece(id)
        same = known.pieces.piece_to_id(piece)
        if id in (EOS, UNKNOWN) or (same != UNKNOWN and not re.search(r"[^\W\d_]", piece)):
            kind, shares = "same", [(id if id in (EOS, UNKNOWN) else same, 1.0)]
        elif id in rows:
            kind, shares = "images", rows[id]
        else:
            parts = known.encode(piece.replace("\u2581", " ").strip()) or [UNKNOWN]
            kind, shares = "parts", [(part, 1.0) for part in parts]
        counts[kind] += 1
        total = sum(share for _, share in shares)
        entries += [(id, image, share / total) for image, share in shares]
    where = torch.tensor([[id for id, _, _ in entries], [image for _, image, _ in entries]])
    values = torch.tensor([share for _, _, share in entries])
    return torch.sparse_coo_tensor(where, values, (len(vocabulary), len(known))).coalesce(), counts
