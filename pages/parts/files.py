"""Files that are worked on as jobs: brought, seen getting on, fetched; a visitor sees its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import streamlit as st

from engine.applications.takeaway import FORMAT_NAMES
from engine.documents.rewriting.objects import ENDINGS as OBJECTS
from engine.jobs import work
from engine.jobs.files import desk, snippets
from engine.jobs.files.desk import Order
from engine.jobs.work import JobView
from engine.messages import counted, said
from engine.serving.access import REFUSALS
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.feedback import take_thumb
from pages.parts.jobs import LOOK_SECONDS, stop_button
from pages.parts.language import _, spoken
from pages.parts.notices import watch
from pages.parts.pressing import is_pressed, press
from pages.parts.runs import STATES
from pages.parts.share import origin
from pages.parts.sizes import seconds_in_words, size_in_words
from pages.parts.snippets import show_code
from pages.parts.text import plain
from pages.parts.twins import models_in_words, offer_other_model, show_twins

SHOWN = 10
"""Files of a list."""

Brought = tuple[str, bytes]


def bring(key: str, endings: Sequence[str]) -> Brought | None:
    """A field for a file: its name and content. Says why, where this visitor may bring none."""
    if not may("upload"):
        st.info(_(REFUSALS["upload"]), icon=":material/lock:")
        return None
    file = st.file_uploader(_("File"), [ending[1:] for ending in endings], key=f"{key}_file")
    limit = size_in_words(house().settings.file_bytes)
    rows = house().settings.file_rows
    words = _(
        "Up to {size} and {rows:,} rows or paragraphs. Kept for three days, for you alone; delete it when you like.",
        size=limit, rows=rows,
    )  # fmt: skip
    st.caption(words)
    return (file.name, file.getvalue()) if file is not None else None


def choose_column(key: str, brought: Brought, *, has_dates: bool = False) -> tuple[str, str, bool | None]:
    """The column of text, that of dates, and whether the first row names them, of a table; of others ("", "", None)."""
    name, content = brought
    head = desk.head_of(name, content)
    if head is None:
        return "", "", None
    columns = list(head.columns)
    column = st.selectbox(_("Column"), columns, columns.index(head.likely), key=f"{key}_column")
    date = ""
    if has_dates:
        none = _("None")
        first = columns.index(head.dates[0]) + 1 if head.dates else 0
        chosen = st.selectbox(_("Dates, for shares over time"), [none, *columns], first, key=f"{key}_date")
        date = "" if chosen == none else str(chosen)
    if PurePosixPath(name).suffix.lower() in OBJECTS:  # whose rows name them
        return str(column), date, None
    return str(column), date, st.toggle(_("The first row names the columns"), head.has_names, key=f"{key}_names")


def is_asked(key: str, label: str, icon: str, *, is_ready: bool) -> bool:
    """A button for the file, and whether it was pressed."""
    name = f"{key}-file"
    st.button(label, type="primary", icon=icon, disabled=not is_ready, key=f"{key}_begin", on_click=press, args=(name,))
    return is_pressed(name) and is_ready


def begin(application: str, brought: Brought, order: Order) -> None:
    """Begin to work on a file; the page is drawn anew with it at the top of the list."""
    _draw_begun(desk.begin(house(), application, *brought, order, caller()))


def _draw_begun(job_id: str) -> None:
    watch(work.read(house().settings, job_id).folder)
    st.rerun()


def show_files(application: str, show: Callable[[JobView], None]) -> None:
    """The visitor's files, newest first, redrawn on their own while one is at work; `show` draws what came of one."""
    with errors_shown():
        jobs = desk.jobs_of(house(), application, caller())
        if not jobs:
            st.caption(_("What you bring appears here, and stays when you close the page."))
        for job in jobs[:SHOWN]:
            with st.container(border=True, key=f"file-{job.id}"):
                if job.is_alive:
                    watch(job.folder)
                    st.fragment(_draw_live, run_every=LOOK_SECONDS)(job.id)
                else:
                    _draw_ended(job, show, is_open=job.id == jobs[0].id)


def _head(job: JobView) -> None:
    words, icon, colour = STATES[job.state]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(job.title)}**", width="stretch")
        st.badge(_(words), icon=icon, color=colour)  # type: ignore[arg-type]


def _draw_live(job_id: str) -> None:
    with errors_shown():
        job = work.read(house().settings, job_id, caller())
        if not job.is_alive:
            st.rerun()
        _head(job)
        st.progress(job.progress)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f":material/hourglass_top: {progress_in_words(job)}", width="stretch")
            stop_button(
                f"stop-{job.id}", job.is_stopping, lambda is_now: work.stop(job.folder, is_now=is_now, caller=caller()),
                _("What is finished is kept; it can go on."), has_now=False,
            )  # fmt: skip


def progress_in_words(job: JobView) -> str:
    """How far it is, how fast, and how long it takes."""
    done, total = job.status.get("step"), job.status.get("max_steps")
    if job.state != "running" or total is None:
        return _("Waiting for its turn") if job.state == "queued" else _("Reading the file and the model")
    parts = [_("{done:,} of {total:,}", done=done, total=total)]
    if speed := job.status.get("rows_per_second"):
        parts.append(_("{number} a second", number=f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"))
    if (left := job.status.get("seconds_left")) is not None:
        parts.append(_("about {time} left", time=seconds_in_words(left)))
    return " · ".join(parts)


def _draw_ended(job: JobView, show: Callable[[JobView], None], *, is_open: bool) -> None:
    _head(job)
    if job.state == "failed":
        with errors_shown():
            job.check()
    done, total = job.status.get("step"), job.status.get("max_steps")
    if job.state != "finished" and total:
        st.caption(_("{done:,} of {total:,} are done and kept.", done=done, total=total))
    if job.state == "finished":
        _facts(job)
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.state == "finished":
            path = desk.result_path(job)
            st.download_button(
                _("Download {name}", name=plain(path.name)), path.read_bytes, path.name, icon=":material/download:",
                type="primary" if is_open else "secondary", key=f"result-{job.id}", on_click="ignore",
            )  # fmt: skip
            _offer_report(job)
            _offer_code(job)
            if begun := offer_other_model(job):
                _draw_begun(begun)
        if job.can_resume and st.button(_("Go on"), key=f"resume-{job.id}", icon=":material/play_arrow:"):
            with errors_shown():
                work.resume(house().settings, job.id, house(), caller())
                st.rerun()
        st.button(_("Delete"), key=f"delete-{job.id}", icon=":material/delete:", on_click=_delete, args=(job.id,))
        if job.state == "finished":
            take_thumb(f"thumb-{job.id}", desk.application_of(job), " ".join(job.result.get("models") or ()))
    if job.state == "finished":
        opened = st.expander(
            _("What came of it"), is_open, icon=":material/query_stats:", key=f"open-{job.id}", on_change="rerun"
        )
        if opened.open:
            with opened:
                show_twins(job)
                show(job)


def _offer_report(job: JobView) -> None:
    """Everything that was made of it; the file itself has a field for what it had before."""
    st.download_button(
        _(FORMAT_NAMES["json"]), lambda: json.dumps(said(desk.report(job), spoken()), ensure_ascii=False, indent=1),
        f"{PurePosixPath(job.title).stem}.json", "application/json", icon=":material/data_object:",
        key=f"report-{job.id}", on_click="ignore",
    )  # fmt: skip


def _offer_code(job: JobView) -> None:
    opened = st.popover(_("Code"), icon=":material/terminal:", key=f"code-{job.id}", on_change="rerun")
    if opened.open:
        with opened:
            words = _("What you just did, by the HTTP API: bring the file, wait, and fetch what came of it:")
            show_code(words, snippets.curl(origin(), job), snippets.python(origin(), job))


def _facts(job: JobView) -> None:
    result = job.result
    parts = [_(counted("{count:,} row or paragraph", "{count:,} rows or paragraphs", result["rows"]))]
    parts.append(_("{time} in all", time=seconds_in_words(job.seconds)))
    if models := models_in_words(job):
        parts.append(_("by {models}", models=plain(models)))
    if result["doubtful"]:
        parts.append(_(counted("{count:,} to look at", "{count:,} to look at", result["doubtful"])))
    st.caption(" · ".join(parts))
    for note in desk.told_result(job)["notes"]:
        st.caption(f":material/info: {plain(_(note))}")


def _delete(job_id: str) -> None:
    with errors_shown():
        work.delete(house().settings, job_id, caller())
