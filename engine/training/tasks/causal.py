"""Language models: running text in blocks (style, pre-training), and prompts with their responses (instructions)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine.errors import InputError
from engine.training import bases
from engine.training.config import TrainingConfig
from engine.training.data import IGNORED, NUMBER, Feature, Row, collate, read_rows
from engine.training.tasks.lesson import Lesson, Sample

SAMPLING: dict[str, Any] = {"do_sample": True, "temperature": 0.8, "top_k": 50, "top_p": 0.95}
"""Of samples of running text; a greedy one soon repeats itself."""
DEFAULT_PROMPTS, OPENING_WORDS = 2, 6
"""Where the config has no sample prompts: so many from the held-out rows; of running text, so many words of each."""


def running_text(config: TrainingConfig, folder: Path) -> Lesson:
    """Text in blocks of `max_length` tokens; each row ends with the end token, and blocks go over rows."""
    rows, held_out = (read_rows(Path(file), ("text",)) for file in (config.train_file, config.validation_file))
    model, tokenizer, _ = bases.start(config, folder, "AutoModelForCausalLM")
    length = bases.longest(config.max_length, model, tokenizer)
    prompts = config.sample_prompts or tuple(
        " ".join(row["text"].split()[:OPENING_WORDS]) for row in held_out[:DEFAULT_PROMPTS]
    )

    def sample(module: Any) -> list[Sample]:
        return [(text, _continued(module, tokenizer, tokenizer(text)["input_ids"], config)) for text in prompts]

    train_set, validation_set = (blocks(texts, tokenizer, length) for texts in (rows, held_out))
    return _lesson(config, model, tokenizer, train_set, validation_set, sample)


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
    return [_feature(stream[at : at + length], stream[at : at + length], owners[at]) for at in starts]


def whole_text(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text from its beginning, as serving makes them of a prompt, to its end token."""
    ids = list(tokenizer(text, verbose=False)["input_ids"])
    end = tokenizer.eos_token_id
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def instructions(config: TrainingConfig, folder: Path) -> Lesson:
    """Prompts in the form in which serving asks the base; only the responses are learned."""
    keys = ("prompt", "response")
    rows, held_out = (read_rows(Path(file), keys) for file in (config.train_file, config.validation_file))
    model, tokenizer, _ = bases.start(config, folder, "AutoModelForCausalLM")
    length = bases.longest(config.max_length, model, tokenizer)
    prompts = config.sample_prompts or tuple(row["prompt"] for row in held_out[:DEFAULT_PROMPTS])

    def sample(module: Any) -> list[Sample]:
        return [(text, _continued(module, tokenizer, prompt_ids(tokenizer, text), config)) for text in prompts]

    train_set, validation_set = ([turn_feature(row, tokenizer, length) for row in texts] for texts in (rows, held_out))
    return _lesson(config, model, tokenizer, train_set, validation_set, sample)


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """What the model reads before it responds: the chat template's user turn, or the prompt and a line's end."""
    if not getattr(tokenizer, "chat_template", None):
        return list(tokenizer(f"{prompt}\n", verbose=False)["input_ids"])
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def response_ids(tokenizer: Any, prompt: str, response: str) -> list[int]:
    """What the model is to write: the response as the template closes it, or with the end token."""
    closing = tokenizer.eos_token or ""
    if getattr(tokenizer, "chat_template", None):
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        opened = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(turns, tokenize=False)
        # Some templates write past turns in another way than the one being written; then the end token closes.
        if whole.startswith(opened) and whole[len(opened) :].startswith(response):
            closing = whole[len(opened) + len(response) :].rstrip("\n") or closing
    return list(tokenizer(response + closing, add_special_tokens=False, verbose=False)["input_ids"])


def turn_feature(row: Row, tokenizer: Any, length: int) -> Feature:
    """Prompt and response; where they are too long, the prompt loses its beginning, then the response its end."""
    prompt, response = prompt_ids(tokenizer, row["prompt"]), response_ids(tokenizer, row["prompt"], row["response"])
    is_cut = len(prompt) + len(response) > length
    prompt = prompt[-max(length - len(response), length // 2) :]
    response = response[: length - len(prompt)]
    labels = [IGNORED] * len(prompt) + response
    return _feature(prompt + response, labels, int(row[NUMBER]), is_cut)


def _feature(ids: list[int], labels: list[int], row: int, is_cut: bool = False) -> Feature:
    return {"input_ids": ids, "labels": labels, "length": len(ids), "row": row, "is_cut": is_cut}


def _lesson(
    config: TrainingConfig, model: Any, tokenizer: Any, train_set: list[Feature], validation_set: list[Feature],
    sample: Any,
) -> Lesson:  # fmt: skip
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
def _continued(model: Any, tokenizer: Any, ids: Sequence[int], config: TrainingConfig) -> str:
    """The model's continuation of the ids: drawn for running text, the likeliest for a response."""
    device = next(model.parameters()).device
    prompt = torch.tensor([list(ids) or [tokenizer.eos_token_id or 0]], device=device)
    how = {"do_sample": False} if config.task == "instructions" else SAMPLING
    output = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=config.sample_tokens,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
        **how,
    )
    return str(tokenizer.decode(output[0, prompt.shape[1] :], skip_special_tokens=True))
