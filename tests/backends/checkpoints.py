"""Makers of small random checkpoints with tokenizers trained on the spot, and a job that keeps what it is handed.

They test paths and arithmetic, not quality: the weights are random, the files are exactly those of real checkpoints.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from engine.backends.pytorch.backend import TransformersBackend
from engine.catalogue.models import Model
from engine.catalogue.sources.folder import Folder
from engine.requests import Request, Result, Token, resolved
from engine.settings import Settings

CORPUS = [
    "The quick brown fox jumps over the lazy dog near the old stone bridge.",
    "Once upon a time there was a small village by the sea, and everybody knew everybody.",
    "Le renard brun saute par-dessus le chien paresseux; la ville était calme.",
    "Der schnelle braune Fuchs springt über den faulen Hund, während es regnet.",
    "El zorro marrón salta sobre el perro perezoso cuando llueve en la ciudad.",
    "敏捷的棕色狐狸跳过了懒狗。今天天气很好。",
    "Marie Curie discovered polonium in 1898 and won two Nobel prizes 🏅 in her life.",
    "Good films are rare, bad films are many, and most films are somewhere in between.",
] * 4
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TINY_SEQ2SEQ = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 128,
}  # fmt: skip


@dataclass
class KeptJob:
    """A job whose owner leaves after `leaves_after` pieces of text, if that is given."""

    request: Request
    leaves_after: int | None = None
    is_cancelled: bool = False
    visitor: str = ""
    circle: str | None = "host"
    texts: list[str] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    result: Any = None
    error: Exception | None = None
    finished_at: float = 0.0

    def __post_init__(self) -> None:
        self.request = resolved(self.request)

    def emit(self, text: str, token: Token | None = None) -> None:
        self.texts.append(text)
        if token is not None:
            self.tokens.append(token)
        if self.leaves_after is not None and len(self.texts) >= self.leaves_after:
            self.is_cancelled = True

    def finish(self, result: Result) -> None:
        assert self.result is None and self.error is None, "finished twice"
        self.result, self.finished_at = result, time.perf_counter()

    def fail(self, error: Exception) -> None:
        assert self.result is None and self.error is None, "failed after its end"
        self.error = error


class Leaving(KeptJob):
    """Its owner leaves when it was looked for a third time."""

    looks = 0

    @property  # type: ignore[override]
    def is_cancelled(self) -> bool:
        self.looks += 1
        return self.looks > 2

    @is_cancelled.setter
    def is_cancelled(self, value: bool) -> None: ...


def entry(architecture: str, title: str = "Tiny") -> Model:
    """A catalogue entry for a checkpoint on disk."""
    return Model(
        id="tiny", title=title, family="test", architecture=architecture, runtime="transformers", parameters=1,
        languages=("en",), licence="none", size_bytes=1, memory_bytes=1, applications=(), source=Folder(),
    )  # type: ignore[arg-type]  # fmt: skip


def open_backend(architecture: str, folder: Path, **options: Any) -> TransformersBackend:
    """The real backend on a checkpoint, in float32 on the CPU unless told otherwise."""
    settings = Settings(**({"device": "cpu", "dtype": "float32", "threads": 1, "context_tokens": 96} | options))
    return TransformersBackend(entry(architecture), folder, settings)


def run(backend: TransformersBackend, *requests: Request) -> list[Any]:
    """Results of the requests as one batch; raises the first error."""
    jobs = [KeptJob(request) for request in requests]
    backend.run(jobs)
    for job in jobs:
        if job.error is not None:
            raise job.error
    return [job.result for job in jobs]


def wordpiece() -> Any:
    """A tokenizer like BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    )


def byte_pairs(*, has_template: bool = False, is_seq2seq: bool = False) -> Any:
    """A tokenizer like GPT-2's; with "<s> … </s>" around it, like BART's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<mask>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    if is_seq2seq:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", mask_token="<mask>"
    )
    if has_template:
        fast.chat_template = CHAT_TEMPLATE
    return fast


def sentence_pieces(folder: Path, name: str) -> list[str]:
    """Train a sentencepiece model, write it as `name`, and return its pieces in order of id."""
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(CORPUS), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "spm"), vocab_size=220, hard_vocab_limit=False,
        character_coverage=1.0, pad_id=-1, minloglevel=2,
    )  # fmt: skip
    (folder / "spm.model").rename(folder / name)
    (folder / "spm.vocab").unlink()
    corpus.unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
    return [processor.id_to_piece(id) for id in range(processor.get_piece_size())]


def save(folder: Path, model_class: str, config: Any, tokenizer: Any = None, seed: int = 0) -> Path:
    """Write random weights (of a spread that makes outputs differ) and the tokenizer into the folder."""
    torch.manual_seed(seed)
    config.initializer_range = config.init_std = 0.3
    model = getattr(transformers, model_class)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder


def bert(folder: Path, head: str, tokenizer: Any = None, **options: Any) -> Path:
    """BERT with a head: "SequenceClassification", "QuestionAnswering", "MaskedLM", or "" for none (embedding)."""
    tokenizer = tokenizer or wordpiece()
    config = transformers.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **TINY, **options)
    return save(folder, f"BertFor{head}" if head else "BertModel", config, tokenizer)


def gpt2(folder: Path, tokenizer: Any = None) -> Path:
    tokenizer = tokenizer or byte_pairs()
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=96,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return save(folder, "GPT2LMHeadModel", config, tokenizer)


def llama(folder: Path, tokenizer: Any = None) -> Path:
    tokenizer = tokenizer or byte_pairs(has_template=True)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=96, bos_token_id=0, eos_token_id=2,
        **TINY,
    )  # fmt: skip
    return save(folder, "LlamaForCausalLM", config, tokenizer)


def t5(folder: Path, tokenizer: Any = None) -> Path:
    if tokenizer is None:
        tokenizer = byte_pairs(is_seq2seq=True)
        tokenizer.model_max_length = 128
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        decoder_start_token_id=tokenizer.pad_token_id, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return save(folder, "T5ForConditionalGeneration", config, tokenizer)


def bart(folder: Path) -> Path:
    tokenizer = byte_pairs(is_seq2seq=True)
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), forced_bos_token_id=0, decoder_start_token_id=2, **TINY_SEQ2SEQ
    )
    return save(folder, "BartForConditionalGeneration", config, tokenizer)


def marian(folder: Path, real: Path | None = None) -> Path:
    """Marian beside a tokenizer trained here, or beside the real one in the folder `real`."""
    folder.mkdir(parents=True, exist_ok=True)
    if real is not None:
        for file in real.iterdir():
            if file.name not in ("config.json", "generation_config.json"):
                shutil.copy(file, folder / file.name)
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    else:
        pieces = sentence_pieces(folder, "source.spm")
        shutil.copy(folder / "source.spm", folder / "target.spm")
        ordered = ["</s>", "<unk>", *[p for p in pieces if p not in ("</s>", "<unk>", "<s>")], "<pad>"]
        vocabulary = {piece: id for id, piece in enumerate(ordered)}
        (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"source_lang": "fr", "target_lang": "en", "tokenizer_class": "MarianTokenizer"})
        )
    pad = vocabulary["<pad>"]
    config = transformers.MarianConfig(
        vocab_size=len(vocabulary), pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0,
        **TINY_SEQ2SEQ,
    )  # fmt: skip
    save(folder, "MarianMTModel", config)
    generation = {"bad_words_ids": [[pad]], "decoder_start_token_id": pad, "pad_token_id": pad, "eos_token_id": 0}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def m2m100(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pieces = sentence_pieces(folder, "sentencepiece.bpe.model")
    ordered = ["<s>", "<pad>", "</s>", "<unk>", *[p for p in pieces if p not in ("<s>", "</s>", "<unk>")]]
    vocabulary = {piece: id for id, piece in enumerate(ordered)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "M2M100Tokenizer"}))
    config = transformers.M2M100Config(vocab_size=len(vocabulary) + 108, decoder_start_token_id=2, **TINY_SEQ2SEQ)
    return save(folder, "M2M100ForConditionalGeneration", config)
