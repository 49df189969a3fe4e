"""The shipped translators: how their data is cleaned and packed, how they learn on a GPU in pieces of ten minutes, how
they are judged and shipped. `docs/translators.md` says what to type, `python -m engine.training.recipes.translators -h`
what each command takes.
"""
