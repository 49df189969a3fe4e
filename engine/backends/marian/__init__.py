"""Marian students in plain torch: the small translators that Firefox ships, and models trained from them."""
