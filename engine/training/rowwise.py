"""One model judged row by row: what it makes of each held-out row, and how good that is. Part of the compare child."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from engine.backends.pytorch.loading import LOCAL
from engine.evaluation.metrics import answer_f1, bleu, chrf, exact_match, perplexity
from engine.settings import available_cores
from engine.training import bases
from engine.training.config import CAUSAL_TASKS, ROLES, Task, TrainingConfig, located
from engine.training.data import IGNORED, NUMBER, Question, Row, collate, question_features, read_questions, read_rows
from engine.training.tasks import answer, causal, classification, seq2seq

GENERATED_TOKENS = 48
OPENING_WORDS = 8
"""Of running text, so many words (half of a short text) are given and the model goes on."""
SHOWN_CHARACTERS = 1_500
BATCH = 8
NO_ANSWER = ""

Report = Callable[[int], None]
"""Called with the number of rows that are done."""


@dataclass(frozen=True)
class Judged:
    """What a model makes of one row."""

    text: str
    score: float


@dataclass(frozen=True)
class Verdict:
    """One model on all rows."""

    rows: tuple[Judged, ...]
    metrics: dict[str, float]
    has_new_head: bool


def read(config: TrainingConfig, folder: Path, limit: int) -> tuple[list[Row], int]:
    """The first `limit` held-out rows of a run, and how many there are. Raises InputError."""
    path = Path(located(config, folder).validation_file)
    if config.task == "answer":
        rows = [
            {
                "question": row.question,
                "passage": row.passage,
                "answer": row.answers[0][0] if row.answers else "",
                NUMBER: str(row.row),
            }
            for row in read_questions(path)
        ]
    else:
        rows = read_rows(path, ROLES[config.task])
    return rows[:limit], len(rows)


def shown(task: Task, row: Row, part: str) -> str:
    """What a person is shown of a row: its "input", or what is "expected"."""
    if task in ("style", "pretraining"):
        opening, rest = _opened(row["text"])
        text = opening if part == "input" else rest
    elif task == "answer":
        text = f"{row['question']}\n\n{row['passage']}" if part == "input" else row["answer"]
    else:
        given, right = ROLES[task]
        text = row[given] if part == "input" else row[right]
    return text[:SHOWN_CHARACTERS]


def judge(config: TrainingConfig, folder: Path, base: str, rows: Sequence[Row], report: Report) -> Verdict:
    """Judge the model in the folder or GGUF file `base` ("" is the untrained one) in float32.

    Raises PeopleError where it cannot be loaded.
    """
    torch.set_num_threads(config.threads or available_cores())
    torch.manual_seed(config.seed)
    config = located(config, folder)
    # What was trained from scratch is a base now, and those are not pre-trained again.
    task: Task = "style" if base and config.task == "pretraining" else config.task
    config = replace(config, task=task, base=base, method="full", is_bf16=False)
    kind = "causal" if config.task in CAUSAL_TASKS else config.task
    judges = {"causal": _causal, "classification": _classification, "answer": _answer}
    try:
        with torch.inference_mode():
            return judges.get(kind, _seq2seq)(config, folder, rows, report)
    finally:
        gc.collect()


def _causal(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """Perplexity of each row's text (or response), and what the model writes itself, the likeliest token each time."""
    model, tokenizer, _ = bases.start(config, folder, "AutoModelForCausalLM")
    model.eval()
    length = bases.longest(config.max_length, model, tokenizer)
    features = [_causal_feature(config, tokenizer, row, length) for row in rows]
    losses = list(_losses(model, features, int(tokenizer.pad_token_id or 0)))
    prompts = [_prompt_ids(config, tokenizer, row)[-length:] for row in rows]
    texts = _continued(model, tokenizer, prompts, report)
    judged = [
        Judged(text[:SHOWN_CHARACTERS], perplexity(loss, count))
        for text, (loss, count) in zip(texts, losses, strict=True)
    ]
    whole = perplexity(sum(loss for loss, _ in losses), sum(count for _, count in losses))
    return Verdict(tuple(judged), {"perplexity": whole}, False)


def _causal_feature(config: TrainingConfig, tokenizer: Any, row: Row, length: int) -> dict[str, Any]:
    if config.task == "instructions":
        return causal.turn_feature(row, tokenizer, length)
    ids = causal.whole_text(tokenizer, row["text"])[:length]
    return {"input_ids": ids, "labels": ids}


def _prompt_ids(config: TrainingConfig, tokenizer: Any, row: Row) -> list[int]:
    if config.task == "instructions":
        return causal.prompt_ids(tokenizer, row["prompt"])
    ids = list(tokenizer(_opened(row["text"])[0], verbose=False)["input_ids"])
    return ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids


def _opened(text: str) -> tuple[str, str]:
    """A running text's opening, which the models are given, and how it goes on."""
    words = text.split()
    count = min(OPENING_WORDS, max(1, len(words) // 2))
    at = 0
    for word in words[:count]:
        at = text.index(word, at) + len(word)
    return text[:at], text[at:].strip()


def _losses(model: Any, features: Sequence[Mapping[str, Any]], pad: int) -> Iterator[tuple[float, int]]:
    """Loss and number of the learned tokens of each feature, in order."""
    for feature in features:
        batch = collate([dict(feature)], pad)
        labels = batch["labels"][0, 1:].to(model.device)
        logits = model(
            input_ids=batch["input_ids"].to(model.device), attention_mask=batch["attention_mask"].to(model.device)
        ).logits[0, :-1]
        count = int((labels != IGNORED).sum())
        loss = torch.nn.functional.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
        yield (float(loss) if count else 0.0), count


def _continued(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], report: Report) -> list[str]:
    texts = [""] * len(prompts)
    pad = int(tokenizer.pad_token_id or 0)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for first in range(0, len(order), BATCH):
        chosen = order[first : first + BATCH]
        width = max(1, *(len(prompts[i]) for i in chosen))
        ids = torch.tensor([[pad] * (width - len(prompts[i])) + list(prompts[i]) for i in chosen])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in chosen])
        output = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device), max_new_tokens=GENERATED_TOKENS,
            do_sample=False, num_beams=1, pad_token_id=pad, use_cache=True,
        )  # fmt: skip
        for i, text in zip(chosen, tokenizer.batch_decode(output[:, width:], skip_special_tokens=True), strict=True):
            texts[i] = text
        report(min(first + BATCH, len(prompts)))
    return texts


def _classification(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """The likeliest label of each row with its probability; the score is the right label's."""
    labels = _labels(folder)
    model, tokenizer, new = classification.start(config, folder, labels)
    model.eval()
    length, judged, hits = bases.longest(config.max_length, model, tokenizer), [], 0
    for first in range(0, len(rows), BATCH):
        batch = rows[first : first + BATCH]
        encoded = tokenizer(
            [row["text"] for row in batch], truncation=True, max_length=length, padding=True, return_tensors="pt"
        ).to(model.device)
        for row, shares in zip(batch, model(**encoded).logits.float().softmax(-1).tolist(), strict=True):
            best = max(range(len(shares)), key=shares.__getitem__)
            hits += labels[best] == row["label"]
            judged.append(Judged(f"{labels[best]} ({100 * shares[best]:.0f} %)", shares[labels.index(row["label"])]))
        report(len(judged))
    return Verdict(tuple(judged), {"accuracy": 100 * hits / len(rows)}, bool(new))


def _labels(folder: Path) -> list[str]:
    """Labels of the tuned model in the order of its outputs."""
    from transformers import AutoConfig

    names = AutoConfig.from_pretrained(folder / "model", **LOCAL).id2label
    return [str(names[number]) for number in sorted(names)]


def _answer(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """The words that each model takes for the answer, none where it says that there is none; F1 with the right ones."""
    model, tokenizer, new = bases.start(config, folder, "AutoModelForQuestionAnswering")
    model.eval()
    length = bases.longest(config.max_length, model, tokenizer)
    stride, threshold = min(config.stride, length // 2), float(getattr(model.config, "null_threshold", 1.0))
    judged, exact = [], 0.0
    for row in rows:
        asked = Question(row["question"], row["passage"], ())
        features, windows, _ = question_features([asked], tokenizer, length, stride)
        starts, ends = [], []
        for first in range(0, len(features), BATCH):
            batch = collate(features[first : first + BATCH])
            inputs = {key: value.to(model.device) for key, value in batch.items() if not key.endswith("_positions")}
            output = model(**inputs)
            starts += list(output.start_logits.float().cpu().numpy())
            ends += list(output.end_logits.float().cpu().numpy())
        text, null = answer.decode([asked], windows, [range(len(windows))], (starts, ends))[0]
        text = NO_ANSWER if null >= threshold else text
        judged.append(Judged(text, 100 * answer_f1(text, [row["answer"]])))
        exact += exact_match(text, [row["answer"]])
        report(len(judged))
    metrics = {"f1": sum(each.score for each in judged) / len(rows), "exact_match": 100 * exact / len(rows)}
    return Verdict(tuple(judged), metrics, bool(new))


def _seq2seq(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """Translations or summaries, and the chrF of each."""
    model, tokenizer, _ = bases.start(config, folder, "AutoModelForSeq2SeqLM")
    model.eval()
    style = seq2seq.prompt_style(model, tokenizer)
    seq2seq.set_languages(config, tokenizer, style)
    source, target = ROLES[config.task]
    length = bases.longest(config.max_length, model, tokenizer)
    texts: list[str] = []
    for first in range(0, len(rows), BATCH):
        prompts = [seq2seq.prompt(config, style, row[source]) for row in rows[first : first + BATCH]]
        texts += seq2seq.write_texts(model, tokenizer, prompts, length, config.max_target_length, config)
        report(len(texts))
    references, language = [row[target] for row in rows], config.target_language
    scores = [chrf([text], [right], language) for text, right in zip(texts, references, strict=True)]
    metrics = {
        "chrf": chrf(texts, references, language),
        "bleu": bleu(texts, references, language),
    }
    judged = (Judged(text[:SHOWN_CHARACTERS], score) for text, score in zip(texts, scores, strict=True))
    return Verdict(tuple(judged), metrics, False)
