"""A folder with a causal model becomes a GGUF file for llama.cpp, a LoRA adapter a GGUF adapter.

Names come from the `gguf` package; what llama.cpp wants otherwise than transformers keeps it is in `FAMILIES`.
`engine.training.gguf_export` is the command line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.backends.ggml.vocabulary import write_vocabulary
from engine.errors import NotFoundError, UnsupportedError
from engine.files import read_json
from engine.messages import Text

Dtype = Literal["q8_0", "f16", "f32"]

Array = np.ndarray[Any, Any]
Change = Callable[[str, Array, Mapping[str, Any]], Array]
"""A tensor's name in the checkpoint, its values and the model's config -> values as llama.cpp wants them."""
Q8_0_ROW = 32
"""Values of a Q8_0 block; a row of other lengths is kept in half precision."""


def _rotated(name: str, values: Array, config: Mapping[str, Any]) -> Array:
    """Rows of queries and keys in the order of llama.cpp's rotary embedding: pairs side by side, not half by half."""
    if ".q_proj." in name:
        heads = config["num_attention_heads"]
    elif ".k_proj." in name:
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    else:
        return values
    half = values.shape[0] // heads // 2
    return values.reshape(heads, 2, half, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def _raised(name: str, values: Array, config: Mapping[str, Any]) -> Array:
    """Gemma's norms multiply by one plus their weight; llama.cpp's by the weight."""
    return values + 1 if name.endswith("norm.weight") else values


def _turned(name: str, values: Array, config: Mapping[str, Any]) -> Array:
    """GPT-2 keeps its linear layers as (inputs, outputs)."""
    names = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return values.T if name.endswith(names) else values


def _as_is(name: str, values: Array, config: Mapping[str, Any]) -> Array:
    return values


@dataclass(frozen=True)
class Family:
    """How one kind of model goes into GGUF: llama.cpp's name, its metadata, and what happens to tensors."""

    architecture: str
    describe: Callable[[Any, Mapping[str, Any]], None]
    """Writes the architecture's metadata; raises UnsupportedError for what llama.cpp computes otherwise."""
    change: Change = _as_is
    change_adapter: Change = _as_is
    """The same for the outputs' side of a LoRA pair."""


def _describe_rotary(writer: Any, config: Mapping[str, Any]) -> None:
    """What Llama, Qwen and Gemma share."""
    heads = config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)


def _rotary_base(parameters: Mapping[str, Any]) -> float:
    if parameters.get("rope_type", "default") != "default":
        raise UnsupportedError(
            "GGUF export does not know the rotary embedding {kind}. Export safetensors instead.",
            kind=parameters["rope_type"],
        )
    return float(parameters["rope_theta"])


def _describe_llama(writer: Any, config: Mapping[str, Any]) -> None:
    _describe_rotary(writer, config)
    writer.add_rope_freq_base(_rotary_base(config["rope_parameters"]))


def _describe_gemma3(writer: Any, config: Mapping[str, Any]) -> None:
    _describe_rotary(writer, config)
    layers = config["num_hidden_layers"]
    near, far = (config["rope_parameters"][f"{kind}_attention"] for kind in ("sliding", "full"))
    fits = {
        "layer_types": config["layer_types"]
        == ["sliding_attention" if (layer + 1) % 6 else "full_attention" for layer in range(layers)],
        "query_pre_attn_scalar": config["query_pre_attn_scalar"] == config["head_dim"],
        "rope_parameters": _rotary_base(near) == 10_000,
        "final_logit_softcapping": not config.get("final_logit_softcapping"),
        "use_bidirectional_attention": not config.get("use_bidirectional_attention"),
    }
    if wrong := [name for name, is_right in fits.items() if not is_right]:
        raise UnsupportedError(
            "llama.cpp computes Gemma 3 with another {setting}. Export safetensors instead.", setting=wrong[0]
        )
    writer.add_rope_freq_base(_rotary_base(far))
    writer.add_sliding_window(config["sliding_window"])


def _describe_gpt2(writer: Any, config: Mapping[str, Any]) -> None:
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_block_count(config["n_layer"])
    writer.add_feed_forward_length(config.get("n_inner") or 4 * config["n_embd"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])


FAMILIES: dict[str, Family] = {
    "llama": Family("llama", _describe_llama, _rotated, _rotated),
    "qwen2": Family("qwen2", _describe_llama),
    "qwen3": Family("qwen3", _describe_llama),
    "gemma3_text": Family("gemma3", _describe_gemma3, _raised),
    "gpt2": Family("gpt2", _describe_gpt2, _turned),
}
"""transformers' model_type -> how it is written."""


def can_export(folder: Path) -> bool:
    """Whether the model in the folder is of a family that can be written as GGUF. Needs neither torch nor weights."""
    return read_json(folder / "config.json").get("model_type") in FAMILIES


def to_gguf(
    folder: Path, file: Path, *, base: Path | None = None, dtype: Dtype = "q8_0", title: str = "", licence: str = ""
) -> Path:
    """Write the model in `folder` (config.json, safetensors, tokenizer) to `file`, which appears whole or not at all.

    `base` is the GGUF file that the model came from, if any: its tokenizer is copied. Else the folder's tokenizer is
    written. Norms and other vectors stay in float32, rows that do not fill blocks of Q8_0 in float16.
    Raises NotFoundError without a model, UnsupportedError for families, layers and tokenizers that llama.cpp lacks.
    Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    import gguf

    config = _read_config(folder)
    family = _family(config)
    shapes = {name: opened.get_slice(name).get_shape() for name, opened in _weights(folder)}
    names = _gguf_names(shapes, family, config)
    with _written(file, family) as (writer, temporary):
        writer.add_type("model")
        writer.add_name(title or "Fine-tuned model")
        if licence:
            writer.add_license(licence)
        family.describe(writer, config)
        writer.add_vocab_size(config["vocab_size"])
        writer.add_file_type({"f32": 0, "f16": 1, "q8_0": 7}[dtype])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        write_vocabulary(writer, folder, config["vocab_size"], base)
        types = {}
        for name, target in names.items():
            shape = family.change(name, np.empty(shapes[name], np.bool_), config).shape
            types[name] = _announce(writer, target, shape, dtype)
        writer.write_header_to_file(path=temporary)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        # One after the other, so that only one is in memory.
        for name, opened in _weights(folder):
            if name in names:
                values = family.change(name, opened.get_tensor(name).float().numpy(), config)
                values = np.ascontiguousarray(values, dtype=np.float32)
                writer.write_tensor_data(gguf.quantize(values, types[name]))
    return file


@contextmanager
def _written(file: Path, family: Family) -> Iterator[tuple[Any, Path]]:
    """A writer, and the file that it is to write, which gets its name when it is whole."""
    import gguf

    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    writer = gguf.GGUFWriter(None, family.architecture)
    try:
        yield writer, temporary
        writer.close()
        temporary.replace(file)
    finally:
        writer.close()
        temporary.unlink(missing_ok=True)


def _read_config(folder: Path) -> dict[str, Any]:
    if not (config := read_json(folder / "config.json")):
        raise NotFoundError("The run has no finished model yet. Wait until it has saved one.", param="run")
    return config


def _family(config: Mapping[str, Any]) -> Family:
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise UnsupportedError(
            "Models of the kind {kind} cannot be written as GGUF; {known} can. Export safetensors or ONNX instead.",
            param="kind", kind=kind, known=sorted(FAMILIES),
        )  # fmt: skip
    if config.get("quantization_config"):
        raise UnsupportedError("The model is stored quantised. Export it as safetensors.", param="kind")
    return FAMILIES[kind]


def _weights(folder: Path) -> Iterator[tuple[str, Any]]:
    """The names of all tensors, each with the opened safetensors file that has it."""
    from safetensors import safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise NotFoundError("The run has no finished model yet. Wait until it has saved one.", param="run")
    for file in files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118, it is no mapping
                yield name, opened


def _gguf_names(shapes: Mapping[str, Any], family: Family, config: Mapping[str, Any]) -> dict[str, str]:
    """Name in the checkpoint -> name in GGUF, without what llama.cpp computes itself or shares."""
    known = _name_map(family, config)
    names = {}
    for name in shapes:
        is_shared = name == "lm_head.weight" and config.get("tie_word_embeddings", True)
        if is_shared or name.endswith((".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq")):
            continue
        found = known.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise UnsupportedError(
                "llama.cpp has no place for the weights {name}. Export safetensors instead.", name=name
            )
        names[name] = found
    return names


def _name_map(family: Family, config: Mapping[str, Any]) -> Any:
    import gguf

    architecture = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == family.architecture)
    return gguf.get_tensor_name_map(architecture, config.get("num_hidden_layers") or config["n_layer"])


def _announce(writer: Any, name: str, shape: tuple[int, ...], dtype: Dtype) -> Any:
    """Tell of a tensor; returns ggml's type for it.

    Vectors and position tables are in float32, matrices as asked for where they fit.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if len(shape) < 2 or name == "position_embd.weight":
        kind = GGMLQuantizationType.F32
    elif dtype == "q8_0" and shape[-1] % Q8_0_ROW:
        kind = GGMLQuantizationType.F16
    else:
        kind = GGMLQuantizationType[dtype.upper()]
    block, size = GGML_QUANT_SIZES[kind]
    length = int(np.prod(shape)) // block * size
    writer.add_tensor_info(name, shape, np.dtype(np.float32), length, raw_dtype=kind)
    return kind


def adapter_to_gguf(adapter: Path, model: Path, file: Path) -> Path:
    """Write the LoRA adapter in the folder `adapter` (peft's format) as a GGUF adapter for the base in GGUF.

    `model` is a folder whose config.json describes the base. Raises NotFoundError without an adapter,
    UnsupportedError for adapters of embeddings, whole layers, or of another kind than plain LoRA.
    """
    import gguf

    config = _read_config(model)
    family = _family(config)
    settings, alpha = _read_adapter(adapter)
    tensors = dict(_adapter_tensors(adapter, family, config))
    if not tensors:
        raise UnsupportedError("The adapter changes no layer that llama.cpp knows. Export the merged model instead.")
    with _written(file, family) as (writer, temporary):
        writer.add_type("adapter")
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        writer.add_name(str(settings.get("base_model_name_or_path") or "adapter"))
        writer.add_file_type(0)
        for name, values in tensors.items():
            writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float32))
        writer.write_header_to_file(path=temporary)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    return file


def _read_adapter(folder: Path) -> tuple[dict[str, Any], float]:
    """peft's settings, and alpha as llama.cpp takes it: it scales by alpha over rank."""
    if not (settings := read_json(folder / "adapter_config.json")):
        raise NotFoundError("The run has no adapter. Only runs with the method lora have one.", param="kind")
    odd = [name for name in ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save") if settings.get(name)]
    if odd or settings.get("peft_type") != "LORA" or settings.get("bias", "none") != "none":
        raise UnsupportedError(
            "llama.cpp takes plain LoRA only; this adapter has {what}. Export the merged model.",
            what=odd[0] if odd else Text("more"),
        )
    alpha = float(settings["lora_alpha"])
    return settings, alpha * settings["r"] ** 0.5 if settings.get("use_rslora") else alpha


def _adapter_tensors(folder: Path, family: Family, config: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    known = _name_map(family, config)
    for name, opened in _weights(folder):
        layer, _, side = name.removeprefix("base_model.model.").partition(".lora_")
        target = known.get_name(layer)
        if target is None or side not in ("A.weight", "B.weight") or not target.startswith("blk."):
            raise UnsupportedError("llama.cpp has no place for the adapter {name}. Export the merged model.", name=name)
        values = opened.get_tensor(name).float().numpy()
        if side == "B.weight":
            values = family.change_adapter(f"{layer}.weight", values, config)
        yield f"{target}.weight.lora_{side[0].lower()}", values
