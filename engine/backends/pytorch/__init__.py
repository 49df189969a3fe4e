"""Checkpoints on torch, by `transformers`; `engine.backends.transformers` says what it serves."""

WRITING = frozenset({"generate", "sample", "penalties", "top_logprobs"})
TASKS: dict[str, frozenset[str]] = {
    "causal": WRITING | {"score", "embed"},
    "seq2seq": WRITING,
    "classification": frozenset({"classify"}),
    "extraction": frozenset({"extract"}),
    "masked": frozenset({"fill"}),
    "embedding": frozenset({"embed"}),
}
"""What a checkpoint can do, by what it was made for."""
