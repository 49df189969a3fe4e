"""Choosing what to learn from: a sample, a file, a Hub data set; which column means what; what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from engine.messages import Text, label
from engine.serving.protocol import Caller, Role
from engine.training import columns, splitting, tasks
from engine.training.columns import Rows
from engine.training.formats import ENDINGS, Table, fetch_dataset, read_apart, read_table
from engine.training.splits import Splits
from pages.parts import curves
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.language import _, labelled
from pages.parts.text import plain

UPLOAD, HUB = "upload", "hub"
TYPES = [ending.removeprefix(".") for ending in ENDINGS]
SHOWN_ROWS, SHOWN_CHARACTERS = 100, 300
NONE = ""
VIEWS = {"Rows": Text("Rows"), "Lengths": Text("Lengths"), "Labels": Text("Labels")}


@dataclass(frozen=True)
class Dataset:
    """Tables to learn from; `held_out` is None where a share of the first is taken. `id` tells contents apart."""

    id: str
    name: str
    table: Table
    held_out: Table | None
    mapping: columns.Columns
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the config that belong to the data, such as its languages and prompts that show it best."""


def choose_data(task: str) -> Dataset | None:
    """The third field: a source, and what it needs. None until there is a table."""
    offered = {sample.id: sample for sample in tasks.find(task).samples}
    names = {id: sample.title for id, sample in offered.items()}
    names |= {UPLOAD: Text("Upload a file")} if may("upload") else {}
    names |= {HUB: Text("Hub data set")}
    key = f"tune_data_{task}"
    chosen = st.selectbox(
        _("Data"), list(names), format_func=labelled(names, key), key=key, bind="query-params",
        help=_(
            "Samples were written for Parlance. A file may be CSV, TSV, JSONL, JSON (SQuAD, chats), Parquet or text, "
            "also packed: as .gz, or alone in a .zip."
        ),
    )  # fmt: skip
    with errors_shown():
        if chosen == UPLOAD:
            return _uploaded(task)
        if chosen == HUB:
            return _fetched(task)
        sample = offered[chosen]
        st.caption(plain(_(sample.description)))
        settings = dict(sample.settings) | ({"sample_prompts": sample.prompts} if sample.prompts else {})
        table = _sample_table(sample.id)
        return Dataset(f"sample-{sample.id}", str(sample.title), table, None, columns.guess(table, task), settings)
    return None


@st.cache_resource(max_entries=16, show_spinner=False)
def _sample_table(sample_id: str) -> Table:
    sample = tasks.find_sample(sample_id)
    return read_table(sample.file, sample.file.name)


def _uploaded(task: str) -> Dataset | None:
    file = st.file_uploader(_("File to learn from"), TYPES, key="tune_file")
    other = None
    if file is not None:
        other = st.file_uploader(
            _("File held out (optional)"), TYPES, key="tune_held_out",
            help=_(
                "Rows to judge the model by, with the same columns; without it a share of the first file is held out."
            ),
        )  # fmt: skip
    if file is None:
        return None
    with st.spinner(_("Reading the file…")):
        table = _read(file.file_id, file.name, file)
        held_out = _read(other.file_id, other.name, other) if other is not None else None
    id = f"{file.file_id}-{other.file_id if other is not None else ''}"
    return Dataset(id, file.name, table, held_out, columns.guess(table, task))


@st.cache_resource(max_entries=4, ttl="1h", show_spinner=False)
def _read(file_id: str, name: str, _file: Any) -> Table:
    return read_apart(_file.getvalue(), name)


def _fetched(task: str) -> Dataset | None:
    with st.form("tune-hub", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        dataset_id = st.text_input(
            _("Data set id"), placeholder=_("owner/name"), key="tune_dataset", bind="query-params"
        )
        split = st.text_input(_("Split"), "train", key="tune_split", bind="query-params", width=110)
        if st.form_submit_button(_("Fetch"), icon=":material/download:") and dataset_id.strip():
            st.session_state["tune_fetched"] = (dataset_id.strip(), split.strip() or "train")
    if "tune_fetched" not in st.session_state:
        return None
    wanted, part = st.session_state["tune_fetched"]
    with st.spinner(_("Fetching the data set…")):
        table = _fetch(wanted, part, caller().role, caller())
    if table.note:
        st.caption(plain(_(table.note)))
    return Dataset(f"hub-{wanted}-{part}", wanted, table, None, columns.guess(table, task))


@st.cache_resource(max_entries=4, ttl="1h", show_spinner=False)
def _fetch(dataset_id: str, split: str, role: Role, _caller: Caller) -> Table:
    return fetch_dataset(dataset_id, split, house().settings, _caller)


def choose_columns(task: str, data: Dataset) -> tuple[columns.Columns, float, bool]:
    """Which column is which, guessed and open for correction; the share held out; whether repeated rows are kept.

    Folded away, unless a guess is missing. The share is 0 where the rows held out came as a file of their own.
    """
    optional = tasks.find(task).optional_roles
    missing = [role for role in columns.roles(task) if role not in optional and not data.mapping.get(role)]
    chosen: columns.Columns = {}
    words = ", ".join(f"{role} = {column}" for role, column in data.mapping.items() if column and column != role)
    title = _("Columns: {list}", list=plain(words)) if words else _("Columns and rows held out")
    with st.expander(title, expanded=bool(missing)):
        places, none = st.columns(2), _("(none)")
        for number, role in enumerate(columns.roles(task)):
            options = ([NONE] if role in optional or role in missing else []) + list(data.table.columns)
            guessed = data.mapping.get(role)
            index = options.index(guessed) if guessed in options else 0
            picked = places[number % 2].selectbox(
                _(label(role)), options, index, key=f"tune_column_{data.id}_{task}_{role}",
                format_func=lambda column: none if column == NONE else column,
            )  # fmt: skip
            chosen[role] = None if picked == NONE else picked
        share = _choose_share() if data.held_out is None else 0.0
        keeps_repeats = st.toggle(
            _("Keep rows that repeat others"), key="tune_repeats", persist_state="session",
            help=_("Off, each row counts once. On, every row of the file is learned from as often as it stands there."),
        )  # fmt: skip
        return chosen, share, keeps_repeats


def _choose_share() -> float:
    percent = st.slider(
        _("Held out, to judge by"), 5, 50, 15, 5, key="tune_share", format="%d %%", persist_state="session",
        help=_("These rows are never learned from: the curve of validation and the best checkpoint go by them."),
    )  # fmt: skip
    return percent / 100


def split(task: str, data: Dataset, mapping: columns.Columns, share: float, keeps_repeats: bool, seed: int) -> Splits:
    """Rows by role, parted. Raises InputError naming the column or the row."""
    with st.spinner(_("Looking through the rows…")):
        return _split(task, data.id, tuple(mapping.items()), share, keeps_repeats, seed, data)


@st.cache_resource(max_entries=4, ttl="1h", show_spinner=False)
def _split(
    task: str, id: str, mapping: Sequence[tuple[str, Any]], share: float, keeps_repeats: bool, seed: int,
    _data: Dataset,
) -> Splits:  # fmt: skip
    parts = f"{task} {id} {mapping} {share} {keeps_repeats} {seed}"
    return splitting.make(task, _data.table, _data.held_out, dict(mapping), share, keeps_repeats, seed, parts)


def show_rows(task: str, parts: Splits) -> None:
    """What is in the data: the rows, how long they are, how many of each label."""
    by = tasks.find(task).split_by
    learned, held = len(parts.usable_train), len(parts.usable_validation)
    st.caption(_("{learned:,} rows to learn from, {held:,} held out", learned=learned, held=held))
    views = [view for view in VIEWS if by or view != "Labels"]
    view = st.segmented_control(
        _("Look at"), views, default="Rows", key="tune_look", required=True, format_func=labelled(VIEWS, "tune_look")
    )
    if view == "Lengths":
        words = [sum(len(str(value).split()) for value in row.values()) for row in parts.usable_train]
        curves.draw(curves.histogram(_("Words a row"), words, _("words")), key="lengths", alt=_range_in_words(words))
    elif view == "Labels":
        both = (parts.usable_train, parts.usable_validation)
        trained, kept = (Counter(str(row[by]) for row in rows) for rows in both)
        order = [name for name, _count in trained.most_common(40)]
        counts = {_("to learn from"): trained, _("held out"): kept}
        figure = curves.bars(_("Rows of each label"), {n: {x: c[x] for x in order} for n, c in counts.items()})
        alt = ", ".join(f"{name} {trained[name]}" for name in order[:8])
        curves.draw(figure, key="labels", alt=_("Rows to learn from by label: {list}.", list=alt))
    else:
        _table(parts.usable_train)


def _table(rows: Rows) -> None:
    first = rows[:SHOWN_ROWS]
    roles = [role for role in dict.fromkeys(role for row in first for role in row) if role != "answer_start"]
    roles.sort(
        key=lambda role: sum(len(str(row.get(role, ""))) for row in first)
    )  # short ones first: they stay in sight
    shown = [
        {_("Row"): number} | {_(label(role)): _short(row.get(role, "")) for role in roles}
        for number, row in zip(first.numbers, first, strict=True)
    ]
    st.dataframe(shown, hide_index=True, height=300, alt=_("The first {count} rows to learn from.", count=len(shown)))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " …"


def _range_in_words(words: Sequence[int]) -> str:
    return _("Words a row, from {low} to {high}.", low=min(words, default=0), high=max(words, default=0))
