"""Checkpoints on torch, by `transformers`; `engine.backends.transformers` says what it serves."""
