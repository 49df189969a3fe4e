"""A translation whose words can be pointed at: doubtful ones are marked, each tells its source, a click picks one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.applications.alignments import Link
from engine.applications.sentences import Translation
from engine.applications.words import is_doubtful
from pages.parts.language import _
from pages.parts.tokens import Piece, show_pieces

Place = tuple[int, int]
"""Number of a sentence, and where in its translation a word begins."""


def show_words(
    translation: Translation,
    views: Sequence[Sequence[Link]],
    key: str,
    picked: Place | None,
    pick: Callable[[Place], None],
) -> None:
    """Draw the translation; `views` are each sentence's words, `pick` is called with the one that was clicked."""
    pieces = _pieces(translation, views, picked)
    show_pieces(pieces, key, lambda place, rival: pick((int(place[0]), int(place[1]))), is_serif=True)


def _pieces(translation: Translation, views: Sequence[Sequence[Link]], picked: Place | None) -> list[Piece]:
    """The text cut into doubtful sentences, words that can be clicked, and what stands between them."""
    pieces: list[Piece] = []
    end = 0
    for number, (sentence, place) in enumerate(zip(translation.sentences, translation.places(), strict=True)):
        if place is None:
            continue
        is_unsure = sentence.is_doubtful
        pieces.append(Piece(translation.text[end : place[0]]))
        is_whole = place[1] - place[0] == len(sentence.text)
        for link in views[number] if is_whole else ():
            start, stop = place[0] + link.target[0], place[0] + link.target[1]
            pieces.append(Piece(translation.text[max(end, place[0]) : start], is_unsure=is_unsure))
            at = number, link.target[0]
            hint, is_picked = _hint(sentence.source[slice(*link.source)], link), picked == at
            text = translation.text[start:stop]
            pieces.append(
                Piece(text, at, hint, is_unsure=is_unsure, is_doubtful=is_doubtful(link), is_picked=is_picked)
            )
            end = stop
        pieces.append(Piece(translation.text[max(end, place[0]) : place[1]], is_unsure=is_unsure))
        end = place[1]
    return [*pieces, Piece(translation.text[end:])]


def _hint(source: str, link: Link) -> str:
    if link.probability is None:
        return _("from “{source}”", source=source)
    words = _("from “{source}”, {percent} sure", source=source, percent=f"{link.probability:.0%}")
    return words + (" · " + _("doubtful") if is_doubtful(link) else "")
