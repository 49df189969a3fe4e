"""GGUF files on llama.cpp; `engine.backends.llamacpp` says what it serves."""

TASKS = frozenset({"generate", "sample", "penalties", "top_logprobs", "grammar", "tokenize"})
"""What llama.cpp does with any of them."""
