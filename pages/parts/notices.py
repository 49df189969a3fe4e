"""A word when work ends, on whatever page the visitor is: a notice, and the title of the browser's tab."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import streamlit as st

from engine.jobs import work
from engine.jobs.work import JobView
from pages.parts.language import _
from pages.parts.text import plain

WATCHED = "watched_jobs"
LOOK_SECONDS = 2
ICONS = {"finished": ":material/check_circle:", "stopped": ":material/stop_circle:", "failed": ":material/error:"}

_TITLE = st.components.v2.component(
    "tab-title",
    html="<span></span>",
    js="""
// The title stays until the visitor has seen it, whatever Streamlit makes of it meanwhile. One at a time keeps it:
// two would set each other's title for ever.
const SEEN_MS = 8000;
export default function ({ data }) {
  if (!data || window.parlanceTold?.number === data.number) return;
  window.parlanceTold?.end();
  const own = document.title;
  const tell = () => { if (document.title !== data.title) document.title = data.title; };
  const watch = new MutationObserver(tell);
  const end = () => {
    watch.disconnect();
    document.removeEventListener("visibilitychange", look);
    if (document.title === data.title) document.title = own;
  };
  const look = () => { if (!document.hidden) setTimeout(end, SEEN_MS); };
  window.parlanceTold = { number: data.number, end };
  tell();
  watch.observe(document.head, { childList: true, subtree: true, characterData: true });
  document.addEventListener("visibilitychange", look);
  look();
}
""",
)


def watch(folder: Path) -> None:
    """Have this visitor told when the job in the folder ends."""
    st.session_state.setdefault(WATCHED, set()).add(str(folder))


def notices() -> None:
    """Once a page, after everything else of it: looks at what is watched, on its own while there is something."""
    st.fragment(_look, run_every=LOOK_SECONDS if st.session_state.get(WATCHED) else None)()


def _look() -> None:
    watched: set[str] = st.session_state.get(WATCHED, set())
    for folder in sorted(watched):
        job = _view(Path(folder))
        if job is not None and job.is_alive:
            continue
        watched.discard(folder)
        if job is not None:
            words = in_words(job)
            st.toast(plain(words), icon=ICONS[job.state], duration="long")
            number = st.session_state["job_number"] = st.session_state.get("job_number", 0) + 1
            st.session_state["job_title"] = {"title": f"{words} · Parlance", "number": number}
    _TITLE(key="tab-title", data=st.session_state.get("job_title"), height="content")


def in_words(job: JobView) -> str:
    """How it ended."""
    if job.state == "finished":
        return _("Finished: {title}", title=job.title)
    return _("Stopped: {title}", title=job.title) if job.state == "stopped" else _("Failed: {title}", title=job.title)


def _view(folder: Path) -> JobView | None:
    """None where it was deleted meanwhile."""
    with suppress(Exception):
        return work.view_of(folder) if folder.is_dir() else None
    return None
