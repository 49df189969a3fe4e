"""The recipe of the translators on made-up sentences: cleaning, packing, learning in pieces, shipping."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.applications import translate
from engine.errors import InputError, NotFoundError
from engine.training import scratch
from engine.training.config import TrainingConfig
from engine.training.recipes.translators import again, corpus, judge, learn, pack, parcels, ship
from engine.training.recipes.translators.__main__ import main
from engine.training.recipes.translators.corpus import Pair
from engine.training.recipes.translators.pack import Plan
from engine.training.tasks import seq2seq

ANIMALS = {"heron": "héron", "badger": "blaireau", "otter": "loutre", "goose": "oie", "mole": "taupe"}
DOINGS = {"sleeps": "dort", "waits": "attend", "sings": "chante", "eats": "mange"}
PLACES = {"by the mill": "près du moulin", "in the harbour": "dans le port", "under the bridge": "sous le pont"}
TIMES = {"today": "aujourd'hui", "every day": "chaque jour", "at night": "la nuit"}
PAIRS = [
    Pair(f"The {a} {b} {c} {d}.", f"Le {x} {y} {z} {t}.", "fr", "tatoeba" if d == "today" else "europarl")
    for a, x in ANIMALS.items()
    for b, y in DOINGS.items()
    for c, z in PLACES.items()
    for d, t in TIMES.items()
]
PLAN = Plan(
    languages=("fr",), vocabulary_size=420, width=32, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=64,
    dropout=0.1, batch_tokens=512, max_tokens=64, learning_rate=1e-2, warmup_steps=20, average_decay=0.9,
    portion_rows=150, evaluate_every=12, log_every=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of the made-up pairs."""
    folder = tmp_path_factory.mktemp("pack")
    train = sorted(PAIRS[:-12])
    pack.write_pack(folder, PLAN, {"everyday": PAIRS[-12:-6], "dev": PAIRS[-6:]}, train)
    texts = [text for pair in train for text in (pair.english, pair.other)]
    scratch.marian_tokenizer(texts, PLAN.vocabulary_size, folder / pack.TOKENIZER, tags=(">>eng<<", ">>fra<<"))
    (folder / "report.json").write_text(json.dumps({"train": len(train)}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def learned(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two pieces, 24 steps and a last one of 36."""
    folder = tmp_path_factory.mktemp("run")
    torch.set_num_threads(1)
    learn.learn(packed, folder, learn.Piece(steps=24))
    learn.learn(packed, folder, learn.Piece(steps=36, is_last=True))
    return folder


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def losses(folder: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in lines(folder) if "loss" in line}


GOOD = Pair("He waited three hours for the train.", "Il a attendu le train pendant trois heures.", "fr", "tatoeba")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"source": "newstest"}, "source"),
        ({"source": "chat"}, "source"),
        ({"other": "…"}, "without words"),
        ({"english": "word " * 200}, "too long"),
        ({"other": "Il appelle foo_bar() et attend."}, "code"),
        ({"english": "1234 5678 a", "other": "1234 5678 b"}, "few letters"),
        ({"other": "He waited three hours for the Train."}, "copy"),
        ({"other": "Oui."}, "length"),
        ({"english": "He waited 3 hours for it.", "other": "Il a attendu 30 heures."}, "digits"),
        ({"english": "He waited 3 hours for it.", "other": "Il a attendu trois heures."}, ""),
        ({"other": "A-t-il attendu le train pendant trois heures ?"}, "question"),
        ({"other": "Il a attendu le train (pendant trois heures)."}, "brackets"),
    ],
)
def test_a_pair_is_dropped_for_what_is_wrong_with_it(changes: dict[str, str], reason: str) -> None:
    found = corpus.fault(replace(GOOD, **changes))
    assert reason in found and bool(found) == bool(reason)


def test_cleaning_drops_what_is_measured_on_repeated_or_in_another_language() -> None:
    spanish = replace(GOOD, english="She sold the old boat last year.", other="Vendió el viejo barco el año pasado.")
    many = [replace(GOOD, english="Stop it now, please.", other=f"Arrête {word}, s'il te plaît.") for word in "abcdefg"]
    raw = [GOOD, replace(GOOD, english="he waited THREE hours, for the train"), spanish, *many, *PAIRS]
    made = corpus.clean(
        raw, ["The heron, sleeps by the mill today"], lambda text: ("es" if "Vend" in text else "en", 1)
    )
    # the guess calls all else English, so only what is English on both sides or short may stay
    assert made.report.dropped["is in another language"] > 100
    made = corpus.clean(raw, ["The heron, sleeps by the mill today"])
    kept = [*made.train, *made.everyday, *made.dev]
    assert made.report.dropped["is measured on"] == 1 and made.report.dropped["is there already"] == 1
    assert made.report.dropped["is one of too many variants"] == 3
    assert not [pair for pair in kept if pair.english == "The heron sleeps by the mill today."]
    assert sum(made.report.kept.values()) == len(PAIRS) - 1 + 2 + 4


def test_no_sentence_that_is_held_out_is_learned_in_any_language() -> None:
    both = [
        replace(pair, language=language, other=f"{language} {pair.other}")
        for pair in PAIRS
        for language in ("fr", "de")
    ]
    more = [replace(pair, english=f"{pair.english} {n}") for pair in both for n in ("Once", "Twice", "Again", "Always")]
    made = corpus.clean(more, [])
    held = {corpus.key(text) for pair in (*made.everyday, *made.dev) for text in (pair.english, pair.other)}
    assert made.everyday and made.dev and {pair.source for pair in made.everyday} == {"tatoeba"}
    assert not held & {corpus.key(text) for pair in made.train for text in (pair.english, pair.other)}
    assert {pair.english for pair in made.everyday if pair.language == "fr"} == {
        pair.english for pair in made.everyday if pair.language == "de"
    }


def test_tidy_marks_and_what_may_be_written() -> None:
    assert corpus.tidy(". (SV) Je  me\u00a0suis abstenu.") == "Je me suis abstenu."
    assert corpus.tidy("par écrit. - (RO) Le rapport") == "Le rapport"
    assert corpus.tidy("「好」, 我知道,你呢?", "zh") == "“好”, 我知道，你呢？"
    assert corpus.can_write(Pair("", "这个国家很大。", "zh", "")) and not corpus.can_write(
        Pair("", "這個國家很大。", "zh", "")
    )
    assert corpus.can_write(Pair("", "œuvre", "fr", ""))


def test_pairs_travel_whole_and_damage_is_said(tmp_path: Path) -> None:
    file = tmp_path / "pairs.xz"
    pack.write_pairs(file, PAIRS)
    assert pack.read_pairs(file) == PAIRS
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"pairs\.xz cannot be read"):
        pack.read_pairs(file)


def test_ids_are_those_of_the_served_tokenizer_and_sampled_ones_say_the_same(packed: Path) -> None:
    tokenizer, encoder = scratch.load_tokenizer(packed / pack.TOKENIZER), pack.Encoder(packed / pack.TOKENIZER)
    text = "The heron waits, at night: 12 geese?"
    best = encoder.source(">>fra<<", text).tolist()
    assert best == tokenizer(f">>fra<< {text}")["input_ids"]
    assert encoder.target(text).tolist() == tokenizer(text_target=text)["input_ids"]
    sides = [(">>fra<<", text, text)] * 30
    sampled = pack.encode_rows(str(packed / pack.TOKENIZER), sides, 5, 1.0, 0.2)
    again_same = pack.encode_rows(str(packed / pack.TOKENIZER), sides, 5, 1.0, 0.2)
    assert all(
        np.array_equal(a, b)
        for one, two in zip(sampled, again_same, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    assert len({tuple(source.tolist()) for source, _ in sampled}) > 5
    code = (
        "import sys, pathlib, hashlib; from engine.training.recipes.translators import pack; "
        "ids = pack.encode_rows(sys.argv[1], [('>>fra<<', sys.argv[2], sys.argv[2])] * 30, 5, 1.0, 0.2); "
        "print(hashlib.sha256(b''.join(side.tobytes() for row in ids for side in row)).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(packed / pack.TOKENIZER), text]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    here = hashlib.sha256(b"".join(side.tobytes() for row in sampled for side in row)).hexdigest()
    assert elsewhere.stdout.strip() == here, "another process, the same splits"
    assert {tokenizer.decode(target, skip_special_tokens=True) for _, target in sampled} == {text}


def test_portions_hold_every_row_as_often_as_it_should_be_read(packed: Path) -> None:
    rows = pack.rows_of(PAIRS, PLAN)
    portions = pack.Portions(rows, PLAN, packed / pack.TOKENIZER)
    count = round(sum(corpus.copies(row.pair) for row in rows) / PLAN.portion_rows)
    chosen = np.concatenate([portions._chosen(number) for number in range(count)])
    for number, times in zip(*np.unique(chosen, return_counts=True), strict=True):
        assert times == corpus.copies(rows[number].pair)
    batches = portions.batches(0)
    assert all(max(batch.source.size, batch.target.size) <= PLAN.batch_tokens for batch in batches)
    assert sum(len(batch.source) for batch in batches) == len(portions._chosen(0))
    with ThreadPoolExecutor(2) as workers:
        others = pack.Portions(rows, PLAN, packed / pack.TOKENIZER, workers).batches(0)
    assert all(
        np.array_equal(a.source, b.source) and np.array_equal(a.target, b.target)
        for a, b in zip(batches, others, strict=True)
    )


def test_directions_and_synthetic_pairs() -> None:
    chinese = Pair("It is big.", "這個國家很大。", "zh", "tatoeba")
    plan = replace(PLAN, languages=("fr", "zh"))
    assert [row.direction for row in pack.rows_of([GOOD, chinese], plan)] == ["en-fr", "fr-en", "zh-en"]
    assert [row.direction for row in pack.rows_of([GOOD], replace(plan, directions="to-english"))] == ["fr-en"]
    assert pack.rows_of([GOOD], replace(plan, languages=("zh",))) == []
    for source, direction in (("synthetic-en", "fr-en"), ("synthetic-fr", "en-fr")):
        assert [row.direction for row in pack.rows_of([replace(GOOD, source=source)], plan)] == [direction]
    with pytest.raises(InputError, match="from-english"):
        replace(PLAN, directions="sideways")


def test_the_loss_falls_and_the_last_piece_ends_at_rest(packed: Path, learned: Path) -> None:
    curve = losses(learned)
    assert sorted(curve) == list(range(1, 61))
    assert np.mean([curve[step] for step in range(55, 61)]) < 0.65 * np.mean([curve[step] for step in range(1, 5)])
    rates = [line["learning_rate"] for line in lines(learned) if "loss" in line]
    assert max(rates) == pytest.approx(PLAN.learning_rate) and rates[-1] == 0.0
    measured = [line for line in lines(learned) if "eval_loss" in line]
    assert measured[-1]["eval_loss"] < measured[0]["eval_loss"] and "eval_loss_en-fr" in measured[0]
    assert json.loads((learned / "status.json").read_text())["state"] == "finished"
    with pytest.raises(InputError, match="finished"):
        learn.learn(packed, learned, learn.Piece(steps=1))


def test_a_run_in_pieces_gives_the_curve_of_one_in_one_piece(packed: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    learn.learn(packed, tmp_path / "whole", learn.Piece(steps=30))
    learn.learn(packed, tmp_path / "pieces", learn.Piece(steps=24))
    learn.learn(packed, tmp_path / "pieces", learn.Piece(steps=6))
    assert losses(tmp_path / "whole") == losses(tmp_path / "pieces")
    never = learn.Learner(
        replace(PLAN, evaluate_every=1000), scratch.load_tokenizer(packed / pack.TOKENIZER), torch.device("cpu")
    )
    portions = pack.Portions(
        pack.rows_of(pack.read_pairs(packed / pack.PAIRS_FILE), PLAN), PLAN, packed / pack.TOKENIZER
    )
    batches = [batch for number in range(6) for batch in portions.batches(number)][:30]
    unkept = [float(never.learn(batch)[0]) for batch in batches]
    kept = list(losses(tmp_path / "whole").values())
    assert unkept[:12] == pytest.approx(kept[:12]), (
        "until the state is kept for the first time, at step 12, nothing differs"
    )
    assert unkept[-6:] == pytest.approx(kept[-6:], rel=0.08), "and what is lost in keeping it does not show"


def test_a_piece_ends_in_time_or_when_asked_and_leaves_its_state(packed: Path, tmp_path: Path) -> None:
    learn.learn(packed, tmp_path, learn.Piece(seconds=learn.LEAVE_SECONDS, started=0.0))
    state, about = parcels.read(tmp_path / "state")
    assert about["step"] == 1 and about["plan"] == PLAN.digest
    sizes = {tensor.dtype: tensor.numel() for tensor in state.values()}
    assert sizes.keys() == {torch.float16, torch.float32}
    stop = learn.threading.Event()
    stop.set()
    learn.learn(packed, tmp_path, learn.Piece(steps=9), stop=stop)
    assert parcels.read(tmp_path / "state")[1]["step"] == 2
    other = tmp_path / "other"
    pack.write_pack(other, replace(PLAN, learning_rate=1e-3), {"everyday": PAIRS[:2], "dev": PAIRS[:2]}, PAIRS)
    shutil.copytree(packed / pack.TOKENIZER, other / pack.TOKENIZER)
    with pytest.raises(InputError, match="another plan"):
        learn.learn(other, tmp_path, learn.Piece(steps=1))


def test_a_last_piece_plans_its_end_from_its_pace() -> None:
    place, now = learn.Place(step=1200), learn.time.monotonic()
    piece = learn.Piece(seconds=515, is_last=True, started=now)
    learn._plan_end(place, 1000, piece, [now - 18])
    assert place.finish == 0
    learn._plan_end(place, 1000, piece, [now - 18, now])
    assert place.cool_from == 1200 and place.finish == pytest.approx(1200 + 10 * 500 * 0.93, abs=20)
    plan = replace(PLAN, learning_rate=1.0, warmup_steps=1)
    halfway = (place.cool_from + place.finish) // 2
    ratio = learn.rate(plan, replace(place, step=halfway)) / learn.rate(plan, learn.Place(step=halfway))
    assert ratio == pytest.approx(0.5, abs=0.01) and learn.rate(plan, replace(place, step=place.finish)) == 0


def test_parcels_come_in_small_parts_and_survive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "PART_BYTES", 1000)
    tensors = {"a": torch.arange(900, dtype=torch.float32), "b": torch.ones(3, 5, dtype=torch.float16)}
    parcels.write(tmp_path / "state", tensors, {"step": 7})
    parts = [file for file in (tmp_path / "state").iterdir() if file.name != parcels.ABOUT]
    assert len(parts) > 2 and all(part.stat().st_size <= 1000 for part in parts)
    (tmp_path / "state").rename(tmp_path / "state.old")  # killed between the two renames
    found, about = parcels.read(tmp_path / "state")
    assert parcels.exists(tmp_path / "state") and about["step"] == 7 and torch.equal(found["a"], tensors["a"])
    parcels.write(tmp_path / "state", tensors, {"step": 8})
    (tmp_path / "state" / "01").write_bytes(b"?" * 1000)
    with pytest.raises(InputError, match="damaged"):
        parcels.read(tmp_path / "state")
    (tmp_path / "state" / "01").unlink()
    with pytest.raises(NotFoundError, match="missing"):
        parcels.read(tmp_path / "state")


def test_an_exported_translator_is_served_measured_and_has_a_card(packed: Path, learned: Path, tmp_path: Path) -> None:
    folder, data = tmp_path / "own-translator", tmp_path / "data"
    data.mkdir()
    for language, texts in {"en": [p.english for p in PAIRS[:4]], "fr": [p.other for p in PAIRS[:4]]}.items():
        (data / f"flores200.{corpus.FLORES[language]}.dev").write_text("\n".join(texts) + "\n", encoding="utf-8")
    ship.save_model(packed, learned, folder)
    found = judge.evaluate(folder, ["en-fr", "fr-en"], data=data, everyday=PAIRS[-12:-8], lines=4)
    for row in found["directions"].values():
        assert set(row) == set(judge.COLUMNS) and row["words/s"] > 0
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps(found), encoding="utf-8")
    assert (
        main(["export", *map(str, ("--pack", packed, "--run", learned, "--model", folder, "--evaluation", figures))])
        == 0
    )
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("icen", "Data", "python -m engine.training", "| en-fr | ", "60 steps", "Tatoeba", ">>fra<<"):
        assert part in card, part
    assert json.loads((folder / "config.json").read_text())["prompt_style"] == "tags"
    request = translate.ask(judge.entry(folder, ["fr"]), "The otter waits.", "en", "fr")
    assert request.prompt == ">>fra<< The otter waits."


def test_an_exported_translator_is_fine_tuned_with_its_tags(packed: Path, learned: Path, tmp_path: Path) -> None:
    ship.save_model(packed, learned, tmp_path / "base")
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"source": p.english, "target": p.other}) + "\n" for p in PAIRS[:6]))
    config = TrainingConfig(
        task="translation", base=str(tmp_path / "base"), train_file=str(file), validation_file=str(file),
        source_language="en", target_language="fr", max_target_length=32,
    )  # fmt: skip
    lesson = seq2seq.translation(config, tmp_path)
    tag = lesson.tokenizer.convert_tokens_to_ids(">>fra<<")
    assert all(feature["input_ids"][0] == tag != feature["labels"][0] for feature in lesson.train_set)
    assert lesson.settings({}) == {"prompt_style": "tags"}
    with pytest.raises(InputError, match="target_language"):
        seq2seq.translation(replace(config, target_language="it"), tmp_path)


def test_a_translator_writes_pairs_for_another_to_learn_from(packed: Path, learned: Path) -> None:
    model, tokenizer, about = ship.load_translator(packed, learned)
    assert about["step"] == 60
    pairs = [replace(pair, language="de", other="x") for pair in PAIRS[:4]]
    for teaches, source in (("written", "synthetic-fr"), ("read", "synthetic-en")):
        found = again.synthesise(model, tokenizer, pairs, "fr", reads="en", teaches=teaches, limit=4)  # type: ignore[arg-type]
        assert {pair.source for pair in found} <= {source} and {pair.english for pair in found} <= {
            p.english for p in pairs
        }
    assert learn.rows_of([Pair("a", "b", "fr", source)], PLAN)[0].direction == "fr-en"


def test_prepare_from_files_to_a_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder = tmp_path / "translation", tmp_path / "pack"
    data.mkdir()
    for language in ("en", "fr"):
        text = PAIRS[0].english if language == "en" else PAIRS[0].other
        (data / f"flores200.{corpus.FLORES[language]}.dev").write_text(text + "\n", encoding="utf-8")
    rows = [f"{pair.source}\t{pair.english}\t{pair.other}" for pair in PAIRS if pair.source == "tatoeba"]
    with lzma.open(data / "en-fr.train.tsv.xz", "wt", encoding="utf-8") as file:
        file.write("\n".join([*rows, "newstest\tA bridge fell.\tUn pont est tombé.", "broken line"]) + "\n")
    with lzma.open(data / "europarl.en-fr.tsv.xz", "wt", encoding="utf-8") as file:
        file.write("".join(f"{pair.english}\t{pair.other}\n" for pair in PAIRS if pair.source == "europarl"))
    settings = ("--set", "languages=fr", "--set", "vocabulary_size=420", "--set", "dropout=0.2")
    assert main(["prepare", "--data", str(data), "--pack", str(folder), "--unchecked", *settings]) == 0
    plan = pack.read_plan(folder / pack.PLAN_FILE)
    assert (plan.languages, plan.vocabulary_size, plan.dropout) == (("fr",), 420, 0.2)
    train = pack.read_pairs(folder / pack.PAIRS_FILE)
    assert train and {pair.source for pair in train} == {"tatoeba", "europarl"} and PAIRS[0] not in train
    assert len(scratch.load_tokenizer(folder / pack.TOKENIZER)) <= 420
    assert "is measured on" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no 'depth'"):
        main(["prepare", "--data", str(data), "--pack", str(folder), "--set", "depth=3"])
