"""Parquet bytes into records of text, so that one set of rules holds for cells of any file.

Numbers become the shortest text that reads back as the same number; times become ISO 8601.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rancast.records import BlobRefused, Records, check_size

BATCH_ROWS = 65_536
CELL_BYTES = 8
# pyarrow's own errors, and those that damaged footers and pages let escape from its bindings
DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
DELIVER_AGAIN = "have it delivered again"


def parse_parquet(data: bytes, limit: int, identifiers: frozenset[str]) -> Records:
    """Read a Parquet file as text.

    `identifiers` are the raw names of string columns, which no floating-point column can hold.
    Raises BlobRefused for what is not Parquet, is damaged, would take more than `limit` bytes, or
    has columns of a type that no cell can have.
    """
    file = _open(data)
    rows, width = file.metadata.num_rows, len(file.schema_arrow)
    check_size(max(rows, 0) * width * CELL_BYTES, max(rows, 0), limit)
    names = tuple(name.strip() for name in file.schema_arrow.names)
    known = Records(names, (), np.arange(1, max(rows, 0) + 1, dtype=np.int64))
    kinds = [field.type for field in file.schema_arrow]
    try:
        batches = [pa.Table.from_batches([], file.schema_arrow), *_bounded(file, limit)]
        table = pa.concat_tables(batches)
    except DAMAGE as error:
        reason = f"is a damaged Parquet file ({type(error).__name__})"
        raise BlobRefused(reason, DELIVER_AGAIN, known) from error
    except BlobRefused as refused:
        refused.records = known
        raise
    if table.num_rows != rows:
        reason = f"is a Parquet file that says it has {rows:,} rows and has {table.num_rows:,}"
        raise BlobRefused(reason, DELIVER_AGAIN, known)
    cells = tuple(
        _as_text(column, name, name in identifiers, known)
        for name, column in zip(names, table.columns, strict=True)
    )
    iso = frozenset(place for place, kind in enumerate(kinds) if pa.types.is_timestamp(kind))
    return known._replace(cells=cells, iso=iso)


def _open(data: bytes) -> Any:
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        # Texts stay in their dictionary until it is known how much they take without it
        return pq.ParquetFile(
            pa.BufferReader(data), page_checksum_verification=True, read_dictionary=texts
        )
    except DAMAGE as error:
        raise BlobRefused(
            "is not a Parquet file, though its name says so, or a damaged one", DELIVER_AGAIN
        ) from error


def _bounded(file: Any, limit: int) -> Iterator[Any]:
    """Yield tables of text and numbers, as long as their sum stays within `limit` bytes."""
    size = 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS):
        batch.validate(full=True)  # pyarrow trusts files: bytes that are not UTF-8, stray indices
        size += sum(_expanded_bytes(column) for column in batch.columns)
        check_size(size, 0, limit)
        yield pa.Table.from_batches([batch])


def _expanded_bytes(column: Any) -> int:
    """Return what a column takes once each cell holds its own text."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return int(pc.sum(lengths).as_py() or 0) + len(column) * CELL_BYTES


def _is_text(kind: Any) -> Any:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _as_text(column: Any, name: str, is_identifier: bool, known: Records) -> Any:
    """Return a column as large_string without loss."""
    kind = column.type
    if is_identifier and pa.types.is_floating(kind) and column.null_count < len(column):
        raise BlobRefused(
            f"stores the column {name} as {kind}, in which identifiers lose digits",
            "have that column delivered as text or as integers",
            known,
        )
    try:
        if pa.types.is_timestamp(kind):
            column = pc.cast(column, pa.timestamp("us", "UTC" if kind.tz else None), safe=False)
        return pc.cast(column, pa.large_string()).combine_chunks()
    except DAMAGE as error:
        raise BlobRefused(
            f"stores the column {name} as {kind}, which does not read as cells of text",
            "have that column delivered as text, numbers or times",
            known,
        ) from error
