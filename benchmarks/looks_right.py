"""Whether Explore shows what `transformers` gives by itself, with the shipped weights in float32.

    python -m benchmarks.looks_right [MODEL ...]

Reads the model's file straight with `transformers` (rounded to bfloat16, as the copy is that is looked into) and prints
how far each view is from it, beside what it may be. Ends with 1 where one is further.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.looks import GEMMA, SMALL
from benchmarks.ours import CALLER
from engine.explain import VIEWS
from engine.explain.attention import AttentionRequest
from engine.explain.chain import ChainRequest
from engine.explain.choosing import NextRequest
from engine.explain.lens import LensRequest
from engine.serving.compose import House, open_house
from engine.settings import current

TEXT, TEMPERATURE, LAYER = "The cat sat on the mat because it was tired.", 0.7, 3
Found = Iterator[tuple[str, float, float]]
"""What was compared, how far it is off, and how far it may be."""


def straight(house: House, model_id: str) -> tuple[Any, Any]:
    """Module and tokenizer of the shipped file, by `transformers` alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = house.store.path(model_id)
    options: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **options)
    module = AutoModelForCausalLM.from_pretrained(file.parent, attn_implementation="eager", **options)
    return module.to(torch.bfloat16).to(torch.float32).eval(), tokenizer


def compared(house: House, model_id: str) -> Found:
    """Each view of the text against the module's own output."""
    import torch

    def look(name: str, request: Any) -> Any:
        return VIEWS[name].run(house.engine, replace(request, model=model_id), CALLER)

    module, tokenizer = straight(house, model_id)
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        output = module(ids, labels=ids, output_attentions=True)
    perplexity = math.exp(float(output.loss))
    yield "perplexity, relative", abs(look("chain", ChainRequest(TEXT)).perplexity / perplexity - 1), 1e-3
    weights = look("attention", AttentionRequest(TEXT, layer=LAYER)).weights.values().astype(float)
    yield "attention, rows add up to 1", float(np.abs(weights.sum(-1) - 1).max()), 2e-3
    yield "attention, output_attentions", float(np.abs(weights - output.attentions[LAYER][0].numpy()).max()), 1e-3
    lens = look("lens", LensRequest(TEXT))
    own = output.logits[0].log_softmax(-1).gather(1, torch.from_numpy(lens.ids.values()[-1].astype(np.int64)))
    yield "lens, last layer's log-probabilities", float(np.abs(lens.logprobs.values()[-1] - own.numpy()).max()), 1e-2
    powers = np.exp(output.logits[0, -1].double().numpy() / TEMPERATURE)
    found = look("next", NextRequest(TEXT, TEMPERATURE))
    gaps = [abs(one.probability - float(powers[one.id] / powers.sum())) for one in found.choices]
    yield f"bars at T = {TEMPERATURE}, softmax by hand", max(gaps), 1e-3


def main(models: Sequence[str]) -> int:
    """Print a line for each comparison; 1 where one is off."""
    house = open_house(replace(current(), dtype="float32", prefetch=False))
    is_off = False
    try:
        for model in models or (SMALL, GEMMA):
            for words, gap, most in compared(house, model):
                is_off |= gap > most
                print(f"{model:24} {words:40} {gap:.1e} (may {most:.0e})", flush=True)
    finally:
        house.close()
    return int(is_off)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
