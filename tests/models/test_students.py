"""The recipe of the students' children, whole, on a few sentences and a small random parent."""

from __future__ import annotations

import argparse
import lzma
import random
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from engine.backends.marian.files import open_student
from engine.backends.marian.model import EOS
from models.recipes import smoothed_loss, student_export, students
from models.recipes.student_data import marked, read_pairs
from models.recipes.student_export import cut, export, write_card
from models.recipes.student_start import align
from models.recipes.students import Trainer, open_parent, open_run, train
from tests.backends import marian_files
from tests.backends.checkpoints import CORPUS

PAIRS = [(english, english.upper()) for english in CORPUS[:8]] * 30
SIZE = 70


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as the recipe reads them, of made-up sentences."""
    folder = tmp_path_factory.mktemp("data") / "translation"
    (folder / "ntrex").mkdir(parents=True)
    pool = [f"tatoeba\t{a}\t{b}" for a, b in PAIRS] + ["newstest\tNot this one.\tPas celle-ci."]
    with lzma.open(folder / "en-fr.train.tsv.xz", "wt", encoding="utf-8") as file:
        file.write("\n".join(pool) + "\n")
    for name, side in (("eng_Latn", 0), ("fra_Latn", 1)):
        lines = [f"{PAIRS[place % 8][side]}" for place in range(997)]
        (folder / f"flores200.{name}.dev").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, side in (("src.eng", 0), ("ref.fra", 1)):
        (folder / "ntrex" / f"newstest2019-{name}.txt").write_text("\n".join(pair[side] for pair in PAIRS[:5]) + "\n")
    return folder.parent


def options(data: Path, parent: Path, run: Path, pair: str = "en-fr") -> argparse.Namespace:
    return argparse.Namespace(
        pair=pair, data=data, parent=parent, head=None, run=run, start=None, threads=1, vocabulary=SIZE
    )


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    open_student("Parent", folder, marian_files.publish(folder))
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(marian_files.vocabulary())
    for path in (folder / "student").iterdir():
        path.rename(folder / path.name)
    return folder


def test_sets_that_may_not_be_shipped_or_read_stay_out(data: Path) -> None:
    pairs = read_pairs(data, "fr", random.Random(1))
    assert len(pairs.many) == len(PAIRS) and len(pairs.best) == 505 and len(pairs.choosing) == 197
    assert not any("Not this" in english for english, _ in pairs.many)


def test_literals_of_both_sides_are_marked() -> None:
    assert marked("Run `ls` at €5.", "Lancez `ls` pour 5 €.") == ("Run X1 at €5.", "Lancez X1 pour 5 €.")


def test_model_one_finds_what_goes_together() -> None:
    rows = [([2, 3], [5, 6]), ([2], [5]), ([3, 4], [6, 7]), ([4], [7])] * 3
    found = align(rows, 8, 9).to_dense()
    assert [int(found[new].argmax()) for new in (2, 3, 4)] == [5, 6, 7]
    assert float(found[2, 5]) > 0.8


def test_a_cut_vocabulary_spells_what_it_used_to() -> None:
    whole = marian_files.vocabulary()
    smaller, kept = cut(whole, set(range(40)))
    assert kept[:2] == [0, 1] and len(kept) < marian_files.VOCABULARY
    assert len(smaller) < len(whole)


@pytest.mark.parametrize("pair", ["en-fr", "fr-en"])
def test_a_child_learns_goes_on_and_is_exported(
    data: Path, parent: Path, tmp_path: Path, pair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(students, "dev_bleu", lambda student, task: 1.0)  # which would take most of the time
    torch.manual_seed(1)
    torch.set_num_threads(1)
    given = options(data, parent, tmp_path, pair)
    task, child = open_run(given)
    trainer = Trainer(task, child, tmp_path)
    rows = next(task.batches(1, 0.5))
    assert all(side[-1] == EOS for row in rows for side in row)
    first = trainer.step(rows, 1.0)
    losses = [trainer.step(rows, 1.0) for _ in range(15)]
    assert losses[-1] < first
    train(trainer, trainer.progress.tokens + 1500, tmp_path)
    again_task, again_child = open_run(given)
    again = Trainer(again_task, again_child, tmp_path)
    assert again.load(tmp_path) and again.progress.tokens == trainer.progress.tokens
    for name, value in trainer.student.named_parameters():
        assert torch.equal(value, dict(again.student.named_parameters())[name])
    mixed = Trainer(again_task, again_child, tmp_path, is_mixed=True)
    first = mixed.step(rows, 1.0)
    assert min(mixed.step(rows, 1.0) for _ in range(5)) < first
    assert {value.dtype for value in mixed.named.values()} == {torch.float32}
    quick = Trainer(again_task, again_child, tmp_path, is_quick=True)
    before = {name: value.detach().clone() for name, value in quick.named.items()}
    quick.step(rows, 1.0)
    same = {name.split(".")[0] for name, value in quick.named.items() if torch.equal(value, before[name])}
    assert same == ({"encoder", "source_embedding"} if pair == "en-fr" else {"target_embedding", "output_bias"})
    again = Trainer(*open_run(given), tmp_path)
    assert again.load(tmp_path)
    train(again, again.progress.tokens + 500, tmp_path / "finished", again.progress.tokens)
    given.to = tmp_path / "shipped"
    rounded_from = export(pair, tmp_path, tmp_path / "finished", given.to)
    shipped = open_student(pair, given.to)
    assert shipped.beam_size == student_export.BEAM_SIZE
    name = "encoder.0.feed.inner.weight"  # one that no vocabulary cuts
    begun, half = (
        export(pair, tmp_path, tmp_path / "finished", tmp_path / str(keep), keep).state_dict()[name]
        for keep in (1.0, 0.5)
    )
    assert torch.equal(begun, open_run(given)[1].state_dict()[name])
    torch.testing.assert_close(half, (begun + rounded_from.state_dict()[name]) / 2)
    for name in ("HELD_OUT", "CHOOSING"):
        monkeypatch.setattr(student_export, name, slice(0, 2))
    facts = write_card(given, tmp_path / "finished", rounded_from, shipped)
    card = (given.to / "README.md").read_text()
    figures = [f"{facts[f'held_{kind}']:.1f}" for kind in ("float", "int8", "served")]
    assert f"| {' | '.join(figures)} |" in card and "{" not in card.replace("{ } \\", "")
    given.start, given.run = given.to, tmp_path / "anew"
    again_task, again_child = open_run(given)
    assert again_child.shape == shipped.student.shape
    english = 0 if pair.startswith("en-") else 1
    assert len(again_task.vocabularies[english]) == len((shipped.source, shipped.target)[english])
    assert shipped.student.shape.target_size and open_parent(parent).student.shape.target_size == 0


@pytest.mark.parametrize("rows", [3, smoothed_loss.ROWS, 2 * smoothed_loss.ROWS + 5])
def test_the_loss_by_a_few_rows_is_torchs_own(rows: int) -> None:
    torch.manual_seed(2)
    given = [torch.randn(rows, 8), torch.randn(50, 8), torch.randn(50)]
    targets = torch.randint(0, 50, (rows,))
    sides = []
    for is_ours in (True, False):
        leaves = [one.clone().requires_grad_() for one in given]
        if is_ours:
            loss = smoothed_loss.smoothed_loss(*leaves, targets, 0.1)
        else:
            loss = F.cross_entropy(F.linear(*leaves), targets, label_smoothing=0.1)
        (2 * loss).backward()
        sides.append([loss.detach(), *(one.grad for one in leaves)])
    for ours, theirs in zip(*sides, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_loss_over_some_words_is_the_whole_one_in_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    states, weight, bias = torch.randn(6, 8), torch.randn(50, 8) / 4, torch.randn(50)
    targets = torch.tensor([1, 4, 4, 0, 9, 30])
    whole = float(smoothed_loss.smoothed_loss(states, weight, bias, targets, 0.0))
    assert float(smoothed_loss.sampled_loss(states, weight, bias, targets, 0.0)) == pytest.approx(whole, abs=1e-5)
    monkeypatch.setattr(smoothed_loss, "SAMPLED", 15)
    found = [float(smoothed_loss.sampled_loss(states, weight, bias, targets, 0.0)) for _ in range(200)]
    assert sum(found) / len(found) == pytest.approx(whole, abs=0.1) and len(set(found)) > 100
