"""Checkpoints on torch, by `transformers`; `engine.backends.transformers` says what it serves."""

WRITING = frozenset({"generate", "sample", "penalties", "top_logprobs"})
TASKS: dict[str, frozenset[str]] = {
    "causal": WRITING | {"score", "rivals", "embed", "tokenize", "next", "attend", "lens", "attribute"},
    "seq2seq": WRITING | {"beginning", "tokenize", "attend", "attend_translation", "attribute"},
    "classification": frozenset({"classify", "tokenize", "attend", "attribute"}),
    "extraction": frozenset({"extract", "tokenize", "attend", "attribute"}),
    "masked": frozenset({"fill", "tokenize", "attend"}),
    "embedding": frozenset({"embed", "align_texts", "tokenize", "attend"}),
}
"""What a checkpoint can do, by what it was made for."""
