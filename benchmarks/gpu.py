"""The GPU table: our engine against `generate`, one stream and many visitors, on random weights of real shapes.

`python -m benchmarks.gpu` on a machine with CUDA prints it, and writes it where `--out FILE` says. Without a GPU,
`--device cpu --shapes tiny --visitors 1 4 --tokens 8 --pairs 1` tries the script out. Nothing is fetched: weights and
tokenizer are made on the spot.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.ours import CALLER
from benchmarks.sides import at_once
from benchmarks.texts import WORDS, story_prompt
from engine.backends.pytorch.devices import choose_dtype
from engine.catalogue.models import Catalogue, Model
from engine.catalogue.sources.folder import Folder
from engine.catalogue.store import Store
from engine.requests import Generate, Sampling
from engine.serving.local import LocalEngine
from engine.settings import Settings

SHAPES: dict[str, dict[str, int]] = {
    "smollm2-135m": {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "vocab_size": 49152,
    },
    "1b": {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 49152,
    },
    "tiny": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 1024,
    },
}  # fmt: skip
"""SmolLM2 135M's own shape, Llama 3.2 1B's with a smaller vocabulary, and one for trying the script out."""
VISITORS = (1, 8, 64, 256)
CONTEXT_TOKENS = 1024


def make_weights(shape: str, folder: Path, dtype: torch.dtype) -> Path:
    """A Llama of that shape with random weights, which hardly ever ends by itself, and a byte-level tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer, bare.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    bare.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    # Every id of the model gets a token, so that whatever it draws can be written.
    bare.add_tokens([f" t{id}" for id in range(bare.get_vocab_size(), SHAPES[shape]["vocab_size"])])
    torch.manual_seed(0)
    config = LlamaConfig(
        **SHAPES[shape],
        bos_token_id=0,
        eos_token_id=1,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=bare, bos_token="<s>", eos_token="</s>", pad_token="</s>").save_pretrained(
        folder
    )
    return folder


class Ours:
    """The engine with one model, as the app has it on a GPU."""

    def __init__(self, folder: Path, settings: Settings, is_continuous: bool) -> None:
        from engine.backends.pytorch.backend import TransformersBackend

        model = Model(
            id="bench", title="bench", family="", architecture="causal", runtime="transformers", parameters=0,
            languages=("en",), licence="", size_bytes=0, memory_bytes=2**20, applications=("write",),
            source=Folder(str(folder)),
        )  # fmt: skip
        catalogue = Catalogue([model])
        self.engine = LocalEngine(
            settings, catalogue, Store(settings, catalogue).path,
            load=lambda model, path, chosen, _: TransformersBackend(model, path, chosen, is_continuous=is_continuous),
        )  # fmt: skip

    def run(self, visitors: int, tokens: int) -> dict[str, Any]:
        """So many visitors at the same moment."""
        return at_once(self._one, visitors, tokens)

    def _one(self, number: int, tokens: int) -> tuple[int, float]:
        asked = Generate(story_prompt(number), sampling=Sampling(tokens, 0.8, seed=number))
        started, first, count = time.perf_counter(), 0.0, 0
        for event in self.engine.stream("bench", asked, CALLER):
            if event.kind == "text" and not first:
                first = time.perf_counter() - started
            elif event.kind == "done":
                count = event.result.new_tokens
        return count, first


class Plain:
    """`generate` on everybody's prompts as one batch, which favours it: nobody comes late, all are equally long."""

    def __init__(self, folder: Path, device: str, dtype: torch.dtype) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()

    @torch.inference_mode()
    def run(self, visitors: int, tokens: int) -> dict[str, Any]:
        """All in one batch; a queue of one would be as fast as one visitor, however many wait."""
        prompts = [story_prompt(number) for number in range(visitors)]
        encoded = self.tokenizer(prompts, padding=True, return_tensors="pt", return_token_type_ids=False)
        started = time.perf_counter()
        made = self.model.generate(
            **encoded.to(self.model.device),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=True,
            temperature=0.8,
        )
        count = visitors * (made.shape[1] - encoded["input_ids"].shape[1])  # waits for the device
        return {
            "speed": count / (time.perf_counter() - started),
            "first_ms": 0.0,
            "last_first_ms": 0.0,
            "tokens": count,
        }


def bandwidth(device: str) -> float:
    """Bytes a second that the device reads."""
    values = torch.ones(2**28 if device == "cuda" else 2**24, device=device)

    def seconds() -> float:
        started = time.perf_counter()
        values.amax().item()
        return time.perf_counter() - started

    return float(values.nbytes / min(seconds() for _ in range(6)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["smollm2-135m", "1b"])
    parser.add_argument("--visitors", nargs="+", type=int, default=list(VISITORS))
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--profile", type=Path, help="also write a profile of 8 visitors, for chrome://tracing")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here. --device cpu --shapes tiny tries the script out.")
        return 1
    rows = [row for shape in given.shapes for row in _shape(shape, given)]
    if given.out:
        given.out.write_text(
            json.dumps({"device": _device_name(given.device), "rows": rows}, indent=1), encoding="utf-8"
        )
    return 0


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def _shape(shape: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    settings = Settings(
        device=given.device, context_tokens=CONTEXT_TOKENS, threads=torch.get_num_threads(), queue_length=4096,
        deadline_seconds=3600.0, memory_bytes=2**40, prefetch=False,
    )  # fmt: skip
    dtype = choose_dtype(settings, torch.device(given.device))
    with tempfile.TemporaryDirectory() as made:
        folder = make_weights(shape, Path(made), dtype)
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        ours, plain = Ours(folder, settings, is_continuous=True), Plain(folder, given.device, dtype)
        limit = bandwidth(given.device) / size
        print(
            f"\n{shape}, {_device_name(given.device)}, {dtype}: {size / 1e6:.0f} MB, limit of one stream {limit:,.0f}/s"
        )
        print("visitors   ours, tokens/s   first token, ms (last)   generate, one batch   ratio   of the limit")
        rows = [_crowd(ours, plain, visitors, limit, given) | {"shape": shape} for visitors in given.visitors]
        if given.profile:
            _profile(ours, given.profile)
        ours.engine.close()
    return rows


def _crowd(ours: Ours, plain: Plain, visitors: int, limit: float, given: argparse.Namespace) -> dict[str, Any]:
    for side in (ours, plain):
        side.run(visitors, 4)
    pairs = [(ours.run(visitors, given.tokens), plain.run(visitors, given.tokens)) for _ in range(given.pairs)]
    own, other = (median(pair[side]["speed"] for pair in pairs) for side in (0, 1))
    first = median(pair[0]["last_first_ms"] for pair in pairs)
    ratio = median(a["speed"] / b["speed"] for a, b in pairs)
    share = f"{own / limit:.0%}" if visitors == 1 else ""
    print(f"{visitors:8} {own:16,.0f} {first:24,.0f} {other:21,.0f} {ratio:7.2f}   {share}", flush=True)
    return {
        "visitors": visitors,
        "ours": own,
        "generate": other,
        "ratio": ratio,
        "last_first_ms": first,
        "limit": limit,
    }


def _profile(ours: Ours, path: Path) -> None:
    kinds = [torch.profiler.ProfilerActivity.CPU]
    kinds += [torch.profiler.ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with torch.profiler.profile(activities=kinds) as profile:
        ours.run(8, 16)
    profile.export_chrome_trace(str(path))
    order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    print(profile.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=50))


if __name__ == "__main__":
    raise SystemExit(main())
