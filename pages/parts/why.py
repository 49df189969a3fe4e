"""Why this answer: the words that speak for it and against another, asked for by a press, its cost said before."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st

from engine.explain import taking_apart
from engine.explain.why import MOST_ERROR, VIEW, Part, WhyRequest, WhyResult, methods_of, shares
from engine.messages import Text
from pages.parts import plots
from pages.parts.engine import caller, house
from pages.parts.errors import errors_shown
from pages.parts.jobs import show_failure, show_job
from pages.parts.language import _, labelled
from pages.parts.looking import show_behind, show_origin, show_plot
from pages.parts.picker import title_of
from pages.parts.text import in_short, plain

ASKED, MOST_ASKED = "why", 2
"""In the link: the questions that were asked for, one beside another; others are not, until somebody presses."""
METHODS = {
    "layers": Text("Layer by layer"), "gradients": Text("Integrated gradients"), "occlusion": Text("Occlusion"),
}  # fmt: skip
COSTS = {
    "layers": Text("What it costs: one way through the model forth and back, a second or a few."),
    "gradients": Text(
        "What it costs: the text is read up to 256 times forth and back, on the way from an empty one; it ends within "
        "half a minute."
    ),
    "occlusion": Text("What it costs: the text is read once for each token, each time without that one."),
}  # fmt: skip
LEVELS = {"words": Text("Words"), "sentences": Text("Sentences"), "tokens": Text("Tokens")}
OTHERS = {"written": Text("what the model had written before"), "instruction": Text("the words of the instruction")}
"""What is not the visitor's text, folded by default."""
YOURS = Text("your text")
MOST_USEFUL = 0.3
"""Share of the change from which parts that miss it are no hint any more."""
MOST_WORDS = 120
"""Of a text that can be asked about."""


def show_why(text: str, model_id: str, key: str) -> None:
    """Explore's view: any text and model."""
    architecture = house().catalogue.find(model_id).architecture
    question = begun = ""
    if architecture == "extraction":
        question = st.text_input(_("Question"), _("What was good?"), key=f"{key}-question", bind="query-params")
    if architecture == "seq2seq":
        begun = st.text_input(_("Translation so far; why its next word?"), key=f"{key}-begun", bind="query-params")
    answer = st.text_input(_("Why this? Empty: the likeliest"), key=f"{key}-answer", bind="query-params")
    if architecture != "extraction" or question.strip():
        _ask(WhyRequest(text, answer, question=question, begun=begun, model=model_id), key)


def offer_why(request: WhyRequest, key: str) -> None:
    """Below an answer: why it, and not another."""
    if (opened := _opened(request.model, key)) is not None:
        with opened:
            _ask(request, key)


def offer_why_word(text: str, make: Callable[[str, str], WhyRequest], key: str, model_id: str | None) -> None:
    """Below a text that a model wrote: why one of its words; `make` takes what stands before it, and the word."""
    offer_why_sentence([text], lambda _number, before, word: make(before, word), key, model_id)


def offer_why_sentence(
    texts: Sequence[str], make: Callable[[int, str, str], WhyRequest], key: str, model_id: str | None
) -> None:
    """As `offer_why_word`, of one of several sentences, whose number `make` takes first."""
    told = [number for number, text in enumerate(texts) if _words_of(text)]
    if not told or (opened := _opened(model_id, key)) is None:
        return
    with opened:
        number = told[0]
        if len(told) > 1:
            chosen = st.selectbox(
                _("Which sentence?"), told, key=f"{key}-sentence", bind="query-params",
                format_func=lambda one: f"{one + 1}. {in_short(texts[one])}" if one < len(texts) else "",
            )  # fmt: skip
            number = chosen if chosen in told else told[0]
        words = _words_of(texts[number])
        names = [f"{place}. {in_short(one[0])}" for place, one in enumerate(words, 1)]
        place: int = st.selectbox(
            _("Which word?"), range(len(words)), key=f"{key}-word", format_func=names.__getitem__, bind="query-params"
        )
        word = words[min(place, len(words) - 1)]
        _ask(make(number, texts[number][: word.start()].rstrip(), word[0]), key)


def _words_of(text: str) -> list[re.Match[str]]:
    return list(re.finditer(r"\w+(?:['’-]\w+)*", text))[:MOST_WORDS]


def _opened(model_id: str | None, key: str) -> st.delta_generator.DeltaGenerator | None:
    """The place for it, where the model can tell; else one line that says which can."""
    models = house().catalogue.models
    model = models.get(model_id or "")
    if model is None:
        return None
    if not VIEW.offers(model):
        able = [one for one in VIEW.models(house().catalogue) if one.architecture == model.architecture]
        able.sort(key=lambda one: one.id != model.source.carrier)  # of an adapter its own base
        other = next((one for one in able if one.is_embedded), models[VIEW.default_model])
        words = _("What speaks for this answer cannot be told of {model}; of {other} it can.",
                  model=plain(model.title), other=plain(other.title))  # fmt: skip
        st.caption(f":material/psychology_alt: {words}")
        return None
    words = _("Why this answer?")
    return st.expander(words, icon=":material/psychology_alt:", key=f"{key}-open", expanded=ASKED in st.query_params)


def _ask(request: WhyRequest, key: str) -> None:
    """The question, what it costs, and the answer once it was asked for."""
    with st.container(horizontal=True):  # below each other where the box is narrow
        rival = st.text_input(
            _("And not this? Empty: the next likeliest"), key=f"{key}-rival", bind="query-params", width=290
        )
        method = st.selectbox(
            _("Method"), _methods(request), format_func=labelled(METHODS, f"{key}-method"), key=f"{key}-method",
            bind="query-params", width=220,
        )  # fmt: skip
    request = replace(request, rival=rival, method=method)  # type: ignore[arg-type]
    costs = [_(COSTS[method]), _("It goes on when you leave the page.")]
    if method == "gradients" and _methods(request)[0] == "layers":
        costs.append(_("For a next word its parts often miss the change by a third or by far more; layer by layer they "
                       "add up."))  # fmt: skip
    st.caption(" ".join(costs))
    is_pressed = st.button(_("Find out"), key=f"{key}-go", icon=":material/psychology_alt:")
    asked = st.query_params.get_all(ASKED)
    if is_pressed and request.name not in asked:
        asked = [*asked, request.name][-MOST_ASKED:]
        st.query_params[ASKED] = asked
    if request.name in asked:
        with errors_shown():
            result = _result(request, is_pressed=is_pressed)
            if result is not None:
                _show(request, result, key)


def _methods(request: WhyRequest) -> Sequence[str]:
    return methods_of(house().catalogue.find(request.model or VIEW.default_model))


def _result(request: WhyRequest, *, is_pressed: bool) -> WhyResult | None:
    """What came of it; meanwhile how far it is."""
    job = taking_apart.find(house(), request, caller())
    if job is None or (is_pressed and job.state != "finished" and not job.is_alive):
        taking_apart.begin(house(), request, caller())
        job = taking_apart.find(house(), request, caller())
    if job is None:
        return None
    if job.is_alive:
        show_job(job, _("Taking the answer apart"))
        return None
    show_failure(job)
    if job.state == "stopped":
        st.caption(":material/stop_circle: " + _("Stopped."))
    return taking_apart.result_of(job) if job.state == "finished" else None


def _show(request: WhyRequest, result: WhyResult, key: str) -> None:
    answer, rival = (repr(one.strip()) if one else _("no answer") for one in (result.answer, result.rival))
    words = _(
        "Why {answer} and not {rival}? The difference of their logits (scores) is {after}, and {before} without the "
        "text.",
        answer=answer, rival=rival, after=f"{result.after:.2f}", before=f"{result.before:.2f}",
    )  # fmt: skip
    st.markdown(plain(words))
    level = st.segmented_control(
        _("Told by"), list(LEVELS), default="words", key=f"{key}-level", bind="query-params", required=True,
        format_func=labelled(LEVELS, f"{key}-level"),
    )  # fmt: skip
    parts = _unfolded(getattr(result, level), key)
    best = sorted(parts, key=lambda one: -one.value)[:3]
    alt = _("What each part of the text adds for the answer and against the other; most: {list}.",
            list=", ".join(f"{one.text.strip()} {one.value:+.2f}" for one in best))  # fmt: skip
    show_plot(plots.speaking(parts), key, alt)
    _say_error(request, result)
    rows = [
        {_("Part"): one.text, _("Adds"): one.value, _("Whose"): _(OTHERS.get(one.of, YOURS))}
        for one in getattr(result, level)
    ]
    if not any(one.of in OTHERS for one in result.words):
        rows = [{name: cell for name, cell in row.items() if name != _("Whose")} for row in rows]
    show_behind(rows, key, "why", result.model, replace(request, answer=result.answer, rival=result.rival))
    show_origin(result)
    st.caption(_("By {model}.", model=plain(title_of(result.model))))


def _unfolded(parts: Sequence[Part], key: str) -> Sequence[Part]:
    """The visitor's words alone, with a sentence on the others' share, unless these are wanted too."""
    others = {whose: share for whose, share in shares(parts).items() if whose in OTHERS}
    if not others:
        return parts
    told = [
        _("{words} {value} ({share} of all that is added and taken away)", words=OTHERS[whose],
          value=f"{one.value:+.2f}", share=f"{one.share:.0%}") for whose, one in others.items()
    ]  # fmt: skip
    words = _("Shown is what your text adds. Beside it there are: {list}.", list="; ".join(told))
    st.markdown(plain(words))
    if st.toggle(_("Show their words too"), key=f"{key}-others", bind="query-params"):
        return parts
    return [one for one in parts if one.of not in OTHERS]


def _say_error(request: WhyRequest, result: WhyResult) -> None:
    share = f"{result.error:.1%}"
    if result.is_exact:
        st.caption(plain(_("The parts add up to the change but for {share}.", share=share)))
        return
    if result.error >= MOST_USEFUL:
        words = _("The parts miss the change by {share}: they do not explain this answer.", share=share)
    else:
        words = _("The parts miss the change by {share}, more than {most}: take them as a hint only.", share=share,
                  most=f"{MOST_ERROR:.0%}")  # fmt: skip
    if request.method != "layers" and "layers" in _methods(request):
        words += " " + _("The method Layer by layer adds up.")
    st.warning(plain(words), icon=":material/warning:")
