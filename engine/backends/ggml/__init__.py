"""GGUF files on llama.cpp; `engine.backends.llamacpp` says what it serves."""
