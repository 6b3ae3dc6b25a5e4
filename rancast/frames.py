"""Data frames as Parquet bytes and back: equal frames give equal bytes, with page checksums."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rancast.errors import DataError


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Serialise a frame (its index is dropped) as zstd Parquet with page checksums."""
    sink = io.BytesIO()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def from_parquet(data: bytes, place: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read Parquet bytes that we wrote, checksums verified, optionally only some columns.

    `place` names the object in errors. Raises DataError for bytes that are not Parquet.
    """
    try:
        table = pq.read_table(
            io.BytesIO(data), columns=columns, page_checksum_verification=True, use_threads=False
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place} is not readable as Parquet: {error}") from error
    frame: pd.DataFrame = table.to_pandas()
    return frame
