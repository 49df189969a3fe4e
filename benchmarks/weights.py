"""Weights in the forms that peers want, made once from our own and kept beside the cache; random ones of real shape."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

from benchmarks.texts import WORDS, short_sentences
from engine.catalogue.models import Model, read_catalogue
from engine.catalogue.sources.folder import Folder
from engine.catalogue.store import Store
from engine.settings import current

OPUS_SHAPE = {
    "d_model": 512, "encoder_layers": 6, "decoder_layers": 6, "encoder_attention_heads": 8,
    "decoder_attention_heads": 8, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048, "max_position_embeddings": 512,
    "activation_function": "swish", "scale_embedding": True, "static_position_embeddings": True,
}  # fmt: skip
OPUS_VOCABULARY = 59_514


def folder() -> Path:
    """Where they are kept."""
    made = current().cache_folder / "benchmarks"
    made.mkdir(parents=True, exist_ok=True)
    return made


def fetched(model_id: str) -> Path:
    """The file or folder of a model, fetched if it is not there. Raises a PeopleError when it cannot be had."""
    store = Store(current(), read_catalogue())
    try:
        store.fetch(model_id)
        store.wait(model_id, timeout_seconds=600)
        return store.path(model_id)
    finally:
        store.close()


def safetensors(model_id: str) -> Path:
    """The same weights as a folder that `transformers` reads, converted once (half a minute to a minute)."""
    from engine.backends.pytorch.gguf_conversion import converted

    return converted(model_id, fetched(model_id))


def whole_head(model_id: str) -> Path:
    """A head on the multilingual encoder as a folder that `transformers` reads by itself, made once."""
    from engine.training.encoders import write_whole

    made, source = folder() / model_id, fetched(model_id)
    if not made.is_dir():
        draft = made.with_name(f".{model_id}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        architecture = json.loads((source / "config.json").read_text(encoding="utf-8"))["architectures"][0]
        write_whole(source, architecture.replace("Bert", "AutoModel"), draft)
        draft.rename(made)
    return made


def onnx_int8(source: Path) -> Path:
    """A classifier as ONNX with dynamic int8, as ONNX Runtime's own tool makes it."""
    target = folder() / f"{source.name}.int8.onnx"
    if target.is_file():
        return target
    import torch
    import transformers
    from onnxruntime.quantization import QuantType, quantize_dynamic

    module = transformers.AutoModelForSequenceClassification.from_pretrained(source, dtype=torch.float32).eval()

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.module(input_ids=ids, attention_mask=mask).logits

    ids = torch.ones(2, 16, dtype=torch.long)
    shape = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens")}
    plain = target.with_suffix(".plain.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Logits(), (ids, ids), plain, dynamo=True, dynamic_shapes=(shape, shape), input_names=["ids", "mask"],
            external_data=False, verbose=False,
        )  # fmt: skip
    quantize_dynamic(plain, target, weight_type=QuantType.QInt8)
    plain.unlink()
    return target


def opus_sized() -> Path:
    """A Marian checkpoint of an OPUS-MT model's shape with random weights that never ends by itself, and a tokenizer.

    No real OPUS-MT can be had without the Hub; the time of a token depends on the shape alone.
    """
    made = folder() / "opus-sized"
    if made.is_dir():
        return made
    import torch
    import transformers

    draft = made.with_name(".opus-sized")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    vocabulary = _marian_tokenizer(draft)
    pad = vocabulary["<pad>"]
    config = transformers.MarianConfig(
        vocab_size=len(vocabulary), pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0,
        **OPUS_SHAPE,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.MarianMTModel(config)
    model.final_logits_bias[0, [0, pad]] = -1e4
    model.generation_config.bad_words_ids = [[pad]]
    model.save_pretrained(draft)
    draft.rename(made)
    return made


def _marian_tokenizer(target: Path) -> dict[str, int]:
    """A sentencepiece model of the words of our texts, and a vocabulary filled up to a real one's size."""
    import sentencepiece

    corpus = target / "corpus.txt"
    corpus.write_text("\n".join([*short_sentences(2000, seed=9), *WORDS]), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(target / "made"), vocab_size=600, hard_vocab_limit=False, pad_id=-1,
        minloglevel=2,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_file=str(target / "made.model"))
    pieces = [processor.id_to_piece(id) for id in range(processor.get_piece_size())]
    for name in ("source.spm", "target.spm"):
        shutil.copy(target / "made.model", target / name)
    for name in ("made.model", "made.vocab", "corpus.txt"):
        (target / name).unlink()
    known = ["</s>", "<unk>", *[piece for piece in pieces if piece not in ("</s>", "<unk>", "<s>")]]
    filler = [f"▁word{number}" for number in range(OPUS_VOCABULARY - len(known) - 1)]
    vocabulary = {piece: id for id, piece in enumerate([*known, *filler, "<pad>"])}
    (target / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (target / "tokenizer_config.json").write_text(
        json.dumps({"source_lang": "en", "target_lang": "fr", "tokenizer_class": "MarianTokenizer"})
    )
    return vocabulary


def ctranslate2_int8(source: Path) -> Path:
    """A seq2seq checkpoint as CTranslate2 with int8 weights."""
    target = folder() / f"{source.name}.ct2"
    if not target.is_dir():
        from ctranslate2.converters import TransformersConverter

        TransformersConverter(str(source)).convert(str(target), quantization="int8")
    return target


def seq2seq_model(source: Path) -> Model:
    """A catalogue entry for a seq2seq checkpoint on disk."""
    return Model(
        id=source.name, title=source.name, family="", architecture="seq2seq", runtime="transformers", parameters=0,
        languages=("en", "fr"), licence="", size_bytes=0, memory_bytes=2**29, applications=("translate",),
        source=Folder(str(source)), pair=("en", "fr"),
    )  # fmt: skip
