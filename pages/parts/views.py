"""Each view of the inside of a model, drawn with its live controls; the lesson and the free mode show the same ones."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from engine.applications.languages import NAMED
from engine.explain import tokens
from engine.explain.chain import ChainRequest, ChainResult
from engine.explain.choosing import from_generate
from engine.explain.counting import CountingRequest
from engine.explain.lens import LensRequest
from engine.explain.masked import MaskedRequest
from engine.explain.meaning import ANALOGIES, MeaningRequest
from engine.explain.tokens import TokensRequest
from engine.inspections import Piece
from engine.messages import Text, counted
from engine.requests import Generate, Sampling
from pages.parts import plots
from pages.parts.attention import MOST_SAID, show_attention
from pages.parts.drawing import draw_words, offer_hundred, show_words
from pages.parts.engine import caller, house
from pages.parts.errors import errors_shown
from pages.parts.language import _, capitalised
from pages.parts.looking import look, show_behind, show_origin, show_plot, show_table
from pages.parts.picker import title_of
from pages.parts.readings import quoted, say_choices, say_closest, say_contrast, say_costs, say_cut, say_turning
from pages.parts.text import plain, show_text
from pages.parts.tokens import Piece as TokenPiece
from pages.parts.tokens import hint_of, percent, show_pieces
from pages.parts.why import show_why

DROPPED = {
    "": Text("kept"), "temperature": Text("dropped: T is 0"), "top_k": Text("dropped by top-k"),
    "top_p": Text("dropped by top-p"), "min_p": Text("dropped by min-p"),
}  # fmt: skip
SHADES = ("#1f8a8433", "#d1603d33", "#6a7fc133", "#c9a22733")


def show_tokens(text: str, model_ids: Sequence[str], key: str) -> None:
    """One text by several tokenizers, each token in a colour with its number."""
    rows = []
    for model_id in model_ids:
        result = look("tokens", TokensRequest(text, model_id))
        if result is None:
            continue
        name = _("Bytes (UTF-8)") if model_id == tokens.BYTES else title_of(model_id)
        words = _(counted("{count} token", "{count} tokens", result.count))
        per = _("{number} characters a token", number=f"{len(text) / max(1, result.count):.1f}")
        st.markdown(f"**{plain(name)}** · {plain(words)} · {plain(per)}")
        st.html(_strip(result.pieces))
        if cut := tokens.cut_signs(result.pieces):
            say_cut(cut)
        rows += [
            {_("Model"): name, _("Place"): place, _("Token"): piece.text, _("Id"): piece.id,
             _("Vocabulary"): result.vocabulary}
            for place, piece in enumerate(result.pieces)
        ]  # fmt: skip
    if rows:
        model_id = next(iter(model_ids))
        is_of_model = model_id != tokens.BYTES
        show_behind(rows, key, "tokens" if is_of_model else "", model_id, TokensRequest(text, model_id))


def _strip(pieces: Sequence[Piece]) -> str:
    form = "border-radius:.25rem;padding:0 .15rem;white-space:pre-wrap;display:inline-block;line-height:1.6"
    shown = [
        f'<span style="background:{SHADES[place % len(SHADES)]};{form}">{html.escape(_visible(piece.text))}'
        f'<sub style="opacity:.75;font-size:.65em"> {piece.id}</sub></span>'
        for place, piece in enumerate(pieces)
    ]  # fmt: skip
    return f'<div dir="auto" style="line-height:2.1;overflow-wrap:anywhere">{" ".join(shown)}</div>'


def _visible(text: str) -> str:
    """A piece that is only space by dots."""
    text = text.replace("\n", "↵")
    return text if text.strip() else text.replace(" ", "·")


def show_costs(model_ids: Sequence[str], key: str) -> None:
    """What the same sentence costs in each language."""
    found = {}
    for model_id in model_ids:
        name = _("Bytes (UTF-8)") if model_id == tokens.BYTES else title_of(model_id)
        with errors_shown():
            found[name] = _costs(model_id)
    named = {
        name: {capitalised(_(NAMED[code])): float(count) for code, count in counts.items()}
        for name, counts in found.items()
    }
    say_costs(named)
    told = "; ".join(
        f"{name}: " + ", ".join(f"{language} {count:.0f}" for language, count in counts.items())
        for name, counts in named.items()
    )
    alt = _("Tokens of one sentence in each language. {list}.", list=told)
    show_plot(plots.grouped(named, _("tokens")), f"{key}-costs", alt)
    rows = [
        {_("Language"): capitalised(_(NAMED[code])), _("Sentence"): sentence}
        | {name: counts[code] for name, counts in found.items()}
        for code, sentence in tokens.SENTENCES.items()
    ]
    show_behind(rows, f"{key}-costs")


def _costs(model_id: str) -> dict[str, int]:
    kept: dict[str, dict[str, int]] = st.session_state.setdefault("token-costs", {})
    if model_id not in kept:
        kept[model_id] = tokens.costs(house().engine, model_id, caller())
    return kept[model_id]


def show_next(text: str, model_id: str, key: str) -> None:
    """The next token, with temperature and filters to move."""
    show_choice(Generate(text), model_id, key, Sampling(temperature=1.0), can_draw=True)


def show_choice(asked: Generate, model_id: str, key: str, start: Sampling, *, can_draw: bool = False) -> None:
    """The token after what a model is asked to go on from; the controls begin at `start`."""
    sampling = _choice_controls(key, start)
    request = from_generate(asked, sampling, 50, model_id)
    request = draw_words(request, key) if can_draw else request
    result = look("next", request)
    if result is None:
        return
    if can_draw:
        show_words(request, result, key)
    say_choices(result)
    best = ", ".join(f"{quoted(one.text)} {one.share:.0%}" for one in result.choices[:5])
    show_plot(plots.choices(result), key, _("The likeliest next tokens and what is kept of them: {list}.", list=best))
    st.caption(_("· is a space: a piece that begins with one begins a word."))
    rows = [
        {_("Token"): one.text, _("Id"): one.id, _("Logit"): one.logit, _("Divided by T"): one.scaled,
         _("Probability"): one.probability, _("Share of what is kept"): one.share,
         _("Filter"): _(DROPPED[one.dropped_by])}
        for one in result.choices
    ]  # fmt: skip
    show_behind(rows, key, "next", model_id, request)
    if can_draw:
        offer_hundred(request, key)
    show_origin(result)


def _choice_controls(key: str, start: Sampling) -> Sampling:
    left, right = st.columns(2)
    temperature = left.slider(
        _("Temperature (T)"), 0.0, 2.0, start.temperature, 0.05, key=f"{key}-t", bind="query-params",
        help=_("Logits are divided by it: below 1 the likely become likelier, above 1 all alike; 0 takes the first."),
    )  # fmt: skip
    top_p = right.slider(
        _("top-p"), 0.05, 1.0, start.top_p, 0.05, key=f"{key}-p", bind="query-params",
        help=_("Keeps the likeliest tokens whose probabilities add up to this; 1 keeps all."),
    )  # fmt: skip
    top_k = left.slider(
        _("top-k"),
        0,
        50,
        min(50, start.top_k),
        key=f"{key}-k",
        bind="query-params",
        help=_("Keeps this many of the likeliest; 0 keeps all."),
    )
    min_p = right.slider(
        _("min-p"), 0.0, 0.5, min(0.5, start.min_p), 0.01, key=f"{key}-m", bind="query-params",
        help=_("Drops tokens less likely than this share of the likeliest one."),
    )  # fmt: skip
    return Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)


def show_chain(texts: Mapping[str, str], model_id: str, key: str, source: str = "") -> None:
    """The chain rule over one text or two, side by side in one plot."""
    found: dict[str, ChainResult] = {}
    for name, text in texts.items():
        result = look("chain", ChainRequest(text, source, model=model_id)) if text.strip() else None
        if result is not None:
            found[name] = result
    if not found:
        return
    for column, (name, result) in zip(st.columns(len(found)), found.items(), strict=True):
        with column:
            if len(found) > 1:
                st.markdown(f"**{plain(name)}**")
            _show_sums(result, f"{key}-words-{name}")
    if len(found) == 2:
        say_contrast(*found.values())
    told = "; ".join(
        f"{name}: "
        + ", ".join(f"{link.text.strip()} {link.surprise_bits or 0:.1f}" for link in result.links[:MOST_SAID])
        for name, result in found.items()
    )
    alt = _("The surprise of each token in bits, and their sum. {list}.", list=told)
    show_plot(plots.chain_bars(found), key, alt)
    rows = [
        {_("Text"): name, _("Token"): link.text, _("Id"): link.id, _("Probability"): link.probability,
         _("Surprise in bits"): link.surprise_bits, _("Sum in bits"): link.sum_bits,
         _("Likeliest instead"): ", ".join(f"“{rival.text.strip()}” {rival.probability:.1%}" for rival in link.rivals)}
        for name, result in found.items() for link in result.links
    ]  # fmt: skip
    show_behind(rows, key, "chain", model_id, ChainRequest(next(iter(texts.values())), source, model=model_id))
    first = next(iter(found.values()))
    if str(first.origin):
        show_origin(first)
    if house().catalogue.find(model_id).runtime == "llamacpp":
        st.caption(_("llama.cpp, which writes with this model on other pages, does not tell how likely it finds a "
                     "given text; transformers does."))  # fmt: skip


def _show_sums(result: ChainResult, key: str) -> None:
    """A text's tokens by their probability, and what comes of all of them."""
    show_pieces(_links(result), key, None, label=_("The text, token by token"))
    one, two, three = st.columns(3)
    one.metric(_("Surprise, all together"), _("{number} bit", number=f"{result.sum_bits:.1f}"))
    two.metric(_("Perplexity"), f"{result.perplexity:.1f}")
    three.metric(_("Bits per byte"), f"{result.bits_per_byte:.2f}")
    worst = max(result.links, key=lambda link: link.surprise_bits or 0)
    st.caption(plain(_("Most surprising: {token} with {number} bit.", token=repr(worst.text.strip()),
                       number=f"{worst.surprise_bits or 0:.1f}")))  # fmt: skip


def _links(result: ChainResult) -> list[TokenPiece]:
    """Tokens coloured by their probability, with what was likely in their place."""
    pieces = []
    for number, link in enumerate(result.links):
        hint = _("nothing comes before it") if link.probability is None else hint_of(link.probability, link.rivals)
        rivals = [(rival.text, percent(rival.probability)) for rival in link.rivals]
        pieces.append(TokenPiece(link.text, number, hint, link.probability, rivals))
    return pieces


def show_lens(text: str, model_id: str, key: str) -> None:
    """What would be said after each layer, and how much each one changes."""
    request = LensRequest(text, 3, model_id)
    result = look("lens", request)
    if result is None:
        return
    say_turning(result)
    alt = _("The likeliest next word after each layer and token; the last layer is on top.")
    show_plot(plots.lens_table(result), f"{key}-lens", alt)
    probabilities = np.exp(result.logprobs.values())
    rows = [
        {_("Layer"): layer, _("Token"): f"{place} {piece.text}", _("Likeliest"): words[place][0],
         _("Probability"): round(float(probabilities[layer, place, 0]), 4), _("Others"): ", ".join(words[place][1:])}
        for layer, words in enumerate(result.words) for place, piece in enumerate(result.tokens)
    ]  # fmt: skip
    show_behind(rows, f"{key}-lens", "lens", model_id, request)
    figure = plots.change_line(result)
    moved = list(zip(figure["data"][0]["x"], figure["data"][0]["y"], strict=True))
    alt = _("By how much each layer moves the residual stream. {list}.",
            list=", ".join(f"{layer}: {share:.0%}" for layer, share in moved))  # fmt: skip
    show_plot(figure, f"{key}-changes", alt)
    show_behind([{_("Layer"): layer, _("Change"): share} for layer, share in moved], f"{key}-changes")
    show_origin(result)


def show_counting(text: str, prompt: str, order: int, key: str) -> float | None:
    """What a table of the visitor's own text makes of a beginning; its bits per byte."""
    request = CountingRequest(text, prompt, order)
    result = look("counting", request)
    if result is None:
        return None
    words = _(counted(
        "The table has counted what follows {contexts:,} different runs of {count} letter. Of the end of yours "
        "it knows {context}, after which came: {list}.",
        "The table has counted what follows {contexts:,} different runs of up to {count} letters. Of the end of "
        "yours it knows {context}, after which came: {list}.", order, contexts=result.contexts,
        context=repr(result.context),
        list=", ".join(f"{one.text!r} {one.count}×" for one in result.followers),
    ))  # fmt: skip
    st.markdown(plain(words))
    bits = "; ".join(f"{place}: {value:.2f}" for place, value in enumerate(result.bits_by_order, 1))
    st.markdown(plain(_("Its surprise at your beginning, in bits per byte, by how many letters it looks back: {list}.",
                        list=bits)))  # fmt: skip
    seen = {_("count"): {plots.seen(one.text): float(one.count) for one in result.followers}}
    alt = _("What followed the last letters, and how often: {list}.",
            list=", ".join(f"{one.text!r} {one.count}" for one in result.followers))  # fmt: skip
    show_plot(plots.grouped(seen, _("times")), f"{key}-counts", alt)
    rows = [{_("Letter"): one.text, _("Times"): one.count} for one in result.followers]
    show_behind(rows, f"{key}-counts", "counting", "", request)
    st.caption(_("It goes on by lot, letter by letter:"))
    show_text(prompt + result.continuation)
    return float(result.bits_per_byte)


def ask_analogies(key: str, start: str = "") -> str:
    """Which are to be solved."""
    asked: str = st.text_area(
        _("Analogies, one a line"), start, key=key, height=120 if start else 70, bind="query-params",
        placeholder=ANALOGIES.partition("\n")[0],
    )  # fmt: skip
    return asked


def show_meaning(text: str, model_id: str, key: str, analogies: str) -> None:
    """Words and sentences on a plane, the nearest of each, and analogies."""
    request = MeaningRequest(text, analogies, model_id)
    result = look("meaning", request)
    if result is None:
        return
    words = _(
        "The plane shows {share} of what differs; the rest is in directions that no plane has.",
        share=f"{result.shown:.0%}",
    )
    st.caption(plain(words))
    say_closest(result)
    show_plot(plots.points(result), f"{key}-plane", _("Words and sentences as points on a plane."))
    rows = [
        {_("Text"): name, "x": round(float(x), 4), "y": round(float(y), 4),
         _("Nearest"): ", ".join(f"{one.text} {one.cosine:.2f}" for one in near)}
        for name, (x, y), near in zip(result.texts, result.plane.values(), result.nearest, strict=True)
    ]  # fmt: skip
    show_behind(rows, f"{key}-plane", "meaning", model_id, request)
    if result.analogies:
        right = sum(one.is_right for one in result.analogies)
        st.markdown(_("**Analogies**: {right} of {all} come out.", right=right, all=len(result.analogies)))
        solved = [
            {_("Analogy"): f"{one.first} : {one.second} = {one.third} : ?", _("Expected"): one.expected,
             _("Found"): one.found, _("Cosine"): f"{one.cosine:.2f}", _("Right"): "✓" if one.is_right else "✗"}
            for one in result.analogies
        ]  # fmt: skip
        show_table(solved, f"{key}-analogies")


def show_masked(text: str, model_id: str, key: str) -> None:
    """What stands where words are hidden."""
    request = MaskedRequest(text, model=model_id)
    st.caption(
        _(
            "Caution: what stands at the top is what was often written, not what is true or right. Try *The nurse said "
            "that [MASK] was tired* and *The engineer said that [MASK] was tired*: such models picked up who is "
            "usually spoken of how."
        )
    )
    result = look("masked", request)
    for number, mask in enumerate(result.masks if result else (), 1):
        bars = {_("Mask {number}", number=number): {one.text: one.probability for one in mask}}
        show_plot(
            plots.grouped(bars, _("probability")),
            f"{key}-{number}",
            _(
                "What could stand at mask {number}: {list}.",
                number=number,
                list=", ".join(f"{one.text} {one.probability:.1%}" for one in mask),
            ),
        )
        rows = [{_("Word"): one.text, _("Probability"): one.probability} for one in mask]
        show_behind(rows, f"{key}-{number}", "masked", model_id, request)


def show_view(name: str, text: str, model_id: str, key: str, source: str = "") -> None:
    """A view by its name."""
    draw: dict[str, Any] = {
        "tokens": lambda: show_tokens(text, [model_id], key),
        "next": lambda: show_next(text, model_id, key),
        "chain": lambda: show_chain({_("Text"): text}, model_id, key, source),
        "attention": lambda: show_attention(text, model_id, key, source),
        "lens": lambda: show_lens(text, model_id, key),
        "why": lambda: show_why(text, model_id, key),
        "meaning": lambda: show_meaning(text, model_id, key, ask_analogies(f"{key}-analogies")),
        "masked": lambda: show_masked(text, model_id, key),
    }
    draw[name]()
