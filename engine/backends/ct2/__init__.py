"""Int8 copies of checkpoints on CTranslate2; `engine.backends.ctranslate2_*` say what it serves."""
