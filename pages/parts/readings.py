"""What a view shows, said in a sentence or two: for who does not see the plot, or does not know yet how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from engine.explain.attention import AttentionResult, habit
from engine.explain.chain import ChainResult, contrast
from engine.explain.choosing import NextResult
from engine.explain.lens import LensResult, turning
from engine.explain.meaning import MeaningResult, closest
from engine.inspections import Piece
from pages.parts.language import _
from pages.parts.text import plain
from pages.parts.tokens import percent


def quoted(piece: str) -> str:
    """A piece of text in quotes; one that is only space as the plots show it."""
    return repr(piece.strip() or piece.replace("\n", "↵").replace(" ", "·"))


def say_costs(counts: Mapping[str, Mapping[str, float]]) -> None:
    """Which language pays most and least by each tokenizer: {tokenizer: {language: tokens}}."""
    told = []
    for name, languages in counts.items():
        least, most = min(languages, key=languages.__getitem__), max(languages, key=languages.__getitem__)
        told.append(
            _("{name}: {least} {few}, {most} {many}", name=name, least=least, few=f"{languages[least]:.0f}", most=most,
              many=f"{languages[most]:.0f}")
        )  # fmt: skip
    st.markdown(plain(_("The fewest and the most tokens. {list}.", list="; ".join(told))))


def say_cut(cut: Sequence[tuple[str, Sequence[Piece]]]) -> None:
    """Why there are more ids than signs."""
    told = dict.fromkeys(
        _("{sign}: ids {ids}", sign=sign.strip(), ids=", ".join(str(piece.id) for piece in pieces))
        for sign, pieces in cut
    )
    words = _("One sign, several ids, since this list has no piece for the whole of it and takes its bytes: {list}.",
              list="; ".join(told))  # fmt: skip
    st.caption(plain(words))


def say_choices(result: NextResult) -> None:
    """What is likeliest, and how many may be drawn."""
    best = ", ".join(f"{quoted(one.text)} {one.share:.0%}" for one in result.choices[:3] if one.share)
    words = _("Drawn by lot from {kept:,} of {all:,} pieces, the likeliest of them: {list}.",
              kept=result.kept, all=result.vocabulary, list=best)  # fmt: skip
    others = result.kept - sum(one.share > 0 for one in result.choices)
    if others > 0:
        words += " " + _("All but the {first} likeliest, {count:,} pieces, have {share} together.", count=others,
                         first=result.kept - others,
                         share=percent(max(0.0, 1 - sum(one.share for one in result.choices))))  # fmt: skip
    st.markdown(plain(words))


def say_contrast(first: ChainResult, second: ChainResult) -> None:
    """Where the changed text is more surprising: at the change, and behind it."""
    found = contrast(first, second)
    if found is None:
        return
    words = _("The change: {first} surprises by {one} bit, {second} by {other} bit.",
              first=repr(found.first), second=repr(found.second), one=f"{found.first_bits:.1f}",
              other=f"{found.second_bits:.1f}")  # fmt: skip
    if found.after:
        words += " " + _("What follows is the same, {tail}, and surprises by {one} bit in the first text and by "
                         "{other} bit in the changed one.", tail=repr(found.after), one=f"{found.after_first_bits:.1f}",
                         other=f"{found.after_second_bits:.1f}")  # fmt: skip
    st.markdown(plain(words))


def say_habit(result: AttentionResult, head: int) -> None:
    """What the head, or the average, mostly looks at."""
    found = habit(result, head)
    who = _("Head {head}", head=head) if head else _("The average of all heads")
    spread = _("{who} spreads over {count} tokens.", who=who, count=f"{found.spread:.1f}")
    if result.kind == "cross":
        if head == 0 and result.heads > 1:
            spread += " " + _("Single heads of this layer differ: head {low} spreads over {least} tokens, head {high} "
                              "over {most}.", low=found.least[0], least=f"{found.least[1]:.1f}", high=found.most[0],
                              most=f"{found.most[1]:.1f}")  # fmt: skip
        st.markdown(plain(spread))
        return
    words = _("{who} gives the first token {first}, the token itself {own}, the one before {before}, and spreads over "
              "{count} tokens.", who=who, first=f"{found.first:.0%}", own=f"{found.own:.0%}",
              before=f"{found.before:.0%}", count=f"{found.spread:.1f}")  # fmt: skip
    if head == 0 and result.heads > 1:
        words += " " + _("Single heads of this layer differ: head {low} gives the first token {least}, head {high} "
                         "{most}.", low=found.least[0], least=f"{found.least[1]:.0%}", high=found.most[0],
                         most=f"{found.most[1]:.0%}")  # fmt: skip
    st.markdown(plain(words))


def say_turning(result: LensResult) -> None:
    """In which layer the answer shows, and from where on it is likelier than all others together."""
    found, last = turning(result), len(result.words) - 1
    words = _("At the end of the text the model says {word}, with {share}. It is the likeliest for the first time "
              "after layer {first} of {last}.", word=quoted(found.word),
              share=f"{found.probability:.0%}", first=found.first, last=last)  # fmt: skip
    if found.settled == last:
        words += " " + _("It has more than 50 % only after the last one.")
    elif found.settled is None:
        words += " " + _("It ends with less than half of the probability: all others together are likelier.")
    else:
        words += " " + _("From layer {layer} on its probability stays above 50 %.", layer=found.settled)
    st.markdown(plain(words))


def say_closest(result: MeaningResult) -> None:
    """Which lie nearest to each other."""
    pairs: Sequence[str] = [f"{one!r} – {other!r} {cosine:.2f}" for one, other, cosine in closest(result, 5)]
    words = _("Closest of all (1 is the same direction): {pairs}.", pairs="; ".join(pairs))
    last = ", ".join(f"{one.text!r} {one.cosine:.2f}" for one in result.nearest[-1])
    words += " " + _("Closest to the last line, {line}: {list}.", line=repr(result.texts[-1]), list=last)
    st.markdown(plain(words))
