"""Sentences through an encoder-decoder of OPUS-MT's shape: `generate` in batches, and CTranslate2 int8."""

from __future__ import annotations

from typing import Any

from benchmarks.encoders import best, race
from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.weights import OPUS_SHAPE, OPUS_VOCABULARY, ctranslate2_int8, opus_sized
from engine.backends.ct2.conversion import COPY

BATCHES = (8, 32, 64)
TOKENS = 24


def measure(options: Options, rates: Rates) -> list[Figure]:
    """Tokens a second over all sentences; the weights are random, so every translation has the same length."""
    count, folder = options.choose(200, 24), str(opus_sized())
    COPY.made(opus_sized())  # as the engine does in the background at the first load
    given: dict[str, Any] = {"folder": folder, "count": count, "tokens": TOKENS}
    path = {"path": str(ctranslate2_int8(opus_sized()))}
    plain = best(
        {str(b): ("benchmarks.peers:translations_generate", given | {"batch": b}) for b in (1, *BATCHES)}, options,
        count=max(16, count // 4),
    )  # fmt: skip
    quick = best(
        {str(b): ("benchmarks.peers:translations_ctranslate2", given | path | {"batch": b}) for b in BATCHES}, options,
        count=max(16, count // 4),
    )  # fmt: skip
    rounds = race(
        {"ours": ("benchmarks.ours:translations", given), "generate": plain, "CTranslate2 int8": quick},
        options,
    )
    for done in rounds:
        for side in done.values():
            side["speed"] = side["tokens"] / side["seconds"]
    shared: dict[str, Any] = {
        "row": "translation", "work": f"{count} sentences, OPUS-MT's shape, {TOKENS} tokens each", "unit": "tokens/s",
        "limit": rates.int8 / operations_a_token(), "limit_note": "operations of encoder and decoder at the int8 rate",
    }  # fmt: skip
    return [
        figure(rounds, "speed", "generate", reach=3.0, **(shared | {"peer": f"generate, batch {plain[1]['batch']}"})),
        figure(
            rounds, "speed", "CTranslate2 int8", reach=1.0,
            **(shared | {"peer": f"CTranslate2 int8, batch {quick[1]['batch']}"}),
        ),
    ]  # fmt: skip


def operations_a_token() -> float:
    """Of a token of the decoder and one of the source, about as many of which there are."""
    width, inner = OPUS_SHAPE["d_model"], OPUS_SHAPE["decoder_ffn_dim"]
    assert isinstance(width, int) and isinstance(inner, int)
    decoder = 6 * (6 * width**2 + 2 * width * inner) + width * OPUS_VOCABULARY
    encoder = 6 * (6 * width**2 + 2 * width * inner)
    return 2.0 * (decoder + encoder)
