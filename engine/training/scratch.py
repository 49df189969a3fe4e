"""New models and their tokenizers, from nothing: a tiny GPT (Llama's architecture) and a translator (Marian's).

Both are saved as the same files that models from the Hub have. The same texts and seed give the same model.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from engine.backends.pytorch.loading import LOCAL
from engine.errors import InputError
from engine.files import placed
from engine.training import tasks
from engine.training.config import Tokenizer, TrainingConfig
from engine.training.formats import read_table

COVERAGE = 0.9995
"""Share of the texts' characters that get tokens of their own; the rarest are written as bytes."""
MAX_TOKENIZER_CHARACTERS = 20_000_000
"""A tokenizer learns no more from more text, only slower."""
CONTEXT_TOKENS = 256
"""The least that a tiny GPT takes: a prompt and a paragraph."""
TRANSLATOR_POSITIONS = 512
SPACES = ("\u00a0", "\u1680", *map(chr, range(0x2000, 0x200B)), "\u202f", "\u205f", "\u3000", "\t", "\n", "\r")
INVISIBLE = ("\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff")
"""A translator reads every kind of space as one space and drops what cannot be seen. All else stays: NFKC, which
sentencepiece would use, writes Chinese commas as Latin ones."""


def build(config: TrainingConfig, folder: Path) -> tuple[Any, Any]:
    """The untrained model of a config without base, and its tokenizer: a tiny GPT, or a translator.

    The tokenizer is learned from the config's train_file and kept in `folder/tokenizer`, where a resumed run finds it.
    Raises InputError for texts of which no tokenizer of that size can be made.
    """
    kept, is_gpt = folder / "tokenizer", tasks.find(config.task).is_language_model
    if not kept.is_dir():
        texts = list(_limited(_texts(config)))
        if is_gpt:
            train_tokenizer(texts, config.tokenizer, config.vocabulary_size, kept)
        else:
            marian_tokenizer(
                texts, config.vocabulary_size, kept, source=config.source_language, target=config.target_language
            )
    tokenizer = load_tokenizer(kept)
    if is_gpt:
        return tiny_gpt(config, tokenizer), tokenizer
    return marian(config, tokenizer), tokenizer


def load_tokenizer(folder: Path) -> Any:
    """A tokenizer as kept by this module."""
    return transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)


def train_tokenizer(texts: Iterable[str], kind: Tokenizer, vocabulary_size: int, folder: Path) -> Any:
    """Learn the tokenizer of a tiny GPT from texts, put it into the folder, and return it.

    `bpe` is byte-level BPE (as GPT-2's), `sentencepiece` BPE over characters with bytes for rare ones (as Llama's).
    Raises InputError for too small a vocabulary, or no text.
    """
    learn = _byte_level if kind == "bpe" else _sentencepiece
    tokenizer = learn([text for text in texts if text.strip()], vocabulary_size)
    with placed(folder) as part:
        tokenizer.save_pretrained(part)
    return load_tokenizer(folder)


def tiny_gpt(config: TrainingConfig, tokenizer: Any) -> Any:
    """A LlamaForCausalLM of the config's layers, width and heads, with tied embeddings and random weights."""
    shape = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=-(-(config.width * 8 // 3) // 32) * 32,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=max(CONTEXT_TOKENS, config.max_length),
        tie_word_embeddings=True,
        attention_dropout=config.attention_dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _seeded(transformers.LlamaForCausalLM, shape, config.seed)


def marian(config: TrainingConfig, tokenizer: Any) -> Any:
    """A MarianMTModel of the config's shape with random weights; one matrix embeds both sides and gives the logits.

    The spread of the weights is that of Vaswani et al. 2017 (one over the root of the width), with embeddings scaled up
    by the same root.
    """
    pad, positions = tokenizer.pad_token_id, max(TRANSLATOR_POSITIONS, config.max_length, config.max_target_length)
    shape = transformers.MarianConfig(
        vocab_size=len(tokenizer),
        d_model=config.width,
        encoder_layers=config.layers,
        decoder_layers=config.layers,
        encoder_attention_heads=config.heads,
        decoder_attention_heads=config.heads,
        encoder_ffn_dim=4 * config.width,
        decoder_ffn_dim=4 * config.width,
        max_position_embeddings=positions,
        activation_function="swish",
        attention_dropout=config.attention_dropout,
        init_std=config.width**-0.5,
        scale_embedding=True,
        pad_token_id=pad,
        decoder_start_token_id=pad,
        eos_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=None,
    )
    model = _seeded(transformers.MarianMTModel, shape, config.seed)
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=pad, pad_token_id=pad, eos_token_id=tokenizer.eos_token_id, bad_words_ids=[[pad]],
        max_length=positions,
    )  # fmt: skip
    return model


def marian_tokenizer(
    texts: Iterable[str], vocabulary_size: int, folder: Path, *, source: str = "", target: str = ""
) -> Any:
    """Learn one unigram sentencepiece vocabulary for both sides of a translator, put it into the folder, return it.

    Unigram, so that training can sample other splits of a sentence (Kudo 2018); digits stand alone.
    Raises InputError as above.
    """
    import sentencepiece

    spm = _learn(
        texts, vocabulary_size - 1, rules=True, model_type="unigram", character_coverage=COVERAGE, pad_id=-1,
        split_digits=True,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_proto=spm)
    pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
    ordered = ["</s>", "<unk>", *(piece for piece in pieces if piece not in ("<s>", "</s>", "<unk>")), "<pad>"]

    with placed(folder) as part:
        for name in ("source.spm", "target.spm"):
            (part / name).write_bytes(spm)
        vocabulary = {piece: number for number, piece in enumerate(ordered)}
        (part / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        described = {
            "tokenizer_class": "MarianTokenizer", "source_lang": source, "target_lang": target,
            "model_max_length": TRANSLATOR_POSITIONS,
        }  # fmt: skip
        (part / "tokenizer_config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return load_tokenizer(folder)


def _texts(config: TrainingConfig) -> Iterator[str]:
    """What a tokenizer learns from: every text of the training rows."""
    path = Path(config.train_file)
    for row in read_table(path, path.name, is_own=True).rows:
        yield from (str(row[role]) for role in tasks.find(config.task).roles if row.get(role))


def _limited(texts: Iterable[str]) -> Iterator[str]:
    left = MAX_TOKENIZER_CHARACTERS
    for text in texts:
        if left <= 0:
            return
        left -= len(text)
        yield text


def _byte_level(texts: Sequence[str], vocabulary_size: int) -> Any:
    from tokenizers import Tokenizer as Fast
    from tokenizers import decoders, models, pre_tokenizers, trainers

    if not texts:
        raise _no_text()
    fast = Fast(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=["<|endoftext|>", "<|padding|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    fast.train_from_iterator(texts, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<|padding|>"
    )


def _sentencepiece(texts: Sequence[str], vocabulary_size: int) -> Any:
    """Learned by sentencepiece, kept as Llama's fast tokenizer: pieces, and merges in the order of their scores."""
    import sentencepiece
    from transformers.tokenization_utils_base import generate_merges

    spm = _learn(texts, vocabulary_size, model_type="bpe", character_coverage=COVERAGE, pad_id=3)
    processor = sentencepiece.SentencePieceProcessor(model_proto=spm)
    numbers = range(processor.get_piece_size())
    vocabulary = {processor.id_to_piece(number): number for number in numbers}
    scores = {
        processor.id_to_piece(number): processor.get_score(number)
        for number in numbers
        if not processor.is_control(number) and not processor.is_unknown(number) and not processor.is_byte(number)
    }
    return transformers.LlamaTokenizer(
        vocab=vocabulary, merges=generate_merges(vocabulary, scores), pad_token="<pad>", legacy=False
    )


def _learn(texts: Iterable[str], size: int, *, rules: bool = False, **options: Any) -> bytes:
    """The file of a sentencepiece model with bytes for rare characters; `rules` normalise spaces as a translator's."""
    import sentencepiece

    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    if not lines:
        raise _no_text()
    common: dict[str, Any] = {
        "byte_fallback": True, "hard_vocab_limit": False, "unk_id": 0, "bos_id": 1, "eos_id": 2,
        "normalization_rule_name": "identity", "remove_extra_whitespaces": rules, "max_sentence_length": 100_000,
        "minloglevel": 2, "num_threads": 2,
    }  # fmt: skip
    written = io.BytesIO()
    with tempfile.TemporaryDirectory() as temporary:
        if rules:
            table = Path(temporary) / "rules.tsv"
            table.write_text(_rules(), encoding="utf-8")
            common |= {"normalization_rule_name": "user_defined", "normalization_rule_tsv": str(table)}
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines), model_writer=written, vocab_size=size, **common | options
            )
        except RuntimeError as error:
            if "required_chars" not in str(error):
                raise
            raise InputError(
                "vocabulary_size is too small: {size:,} tokens do not hold the bytes and the characters of these "
                "texts. Choose a larger one.",
                "vocabulary_size", size=size,
            ) from error  # fmt: skip
    return written.getvalue()


def _rules() -> str:
    """Normalisation as sentencepiece reads it: code points, a tab, what they become."""
    lines = [f"{ord(character):X}\t20" for character in SPACES] + [f"{ord(character):X}\t" for character in INVISIBLE]
    return "\n".join([*lines, f"{ord('’'):X}\t{ord(chr(39)):X}"]) + "\n"


def _no_text() -> InputError:
    return InputError("train_file holds no text to learn a tokenizer from. Choose another file.", param="train_file")


def _seeded(kind: Any, shape: Any, seed: int) -> Any:
    """A model with weights drawn from the seed; the caller's random numbers go on as if nothing had been drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(shape).float()
