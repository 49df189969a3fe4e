"""Files are read in a child, which ends at its limits; what it reads is what is read here."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import BusyError, InputError, PeopleError, TooLargeError
from engine.jobs import apart
from engine.training.formats import _base, _parquet, read_apart, read_table

SMALL = b"text,label\na,1\n"
MIXED = [
    {"text": "a\u2028\x85\ud83d", "n": 1.5, "is": True, "list": ["x", None], "none": None},
    {"text": "ü", "n": 2**70},
]


def parquet(table: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"text,label\n\n" + b"".join(b"row %d,x\n\n" % number for number in range(5_000))),
        ("a.jsonl", "\n".join(map(json.dumps, MIXED)).encode()),
        ("a.parquet", parquet(pa.table({"text": ["a", None], "words": [["a"], []], "x": [1.0, float("inf")]}))),
    ],
)
def test_a_child_reads_what_is_read_here(name: str, content: bytes) -> None:
    there, here = read_apart(content, name), read_table(content, name)
    assert there.columns == here.columns and list(there.numbers) == list(here.numbers)
    assert list(there.rows) == here.rows == there.rows[:] and len(there.rows) == len(here.rows)
    assert there.rows[-1] == here.rows[-1] and there.rows[:3] == here.rows[:3]
    with pytest.raises(IndexError):
        there.rows[len(here.rows)]


@pytest.mark.parametrize(
    ("name", "content"), [("a b\n.csv", b"text,text\nx,1\n"), ("a.exe", b"MZ"), ("\0\ud800.csv", b"text\n\x00\n")]
)
def test_a_child_says_what_is_wrong_as_it_is_said_here(name: str, content: bytes) -> None:
    with pytest.raises(PeopleError) as here:
        read_table(content, name)
    with pytest.raises(type(here.value)) as there:
        read_apart(content, name)
    assert str(there.value) == str(here.value) and there.value.param == "file"


@pytest.mark.parametrize(("may", "free"), [(100, 4_000), (1_000, 100)])
def test_a_file_that_needs_more_than_its_memory(monkeypatch: pytest.MonkeyPatch, may: int, free: int) -> None:
    monkeypatch.setattr(apart, "MEMORY_BYTES", may * 2**20)
    monkeypatch.setattr(apart, "free_memory_bytes", lambda: free * 2**20)
    with pytest.raises(TooLargeError, match=r"^a\.json needs more memory to be read"):
        read_apart(b"[" + b"[]," * 3_000_000 + b"[]]", "a.json")


CODE = "import os, sys, time; "


@pytest.mark.parametrize(
    ("code", "error", "sentence"),
    [
        ("time.sleep(60)", TooLargeError, r"^a\.csv takes over 0 seconds to read\. Bring a part"),
        ("os.kill(os.getpid(), 9)", TooLargeError, r"^a\.csv needs more memory"),
        ("os.kill(os.getpid(), 11)", InputError, r"^a\.csv cannot be read: it seems damaged"),
        ("print('[' + '1' * 5000 + ']')", TooLargeError, r"^a\.csv unpacks to more than 200 MB"),
        ("sys.exit(1)", RuntimeError, "ended with 1"),
    ],
)
def test_a_child_that_ends_before_its_end(
    monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception], sentence: str
) -> None:
    monkeypatch.setattr(apart.process, "python", lambda *_: [sys.executable, "-c", CODE + code])
    monkeypatch.setattr(apart, "SECONDS", 0.1 if "sleep" in code else 60.0)
    monkeypatch.setattr(apart, "MAX_ANSWER_BYTES", 4_000)
    children: list[Any] = []
    start = apart.process.start
    monkeypatch.setattr(apart.process, "start", lambda *a, **k: children.append(start(*a, **k)) or children[0])
    with pytest.raises(error, match=sentence):
        read_apart(SMALL, "a.csv")
    assert children[0].poll() is not None


def test_few_files_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS", 0.0)
    for _ in range(apart.MAX_CHILDREN):
        apart._turns.acquire()
    try:
        with pytest.raises(BusyError, match="Other files are being read"):
            read_apart(SMALL, "a.csv")
    finally:
        apart._turns.release(apart.MAX_CHILDREN)


def lists_of_nothing(count: int) -> bytes:
    return parquet(pa.table({"text": pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.nulls(count))}))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.parquet", lambda: parquet(pa.table({f"c{n}": pa.nulls(300, pa.string()) for n in range(20)})), "cells"),
        ("a.parquet", lambda: lists_of_nothing(6_000), "unpacks to more"),
        ("a.csv", lambda: b",".join(b"c%d" % n for n in range(20)) + b"\n" + (b"x" + b"," * 19 + b"\n") * 300, "cells"),
        ("a.json", lambda: json.dumps([{f"c{n}": None for n in range(20)}] * 300).encode(), "cells"),
    ],
)
def test_rows_times_columns_are_counted_before_they_are_built(
    monkeypatch: pytest.MonkeyPatch, name: str, content: Callable[[], bytes], sentence: str
) -> None:
    for module in (_base, _parquet):
        monkeypatch.setattr(module, "MAX_CELLS", 5_000)
    monkeypatch.setattr(_parquet, "_parquet_rows", lambda *_: pytest.fail("built"))
    with pytest.raises(TooLargeError, match=sentence):
        read_table(content(), name)
    monkeypatch.setattr(_base, "MAX_CELLS", 6_000)
    if name != "a.parquet":
        assert len(read_table(content(), name).rows) == 300


def test_text_is_put_together_once() -> None:
    (first, last) = read_table(b"a\n\n" + b"word word\n" * 300_000, "a.txt").rows
    assert first["text"] == "a" and len(last["text"]) == 3_000_000 - 1
