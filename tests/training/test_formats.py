"""Files of every kind become tables; bad ones get a sentence with the row; the Hub is a local server that speaks so."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import HOST, VISITOR

from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError, PeopleError, TooLargeError
from engine.serving.protocol import Caller
from engine.settings import Settings
from engine.training import formats
from engine.training.formats import Table, _base, _parquet, fetch_dataset, read_table

ROWS = [{"text": '"good" film, they said', "label": "positive"}, {"text": "bad", "label": "negative"}]


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def squad(*answers: dict[str, Any]) -> str:
    items = [{"question": "When?", "answers": list(answers)}, {"question": "Who?", "answers": []}]
    return json.dumps({"version": "2.0", "data": [{"paragraphs": [{"context": "It was 1843.", "qas": items}]}]})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,label\n"""good"" film, they said",positive\nbad,negative\n'),
        ("a.csv", '\ufefftext;label\r\n"""good"" film, they said";positive\r\nbad;negative\r\n'),
        ("a.csv", 'text\tlabel\n"""good"" film, they said"\tpositive\nbad\tnegative\n'),
        ("a.tsv", 'text\tlabel\n"good" film, they said\tpositive\nbad\tnegative\n'),
        ("a.tsv", 'text\tlabel\n"""good"" film, they said"\tpositive\nbad\tnegative'),
        ("A.JSONL", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
        ("a.ndjson", "\n".join(map(json.dumps, ROWS))),
        ("a.json", json.dumps(ROWS)),
        ("a.json", json.dumps({"data": ROWS})),
        ("a.json", "\n".join(map(json.dumps, ROWS))),
        ("a.jsonl", json.dumps(ROWS)),
    ],
)
def test_many_forms_hold_the_same_rows(name: str, content: str) -> None:
    table = read_table(content.encode(), name)
    assert table.columns == ("text", "label")
    assert table.rows == ROWS


def test_a_path_is_read_as_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet({"text": [row["text"] for row in ROWS], "label": [row["label"] for row in ROWS]}))
    assert read_table(path, "a.parquet").rows == ROWS == read_table(path.read_bytes(), "a.parquet").rows
    with pytest.raises(InputError, match=r"b\.csv cannot be found"):
        read_table(tmp_path / "b.csv", "b.csv")


def test_rows_are_counted_as_their_owner_counts_them() -> None:
    assert list(read_table(b'text,label\na,1\n\n"b\nc",2\nd,3\n', "a.csv").numbers) == [2, 4, 5]
    assert list(read_table(b'{"text": "a"}\n\n{"text": "b"}\n', "a.jsonl").numbers) == [1, 3]
    assert list(read_table(b"one\ntwo\n\n\nthree\n", "a.txt").numbers) == [1, 5]
    assert list(Table(("text",), [{"text": "a"}, {"text": "b"}]).numbers) == [1, 2]


def test_text_is_paragraphs_or_lines() -> None:
    def texts(content: str) -> list[str]:
        return [row["text"] for row in read_table(content.encode(), "a.txt").rows]

    assert texts("one \ntwo\n\n\n three\r\n") == ["one\ntwo", " three"]
    assert texts("\n\none\ntwo\nthree\n") == ["one", "two", "three"]


def test_squad_has_its_first_answer_or_none() -> None:
    table = read_table(
        squad({"text": "1843", "answer_start": 7}, {"text": "843", "answer_start": 8}).encode(), "s.json"
    )
    assert table.columns == ("question", "passage", "answer", "answer_start")
    assert [(row["answer"], row["answer_start"]) for row in table.rows] == [("1843", 7), ("", None)]


def test_nested_cells_become_columns() -> None:
    chat = [
        {"role": "system", "content": "x"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
    ]
    other = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]
    rows = [{"translation": {"en": "yes", "fr": "oui"}, "messages": chat, "c": other, "answers": {"text": ["a"]}}]
    as_json, as_parquet = json.dumps(rows).encode(), parquet({key: [value] for key, value in rows[0].items()})
    for table in (read_table(as_json, "a.json"), read_table(as_parquet, "a.parquet")):
        row = table.rows[0]
        assert (row["translation.en"], row["translation.fr"], row["answers.text"]) == ("yes", "oui", ["a"])
        assert (row["messages.user"], row["messages.assistant"]) == (row["c.user"], row["c.assistant"]) == ("hi", "ho")


def test_parquet_labels_get_their_names_and_pictures_stay_out() -> None:
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "text": {"dtype": "string"}}
    table = pa.table({"text": ["a", "b"], "label": [1, 0], "image": [b"x", b"y"], "words": ["a", "a"]})
    table = table.set_column(3, "words", table["words"].dictionary_encode())
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), out)
    found = read_table(out.getvalue(), "a.parquet")
    assert found.columns == ("text", "label", "words")
    assert found.rows == [{"text": "a", "label": "pos", "words": "a"}, {"text": "b", "label": "neg", "words": "a"}]


def doubled() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), out)
    return out.getvalue()


def bad_text() -> Any:
    return pa.array([b"a", b"\xff\xfe", b"c"]).view(pa.string())


FAULTS: list[tuple[str, str | bytes, str]] = [
    ("a.csv", "", r"^a\.csv is empty\."),
    ("a.csv", " \n \n", "is empty"),
    ("a.csv", "text,label\n", "has no rows below its column names"),
    ("a.jsonl", "\n\n", "is empty"),
    ("a.json", "[]", "has no rows"),
    ("a.exe", "MZ", r"is of no known kind\. Bring one of \.csv, \.gz, \.json"),
    ("a.txt", b"abc\nd\0ef", "line 2: this holds zero bytes"),
    ("a.csv", "text,label\nx,1\ny,2,3\n", "row 3: it has 3 cells, the column names are 2"),
    ("a.csv", 'text,label\nx,1\n"y,2\nz,3\n', "row 3: a quote is opened and never closed; the file may be cut off"),
    ("a.csv", 'text,label\n"x" y,1\n', 'row 2: text follows a closing quote. Write a quote inside a cell twice'),
    ("a.csv", "text,text\nx,1\n", "two columns are named 'text'"),
    ("a.csv", "good film,yes\nbad film,no\nfine,yes\n", "has no column names: its first row holds 'yes'"),
    ("a.csv", "1,good\n0,bad\n", "has no column names: its first row holds '1'"),
    ("a.csv", "A film that was good.,yes\nbad,no\n", "has no column names"),
    ("a.csv", ",".join(f"c{n}" for n in range(300)) + "\n1\n", "has 300 columns; the limit is 200"),
    ("a.jsonl", '{"text": "x"}\n{]\n{"text": "y"}\n', "row 2: this is not JSON"),
    ("a.jsonl", '{"text": "x"}\n{"text": "y', "row 2: the line is not complete, the file seems cut off"),
    ("a.jsonl", '{"text": "x"}\n"y"\n', "row 2: each line must be an object"),
    ("a.jsonl", "[" * 100_000, "nested too deeply"),
    ("a.jsonl", '{"a":' * 100_000, "row 1: "),
    ("a.jsonl", "\n".join(f'{{"c{n}": 1}}' for n in range(300)), "row 201: this makes more than 200 columns"),
    ("a.jsonl", "{}\n{}", "rows without a single named value"),
    ("a.json", '[{"text": "x"}, {"te', r"line 1: this is not JSON \(Unterminated string .*; the file seems cut off\)"),
    ("a.json", '[{"text": "x"}, 3]', "row 2: each row must be an object"),
    ("a.json", "3", "must hold a list of objects"),
    ("a.json", "1" * 10_000, "is not JSON"),
    ("a.json", '{"data": [{"paragraphs": [{"context": "x", "qas": [{"question": "y"}]}]}]}', "question 1: this is not"),
    ("a.parquet", parquet({"text": ["a"] * 500})[:-20], "is no whole Parquet file, perhaps cut off"),
    ("a.parquet", b"PAR1" + b"\0" * 40 + b"PAR1", "is no whole Parquet file"),
    ("a.parquet", parquet({"image": [b"a"]}), "has no column of text"),
    ("a.parquet", doubled(), "has two columns named 'text'. Rename one"),
    ("a.parquet", parquet({"n": [1, 2, 3], "text": bad_text()}), r"at row 2: text is not UTF-8 text"),
    ("a.parquet", parquet({"n": [1, 2], "day": pa.array([0, 2**40], pa.timestamp("s"))}), "row 2: day holds a date"),
    ("a.parquet", parquet({"day": pa.array([-(2**30)], pa.date32())}), r"at row 1: day holds a date"),
    ("a.parquet", parquet({"n": pa.StructArray.from_arrays([pa.array(["a"])] * 2, ["x", "x"])}), "columns named 'x'"),
    ("a.parquet", parquet({"n": [1], "text": ["b"]}).replace(b"text", b"te\xfft"), "whose name is not UTF-8"),
    ("a.parquet", parquet({"t": bad_text().dictionary_encode()}), "t is not UTF-8|text that is not UTF-8"),
    ("a.parquet", parquet({"day": pa.array([[2**40]], pa.list_(pa.timestamp("s")))}), "row 1: day holds a date"),
    ("a.parquet", parquet({"day": pa.array([1], pa.timestamp("s", "Mars/A"))}), "1: day cannot be read .* Save"),
    ("../../etc/passwd\n.exe", "x", r"^passwd\.exe is of no known kind"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "sentence"), FAULTS)
def test_bad_files_get_a_sentence(name: str, content: str | bytes, sentence: str) -> None:
    with pytest.raises(PeopleError, match=sentence) as caught:
        read_table(content if isinstance(content, bytes) else content.encode(), name)
    assert caught.value.param == "file"


def test_a_damaged_page_of_a_parquet_file_is_no_crash() -> None:
    content = bytearray(parquet({"text": [f"row {n}" for n in range(2000)]}, compression="zstd"))
    content[200:260] = b"\xff" * 60
    with pytest.raises(InputError, match="no whole Parquet file"):
        read_table(bytes(content), "a.parquet")


def test_small_files_that_unpack_to_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_base, _parquet):
        monkeypatch.setattr(module, "MAX_BYTES", 2**20)
    honest = parquet({"text": ["x" * 1000] * 2 + [f"{n}" + "y" * 999 for n in range(2000)]}, compression="zstd")
    repeated = parquet({"text": ["x" * 100_000] * 500, "n": list(range(500))})
    nested = parquet({"n": [[float(n)] * 10_000 for n in [7] * 200]}, use_dictionary=False, compression="zstd")
    for content in (honest, repeated, nested):
        assert len(content) < 400_000
        with pytest.raises(TooLargeError, match="unpacks to more than 1 MB"):
            read_table(content, "a.parquet")


def test_large_files_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(formats.MAX_BYTES + 1)
    with pytest.raises(TooLargeError, match=r"has 200 MB; the limit is 200 MB"):
        read_table(path, "a.txt")
    monkeypatch.setattr(_base, "MAX_ROWS", 3)
    monkeypatch.setattr(_parquet, "MAX_ROWS", 3)
    for name, content in (
        ("a.csv", "text\na\nb\nc\nd\n"), ("a.jsonl", '{"a": 1}\n' * 4), ("a.json", json.dumps([{"a": 1}] * 4)),
        ("a.txt", "a\nb\nc\nd\n"),
    ):  # fmt: skip
        with pytest.raises(TooLargeError, match="more than 3 rows"):
            read_table(content.encode(), name)
    with pytest.raises(TooLargeError, match="has 4 rows"):
        read_table(parquet({"text": list("abcd")}), "a.parquet")


# The Hub

COMMIT, CONVERTED = "c" * 40, "d" * 40
CSV = "text,label\n" + "".join(f"line {n},{'even' if n % 2 == 0 else 'odd'}\n" for n in range(40))


class FakeHub:
    """Repositories as dicts {revision: {path: bytes}}; answers as the Hub does."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.status: dict[str, int] = {}
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()
        self.is_slow, self.cuts = False, 0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append(self.path)
                hub.tokens.add(self.headers.get("Authorization"))
                if hub.is_slow:
                    time.sleep(5)
                hub.answer(self, unquote(urlparse(self.path).path).strip("/").split("/"))

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, parts: list[str]) -> None:
        is_api = parts[:2] == ["api", "datasets"]
        repository = "/".join(parts[2:4] if is_api else parts[1:3])
        revisions = self.repositories.get(repository, {})
        if repository in self.status:
            headers = {"X-Error-Code": "GatedRepo"} if self.status[repository] == 403 else {}
            return self.send(handler, self.status[repository], b"{}", headers)
        if not revisions:
            return self.send(handler, 401, b'{"error": "no"}', {"X-Error-Code": "RepoNotFound"})
        if is_api:
            revision = "/".join(parts[5:]) or "main"
            if revision not in revisions:
                return self.send(handler, 404, b'{"error": "no"}', {"X-Error-Code": "RevisionNotFound"})
            files = [{"rfilename": path, "size": len(body)} for path, body in revisions[revision].items()]
            sha = CONVERTED if "convert" in revision else COMMIT
            facts = {"id": repository, "sha": sha, "siblings": files, "cardData": {"license": "cc-by-4.0"}}
            return self.send(handler, 200, json.dumps(facts | {"tags": [], "private": False}).encode())
        by_commit = {COMMIT: "main", CONVERTED: "refs/convert/parquet"}
        body = revisions[by_commit[parts[4]]]["/".join(parts[5:])]
        self.send(handler, 200, body, {"X-Repo-Commit": parts[4]}, cut=self.cuts)

    def send(self, handler: Any, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int = 0) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body[: len(body) - cut])
            handler.wfile.flush()
        if cut:
            handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    fake = FakeHub()
    point_at(monkeypatch, fake.url)
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


def point_at(monkeypatch: pytest.MonkeyPatch, url: str, is_offline: bool = False) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", is_offline)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files that would have been read in a child."""
    names: list[str] = []
    monkeypatch.setattr(formats, "read_apart", lambda data, name: names.append(name) or read_table(data, name))
    return names


@pytest.fixture
def fetch(apart: list[str]) -> Callable[..., Table]:
    settings = Settings(network_timeout_seconds=1.0)
    return lambda dataset_id, split="train": fetch_dataset(dataset_id, split, settings, HOST)


def halves() -> tuple[bytes, bytes]:
    texts = [f"row {n}" for n in range(20)]
    return parquet({"text": texts[:10]}), parquet({"text": texts[10:]})


def test_a_data_set_comes_from_its_parquet_conversion(
    hub: FakeHub, fetch: Callable[..., Table], apart: list[str]
) -> None:
    first, second = halves()
    hub.repositories["me/films"] = {
        "main": {"README.md": b"x", "load.py": b"raise SystemExit"},
        "refs/convert/parquet": {
            "default/train/0001.parquet": second, "default/train/0000.parquet": first,
            "default/test/0000.parquet": parquet({"text": ["other"]}),
        },
    }  # fmt: skip
    table = fetch("me/films")
    assert [row["text"] for row in table.rows] == [f"row {n}" for n in range(20)]
    assert table.note == f"me/films, train, commit {CONVERTED[:12]}, licence cc-by-4.0"
    assert fetch("me/films", "test").rows == [{"text": "other"}]
    with pytest.raises(NotFoundError, match=r"has no split validation\. It has train, test"):
        fetch("me/films", "validation")
    assert not any("load.py" in path for path in hub.asked)
    assert len(apart) == 3, "each file in a child"


def test_configurations_are_chosen_by_name(hub: FakeHub, fetch: Callable[..., Table]) -> None:
    files = {f"{name}/partial-train/0000.parquet": parquet({"text": [name]}) for name in ("cola", "sst2")}
    hub.repositories["me/many"] = {"main": {}, "refs/convert/parquet": files}
    assert fetch("me/many:sst2").rows == [{"text": "sst2"}]
    for id in ("me/many", "me/many:other"):
        with pytest.raises(InputError, match=r"configurations cola, sst2\. Write it as me/many:cola"):
            fetch(id)


def test_a_data_set_comes_from_its_own_files(hub: FakeHub, fetch: Callable[..., Table]) -> None:
    main = {
        "README.md": b"x",
        "data/train.csv": CSV.encode(),
        "data/dev.jsonl": b'{"text": "a"}\n',
        "config.json": b"{}",
    }
    hub.repositories["me/own"] = {"main": main}
    assert len(fetch("me/own").rows) == 40
    assert fetch("me/own", "validation").rows == [{"text": "a"}]
    hub.repositories["me/single"] = {"main": {"all of it.csv": CSV.encode()}}
    assert len(fetch("me/single").rows) == 40
    with pytest.raises(NotFoundError, match=r"has no split test\. It has all of it\.csv"):
        fetch("me/single", "test")
    hub.repositories["me/pictures"] = {"main": {"a.zip": b"PK"}}
    with pytest.raises(PeopleError, match="has no file that Parlance reads"):
        fetch("me/pictures")


def test_of_a_large_data_set_the_first_files_are_taken(
    hub: FakeHub, fetch: Callable[..., Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = halves()
    files = {"default/train/0000.parquet": first, "default/train/0001.parquet": second}
    hub.repositories["me/large"] = {"main": {}, "refs/convert/parquet": files}
    monkeypatch.setattr(formats, "MAX_BYTES", len(first) + 100)
    table = fetch("me/large")
    assert len(table.rows) == 10 and str(table.note).endswith("the first 1 of 2 files")
    monkeypatch.setattr(formats, "MAX_BYTES", 100)
    with pytest.raises(TooLargeError, match=r"0000\.parquet is larger than 0 MB"):
        fetch("me/large")


def test_a_broken_line_is_not_taken_for_the_whole(hub: FakeHub, fetch: Callable[..., Table]) -> None:
    hub.repositories["me/own"] = {"main": {"train.csv": CSV.encode()}}
    hub.cuts = 100
    with pytest.raises(NotReadyError):
        fetch("me/own")


def test_bad_ids_and_closed_doors_have_their_sentences(hub: FakeHub, fetch: Callable[..., Table]) -> None:
    for id in ("", "a b", "../x", "a/b/c", "http://x/y", "a/b:", "-x/y", "a/..", "x" * 300):
        with pytest.raises(InputError, match="dataset must be an id such as owner/name"):
            fetch(id)
    with pytest.raises(InputError, match="split must be a name"):
        fetch("me/films", "train[:10%]")
    assert hub.asked == []
    with pytest.raises(NotFoundError, match="The Hub has no public data set me/nothing"):
        fetch("me/nothing")
    hub.status["me/gated"] = 403
    with pytest.raises(ConflictError, match=r"me/gated is gated\. Accept its terms at .*datasets/me/gated"):
        fetch("me/gated")
    hub.status["me/broken"] = 500
    with pytest.raises(NotReadyError, match="answered with error 500"):
        fetch("me/broken")


def test_a_public_site_fetches_nothing(hub: FakeHub) -> None:
    with pytest.raises(ConflictError, match="off on this public site"):
        fetch_dataset("me/films", "train", Settings(), VISITOR)
    assert hub.asked == []


@pytest.mark.parametrize(("role", "sent"), [("host", "Bearer hf_of-the-owner"), ("member", None)])
def test_the_owners_token_goes_with_the_owners_wishes_alone(
    hub: FakeHub, apart: list[str], monkeypatch: pytest.MonkeyPatch, role: Any, sent: str | None
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of-the-owner")
    hub.repositories["me/own"] = {"main": {"train.csv": CSV.encode()}}
    caller = Caller("ann", role, grants=frozenset({"fetch data"}))
    assert len(fetch_dataset("me/own", "train", Settings(network_timeout_seconds=5.0), caller).rows) == 40
    assert hub.tokens == {sent} and len(hub.asked) > 2


def test_without_a_network_it_fails_in_seconds(
    hub: FakeHub, fetch: Callable[..., Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.is_slow = True
    with pytest.raises(NotReadyError, match="has not answered in time"):
        fetch("me/films")
    point_at(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(NotReadyError, match="cannot be reached"):
        fetch("me/films")
    point_at(monkeypatch, hub.url, is_offline=True)
    with pytest.raises(NotReadyError, match="HF_HUB_OFFLINE is set"):
        fetch("me/films")
