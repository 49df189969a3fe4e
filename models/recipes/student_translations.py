"""Many sentences through a student at once, in batches of like lengths."""

from __future__ import annotations

from collections.abc import Sequence

from engine.backends.marian.beams import search
from engine.backends.marian.decoding import translate
from engine.backends.marian.files import Vocabulary
from engine.backends.marian.model import EOS
from engine.backends.marian.shortlist import Network, Shortlist

BATCH = 32


def translated(
    network: Network,
    vocabularies: tuple[Vocabulary, Vocabulary],
    texts: Sequence[str],
    shortlist: Shortlist | None = None,
    batch: int = BATCH,
    beam_size: int = 1,
) -> list[str]:
    """The texts' translations, in their order. `vocabularies` are the source's and the target's."""
    source, target = vocabularies
    sources = [[*source.encode(text), EOS] for text in texts]
    order = sorted(range(len(texts)), key=lambda place: len(sources[place]))
    found = [""] * len(texts)
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        some = [sources[place] for place in places]
        ids = translate(network, some, shortlist) if beam_size == 1 else search(network, some, beam_size, shortlist)
        for place, one in zip(places, ids, strict=True):
            found[place] = target.decode(one)
    return found
