"""Language models: running text in blocks (style, pre-training), and prompts with their responses (instructions)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError

from engine.backends.pytorch.loading import positions
from engine.errors import InputError
from engine.evaluation.metrics import perplexity
from engine.training import bases
from engine.training.config import TrainingConfig
from engine.training.data import IGNORED, NUMBER, Feature, Row, collate, feature, in_batches, read_rows
from engine.training.lessons import Lesson, Shown
from engine.training.verdicts import BATCH, SHOWN_CHARACTERS, Judged, Report, Verdict, opened

GENERATED_TOKENS = 48
"""Of a compared row."""
SAMPLING: dict[str, Any] = {"do_sample": True, "temperature": 0.8, "top_k": 50, "top_p": 0.95}
"""Of samples of running text; a greedy one soon repeats itself."""
DEFAULT_PROMPTS, PROMPT_WORDS = 2, 6
"""Where the config has no sample prompts: so many from the held-out rows; of running text, so many words of each."""


def running_text(config: TrainingConfig, folder: Path) -> Lesson:
    """Text in blocks of `max_length` tokens; each row ends with the end token, and blocks go over rows."""

    def opening(row: Row) -> str:
        return " ".join(row["text"].split()[:PROMPT_WORDS])

    def asked(tokenizer: Any, text: str) -> list[int]:
        return list(tokenizer(text)["input_ids"])

    return _lesson(config, folder, ("text",), blocks, opening, asked, SAMPLING)


def blocks(rows: Sequence[Row], tokenizer: Any, length: int) -> list[Feature]:
    """All rows one after another, cut into blocks of `length` tokens; the last may be shorter.

    Raises InputError where there are not even two tokens.
    """
    stream: list[int] = []
    owners: list[int] = []
    for row in rows:
        ids = whole_text(tokenizer, row["text"])
        stream += ids
        owners += [int(row[NUMBER])] * len(ids)
    starts = [at for at in range(0, len(stream), length) if len(stream) - at > 1]
    if not starts:
        raise InputError("There is too little text to learn from. Add more.", param="train_file")
    return [feature(ids := stream[at : at + length], owners[at], labels=ids) for at in starts]


def whole_text(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text from its beginning, as serving makes them of a prompt, to its end token."""
    ids = list(tokenizer(text, verbose=False)["input_ids"])
    end = tokenizer.eos_token_id
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def instructions(config: TrainingConfig, folder: Path) -> Lesson:
    """Prompts in the form in which serving asks the base; only the responses are learned."""

    def turns(rows: Sequence[Row], tokenizer: Any, length: int) -> list[Feature]:
        return [turn_feature(row, tokenizer, length) for row in rows]

    def opening(row: Row) -> str:
        return row["prompt"]

    def asked(tokenizer: Any, text: str) -> list[int]:
        return prompt_ids(tokenizer, {"prompt": text})

    return _lesson(config, folder, ("prompt", "response"), turns, opening, asked, {"do_sample": False})


def asked_turns(tokenizer: Any, row: Row) -> list[dict[str, str]]:
    """What was said before the response, as the chat template takes it: the prompt, and a history before it.

    A template that takes no system message, or turns in another order, gets all of it as the user's words.
    """
    turns = [*json.loads(row.get("history") or "[]"), {"role": "user", "content": row["prompt"]}]
    if len(turns) > 1 and getattr(tokenizer, "chat_template", None):
        try:
            tokenizer.apply_chat_template(turns, tokenize=False)
        except TemplateError:
            return [{"role": "user", "content": "\n\n".join(turn["content"] for turn in turns)}]
    return turns


def prompt_ids(tokenizer: Any, row: Row) -> list[int]:
    """What the model reads before it responds: the chat template's turns, or each turn and a line's end."""
    turns = asked_turns(tokenizer, row)
    if not getattr(tokenizer, "chat_template", None):
        return list(tokenizer("".join(f"{turn['content']}\n" for turn in turns), verbose=False)["input_ids"])
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def response_ids(tokenizer: Any, row: Row) -> list[int]:
    """What the model is to write: the response as the template closes it, or with the end token."""
    closing, response = tokenizer.eos_token or "", row["response"]
    if getattr(tokenizer, "chat_template", None):
        turns = asked_turns(tokenizer, row)
        opened = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": response}], tokenize=False)
        # Some templates write past turns in another way than the one being written; then the end token closes.
        if whole.startswith(opened) and whole[len(opened) :].startswith(response):
            closing = whole[len(opened) + len(response) :].rstrip("\n") or closing
    return list(tokenizer(response + closing, add_special_tokens=False, verbose=False)["input_ids"])


def turn_feature(row: Row, tokenizer: Any, length: int) -> Feature:
    """Prompt and response; where they are too long, the prompt loses its beginning, then the response its end."""
    prompt, response = prompt_ids(tokenizer, row), response_ids(tokenizer, row)
    is_cut = len(prompt) + len(response) > length
    prompt = prompt[-max(length - len(response), length // 2) :]
    response = response[: length - len(prompt)]
    labels = [IGNORED] * len(prompt) + response
    return feature(prompt + response, int(row[NUMBER]), is_cut=is_cut, labels=labels)


def _lesson(
    config: TrainingConfig, folder: Path, keys: Sequence[str],
    features: Callable[[Sequence[Row], Any, int], list[Feature]], opening: Callable[[Row], str],
    asked: Callable[[Any, str], list[int]], sampling: Mapping[str, Any],
) -> Lesson:  # fmt: skip
    """`opening` is what of a held-out row is a sample prompt, `asked` how the model reads one."""
    rows, held_out = (read_rows(Path(file), keys) for file in (config.train_file, config.validation_file))
    model, tokenizer, _ = bases.start(config, folder, "AutoModelForCausalLM")
    length = positions(model.config, tokenizer, config.max_length)
    prompts = config.sample_prompts or tuple(map(opening, held_out[:DEFAULT_PROMPTS]))

    def sample(module: Any) -> list[Shown]:
        return [(text, _continued(module, tokenizer, asked(tokenizer, text), config, sampling)) for text in prompts]

    train_set, validation_set = (features(texts, tokenizer, length) for texts in (rows, held_out))
    validation_set.sort(key=lambda feature: feature["length"])
    return Lesson(
        model,
        tokenizer,
        train_set,
        validation_set,
        collate=partial(collate, pad=tokenizer.pad_token_id or 0),
        sample=sample,
        evaluation_batch_size=config.batch_size,
    )


@torch.no_grad()
def _continued(
    model: Any, tokenizer: Any, ids: Sequence[int], config: TrainingConfig, sampling: Mapping[str, Any]
) -> str:
    """The model's continuation of the ids."""
    device = next(model.parameters()).device
    prompt = torch.tensor([list(ids) or [tokenizer.eos_token_id or 0]], device=device)
    output = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=config.sample_tokens,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
        **sampling,
    )
    return str(tokenizer.decode(output[0, prompt.shape[1] :], skip_special_tokens=True))


def judge_text(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """Perplexity of each row's text, and how the model goes on from its opening, the likeliest token each time.

    The perplexity of all rows is the one that training measures, of blocks that go over rows.
    """

    def learned(row: Row, tokenizer: Any, length: int) -> Feature:
        ids = whole_text(tokenizer, row["text"])[:length]
        return {"input_ids": ids, "labels": ids}

    def prompt(tokenizer: Any, row: Row) -> list[int]:
        ids = list(tokenizer(opened(row["text"])[0], verbose=False)["input_ids"])
        return ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids

    return _judge(config, folder, rows, report, learned, prompt, blocks)


def judge_turns(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """Perplexity of each row's response, and what the model itself responds."""
    return _judge(config, folder, rows, report, turn_feature, prompt_ids)


def _judge(
    config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report,
    learned: Callable[[Row, Any, int], Feature], prompt: Callable[[Any, Row], list[int]],
    joined: Callable[[Sequence[Row], Any, int], list[Feature]] | None = None,
) -> Verdict:  # fmt: skip
    """`joined` makes the inputs of which the whole perplexity is measured, where it is not each row's own."""
    model, tokenizer, _ = bases.start(config, folder, "AutoModelForCausalLM")
    model.eval()
    length = positions(model.config, tokenizer, config.max_length)
    pad = int(tokenizer.pad_token_id or 0)
    losses = list(_losses(model, [learned(row, tokenizer, length) for row in rows], pad))
    of_all = list(_losses(model, joined(rows, tokenizer, length), pad)) if joined else losses
    prompts = [prompt(tokenizer, row)[-length:] for row in rows]
    texts = _likeliest(model, tokenizer, prompts, report)
    judged = [
        Judged(text[:SHOWN_CHARACTERS], perplexity(loss, count))
        for text, (loss, count) in zip(texts, losses, strict=True)
    ]
    whole = perplexity(sum(loss for loss, _ in of_all), sum(count for _, count in of_all))
    return Verdict(tuple(judged), {"perplexity": whole}, False)


def _losses(model: Any, features: Sequence[Mapping[str, Any]], pad: int) -> Iterator[tuple[float, int]]:
    """Loss and number of the learned tokens of each feature, in order."""
    for learned in features:
        batch = collate([dict(learned)], pad)
        labels = batch["labels"][0, 1:].to(model.device)
        logits = model(
            input_ids=batch["input_ids"].to(model.device), attention_mask=batch["attention_mask"].to(model.device)
        ).logits[0, :-1]
        count = int((labels != IGNORED).sum())
        loss = torch.nn.functional.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
        yield (float(loss) if count else 0.0), count


def _likeliest(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], report: Report) -> list[str]:
    texts = [""] * len(prompts)
    pad = int(tokenizer.pad_token_id or 0)
    done = 0
    for chosen in in_batches(prompts, BATCH):
        width = max(1, *(len(prompts[i]) for i in chosen))
        ids = torch.tensor([[pad] * (width - len(prompts[i])) + list(prompts[i]) for i in chosen])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in chosen])
        output = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device), max_new_tokens=GENERATED_TOKENS,
            do_sample=False, num_beams=1, pad_token_id=pad, use_cache=True,
        )  # fmt: skip
        for i, text in zip(chosen, tokenizer.batch_decode(output[:, width:], skip_special_tokens=True), strict=True):
            texts[i] = text
        report(done := done + len(chosen))
    return texts
