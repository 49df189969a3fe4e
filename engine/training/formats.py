"""The door for data that a person brings: CSV, TSV, JSONL, JSON, SQuAD, Parquet, text and Hub data sets become tables.

Nothing that arrives is trusted: every reader has a limit, and what is wrong is said with the row's number as its
owner finds it in the file. Which column means what is for `columns`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ConflictError, InputError, TooLargeError, UnsupportedError

if TYPE_CHECKING:
    from engine.settings import Settings

MAX_BYTES = 200 * 2**20
"""Of a file, and of all its texts unpacked."""
MAX_ROWS = 1_000_000
MAX_COLUMNS = 200
MAX_CELL_CHARACTERS = 10_000_000
PARAM = "file"

PACKED: dict[bytes, str] = {
    b"PK\x03\x04": "a zip archive or an Office workbook",
    b"PK\x05\x06": "an empty zip archive",
    b"\x1f\x8b": "packed with gzip",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ\x00": "packed with xz",
    b"(\xb5/\xfd": "packed with zstandard",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
}
OTHER_ENCODINGS: dict[bytes, str] = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True)
class Table:
    """What a file holds. Cells are text, numbers, truth values, None, or lists of them."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    numbers: Sequence[int] = ()
    """Where each row stands in its file, as a spreadsheet or an editor counts; by default 1, 2, 3 …"""
    note: str = ""
    """Where a Hub data set came from, and how much of it was taken."""

    def __post_init__(self) -> None:
        if not self.numbers:
            object.__setattr__(self, "numbers", range(1, len(self.rows) + 1))


def read_table(data: bytes | Path, name: str) -> Table:
    """The rows of a file; its form follows from the ending of `name`.

    A text file has one column `text`: a row is a paragraph, or a line where there are no empty lines. Objects in a cell
    become columns of their own (`answers.text`), a chat's messages `messages.user` and `messages.assistant`.
    Raises InputError, TooLargeError or UnsupportedError with the row's number.
    """
    name = _shown(name)
    content = _content(data, name)
    _refuse_packed(content, name)
    reader = READERS.get(Path(name).suffix.lower())
    if reader is None:
        raise UnsupportedError(f"{name} is of no known kind. Bring one of {', '.join(sorted(READERS))}.", param=PARAM)
    if not content.strip():
        raise InputError(f"{name} is empty.", param=PARAM)
    table = reader(content, name)
    if not table.rows:
        raise InputError(f"{name} has no rows below its column names.", param=PARAM)
    return table


def fetch_dataset(dataset_id: str, split: str, settings: Settings) -> Table:
    """One split of a data set on the Hub: its Parquet conversion, or its own CSV, TSV, JSONL, JSON, Parquet or text.

    `dataset_id` is "owner/name", or "owner/name:configuration" where it has several. Of a large one the first files
    that fit into the limits are taken, as the table's note says. Raises PeopleError, offline within seconds.
    """
    from engine.training import hub_files

    if settings.is_public:
        raise ConflictError(
            "Fetching from the Hub is off on this public site. Bring the data as a file.", param="dataset"
        )
    found = hub_files.find(dataset_id, split, settings.network_timeout_seconds)
    tables: list[Table] = []
    left = MAX_BYTES
    for file in found.files:
        if tables and file.size_bytes > left:
            break
        content = hub_files.fetch(found, file, left, settings.network_timeout_seconds)
        left -= len(content)
        tables.append(read_table(content, file.name))
    taken = "" if len(tables) == len(found.files) else f"; the first {len(tables)} of {len(found.files)} files"
    return _joined(tables, f"{found.id}, {split}, commit {found.commit[:12]}, licence {found.licence}{taken}")


def _joined(tables: Sequence[Table], note: str) -> Table:
    columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
    rows = [row for table in tables for row in table.rows]
    if len(rows) > MAX_ROWS:
        rows, note = rows[:MAX_ROWS], f"{note}; the first {MAX_ROWS:,} rows"
    return Table(columns, rows, note=note)


def _shown(name: str) -> str:
    """A file's name as it stands in sentences: without folders, of sensible length."""
    short = "".join(c for c in re.split(r"[/\\]", name)[-1] if c.isprintable())
    return short if len(short) <= 60 else f"{short[:40]}…{short[-15:]}"


def _content(data: bytes | Path, name: str) -> bytes:
    size = len(data) if isinstance(data, bytes) else _size(data, name)
    if size > MAX_BYTES:
        raise TooLargeError(
            f"{name} has {size / 2**20:,.0f} MB; the limit is {MAX_BYTES / 2**20:,.0f} MB. Bring a part of it.",
            param=PARAM,
        )
    return data if isinstance(data, bytes) else data.read_bytes()


def _size(path: Path, name: str) -> int:
    if not path.is_file():
        raise InputError(f"{name} cannot be found. Check its path.", param=PARAM)
    return path.stat().st_size


def _refuse_packed(content: bytes, name: str) -> None:
    for magic, what in PACKED.items():
        if content.startswith(magic):
            raise UnsupportedError(
                f"{name} is {what}. Unpack it, or save the sheet as CSV (UTF-8), and bring the file inside.",
                param=PARAM,
            )


def _text(content: bytes, name: str) -> str:
    """Decoded UTF-8, with or without its mark. Raises InputError with the line that is something else."""
    for mark, encoding in OTHER_ENCODINGS.items():
        if content.startswith(mark):
            raise InputError(f"{name} is {encoding} text. Save it as UTF-8.", param=PARAM)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name}, row {line}: this is not UTF-8 text (byte 0x{content[error.start]:02x}), "
            "perhaps Windows-1252 or another old encoding. Save the file as UTF-8.",
            param=PARAM,
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name}, row {line}: this holds zero bytes, so it is no text file.", param=PARAM)
    return text


def _counted(rows: Iterable[Any], name: str) -> Iterator[Any]:
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise TooLargeError(f"{name} has more than {MAX_ROWS:,} rows. Bring a part of it.", param=PARAM)
        yield row


# CSV and TSV


def _read_csv(content: bytes, name: str) -> Table:
    text = _text(content, name)
    return _table_of_cells(_parse(text, _delimiter(text), name), name)


def _read_tsv(content: bytes, name: str) -> Table:
    """Quotes are plain characters in some programs' TSV, and wrap cells in others'; what gives even rows is meant."""
    text = _text(content, name)
    plain = [line.split("\t") if line else [] for line in text.replace("\r\n", "\n").split("\n")]
    if len({len(cells) for cells in plain if cells}) == 1:
        return _table_of_cells(_unquoted(plain), name)
    try:
        return _table_of_cells(_parse(text, "\t", name), name)
    except InputError:
        return _table_of_cells(plain, name)


def _unquoted(lines: list[list[str]]) -> list[list[str]]:
    """Without the quotes around cells, if every quote in the file can be read as such."""
    wrapped = re.compile(r'"(?:[^"]|"")*"')
    if not all(wrapped.fullmatch(cell) for cells in lines for cell in cells if '"' in cell):
        return lines
    return [[cell[1:-1].replace('""', '"') if '"' in cell else cell for cell in cells] for cells in lines]


def _delimiter(text: str) -> str:
    """Of the usual ones that which makes most columns of the first line."""
    first = text.lstrip("\r\n").partition("\n")[0]
    return max(",;\t|", key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))


def _parse(text: str, delimiter: str, name: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, 1):  # noqa: B007
            yield cells
    except csv.Error as error:
        raise InputError(f"{name}, row {number + 1}: {_explain(str(error))}", param=PARAM) from None


def _explain(words: str) -> str:
    if "unexpected end" in words:
        return "a quote is opened and never closed; the file may be cut off. Close it, or bring the whole file."
    if "expected after" in words:
        return 'text follows a closing quote. Write a quote inside a cell twice ("").'
    if "field larger" in words:
        return f"a cell has more than {MAX_CELL_CHARACTERS:,} characters; a quote may be left open above."
    return f"this cannot be read ({words})."


def _table_of_cells(lines: Iterable[list[str]], name: str) -> Table:
    """A table of cells whose first line names the columns."""
    header: tuple[str, ...] = ()
    rows, numbers = [], []
    for number, cells in enumerate(_counted(lines, name), 1):
        if not cells:
            continue
        if not header:
            header = tuple(cell.strip() for cell in cells)
            _check_header(header, name)
        elif len(cells) != len(header):
            raise InputError(
                f"{name}, row {number}: it has {len(cells)} cells, the column names are {len(header)}. "
                "Put text that holds the separator in quotes, or fill the row up.",
                param=PARAM,
            )
        else:
            rows.append(dict(zip(header, cells, strict=True)))
            numbers.append(number)
    _check_names(header, rows, name)
    return Table(header, rows, numbers)


def _check_header(header: Sequence[str], name: str) -> None:
    if len(header) > MAX_COLUMNS:
        raise TooLargeError(f"{name} has {len(header):,} columns; the limit is {MAX_COLUMNS}.", param=PARAM)
    for number, cell in enumerate(header, 1):
        if not cell:
            raise InputError(f"{name}: column {number} has no name in the first row. Name it.", param=PARAM)
        if len(cell) > 80 or re.fullmatch(r"[-+]?[\d.,]+|.* .*[.!]", cell):
            raise _no_header(cell, name)
    if len(set(header)) < len(header):
        twice = next(cell for cell in header if list(header).count(cell) > 1)
        raise InputError(f"{name}: two columns are named {twice[:40]!r}. Rename one.", param=PARAM)


def _check_names(header: Sequence[str], rows: Sequence[Mapping[str, str]], name: str) -> None:
    """A first row with a phrase in it, of which a cell comes again below, is no header."""
    if any(" " in column for column in header):
        for column in header:
            if any(row[column].strip() == column for row in rows):
                raise _no_header(column, name)


def _no_header(cell: str, name: str) -> InputError:
    return InputError(
        f"{name} has no column names: its first row holds {cell[:40]!r}, which looks like data. "
        "Add a first row such as text,label.",
        param=PARAM,
    )


# JSON


def _read_jsonl(content: bytes, name: str) -> Table:
    text = _text(content, name)
    if text.lstrip().startswith("["):
        return _read_json(content, name)
    rows, numbers = [], []
    lines = text.split("\n")
    for number, line in enumerate(_counted(lines, name), 1):
        if line.strip():
            rows.append(_object(line, number, name, is_last=number == len(lines)))
            numbers.append(number)
    return _table_of_objects(rows, numbers, name)


def _object(line: str, number: int, name: str, is_last: bool) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        cut = "the line is not complete, the file seems cut off." if is_last else "this is not JSON."
        raise InputError(f'{name}, row {number}: {cut} Each line must be like {{"text": "…"}}.', param=PARAM) from None
    if not isinstance(row, dict):
        raise InputError(f'{name}, row {number}: each line must be an object like {{"text": "…"}}.', param=PARAM)
    return row


def _read_json(content: bytes, name: str) -> Table:
    """A list of objects, SQuAD, or lines of JSON under the wrong ending."""
    text = _text(content, name)
    try:
        value = json.loads(text)
    except RecursionError:
        raise InputError(f"{name} is nested too deeply to be a table.", param=PARAM) from None
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return _read_jsonl(content, name)
        end = "; the file seems cut off" if error.pos >= len(text.rstrip()) - 1 or "Untermin" in error.msg else ""
        raise InputError(f"{name}, line {error.lineno}: this is not JSON ({error.msg}{end}).", param=PARAM) from None
    except ValueError as error:
        raise InputError(f"{name} is not JSON ({error}).", param=PARAM) from None
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
        if any(isinstance(article, dict) and "paragraphs" in article for article in value):
            return _squad(value, name)
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise InputError(f"{name} must hold a list of objects, lines of them, or SQuAD.", param=PARAM)
    for number, row in enumerate(_counted(value, name), 1):
        if not isinstance(row, dict):
            raise InputError(f'{name}, row {number}: each row must be an object like {{"text": "…"}}.', param=PARAM)
    return _table_of_objects(value, range(1, len(value) + 1), name)


def _squad(articles: Sequence[Any], name: str) -> Table:
    """Questions of SQuAD 1 or 2, counted in the order of the file; the first of several answers is taken."""
    rows: list[dict[str, Any]] = []
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for item in paragraph["qas"]:
                    first = next(iter(item["answers"]), {"text": "", "answer_start": None})
                    row = {"question": item["question"], "passage": paragraph["context"], "answer": first["text"]}
                    rows.append(row | {"answer_start": first["answer_start"]})
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{name}, question {len(rows) + 1}: this is not SQuAD, {error} is missing or of another form.", param=PARAM
        ) from None
    return Table(("question", "passage", "answer", "answer_start"), list(_counted(rows, name)))


def _table_of_objects(rows: Iterable[Mapping[str, Any]], numbers: Sequence[int], name: str) -> Table:
    flat = [_flat(row) for row in rows]
    columns: dict[str, None] = {}
    for row, number in zip(flat, numbers, strict=True):
        columns.update(dict.fromkeys(row))
        if len(columns) > MAX_COLUMNS:
            raise TooLargeError(
                f"{name}, row {number}: this makes more than {MAX_COLUMNS} columns. Give all rows the same few names.",
                param=PARAM,
            )
    if flat and not columns:
        raise InputError(f"{name} has rows without a single named value.", param=PARAM)
    return Table(tuple(columns), [{column: row.get(column) for column in columns} for row in flat], numbers)


def _flat(row: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Objects become dotted columns, two levels deep; chats their last exchange; what else is nested is left out."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping) and depth < 2:
            flat.update({f"{key}.{inner}": cell for inner, cell in _flat(value, depth + 1).items()})
        elif exchange := _exchange(value):
            flat.update({f"{key}.{role}": text for role, text in exchange.items()})
        elif _is_cell(value) or (isinstance(value, list) and all(map(_is_cell, value))):
            flat[str(key)] = value
    return flat


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _exchange(value: Any) -> dict[str, str] | None:
    """The first question of a chat's messages and its answer."""
    if not (isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value)):
        return None
    said = [(item.get("role", item.get("from")), item.get("content", item.get("value"))) for item in value]
    names = {"human": "user", "gpt": "assistant"}
    found: dict[str, str] = {}
    for role, text in said:
        if isinstance(role, str) and isinstance(text, str):
            found.setdefault(names.get(role, role), text)
    return found if {"user", "assistant"} <= set(found) else None


# Parquet and text


def _read_parquet(content: bytes, name: str) -> Table:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        buffer = pa.BufferReader(content)
        facts = pq.ParquetFile(buffer)
        _check_parquet(facts.metadata, name)
        # Text as a dictionary stays as small as it is stored, however often a row repeats it.
        texts = [field.name for field in facts.schema_arrow if pa.types.is_string(field.type)]
        names = [field.name for field in facts.schema_arrow if _can_hold_text(field.type)]
        if not names:
            raise InputError(f"{name} has no column of text or numbers.", param=PARAM)
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
        rows = list(_parquet_rows(file, names, name))
    except (pa.ArrowException, OSError) as error:
        words = str(error).partition("\n")[0][:120]
        raise InputError(f"{name} is no whole Parquet file, perhaps cut off ({words}).", param=PARAM) from None
    return _table_of_objects(rows, range(1, len(rows) + 1), name)


def _check_parquet(facts: Any, name: str) -> None:
    """Refuse what would unpack to more than the limits, before anything is unpacked."""
    unpacked = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    if facts.num_rows > MAX_ROWS or facts.num_columns > MAX_COLUMNS:
        raise TooLargeError(
            f"{name} has {facts.num_rows:,} rows and {facts.num_columns:,} columns; the limits are {MAX_ROWS:,} and "
            f"{MAX_COLUMNS}. Bring a part of it.",
            param=PARAM,
        )
    if unpacked > MAX_BYTES:
        raise _unpacks_to_too_much(name)


def _unpacks_to_too_much(name: str) -> TooLargeError:
    return TooLargeError(f"{name} unpacks to more than {MAX_BYTES / 2**20:,.0f} MB. Bring a part of it.", param=PARAM)


def _can_hold_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _can_hold_text(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_can_hold_text(field.type) for field in kind)
    return not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_nested(kind))


def _parquet_rows(file: Any, names: Sequence[str], name: str) -> Iterator[dict[str, Any]]:
    """Rows in small batches, counted as they are unpacked; numbers that stand for labels become their names."""
    labels = _label_names(file.schema_arrow.metadata or {})
    left = MAX_BYTES
    for batch in file.iter_batches(batch_size=256, columns=list(names)):
        columns = {column: _values(batch.column(column)) for column in batch.schema.names}
        left -= sum(column.nbytes for column in batch.columns if not hasattr(column, "dictionary"))
        for index in range(batch.num_rows):
            row = {column: values[index] for column, values in columns.items()}
            left -= sum(len(cell) for cell in row.values() if isinstance(cell, str))
            if left < 0:
                raise _unpacks_to_too_much(name)
            yield {column: _named(cell, labels.get(column)) for column, cell in row.items()}


def _values(column: Any) -> list[Any]:
    """A column's cells; those of a dictionary share their text."""
    if hasattr(column, "dictionary"):
        used = column.indices.unique().drop_null()
        words = dict(zip(used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True))
        return [words.get(index) for index in column.indices.to_pylist()]
    return [cell if not hasattr(cell, "isoformat") else cell.isoformat() for cell in column.to_pylist()]


def _label_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Names of numbered labels, as the library `datasets` notes them in a file's metadata."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            column: [str(label) for label in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _named(cell: Any, names: Sequence[str] | None) -> Any:
    return names[cell] if names and isinstance(cell, int) and 0 <= cell < len(names) else cell


def _read_text(content: bytes, name: str) -> Table:
    """Paragraphs, which empty lines part; lines where there is no empty line."""
    lines = _text(content, name).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = [line.rstrip() for line in lines]
    has_paragraphs = "" in "\n".join(kept).strip("\n").split("\n")
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, line in enumerate(kept, 1):
        if not line:
            continue
        if has_paragraphs and number > 1 and kept[number - 2]:
            rows[-1]["text"] += "\n" + line
        else:
            rows.append({"text": line})
            numbers.append(number)
    return Table(("text",), list(_counted(rows, name)), numbers)


READERS: dict[str, Callable[[bytes, str], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".txt": _read_text,
    ".md": _read_text,
}
"""Reader of each ending; a page takes the kinds it accepts from here."""
