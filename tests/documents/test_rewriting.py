"""Files written again with other words: what stays as it was, in every format, and what each bad one is told."""

from __future__ import annotations

import io
import re
import textwrap
from dataclasses import replace

import docx as word
import pysubs2
import pytest
from documents.files import bomb, encrypted, of_many, pdf

from engine.documents.rewriting import Made, Options, Rewriter, Unit
from engine.documents.rewriting.delimited import Grid
from engine.documents.rewriting.placing import placed
from engine.documents.rewriting.reading import read_content
from engine.documents.rewriting.rows import Rows, grid_of
from engine.errors import PeopleError

MARKDOWN = """---
title: Kept
---
# The **first** chapter #

This is **very important** and you should [read *the* manual](docs/manual.md "Title") before
*starting* with `run.sh` now.[^1]

Setext heading
--------------

- [ ] buy some bread
  and more of it
- item _two_
  1. nested **bold**

> quoted text that
> goes on

```python
def kept(): pass
```

    kept = "indented code"

| Name | Price of *it* |
|:-----|---:|
| the **red** house | cheap |

[id]: http://kept.example "kept"
[^1]: A note here.

<!-- kept
kept -->
<p align="center">Some words</p>

![kept](kept.png) 5 * 3 * 2 and snake_case_name, $x^2$ too.
"""
SRT = """1
00:00:01,000 --> 00:00:03,500
Hello, <i>my dear</i> friend.

2
00:00:04,000 --> 00:00:06,000
This sentence is a long one and
it goes on in the next line,

3
00:00:06,200 --> 00:00:08,000
under the next times, until it ends.

4
00:00:09,000 --> 00:00:10,000
{\\an8}- Who is there?
- It is only me.

5
00:00:11,000 --> 00:00:12,000
♪ ♪

"""
VTT = """WEBVTT

STYLE
::cue { color: red }

NOTE kept --> kept

id1
00:01.000 --> 00:02.000 align:start position:10%
<v Roger>Hello there</v>

00:03.000 --> 00:04.000
Bye.
"""
CSV = (
    'id;text;note\r\n1;"Hello; my ""friend""";"x"\r\n2;Plain text;y\r\n3\r\n4;"two\r\nlines";z\r\n\r\n5; "spaced" ;\r\n'
)
TEXT = "First paragraph,\r\nwrapped.\r\n\r\n\r\n  Second.\r\n\r\n***\r\n"
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,20,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,2,2,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:03.50,Default,,0,0,0,,{\\i1}Hello{\\i0} my friend.
"""


def read(name: str, content: str | bytes, **options: object) -> Rewriter:
    return read_content(content.encode() if isinstance(content, str) else content, name, Options(**options))  # type: ignore[arg-type]


def same(unit: Unit) -> Made:
    return Made(unit.text, unit.spans, unit.marks)


def loud(unit: Unit) -> Made:
    return replace(same(unit), text=unit.text.upper())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", MARKDOWN), ("a.srt", SRT), ("a.vtt", VTT), ("a.csv", CSV), ("a.txt", TEXT),
        ("crlf.md", MARKDOWN.replace("\n", "\r\n")), ("a.tsv", "text\tx\nHello there\t1\n"),
        ("bom.csv", "\ufefftext,x\nHello,1\n"), ("sep.csv", "sep=;\ntext;x\nHello, you;1\n"),
    ],
    ids=lambda value: value if len(value) < 12 else "",
)  # fmt: skip
def test_what_is_made_the_same_is_the_same_file(name: str, content: str) -> None:
    found = read(name, content)
    assert found.written([same(unit) for unit in found.units]) == content.encode()


def test_markdown_keeps_all_that_is_no_text() -> None:
    found = read("a.md", MARKDOWN)
    out = found.written([loud(unit) for unit in found.units]).decode()
    for kept in (
        "title: Kept", "# THE **FIRST** CHAPTER #", '[READ *THE* MANUAL](docs/manual.md "Title")', "[^1]\n",
        "- [ ] BUY",
        "  AND MORE", "- ITEM _TWO_", "  1. NESTED **BOLD**", "> QUOTED TEXT THAT\n> GOES ON",
        "def kept(): pass",
        '    kept = "indented code"', "| NAME | PRICE OF *IT* |\n|:-----|---:|\n| THE **RED** HOUSE | CHEAP |",
        '[id]: http://kept.example "kept"', "<!-- kept\nkept -->", "![kept](kept.png) 5 * 3 * 2 AND", "$x^2$",
        "SETEXT HEADING\n--------------",
    ):  # fmt: skip
        assert kept in out, kept


def test_subtitles_keep_times_and_break_lines_anew() -> None:
    found = read("a.srt", SRT)
    assert [unit.text for unit in found.units][1].startswith("This sentence is a long one and it goes on")
    longer = [
        replace(same(unit), text=unit.text.replace("sentence", "very long sentence of mine")) for unit in found.units
    ]
    out = found.written([replace(one, spans=()) for one in longer]).decode()
    before, after = (pysubs2.SSAFile.from_string(text) for text in (SRT, out))
    assert [(event.start, event.end) for event in before] == [(event.start, event.end) for event in after]
    lines = [line for event in after for line in event.text.split("\\N")]
    assert max(map(len, lines)) <= 42 and "{\\an8}- Who is there?\n- It is only me." in out and "♪ ♪" in out
    assert all(event.text for event in after)


def test_two_hundred_subtitles_keep_every_time_and_their_width() -> None:
    """Those of at most 42 characters a line have no more when every word is half as long again; a wider one may."""
    sentence = "The old boat leaves the harbour of the town in the early morning light"
    words = sentence.split()
    cues, wide = [], {17, 140}
    for number in range(200):
        start, end = number * 3_000 + number % 7 * 111, number * 3_000 + 2_000 + number % 5 * 99
        text = " ".join(words[number % 4 :][: 3 + number % 11]) + ("" if number % 10 == 3 else ".")
        text = textwrap.fill(text, 42)
        cues.append((start, end, "W" + "i" * 49 + "de." if number in wide else text))
    made = "".join(f"{number}\n{at(a)} --> {at(b)}\n{text}\n\n" for number, (a, b, text) in enumerate(cues, 1))
    found = read("film.srt", made)
    assert len(found.units) == 190, "some sentences go through two subtitles"
    longer = [replace(same(unit), text=re.sub(r"(\w{3,})", r"\1er", unit.text), spans=()) for unit in found.units]
    out = found.written(longer).decode()
    assert re.findall(r"(?m)^\d\d:.*$", out) == re.findall(r"(?m)^\d\d:.*$", made)
    after = list(pysubs2.SSAFile.from_string(out))
    assert [(event.start, event.end) for event in after] == [(a, b) for a, b, _ in cues]
    widths = {number: max(map(len, event.text.split("\\N"))) for number, event in enumerate(after)}
    narrow = {number for number, (_, _, text) in enumerate(cues) if max(map(len, text.split("\n"))) <= 42}
    assert narrow == set(range(200)) - wide and max(widths[number] for number in narrow) <= 42
    assert all("er" in event.text for event in after)


def at(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"00:{seconds // 60:02}:{seconds % 60:02},{rest:03}"


@pytest.mark.parametrize("content", ["text\nOne row.\nAnother one.\n", "One row, not two.\nAnother one.\nA third.\n"])
def test_a_table_of_one_column_is_its_rows(content: str) -> None:
    texts = [unit.text for unit in read("a.csv", content).units]
    assert texts == [line for line in content.split("\n") if line and line != "text"]


def test_subtitles_with_styles_keep_them() -> None:
    found = read("a.ass", ASS)
    assert ASS.split("\n")[-2] in found.written([same(unit) for unit in found.units]).decode()


def test_a_line_that_was_wider_may_stay_so() -> None:
    wide = "This is one line of a subtitle that has many more letters than others have."
    found = read("a.srt", f"1\n00:00:01,000 --> 00:00:03,500\n{wide}\n")
    assert wide in found.written([same(unit) for unit in found.units]).decode()


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_tables_keep_cells_quotes_and_encoding(codec: str) -> None:
    content = CSV.replace("Plain", "Schön").encode(codec)
    found = read("a.csv", content, column="text")
    assert [unit.text for unit in found.units] == ['Hello; my "friend"', "Schön text", "two\nlines", "spaced"]
    out = found.written([replace(same(unit), text=unit.text.upper()) for unit in found.units])
    assert out == content.decode(codec).replace("Hello; my", "HELLO; MY").replace("friend", "FRIEND").replace(
        "Schön text", "SCHÖN TEXT"
    ).replace("two\r\nlines", "TWO\r\nLINES").replace("spaced", "SPACED").encode(codec)
    assert "lacks this column" in str(found.notes[-1])


def test_letters_that_an_old_encoding_lacks_are_written_as_utf8() -> None:
    found = read("a.txt", "Grüße aus Köln und schöne Tage".encode("cp1252"))
    assert found.written([Made("问候")]).decode("utf-8-sig") == "问候" and "UTF-8" in str(found.notes[-1])


@pytest.mark.parametrize(
    ("head", "columns", "likely", "has_names"),
    [
        ("id,review\n1,I liked it a lot\n", ("id", "review"), "review", True),
        ("I liked it\nIt was bad\n", ("column 1",), "column 1", False),
        ("text\nGood, and fine\nBad\n", ("text",), "text", True),
        ("1,I liked it a lot\n2,Not me\n", ("column 1", "column 2"), "column 2", False),
        ("a;a;\n1;two words;\n", ("column 1", "column 2", "column 3"), "column 2", False),
    ],
)
def test_columns_are_told_by_the_first_rows(head: str, columns: tuple[str, ...], likely: str, has_names: bool) -> None:
    found = Grid(head).head
    assert (found.columns, found.likely, found.has_names) == (columns, likely, has_names)


def docx(change: object = None) -> bytes:
    document = word.Document()
    document.add_heading("The title", 1)
    paragraph = document.add_paragraph("The ")
    paragraph.add_run("red").bold = True
    paragraph.add_run(" house is near the ")
    paragraph.add_run("old bridge").italic = True
    paragraph.add_run(".\tNobody")
    document.add_paragraph("Buy bread", style="List Bullet")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Name", "42"
    document.sections[0].header.paragraphs[0].text = "A header"
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def test_word_keeps_headings_lists_runs_and_tables() -> None:
    found = read("a.docx", docx())
    texts = [unit.text for unit in found.units]
    assert texts[:3] == ["The title", "The red house is near the old bridge.\tNobody", "Buy bread"]
    assert set(texts[3:]) == {"Name", "A header"}
    new = word.Document(io.BytesIO(found.written([loud(unit) for unit in found.units])))
    assert [one.style.name for one in new.paragraphs] == ["Heading 1", "Normal", "List Bullet"]
    runs = [(run.text, run.bold, run.italic) for run in new.paragraphs[1].runs]
    assert runs == [
        ("THE ", None, None), ("RED", True, None), (" HOUSE IS NEAR THE ", None, None), ("OLD BRIDGE", None, True),
        (".\tNOBODY", None, None),
    ]  # fmt: skip
    assert [cell.text for cell in new.tables[0].rows[0].cells] == ["NAME", "42"]
    assert new.sections[0].header.paragraphs[0].text == "A HEADER"


def test_a_pdf_becomes_a_word_document_or_text() -> None:
    content = pdf([["1. The harbour", "The harbour was built in 1742.", "It is old."], ["Second page."]], "T")
    for output, ending in (("", ".docx"), ("txt", ".txt")):
        found = read("a.pdf", content, output=output)
        out = found.written([loud(unit) for unit in found.units])
        assert found.ending == ending
        text = out.decode() if output else "\n".join(one.text for one in word.Document(io.BytesIO(out)).paragraphs)
        assert "SECOND PAGE." in text and "1742" in text


UNIT = Unit("The red house is near the bridge.", ((4, 7, 1), (26, 32, 2)), (33,))
GERMAN = "Nahe der Brücke steht das rote Haus."
WORDS = [((9, 15), (26, 32)), ((26, 30), (4, 7)), ((31, 35), (8, 13)), ((0, 4), (17, 21))]
SENTENCE = [((0, 33), (0, 36))]


@pytest.mark.parametrize(
    ("words", "spans"),
    [([WORDS], ((9, 15, 2), (26, 30, 1))), (None, ()), ([WORDS[:1]], ((5, 8, 1), (9, 15, 2)))],
    ids=["aligned", "unknown", "rescued"],
)
def test_formatting_follows_its_words(words: object, spans: object) -> None:
    made = placed(UNIT, GERMAN, SENTENCE, words)  # type: ignore[arg-type]
    assert made.spans == spans and made.marks == (36,)


def test_a_sentence_of_one_formatting_keeps_it_whole() -> None:
    unit = Unit("All bold. Plain.", ((0, 9, 1),))
    assert placed(unit, "Alles fett. Schlicht.", [((0, 9), (0, 11)), ((10, 16), (12, 21))], None).spans == ((0, 11, 1),)


BAD = {
    "cut.docx": (lambda: docx()[:3000], "damaged or cut off"),
    "bomb.docx": (lambda: bomb(513), "unpacks to more than 512 MB"),
    "other.docx": (lambda: b"plain text", "no docx file, though its name says so"),
    "locked.docx": (lambda: b"\xd0\xcf\x11\xe0" + b"x" * 99, "with a password, or an old one"),
    "locked.pdf": (lambda: encrypted(pdf([["Secret words here."]], "T"), "word"), "password"),
    "cut.pdf": (lambda: b"%PDF-1.7\n" + b"x" * 50, "damaged or cut off"),
    "many.pdf": (lambda: of_many(10_000), "has 10,000 pages; the limit is 2,000"),
    "times.srt": (lambda: b"1\n00:00:aa,000 --> 00:00:03,500\nHello\n", "at line 2: these times cannot be read"),
    "back.srt": (lambda: b"1\n00:00:05,000 --> 00:00:03,500\nHello\n", "at line 2: these times"),
    "none.srt": (lambda: b"Hello there", "has no subtitles"),
    "bad.ass": (lambda: b"abc", "holds no text"),
    "open.csv": (lambda: b'id,text\n1,"abc\n2,def\n', "at row 2: a quote is opened and never closed"),
    "numbers.csv": (lambda: b"a,b\n1,2\n", "holds no text"),
    "empty.txt": (lambda: b" \n ", "is empty"),
    "zero.txt": (lambda: b"abc\0def\n\xff", "zero bytes"),
    "picture.txt": (lambda: b"\x89PNG\r\n\x1a\n", "is a picture"),
    "letter.odt": (lambda: b"abc", "of no known kind"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_file_gets_its_sentence(name: str) -> None:
    content, sentence = BAD[name]
    with pytest.raises(PeopleError) as caught:
        read(name, content())
    assert sentence in str(caught.value)


def test_a_column_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(PeopleError, match=r"has no column 'c'. Choose one of id, text."):
        read("a.csv", "id,text\n1,Hello there\n", column="c")


def test_rows_of_a_table_get_more_columns() -> None:
    rows = Rows(b'id,text\n1,Good\n2,\n3,"So, so"\n4\n', "a.csv", Options(date="id"))
    assert rows.texts == ["Good", "So, so"] and rows.dates == ["1", "3"]
    out = rows.written(["label", "note"], [["positive", ""], ["neutral", "a,b"]])
    assert out == b'id,text,label,note\n1,Good,positive,\n2,,,\n3,"So, so",neutral,"a,b"\n4,,,\n'


@pytest.mark.parametrize(
    ("name", "content", "texts", "out"),
    [
        ("a.txt", b"One\nTwo, too\n", ["One", "Two, too"], b'text,label\nOne,a\n"Two, too",a\n'),
        ("a.txt", b"One\nmore\n\nTwo\n", ["One more", "Two"], b"text,label\nOne more,a\nTwo,a\n"),
        ("a.csv", b"It was good.\nIt was bad.\n", ["It was good.", "It was bad."],
         b"column 1,label\nIt was good.,a\nIt was bad.,a\n"),
        ("a.csv", "text\n😀\n".encode(), ["😀"], "text,label\n😀,a\n".encode()),
    ],
    ids=["lines", "paragraphs", "bare", "emoji"],
)  # fmt: skip
def test_lines_become_a_table(name: str, content: bytes, texts: list[str], out: bytes) -> None:
    rows = Rows(content, name, Options())
    assert rows.texts == texts and rows.written(["label"], [["a"]] * len(texts)) == out


@pytest.mark.parametrize(
    "content",
    [
        '[{"id": 1, "text": "good, I say"}, {"text": "bad\\nnews", "more": [1, "é"]}]',
        '{"id": 1, "text": "good, I say"}\n{"text": "bad\\nnews", "more": [1, "é"]}\n',
        '{"rows": [{"id": 1, "text": "good, I say"}, {"text": "bad\\nnews", "more": [1, "é"]}], "count": 2}',
    ],
    ids=["list", "lines", "under a name"],
)
def test_rows_of_json_become_a_table(content: str) -> None:
    rows = Rows(content.encode(), "a.json", Options(column="text"))
    assert rows.texts == ["good, I say", "bad\nnews"] and rows.grid.head.columns == ("id", "text", "more")
    out = rows.written(["label"], [["positive"], ["negative"]]).decode()
    assert out == 'id,text,more,label\n1,"good, I say",,positive\n,"bad\nnews","[1, ""é""]",negative\n'
    head = grid_of(content[:45], "a.json", is_head=True).head
    assert head.columns[:2] == ("id", "text") and head.has_names


def test_texts_of_json_are_rows_too() -> None:
    assert Rows(b'["good", "bad"]', "a.json", Options()).texts == ["good", "bad"]
    tagged = b'{"tags": ["x"], "text": "good"}\n{"tags": [{"a": 1}], "text": "bad"}\n'
    assert Rows(tagged, "a.jsonl", Options()).texts == ["good", "bad"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"text": "good"}, {"text": "ba', "at line 1: this is not JSON"), ('[{"text": "good"}', "this is not JSON"),
        ('{"text": "good"}\n{text: 1}\n', "at line 2: this is not JSON"), ("[1, 2]", "at row 1: each row must be"),
        ("[" * 100_000, "not JSON"), ("[]", "holds no text"), ('[{"a": null}]', "holds no text"),
    ],
)  # fmt: skip
def test_bad_json_gets_its_sentence(content: str, sentence: str) -> None:
    with pytest.raises(PeopleError, match=sentence):
        Rows(content.encode(), "a.json", Options())
