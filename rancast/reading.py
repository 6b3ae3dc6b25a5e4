"""Raw blobs into one typed frame and the records that are not fit for it, losing none.

The steps, each in its module: `reading_gzip` unpacks, `reading_csv` and `reading_parquet` find the
records, `headers` tells which raw name is which column, `casting` and `timestamps` turn cells into
values, `pseudonyms` hides subscribers. Here they are put together, and what fails is written down.
A fault of a file refuses the partition (`Inventory.refusals`) and rejects each of its records; a
fault of a record rejects that record. Whether a row lies in its day is for `partitions` to say.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from rancast.casting import cast_column
from rancast.column_types import no_rows
from rancast.datasets import Dataset, FileFormat
from rancast.documents import Document, sha256
from rancast.headers import match_columns
from rancast.pseudonyms import check_key, pseudonymise
from rancast.reading_csv import UNDECODABLE, parse_csv
from rancast.reading_gzip import unpack
from rancast.reading_parquet import parse_parquet
from rancast.records import BlobRefused, Records
from rancast.references import Source
from rancast.rejects import none_rejected, reject_all, reject_some

NO_RECORDS = Records((), (), np.array([], dtype=np.int64))


class Inventory(Document):
    """What was read: the blobs and their records, what refuses them, and who is in them.

    `refusals` are sentences, one per refused blob; `entities` are sorted, and empty for events.
    """

    sources: tuple[Source, ...]
    refusals: tuple[str, ...]
    entities: tuple[str, ...]


class Pulled(NamedTuple):
    """A partition as read; len(typed) + len(rejected) is the sum of the sources' rows.

    `typed` has the dataset's columns in order, `_blob` (str) and `_line` (int64): the 1-based line
    on which the record starts, header included, or the 1-based row for Parquet. `rejected` has the
    quarantine's columns. Both are in order of blob and line.
    """

    typed: pd.DataFrame
    rejected: pd.DataFrame
    inventory: Inventory


class _Part(NamedTuple):
    """One blob as read; `refusal` is "" where the file as such is sound."""

    typed: pd.DataFrame
    rejected: pd.DataFrame
    rows: int
    refusal: str = ""


def read_partition(blobs: Mapping[str, bytes], dataset: Dataset, pseudonym_key: bytes) -> Pulled:
    """Read the blobs of one partition, name -> content, in the order of their names.

    Subscribers' identifiers leave this function as pseudonyms only, and rejected records of such a
    dataset without any cell. No content raises; a pseudonym key that is too short for a dataset
    with subscribers raises ConfigurationError.
    """
    if dataset.has_subscribers:
        check_key(pseudonym_key)
    names = sorted(blobs)
    parts = [_read_blob(name, blobs[name], dataset, pseudonym_key) for name in names]
    typed = pd.concat([_no_rows(dataset), *(part.typed for part in parts)], ignore_index=True)
    rejected = pd.concat([none_rejected(), *(part.rejected for part in parts)], ignore_index=True)
    inventory = Inventory(
        sources=tuple(
            Source(blob=name, sha256=sha256(blobs[name]), rows=part.rows)
            for name, part in zip(names, parts, strict=True)
        ),
        refusals=tuple(part.refusal for part in parts if part.refusal),
        entities=_entities(typed, dataset),
    )
    return Pulled(typed, rejected, inventory)


def _entities(typed: pd.DataFrame, dataset: Dataset) -> tuple[str, ...]:
    if dataset.kind != "periodic" or dataset.entity is None:
        return ()
    return tuple(sorted(map(str, typed[dataset.entity].dropna().unique())))


def _read_blob(name: str, data: bytes, dataset: Dataset, key: bytes) -> _Part:
    try:
        records = _find_records(name, data, dataset)
        _check_encoding(records, dataset)
        return _type_records(name, records, dataset, key)
    except BlobRefused as refused:
        records = refused.records or NO_RECORDS
        return _Part(
            _no_rows(dataset),
            reject_all(name, records, refused.reason, dataset.has_subscribers),
            records.total,
            f"raw blob {name!r} {refused.reason}; {refused.step}",
        )


def _find_records(name: str, data: bytes, dataset: Dataset) -> Records:
    """Find the records of a blob, in the form that its name says."""
    form = dataset.format
    if name.endswith(".parquet"):
        return parse_parquet(data, form.limit_bytes, _raw_names(dataset, _is_string))
    if name.endswith(".csv"):
        return parse_csv(data, form, _raw_names(dataset, _is_free_text))
    if name.endswith(".csv.gz"):
        return _parse_gzip(data, form, _raw_names(dataset, _is_free_text))
    raise BlobRefused(
        "is neither .csv, .csv.gz nor .parquet by its name",
        "have it renamed, or moved out of the raw container",
    )


def _parse_gzip(data: bytes, form: FileFormat, free_text: frozenset[str]) -> Records:
    """Parse gzipped CSV; of a damaged file, the records before the damage are counted."""
    unpacked = unpack(data, form.limit_bytes)
    if not unpacked.fault:
        return parse_csv(unpacked.content, form, free_text)
    try:
        records = parse_csv(unpacked.content, form, free_text)
    except BlobRefused as refused:
        records = refused.records or NO_RECORDS
    raise BlobRefused(unpacked.fault, unpacked.step, records)


def _raw_names(dataset: Dataset, is_wanted: Callable[[str, Dataset], bool]) -> frozenset[str]:
    """Return the names that files may give to the columns of one sort."""
    return frozenset(
        name
        for column in dataset.raw_columns
        if is_wanted(column, dataset)
        for name in dataset.aliases_of(column)
    )


def _is_string(column: str, dataset: Dataset) -> bool:
    return dataset.columns[column].type == "string"


def _is_free_text(column: str, dataset: Dataset) -> bool:
    """Tell whether cells may hold line breaks: text that identifies nothing."""
    identifiers = {*dataset.mandatory, *dataset.pseudonymise, dataset.entity}
    return _is_string(column, dataset) and column not in identifiers


def _check_encoding(records: Records, dataset: Dataset) -> None:
    """Refuse a file of which more records are undecodable than may be quarantined.

    A few are damaged bytes; many are another encoding, whose other cells cannot be trusted either.
    """
    encoding = dataset.format.encoding
    rule = UNDECODABLE.format(encoding)
    count = sum(found.rule == rule for found in records.malformed)
    if count > dataset.quarantine_limit * records.total:
        raise BlobRefused(
            f"has {count:,} of {records.total:,} records with bytes that are not {encoding}",
            "have it delivered again in one encoding, and say in format.encoding of "
            f"datasets/{dataset.name}.yaml which, such as cp1252",
            records,
        )


def _type_records(name: str, records: Records, dataset: Dataset, key: bytes) -> _Part:
    """Cast every cell; a record with a refused one is rejected whole."""
    try:
        cells = _cells_by_column(name, records, dataset)
    except BlobRefused as refused:
        refused.records = records
        raise
    iso = {records.names[place] for place in records.iso}
    decimal = "." if name.endswith(".parquet") else dataset.format.decimal
    casts = {
        column: cast_column(
            texts, column, dataset, not iso.isdisjoint(dataset.aliases_of(column)), decimal
        )
        for column, texts in cells.items()
    }
    rejected, is_refused = reject_some(name, records, cells, casts, dataset.has_subscribers)
    typed = pd.DataFrame({column: cast.values for column, cast in casts.items()})
    typed = typed.assign(_blob=pd.Series(name, index=typed.index, dtype="str"), _line=records.lines)
    if is_refused.any():
        typed = typed[~is_refused]
    for column, domain in dataset.pseudonymise.items():
        typed[column] = pseudonymise(typed[column], domain, key)
    return _Part(typed, rejected, records.total)


def _cells_by_column(name: str, records: Records, dataset: Dataset) -> dict[str, Any]:
    """Return the texts of each column of the dataset, in its order.

    Optional columns that the file lacks are all missing; those of the path are all the same.
    """
    found = match_columns(records.names, dataset)
    count = len(records.lines)
    cells: dict[str, Any] = {}
    for column in dataset.columns:
        if column in found:
            cells[column] = records.cells[found[column]]
        else:
            value = _from_path(name, column, dataset) if column in dataset.from_path else None
            cells[column] = pa.repeat(pa.scalar(value, type=pa.large_string()), count)
    return cells


def _from_path(name: str, column: str, dataset: Dataset) -> str:
    match = re.search(dataset.from_path[column], name)
    value = match["value"] if match else None
    if value is None:
        raise BlobRefused(
            f"does not say {column} in its name",
            f"have it named as from_path in datasets/{dataset.name}.yaml expects, or correct that",
        )
    return value


def _no_rows(dataset: Dataset) -> pd.DataFrame:
    """Return the typed frame without a row, whose types all typed frames have."""
    return no_rows(dataset).assign(_blob=pd.Series(dtype="str"), _line=pd.Series(dtype="int64"))
