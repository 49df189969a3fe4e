"""Parquet, unpacked in small batches and within the limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.errors import InputError, TooLargeError
from engine.jobs.apart import MAX_BYTES
from engine.training.formats._base import (
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_ROWS,
    Table,
    check_cells,
    table_of_objects,
    unpacks_to_too_much,
)


def read_parquet(content: bytes) -> Table:
    """Columns of text, numbers and lists of them; what else a file holds is left out."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        buffer = pa.BufferReader(content)
        facts = pq.ParquetFile(buffer)
        _check_parquet(facts.metadata)
        # Text as a dictionary stays as small as it is stored, however often a row repeats it.
        _check_names(list(facts.schema_arrow))
        texts = [field.name for field in facts.schema_arrow if pa.types.is_string(field.type)]
        names = [field.name for field in facts.schema_arrow if _can_hold_text(field.type)]
        if not names:
            raise InputError("has no column of text or numbers.")
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
        rows = list(_parquet_rows(file, names))
    except UnicodeDecodeError:
        raise InputError("has a column whose name is not UTF-8 text. Write the file anew.") from None
    except (pa.ArrowException, OSError) as error:
        words = str(error).partition("\n")[0][:120]
        if "UTF8" in words:
            raise InputError("holds text that is not UTF-8. Write the file anew.") from None
        raise InputError("is no whole Parquet file, perhaps cut off ({reason}).", reason=words) from None
    return table_of_objects(rows, range(1, len(rows) + 1))


def _check_parquet(facts: Any) -> None:
    """Refuse what would unpack to more than the limits, before anything is unpacked."""
    unpacked = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    if facts.num_rows > MAX_ROWS or facts.num_columns > MAX_COLUMNS:
        raise TooLargeError(
            "has {rows:,} rows and {columns:,} columns; the limits are {most_rows:,} and {most_columns}. "
            "Bring a part of it.",
            rows=facts.num_rows, columns=facts.num_columns, most_rows=MAX_ROWS,
            most_columns=MAX_COLUMNS,
        )  # fmt: skip
    check_cells(facts.num_rows, facts.num_columns)
    groups = (facts.row_group(index) for index in range(facts.num_row_groups))
    # Of a list each value counts, also one that is nothing and takes no room.
    values = sum(group.column(column).num_values for group in groups for column in range(group.num_columns))
    if unpacked > MAX_BYTES or values > MAX_CELLS:
        raise unpacks_to_too_much()


def _check_names(fields: Sequence[Any]) -> None:
    import pyarrow as pa

    names = [field.name for field in fields]
    if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
        raise InputError("has two columns named {column}. Rename one.", column=repr(twice[:40]))
    for field in fields:
        kind = field.type
        while pa.types.is_list(kind) or pa.types.is_large_list(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            _check_names(list(kind))


def _can_hold_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _can_hold_text(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_can_hold_text(field.type) for field in kind)
    return not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_nested(kind))


def _parquet_rows(file: Any, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows in small batches, counted as they are unpacked; numbers that stand for labels become their names."""
    labels = _label_names(file.schema_arrow.metadata or {})
    left = MAX_BYTES
    first = 1
    for batch in file.iter_batches(batch_size=256, columns=list(names)):
        columns = {column: _readable(batch.column(column), column, first) for column in batch.schema.names}
        first += batch.num_rows
        left -= sum(column.nbytes for column in batch.columns if not hasattr(column, "dictionary"))
        for index in range(batch.num_rows):
            row = {column: values[index] for column, values in columns.items()}
            left -= sum(len(cell) for cell in row.values() if isinstance(cell, str))
            if left < 0:
                raise unpacks_to_too_much()
            yield {column: _named(cell, labels.get(column)) for column, cell in row.items()}


def _readable(column: Any, name: str, first: int) -> list[Any]:
    """A column's cells. Raises InputError with the row of one that Python cannot hold."""
    import pyarrow as pa

    try:
        return _values(column)
    except (ValueError, OverflowError, KeyError):
        for number, cell in enumerate(column, first):
            try:
                cell.as_py()
            except UnicodeDecodeError:
                raise InputError(
                    "at row {number}: {column} is not UTF-8 text. Write the file anew.", number=number, column=name[:40]
                ) from None
            except (pa.ArrowException, KeyError) as error:  # where pytz is installed an unknown time zone is a key
                raise InputError(
                    "at row {number}: {column} cannot be read ({reason}). Save it as text.",
                    number=number, column=name[:40], reason=str(error)[:120],
                ) from None  # fmt: skip
            except (ValueError, OverflowError):
                raise InputError(
                    "at row {number}: {column} holds a date before the year 1 or after 9999. Save it as text.",
                    number=number, column=name[:40],
                ) from None  # fmt: skip
        raise


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
