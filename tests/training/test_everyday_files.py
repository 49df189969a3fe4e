"""Files as spreadsheets, notebooks and other tools write them: what each becomes, and what is said of it."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

import pytest

from engine.errors import PeopleError, TooLargeError
from engine.training import columns, tasks
from engine.training.formats import _base, _packed, read_table

Case = tuple[str, str | bytes, list[tuple[Any, ...]], str]
GOOD, BAD = ("good film", "yes"), ("bad film", "no")
BOTH = [GOOD, BAD]


def packed(content: bytes) -> bytes:
    """Without the hour, so that a case has one name in all workers of pytest."""
    return gzip.compress(content, mtime=0)


def zipped(*files: tuple[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def through_the_door(task: str, name: str, content: str | bytes) -> tuple[list[tuple[Any, ...]], str]:
    """Usable rows by role, and all that is said of them."""
    table = read_table(content if isinstance(content, bytes) else content.encode(), name)
    parts = [columns.apply(table, task, columns.guess(table, task))]
    parts = columns.join_labels(parts, "label") if task == "classification" else parts
    kept = columns.usable(parts[0], task)
    said = [str(finding.message) for finding in (*table.findings, *parts[0].findings)]
    return [tuple(row.get(role) for role in tasks.find(task).roles) for row in kept], "\n".join(said)


CSV = "text,label\ngood film,yes\nbad film,no\n"
ROWS = [{"text": "good film", "label": "yes"}, {"text": "bad film", "label": "no"}]
SPREADSHEETS: list[Case] = [
    # Separators and line ends
    ("a.csv", "sep=;\ntext;label\ngood film;yes\nbad film;no\n", BOTH, ""),
    ("a.csv", "\ufeffsep=,\r\n" + CSV, BOTH, ""),
    ("a.csv", '"sep=\t"\ntext\tlabel\ngood film\tyes\nbad film\tno\n', BOTH, ""),
    ("a.csv", CSV.replace("\n", "\r"), BOTH, ""),
    ("a.tsv", CSV.replace(",", "\t").replace("\n", "\r"), BOTH, ""),
    ("a.tsv", CSV, BOTH, ""),
    ("a.csv", CSV.replace(",", "|"), BOTH, ""),
    (
        "a.csv",
        'text;label\n"good, very good";yes\n"bad, bad";no\n',
        [("good, very good", "yes"), ("bad, bad", "no")],
        "",
    ),
    ("a.csv", 'text, label\n"good, film", "yes"\n"bad film", "no"\n', [("good, film", "yes"), BAD], ""),
    ("a.csv", 'text ; label\n"good; film" ; "yes"\n "bad film" ;"no" \n', [("good; film", "yes"), BAD], ""),
    ("a.csv", 'text,label\n"say ""so"" , then" ,yes\nbad film,no\n', [('say "so", then', "yes"), BAD], ""),
    ("a.csv", 'text,label\n"a \\"good\\" film",yes\nbad film,no\n', [('a "good" film', "yes"), BAD], ""),
    ("a.csv", 'text,label\n"one\ntwo",yes\nbad film,no\n', [("one\ntwo", "yes"), BAD], ""),
    ("a.csv", 'text,label\n5" nail,yes\nbad film,no\n', [('5" nail', "yes"), BAD], ""),
    # Columns and rows of nothing
    ("a.csv", ",text,label\n0,good film,yes\n1,bad film,no\n", BOTH, ""),
    ("a.csv", "text,label,,\ngood film,yes,,\nbad film,no,,\n", BOTH, ""),
    ("a.csv", "text,label\ngood film,yes,,,\nbad film,no\n", BOTH, ""),
    ("a.csv", "text,,label\ngood film,,yes\nbad film,,no\n", BOTH, ""),
    ("a.csv", "text,,label\ngood film,7,yes\nbad film,9,no\n", BOTH, "Columns without a name are called column 2"),
    ("a.csv", ",,\ntext,label,\ngood film,yes,\n,,\nbad film,no,\n,,\n", BOTH, ""),
    ("a.csv", "text,\ngood film,yes\nbad film,no\n", BOTH, "Columns without a name are called column 2"),
    ("a.csv", "Survey of May,\ntext,label\ngood film,yes\nbad film,no\n", BOTH, "Row 1 is taken for a title"),
    ("a.csv", CSV + "fine\n", BOTH, "Row 4 has fewer cells"),
    ("a.csv", "0,1\ngood film,yes\nbad film,no\n", BOTH, ""),
    ("a.csv", " text , LABEL \ngood film,yes\nbad film,no\n", BOTH, ""),
    ("a.csv", "How did you like the film? Please tell.?,label\n" + CSV.partition("\n")[2], BOTH, ""),
    # Encodings
    ("a.csv", CSV.encode("utf-8-sig"), BOTH, ""),
    ("a.csv", CSV.encode("utf-16"), BOTH, ""),
    ("a.csv", CSV.encode("utf-16-le"), BOTH, ""),
    ("a.csv", CSV.encode("utf-32"), BOTH, ""),
    ("a.txt", CSV.replace(",", "\t").encode("utf-16"), BOTH, ""),
    (
        "a.csv",
        "text,label\nun café très bon,oui\nnul,non\n".encode("cp1252"),
        [("un café très bon", "oui"), ("nul", "non")],
        "read as Windows-1252, a guess, with words such as “café”, “très”",
    ),
    (
        "a.csv",
        "text,label\nIt’s “good” – 5 €,oui\nnul,non\n".encode("cp1252"),
        [("It’s “good” – 5 €", "oui"), ("nul", "non")],
        "Windows-1252, a guess",
    ),
    (
        "a.csv",
        "text,label\nzażółć gęślą jaźń,tak\nźle,nie\n".encode("cp1250"),
        [("zażółć gęślą jaźń", "tak"), ("źle", "nie")],
        "Windows-1250, a guess",
    ),
    (
        "a.csv",
        "text,label\nочень хорошо,да\nплохо,нет\n".encode("cp1251"),
        [("очень хорошо", "да"), ("плохо", "нет")],
        "Windows-1251, a guess",
    ),
    (
        "a.csv",
        "text,label\nun café,oui\nnul,non\n".encode("mac_roman"),
        [("un café", "oui"), ("nul", "non")],
        "Mac Roman",
    ),
    (
        "a.csv",
        "text,label\nun café noir,oui\nnul,non\n".encode("cp850"),
        [("un café noir", "oui"), ("nul", "non")],
        "DOS 850",
    ),
    (
        "a.csv",
        "text,label\nété café çà,a\nnaïve œuvre,".encode() + b"b\xff\n",
        [("été café çà", "a"), ("naïve œuvre", "b�")],
        "",
    ),
    # Packed
    ("a.csv.gz", packed(CSV.encode()), BOTH, ""),
    ("a.csv", packed(CSV.encode()), BOTH, ""),
    ("a.jsonl.gz", packed("\n".join(map(json.dumps, ROWS)).encode()), BOTH, ""),
    ("a.zip", zipped(("data/films.csv", CSV)), BOTH, "Of the archive, the file films.csv is read"),
    (
        "a.zip",
        zipped(("__MACOSX/._films.csv", b"\0"), ("films.csv", CSV), ("README.md", "Films"), (".DS_Store", b"\0")),
        BOTH,
        "films.csv",
    ),
    ("a.csv.zip", zipped(("films.csv", CSV), method=zipfile.ZIP_STORED), BOTH, "films.csv"),
    # JSON, however it is wrapped, under whatever ending
    ("a.json", json.dumps({"train": ROWS}), BOTH, ""),
    ("a.json", json.dumps({"train": ROWS, "test": ROWS[:1]}), BOTH, "train is read; test is left out"),
    ("a.json", json.dumps({"version": "1", "data": ROWS}), BOTH, ""),
    ("a.json", json.dumps({"films": ROWS}), BOTH, ""),
    ("a.json", json.dumps({"train": {"text": ["good film", "bad film"], "label": ["yes", "no"]}}), BOTH, ""),
    ("a.json", json.dumps({"text": ["good film", "bad film"], "label": ["yes", "no"]}), BOTH, ""),
    ("a.json", json.dumps({"text": {"0": "good film", "1": "bad film"}, "label": {"0": "yes", "1": "no"}}), BOTH, ""),
    ("a.json", json.dumps(dict(enumerate(ROWS))), BOTH, ""),
    ("a.json", json.dumps({"columns": ["text", "label"], "index": [0, 1], "data": [GOOD, BAD]}), BOTH, ""),
    ("a.json", json.dumps([["text", "label"], GOOD, BAD]), BOTH, ""),
    ("a.json", json.dumps({"rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]}), BOTH, ""),
    ("a.jsonl", json.dumps(ROWS[0], indent=2) + "\n" + json.dumps(ROWS[1], indent=2), BOTH, ""),
    ("a.jsonl", ",\n".join(map(json.dumps, ROWS)) + ",\n", BOTH, ""),
    ("a.jsonl", "\r".join(map(json.dumps, ROWS)), BOTH, ""),
    ("a.txt", json.dumps(ROWS), BOTH, ""),
    ("a.txt", "\n".join(map(json.dumps, ROWS)), BOTH, ""),
    ("a.csv", json.dumps(ROWS), BOTH, ""),
    ("a.csv", "\n".join(map(json.dumps, ROWS)), BOTH, ""),
    # What is missing, and labels that are one
    (
        "a.csv",
        CSV + "x,\ny,nan\nz,NaN\n,yes\n",
        BOTH,
        "Rows 5 and 6 have “nan”, “NaN” as label, which counts as missing",
    ),
    ("a.csv", CSV + "x,None\ny,N/A\nz,null\nw,#N/A\n", BOTH, "counts as missing. Write it otherwise"),
    ("a.csv", CSV + "#N/A,yes\nNaN,no\n", BOTH, "as text, which counts as missing"),
    ("a.csv", CSV + "fine,none\n", [*BOTH, ("fine", "none")], ""),
    (
        "a.json",
        '[{"text": "good film", "label": "yes"}, {"text": "x", "label": NaN}, {"text": "y", "label": null}]',
        [GOOD],
        "",
    ),
    (
        "a.csv",
        CSV + "fine,Yes\nfair, yes \nfoul,NO\n",
        [*BOTH, ("fine", "yes"), ("fair", "yes"), ("foul", "no")],
        "“Yes” → “yes”, “NO” → “no”",
    ),
    (
        "a.csv",
        "text,label\na,1\nb,1.0\nc,2\nd,1\ne,2.0\nf,2\n",
        [("a", "1"), ("b", "1"), ("c", "2"), ("d", "1"), ("e", "2"), ("f", "2")],
        "“1.0” → “1”, “2.0” → “2”",
    ),
    (
        "a.csv",
        "text,label\na,1000\nb,1e3\nc,1000\nd,0\ne,-0\nf,0\ng,yes\u200b\nh,yes\ni,yes\n",
        [(x, label) for x, label in zip("abcdefghi", ["1000"] * 3 + ["0"] * 3 + ["yes"] * 3, strict=True)],
        "“1e3” → “1000”, “-0” → “0”",
    ),
    (
        "a.csv",
        "text,label\na,very  good\nb,very good\nc,very good\n",
        [(x, "very good") for x in "abc"],
        "joined to it",
    ),
    (
        "a.jsonl",
        '{"text": "good film", "label": ["yes", "no"]}\n{"text": "bad film", "label": ["no"]}',
        BOTH,
        "Row 1 has a list as label, of which only the first is taken",
    ),
    ("a.csv", "text,label\ngood film,\"['yes', 'no']\"\nbad film,\"['no']\"\n", BOTH, "Row 2 has a list as label"),
]


@pytest.mark.parametrize(("name", "content", "rows", "said"), SPREADSHEETS)
def test_everyday_tables_are_read(name: str, content: str | bytes, rows: list[tuple[Any, ...]], said: str) -> None:
    found, words = through_the_door("classification", name, content)
    assert found == rows
    assert said in words and bool(said) == bool(words)


CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
LONGER = [{"role": "system", "content": "Be brief."}, *CHAT, {"role": "user", "content": "and?"},
          {"role": "assistant", "content": "so"}]  # fmt: skip
ONE = [("hi", "ho", None)]
SHAREGPT = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]
SYSTEM = {"role": "system", "content": "Be brief."}
TWO = [("hi", "ho", [SYSTEM]), ("and?", "so", [SYSTEM, *CHAT])]
CHATS: list[tuple[str, str, list[tuple[str, str, Any]]]] = [
    ("a.jsonl", json.dumps({"messages": LONGER}), TWO),
    ("a.json", json.dumps([{"messages": LONGER}]), TWO),
    ("a.json", json.dumps([LONGER]), TWO),
    ("a.json", json.dumps(LONGER), TWO),
    ("a.jsonl", json.dumps(LONGER), TWO),
    ("a.jsonl", json.dumps({"messages": json.dumps(LONGER)}), TWO),
    ("a.csv", 'id,messages\n7,"' + json.dumps(LONGER).replace('"', '""') + '"\n', TWO),
    ("a.csv", 'id,messages\n7,"' + str(LONGER).replace('"', '""') + '"\n', TWO),
    ("a.jsonl", json.dumps({"conversations": SHAREGPT}), ONE),
    ("a.jsonl", json.dumps({"conversations": SHAREGPT, "system": "Be brief."}), [("hi", "ho", [SYSTEM])]),
    ("a.jsonl", json.dumps({"messages": [{"role": "User", "content": "hi"}, {"role": "model", "content": "ho"}]}), ONE),
    (
        "a.jsonl",
        json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": ["ho"]}]}),
        ONE,
    ),
    (
        "a.jsonl",
        json.dumps(
            {
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "ho"}]}],
            }
        ),
        [("hi", "ho", [SYSTEM])],
    ),
    (
        "a.jsonl",
        json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, CHAT[1]]}),
        ONE,
    ),
    (
        "a.jsonl",
        json.dumps({"messages": [CHAT[0], {"role": "user", "content": "you"}, CHAT[1]]}),
        [("hi\n\nyou", "ho", None)],
    ),
    (
        "a.jsonl",
        json.dumps({"messages": [{"role": "assistant", "content": "Yes?"}, *CHAT]}),
        [("hi", "ho", [{"role": "assistant", "content": "Yes?"}])],
    ),
    ("a.jsonl", json.dumps({"messages": [*CHAT, CHAT[0]]}), ONE),
    (
        "a.jsonl",
        json.dumps({"messages": [CHAT[0], {"role": "assistant", "content": None, "tool_calls": [{}]}, *CHAT[1:]]}),
        ONE,
    ),
    ("a.jsonl", json.dumps({"prompt": CHAT[:1], "completion": CHAT[1:]}), ONE),
    ("a.jsonl", json.dumps({"chosen": CHAT, "rejected": [CHAT[0], {"role": "assistant", "content": "no"}]}), ONE),
    (
        "a.jsonl",
        json.dumps(
            {"instruction": "and?", "input": "", "output": "so", "system": "Be brief.", "history": [["hi", "ho"]]}
        ),
        TWO[1:],
    ),
    (
        "a.jsonl",
        json.dumps({"instruction": "Sing.", "input": "la", "output": "la la"}),
        [("Sing.\n\nla", "la la", None)],
    ),
]


@pytest.mark.parametrize(("name", "content", "rows"), CHATS)
def test_chats_keep_every_turn(name: str, content: str, rows: list[tuple[str, str, Any]]) -> None:
    table = read_table(content.encode(), name)
    found = columns.usable(columns.apply(table, "instructions", columns.guess(table, "instructions")), "instructions")
    history = [json.loads(row["history"]) if "history" in row else None for row in found]
    assert [(row["prompt"], row["response"], before) for row, before in zip(found, history, strict=True)] == rows


QUESTION = {"question": "When?", "context": "It was 1843.", "id": "1"}
ANSWERS = {"text": ["1843"], "answer_start": [7]}
ITEM = {"question": "When?", "id": "1", "answers": [{"text": "1843", "answer_start": 7}]}
PARAGRAPH = {"context": "It was 1843.", "qas": [ITEM]}
AS_PANDAS = "{'text': array(['1843'], dtype=object), 'answer_start': array([7], dtype=int32)}"
QUESTIONS = [
    ("a.json", json.dumps([{"title": "t", "paragraphs": [PARAGRAPH]}])),
    ("a.json", json.dumps([PARAGRAPH])),
    ("a.json", json.dumps({"train": [{"title": "t", "paragraphs": [PARAGRAPH]}]})),
    ("a.json", json.dumps([QUESTION | {"answers": ANSWERS}])),
    ("a.json", json.dumps([QUESTION | {"answers": [{"text": "1843", "answer_start": 7}]}])),
    ("a.json", json.dumps({"data": [QUESTION | {"answers": ANSWERS}]})),
    ("a.csv", 'question,context,answers\nWhen?,It was 1843.,"' + json.dumps(ANSWERS).replace('"', '""') + '"\n'),
    ("a.csv", f'question,context,answers\nWhen?,It was 1843.,"{ANSWERS}"\n'),
    ("a.csv", f'question,context,answers\nWhen?,It was 1843.,"{AS_PANDAS}"\n'),
    ("a.csv", "question,context,answer\nWhen?,It was 1843.,1843\n"),
]


@pytest.mark.parametrize(("name", "content"), QUESTIONS)
def test_questions_are_read(name: str, content: str) -> None:
    assert through_the_door("answer", name, content)[0] == [("When?", "It was 1843.", "1843")]


TEXTS = [
    ("a.csv", "text\nHello, world\nBye, then; so\n", ["Hello, world", "Bye, then; so"]),
    ("a.json", '["one", "two"]', ["one", "two"]),
    ("a.txt", "[Intro]\nla la\n", ["[Intro]", "la la"]),
    ("a.txt", "{not JSON\nat all\n", ["{not JSON", "at all"]),
    ("a.txt", "one\ttab\nand none\n", ["one\ttab", "and none"]),
    ("a.txt", "one\rtwo\r", ["one", "two"]),
    ("a.md", "# A\n\n<html> is a word\n", ["# A", "<html> is a word"]),
]


@pytest.mark.parametrize(("name", "content", "texts"), TEXTS)
def test_texts_are_read(name: str, content: str, texts: list[str]) -> None:
    assert through_the_door("style", name, content)[0] == [(text,) for text in texts]


def test_text_of_a_runs_own_file_stays_text() -> None:
    line = json.dumps({"text": '["a"]', "label": '{"b": 1}'})
    assert read_table(line.encode(), "train.jsonl", is_own=True).rows == [{"text": '["a"]', "label": '{"b": 1}'}]


REFUSED = [
    ("a.csv", b"%PDF-1.7\n...", "is a PDF. Save or export the rows as CSV"),
    ("a.csv", b"\xef\xbb\xbf\r\n%PDF-1.7\n...", "is a PDF"),
    ("films.gz", packed(CSV.encode()), "its name does not tell what is in it. Name it like films.csv.gz"),
    ("a.csv", b"\xd0\xcf\x11\xe0" + b"\0" * 90, "is an old Office document"),
    ("a.csv", b"\n<!DOCTYPE html><html>", "is a web page"),
    ("a.csv", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ("a.jsonl", b"\x89PNG\r\n", "is a picture"),
    (
        "a.csv",
        zipped(("[Content_Types].xml", "x"), ("xl/workbook.xml", "x")),
        "is an Office document, such as a workbook",
    ),
    ("a.zip", zipped(("a.csv", CSV), ("b.csv", CSV)), r"is a zip archive of 2 files \(a\.csv, b\.csv\)"),
    ("a.zip", zipped(("a.png", b"x")), r"without a file that can be read \(a\.png\)"),
    ("a.zip", zipped(), "without a file that can be read"),
    ("a.zip", zipped(("../../etc/a.csv.gz", b"x")), "without a file that can be read"),
    ("a.zip", zipped(("a.csv", CSV))[:-30], "is a zip archive that is damaged or cut off"),
    ("a.zip", zipped(("a.csv", CSV)).replace(b"a.csv", b"\0.csv"), "is a zip archive that is damaged"),
    ("a.zip", b"PK\x03\x04....", "is a zip archive that is damaged"),
    ("a.zip", zipped(("a.csv", CSV), method=zipfile.ZIP_LZMA), "is a zip archive of a rare kind"),
    ("a.zip", zipped(*((f"{n}.csv", "x") for n in range(2000))), "is a zip archive of very many files"),
    ("a.zip", zipped(("a.csv", packed(CSV.encode()))), "is packed twice"),
    ("a.csv.gz", packed(CSV.encode())[:-9], "is packed with gzip, and damaged or cut off"),
    ("a.csv.gz", packed(packed(CSV.encode())), "is packed twice"),
    ("a.tar.gz", packed(b"a" * 257 + b"ustar"), "is of no known kind|a tar archive"),
    ("a.jsonl", b"{'text': 'x'}\n", "row 1: it has single quotes"),
    ("a.csv", "text,label\nとても良い映画,1\n悪い,0\n".encode("cp932"), "line 2: this is not UTF-8 text"),
    ("a.csv", CSV.encode("utf-16")[:-1], "is UTF-16 text with a damaged character"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), REFUSED)
def test_what_is_no_table_is_called_what_it_is(name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(PeopleError, match=sentence) as caught:
        read_table(content, name)
    assert caught.value.param == "file"


def test_a_chat_without_end_is_refused() -> None:
    content = json.dumps({"messages": CHAT * 20_000}).encode()
    with pytest.raises(TooLargeError, match="has a chat of 40,000 turns, which is too long"):
        read_table(content, "a.jsonl")


def test_bombs_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_base, _packed):
        monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    bomb = b"text\n" + b"x" * 1_000_000
    liar = bytearray(zipped(("a.csv", bomb)))
    at = liar.rfind(b"PK\x01\x02")
    liar[at + 24 : at + 28] = (5).to_bytes(4, "little")  # says that it unpacks to five bytes
    for name, content in (("a.csv.gz", packed(bomb)), ("a.zip", zipped(("a.csv", bomb)))):
        assert len(content) < 5_000
        with pytest.raises(TooLargeError, match="unpacks to more than"):
            read_table(content, name)
    with pytest.raises(PeopleError):
        read_table(bytes(liar), "a.zip")
