"""The same input asked of other models, or with other temperatures, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import streamlit as st

from engine.applications import Application
from engine.catalogue.models import Model
from engine.messages import said
from engine.requests import MAX_SEED
from pages.parts.engine import house
from pages.parts.language import _, spoken
from pages.parts.picker import title_of
from pages.parts.streaming import Doubts, Spot, ask, show_answer, work_together
from pages.parts.text import plain
from pages.parts.visits import MOST_BESIDE, Exchange, answer_of, beside_name, difference, keep_beside

TEMPERATURES = (0.0, 0.3, 0.7, 1.0, 1.4)
COUNTS = tuple(range(1, MOST_BESIDE + 1))
LEAD_CHARACTERS = 40
Draw = Callable[[Exchange], None]
Can = Callable[[Model], bool]


def offer_beside(key: str, application: Application[Any, Any], answer: Exchange, can: Can | None = None) -> None:
    """A popover in which to choose what to ask besides; which models are here is asked once it is open."""
    opened = st.popover(_("Compare"), icon=":material/compare:", key=f"{key}-compare", on_change="rerun")
    if opened.open:
        with opened:
            _choose_beside(key, application, answer, can)


def _choose_beside(key: str, application: Application[Any, Any], answer: Exchange, can: Can | None) -> None:
    own = str(answer.request.model or getattr(answer.result, "model", ""))
    models = [one for one in application.models(house().catalogue) if one.id != own and (can is None or can(one))]
    others = [one.id for one in house().catalogue.ready(models)]
    has_temperature = hasattr(answer.request, "temperature")
    if others or has_temperature:
        st.caption(_("The same text, asked of others too: {most} answers at most.", most=MOST_BESIDE))
    else:
        st.caption(_("No other model for this is on this machine yet; the page Models has some to download."))
        return
    chosen = others and st.multiselect(
        _("Models"), others, format_func=title_of, key=f"{key}-compare-models", max_selections=MOST_BESIDE
    )
    heats = has_temperature and st.pills(
        _("Temperatures"), TEMPERATURES, selection_mode="multi", key=f"{key}-compare-heats",
        format_func=lambda heat: f"{heat:g}",
    )  # fmt: skip
    more = None
    if _drawn_seed(answer) is not None:
        more = st.pills(_("More drafts with other seeds"), COUNTS, key=f"{key}-compare-more")
    if st.button(_("Ask these too"), icon=":material/add:", key=f"{key}-compare-ask"):
        ask_beside(key, variants(answer, list(chosen or ()), list(heats or ()), more or 0))
        st.rerun()


def _drawn_seed(answer: Exchange) -> int | None:
    """The seed of an answer that chance had a part in."""
    settings = getattr(answer.result, "settings", {})
    return settings.get("seed") if settings.get("temperature") and hasattr(answer.request, "seed") else None


def variants(answer: Exchange, models: Sequence[str], temperatures: Sequence[float], more: int = 0) -> list[Any]:
    """The requests that are meant: each model with each temperature, or with the request's own; more with other seeds.

    Those that differ in model or temperature alone have the answer's own seed.
    """
    own, seed = answer.request, _drawn_seed(answer)
    own = own if seed is None else replace(own, seed=seed)
    found = []
    heats = [{"temperature": heat} for heat in temperatures] or [{}]
    for model, heat in product(models or [own.model], heats):
        changed = replace(own, model=model, **(heat if _is_writer(model) else {}))
        if changed != own and changed not in found:
            found.append(changed)
    if seed is not None:
        found += [replace(own, seed=(seed + place) % (MAX_SEED + 1)) for place in range(1, more + 1)]
    scored = {"rivals": max(1, own.rivals)} if hasattr(own, "rivals") else {}  # how likely each is ranks them
    return [replace(one, **scored) for one in found[:MOST_BESIDE]]


def ask_beside(key: str, requests: Sequence[Any]) -> None:
    """Ask these beside the answer under this key, in place of those before."""
    for number in range(MOST_BESIDE):
        st.session_state.pop(beside_name(key, number), None)
    for number, request in enumerate(requests[:MOST_BESIDE]):
        ask(beside_name(key, number), request, is_kept=False)


def asked_beside(key: str) -> dict[str, Exchange]:
    """What was asked beside the answer under this key, by their own; with another text it goes."""
    main = answer_of(key)
    found = {name: other for number in range(MOST_BESIDE) if (other := answer_of(name := beside_name(key, number)))}
    return {name: other for name, other in found.items() if main and difference(other, _like(main, other)) != "text"}


def show_beside(
    key: str, application: Application[Any, Any], draw: Draw | None = None, doubts: Doubts | None = None
) -> None:
    """Draw what was asked beside the answer, in columns, working on it first."""
    main, asked = answer_of(key), asked_beside(key)
    if main is None or not asked:
        return
    spots = {}
    for (name, other), column in zip(asked.items(), st.columns(len(asked)), strict=True):
        with column, st.container(border=True, key=f"answer-beside-{name}"):
            st.markdown(f"**{plain(name_beside(main.request, other.request))}**")
            spots[name] = Spot(other, st.empty(), st.empty(), lead_of(other.request)), st.container()
    stream = application.of(house())
    work_together({name: spot for name, (spot, below) in spots.items()}, stream)
    for name, (spot, below) in spots.items():
        with below:
            like = _like(main, spot.answer)
            show_other(show_answer(name, stream, prefix=spot.prefix, now=like, doubts=doubts, spot=spot), draw)
    keep_beside(main, list(asked.values()))


def lead_of(request: Any) -> str:
    """The last words of what an answer goes on from, which may be in the middle of one."""
    begun = str(getattr(request, "continuation", "") or "")
    tail = begun[-LEAD_CHARACTERS:]
    return tail if tail == begun else "… " + tail[tail.find(" ") + 1 :]


def show_other(found: Exchange | None, draw: Draw | None) -> None:
    """What there is of one of them besides its text."""
    if found and found.result is not None and draw:
        draw(found)
    elif found and found.result is not None and not found.text:
        st.json(said(asdict(found.result), spoken()))


def _like(main: Exchange, other: Exchange) -> Any:
    """What would be asked beside the answer as it is now."""
    names = ("model", "temperature", "seed")
    kept = {name: getattr(other.request, name) for name in names if hasattr(other.request, name)}
    return replace(main.request, **kept)


def name_beside(main: Any, other: Any) -> str:
    """What is different about it."""
    parts = [title_of(other.model)] if other.model and other.model != main.model else []
    if getattr(other, "temperature", None) != getattr(main, "temperature", None):
        parts.append(_("temperature {value}", value=f"{other.temperature:g}"))
    elif getattr(other, "seed", None) is not None and other.seed != getattr(main, "seed", None):
        parts.append(_("seed {value}", value=other.seed))
    return " · ".join(parts) or title_of(other.model)


def _is_writer(model_id: str | None) -> bool:
    """Whether a temperature means anything to it."""
    return model_id is None or house().catalogue.find(model_id).architecture in ("causal", "seq2seq")
