"""An answer over documents as people read it: the words on their page, or sentences with their sources."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from engine.applications.answers import AnswerRequest, AnswerResult, FoundPassage
from engine.errors import PeopleError
from engine.messages import counted
from engine.storage.feedback import VERDICTS
from pages.parts.documents import owner
from pages.parts.engine import house
from pages.parts.feedback import take_words
from pages.parts.language import _, capitalised
from pages.parts.sizes import confidence_in_words, percent_in_words
from pages.parts.text import plain, show_passage, show_text
from pages.parts.visits import Exchange, visitor

AROUND = 400
"""Characters of a page that are shown on either side of the answer."""
AROUND_EACH = 250
"""The same, of each passage that was read."""


def show_over_documents(answer: Exchange) -> None:
    """All of it."""
    result: AnswerResult = answer.result
    if result.asked:
        st.caption(f":material/link: {_('Asked as: {question}', question=plain(result.asked))}")
    if answer.request.style == "write":
        _show_written(result)
    else:
        _show_quoted(result)
    if result.warning:
        st.caption(f":material/info: {plain(_(result.warning))}")
    if result.passages:
        _show_place(result)
        _take_verdict(answer)
        _show_passages(result)


def _show_quoted(result: AnswerResult) -> None:
    sure, share = confidence_in_words(result.score), percent_in_words(result.score)
    if result.answer:
        show_text(result.answer)
        st.caption(capitalised(f"{sure} ({share})"))
        return
    st.subheader(_("No answer in these documents"), anchor=False)
    if result.passages:
        st.caption(_("The model is {sure} ({share}) that the best passage does not say.", sure=sure, share=share))


def _show_written(result: AnswerResult) -> None:
    kept = [one for one in result.sentences if one.is_kept]
    if kept:
        show_text(" ".join(f"{one.text} {''.join(f'[{number + 1}]' for number in one.sources)}" for one in kept))
        st.caption(_("A model wrote this; each sentence was checked against the passages that it names."))
    else:
        st.subheader(_("No answer that the documents bear out"), anchor=False)
        st.caption(_("What the model wrote was refused, or no whole sentence. The passages below are what was found."))
        if result.alternatives:
            st.caption(_("The words that were found there:"))
            show_text(result.alternatives[0].answer)
    if refused := [one for one in result.sentences if not one.is_kept]:
        words = _(counted("{count} sentence was refused", "{count} sentences were refused", len(refused)))
        with st.expander(words, icon=":material/block:"):
            for one in refused:
                st.markdown(f"~~{plain(one.text)}~~ {plain(_(one.why))}")


def _show_place(result: AnswerResult) -> None:
    """Where the answer stands on its page, and on demand all of the page."""
    one = result.passages[result.source]
    st.markdown(f"**{plain(_named(one))}**")
    page = _page(one)
    if not page:
        return show_passage(one.text, result.start, result.end)
    start, end = one.start + result.start, one.start + result.end
    show_passage(page, start, end, around=AROUND)
    if one.page and len(page) > 2 * AROUND:
        with st.expander(_("The whole page"), icon=":material/description:"):
            show_passage(page, start, end, around=len(page))


def _page(one: FoundPassage) -> str:
    """The text of a passage's page; "" where its document is gone."""
    try:
        document = house().documents.read(owner(), one.document)
    except PeopleError:
        return ""
    text = next((page.text for page in document.pages if page.number == (one.page or page.number)), "")
    return text if text[one.start : one.end] == one.text else ""


def _named(one: FoundPassage) -> str:
    return one.title if not one.page else _("{title}, page {page}", title=one.title, page=one.page)


def _show_passages(result: AnswerResult) -> None:
    words = _(counted("{count} passage was read", "{count} passages were read", len(result.passages)))
    with st.expander(words, icon=":material/format_list_numbered:"):
        for number, one in enumerate(result.passages):
            meaning = "–" if one.meaning is None else f"{one.meaning:.2f}"
            st.markdown(f"**{number + 1}. {plain(_named(one))}**")
            st.caption(
                _("Score {score:.2f} · words (BM25) {words:.1f} · meaning (cosine) {meaning}",
                  score=one.score, words=one.words, meaning=meaning)
            )  # fmt: skip
            spans = [span for span in result.shown if span.source == number]
            start, end = (spans[0].start, spans[0].end) if spans else (0, 0)
            if number == result.source and result.answer and not result.sentences:
                start, end = result.start, result.end
            show_passage(one.text, start, end, around=AROUND_EACH)


def _take_verdict(answer: Exchange) -> None:
    """Whether the answer or the passage was right, kept without anybody's text."""
    name = f"verdict-{answer.visit or id(answer)}"
    options = {"right": _("Right"), "wrong answer": _("Wrong answer"), "wrong passage": _("Wrong passage")}

    def take() -> None:
        if (verdict := st.session_state.get(name)) in VERDICTS:
            words = str(st.session_state.get(f"{name}-words") or "").strip()
            reason = ": ".join(filter(None, (verdict, words)))
            house().feedback.take(
                visitor(), "answer", answer.result.model, name, is_good=verdict == "right", reason=reason
            )

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.pills(
            _("Was it right?"), list(VERDICTS), format_func=lambda verdict: options[verdict], key=name, on_change=take,
            width="content",
        )  # fmt: skip
        if st.session_state.get(name) in VERDICTS:
            with st.popover(_("Why?"), icon=":material/rate_review:", key=f"{name}-popover"):
                take_words(name, take)


def follow_up(now: AnswerRequest, answer: Exchange | None) -> AnswerRequest:
    """The request with the question before and its answer, where the last answer was over the same documents."""
    if not now.documents or answer is None or answer.state != "done" or answer.request.documents != now.documents:
        return now
    return replace(now, before=answer.request.question, before_answer=answer.result.answer)


def as_asked(now: AnswerRequest, answer: Exchange | None) -> AnswerRequest:
    """The request with what was no input of the page when the answer was asked for."""
    if answer is None:
        return now
    return replace(now, before=answer.request.before, before_answer=answer.request.before_answer)
