"""From what a person chose to a run: the base, what the preflight finds, what the trainer sees, and the start."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import streamlit as st

from engine.applications.languages import NAMED
from engine.catalogue.models import Model
from engine.errors import ConflictError, NotFoundError
from engine.files import read_json
from engine.jobs import askers, sweeping, work
from engine.jobs.work import JobView
from engine.messages import Text
from engine.training import beginning, splitting, tasks
from engine.training import runs as jobs
from engine.training.config import TrainingConfig, defaults
from engine.training.findings import Finding, read_finding
from engine.training.splits import Splits
from pages.parts import curves
from pages.parts.engine import caller, house, presence
from pages.parts.errors import errors_shown
from pages.parts.findings import show_findings
from pages.parts.jobs import show_job
from pages.parts.language import _, labelled, understood
from pages.parts.notices import watch
from pages.parts.picker import as_model_id, facts, offer, title_of
from pages.parts.sizes import seconds_in_words, size_in_words
from pages.parts.text import plain

CHECK = "tune-check"
SCRATCH = Text("None: start from scratch")
SEED: int = TrainingConfig.seed
SHOWN_BATCH = 4


def choose_task() -> str:
    """The first field: the id of a task."""
    found = tasks.registry()
    chosen: str = st.selectbox(
        _("What to learn"), list(found), key="tune_task", bind="query-params",
        format_func=labelled({id: task.title for id, task in found.items()}, "tune_task"),
    )  # fmt: skip
    st.caption(_(found[chosen].summary))
    return chosen


def choose_base(task_id: str) -> Model | str | None:
    """The second field: a model that is here, "" for from scratch, None while the chosen one is not here."""
    engine, task = house().engine, tasks.find(task_id)
    first = task.first_base
    fitting = task.known_bases(engine.catalogue)
    scratch = [""] if task.scratch is not None else []
    ids = list(dict.fromkeys([first, *fitting] if first else [*scratch, *fitting]))
    from_scratch = _(SCRATCH)
    chosen = st.selectbox(
        _("Base model"), ids, format_func=lambda id: title_of(id) if id else from_scratch,
        key=f"tune_base_{task_id}", bind="query-params", accept_new_options=task.takes_base,
        help=_("What the run starts from. Choose from the list, or type the id of a model on the Hugging Face Hub."),
    )  # fmt: skip
    if not chosen or understood({"": SCRATCH}, chosen) is not None:
        return "" if scratch else None
    with errors_shown():
        model = engine.catalogue.find(as_model_id(chosen))
        if house().store.availability(model.id).state == "ready":
            st.caption(facts(model))
            return model
        offer(model)
    return None


def choose_languages(base: Model | str, of_data: Mapping[str, Any]) -> dict[str, str]:
    """From which language to which, for translation: the data's, the base's, or any."""
    given = (of_data.get("source_language"), of_data.get("target_language"))
    pair = (base.pair if isinstance(base, Model) else None) or (given if all(given) else ("en", "fr"))
    known = [code for code in NAMED if isinstance(base, str) or not base.languages or code in base.languages]
    places = st.columns(2)
    chosen = {}
    for place, label, name, code in zip(
        places, (_("From"), _("To")), ("source_language", "target_language"), pair, strict=True
    ):
        index = known.index(code) if code in known else 0
        key = f"tune_{name}_{pair[0]}_{pair[1]}"
        chosen[name] = place.selectbox(label, known, index, format_func=labelled(NAMED, key), key=key)
    return chosen


def settings_of(
    task: str,
    base: Model | str,
    of_data: Mapping[str, Any],
    languages: Mapping[str, str],
    chosen: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """All fields of the config but the files; `chosen` is None in the beginner's view.

    Raises NotFoundError or ConflictError where the base is not there.
    """
    start = {"base": "", "base_id": ""}
    if isinstance(base, Model):
        start = {"base": str(jobs.base_folder(house(), base.id)), "base_id": base.id}
    values = chosen if chosen is not None else defaults(task, has_base=bool(base)) | dict(of_data)
    return {"seed": SEED} | dict(values) | {"task": task, **start, **languages}


def find_faults(values: Mapping[str, Any], splits: Splits) -> list[Finding]:
    """What the preflight says of rows and settings, errors first. Raises InputError naming a setting."""
    return _faults(signature(values), splits.id, values, splits)


@st.cache_resource(max_entries=8, ttl="1h", show_spinner=False)
def _faults(signature: str, splits_id: str, _values: Mapping[str, Any], _splits: Splits) -> list[Finding]:
    return beginning.check(_values, _splits)


def find_in_data(values: Mapping[str, Any], splits: Splits) -> list[Finding]:
    """What changes the meaning of the rows, as far as it can be told without all settings."""
    languages = tuple((name, values.get(name)) for name in ("source_language", "target_language"))
    return [
        finding for finding in _found_in_data(values["task"], splits.id, languages, splits) if finding.level != "note"
    ]


@st.cache_resource(max_entries=8, ttl="1h", show_spinner=False)
def _found_in_data(task: str, id: str, languages: Sequence[tuple[str, Any]], _splits: Splits) -> list[Finding]:
    return splitting.check(task, _splits, dict(languages))


def start_run(values: Mapping[str, Any], splits: Splits, title: str, note: str = "") -> str:
    """Make the run and start it; returns its id. Raises PeopleError, InputError where the preflight found errors."""
    run_id = beginning.begin(house(), values, splits, find_faults(values, splits), title, note, caller())
    watch(jobs.run_folder(house().settings, run_id))
    return run_id


def start_check(values: Mapping[str, Any], splits: Splits) -> None:
    """Have a job measure time and memory on the real model, in a folder made as a run's. Raises PeopleError."""
    settings, of = house().settings, subject(values, splits)
    forget_check()
    making = replace(settings, runs_folder=settings.runs_folder.absolute() / askers.FOLDER / sweeping.MAKING)
    rows = (splits.usable_train, splits.usable_validation)
    run_id = jobs.create(making, values, *rows, title=_("Check"), caller=caller())
    job = work.adopt(
        settings, making.runs_folder / run_id, "probe", title=_("Check"), subject=of, caller=caller(),
        is_here=presence(),
    )  # fmt: skip
    st.session_state[CHECK] = job


def subject(values: Mapping[str, Any], splits: Splits) -> str:
    """Tells settings and data apart."""
    return hashlib.sha256(f"{signature(values)} {splits.id}".encode()).hexdigest()[:20]


def signature(values: Mapping[str, Any]) -> str:
    """Tells settings apart."""
    return json.dumps(values, sort_keys=True, default=str)


def show_check(values: Mapping[str, Any], splits: Splits, told: Sequence[Finding]) -> None:
    """The progress of a check, then what it found and is not `told` yet; a word when settings or data have changed."""
    job = _check()
    if job is None:
        return
    if job.is_alive:
        show_job(job, _("Loading the base, timing a few steps"))
    elif job.subject != subject(values, splits):
        words = _("Settings or data have changed since the last check. Check again.")
        st.caption(f":material/history: {words}")
    elif job.state == "failed":
        st.error(plain(_("{error} {advice}", error=_(job.error), advice=_(job.advice))), icon=":material/error:")
    elif job.state == "finished":
        _show_probe(read_json(job.folder / "probe.json"), values, told)


def _check() -> JobView | None:
    """The check that this visitor began."""
    with suppress(NotFoundError):
        return work.read(house().settings, st.session_state[CHECK]) if CHECK in st.session_state else None
    return None


def _show_probe(probe: Mapping[str, Any], values: Mapping[str, Any], told: Sequence[Finding]) -> None:
    """Time, memory, disk, lengths in tokens, and the first batch."""
    figures = {
        _("Time"): seconds_in_words(probe["estimated_seconds"]),
        _("Steps"): f"{probe['steps']:,}",
        _("Memory"): size_in_words(probe["estimated_memory_bytes"]),
        _("Disk"): size_in_words(probe["estimated_disk_bytes"]),
    }
    places = [*st.columns(2), *st.columns(2)]
    for place, (label, value) in zip(places, figures.items(), strict=True):
        place.metric(label, value, border=True)
    known = {(one.field, one.message.template) for one in told}
    found = [read_finding(finding) for finding in probe.get("findings", ())]
    show_findings([one for one in found if (one.field, one.message.template) not in known])
    if lengths := probe.get("lengths"):
        limit = values.get("max_length")
        alt = _("Tokens a row, from {least} to {most}.", least=min(lengths), most=max(lengths))
        curves.draw(curves.histogram(_("Tokens a row"), lengths, _("tokens"), limit=limit), key="tokens", alt=alt)
    st.markdown(f"**{_('What the trainer sees')}**")
    st.caption(
        _("The first rows as the model gets them. It learns to write the bold parts; the grey ones it only reads.")
    )
    show_batch(probe.get("batch", ()))


def show_batch(batch: Sequence[Mapping[str, Any]]) -> None:
    """Decoded rows of a batch, the parts that are not learned in grey."""
    style = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.6;font-size:.95rem"
    for row in batch[:SHOWN_BATCH]:
        with st.container(border=True):
            st.html(f'<div dir="auto" style="{style}">{"".join(map(_piece, _merged(row["tokens"])))}</div>')


def _merged(tokens: Sequence[Sequence[Any]]) -> list[tuple[str, bool]]:
    """Neighbours of the same kind in one piece: fewer elements for the browser."""
    pieces: list[tuple[str, bool]] = []
    for text, is_learned in tokens:
        if pieces and pieces[-1][1] == is_learned:
            pieces[-1] = (pieces[-1][0] + text, is_learned)
        else:
            pieces.append((text, bool(is_learned)))
    return pieces


def _piece(piece: tuple[str, bool]) -> str:
    text, is_learned = html.escape(piece[0]), piece[1]
    return (
        f"<strong style='font-weight:600'>{text}</strong>" if is_learned else f'<span style="opacity:.66">{text}</span>'
    )


def forget_check() -> None:
    """End this visitor's check, if it is at work, and drop what it found."""
    job = _check()
    st.session_state.pop(CHECK, None)
    if job is None:
        return
    if job.is_alive:
        with suppress(ConflictError):
            work.stop(job.folder, is_now=True, caller=caller())
    else:
        work.delete(house().settings, job.id, caller())
