"""How simulated rows arrive: files by the day, now and then garbled, sent twice or late."""

import gzip
import io
from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from rancast.simulation_scale import Scale, stream

# How many files a day is delivered in; the last of several is gzipped.
FILES_PER_DAY = {"network_performance": 4, "customer_experience": 1, "call_detail_records": 2}

CORRUPT_DAY_SHARE = 0.7  # on the other days no row is garbled
CORRUPT_ROWS_LIMIT = 0.01  # of a file: a day is never refused for its garbled rows alone

# What garbles a row: a column and the text found in it; None cuts the line short.
Garbling = tuple[str, str] | None
GARBLINGS: dict[str, tuple[Garbling, ...]] = {
    "network_performance": (
        ("latency_ms", "-"),
        ("latency_ms", "-12.5"),
        ("throughput_mbps", "1e12"),
        ("packet_loss", "17.3"),
        ("packet_loss", "0..02"),
        ("cell_id", "cell 12"),
        ("signal_strength_dbm", "n/a (timeout)"),
        None,
    ),
    "customer_experience": (
        ("customer_satisfaction_score", "9"),
        ("data_usage_mb", "-3.5"),
        ("network_quality_score", "-"),
        ("voice_minutes", "see note"),
        None,
    ),
    "call_detail_records": (
        ("call_duration_seconds", "-60"),
        ("data_used_mb", "-"),
        ("cell_id", "unknown"),
        ("call_type", "???"),
        None,
    ),
}


def deliver(
    scale: Scale, dataset: str, day: date, parts: Sequence[pd.DataFrame]
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the raw files that carry `parts`, one frame per file.

    On some days one file is delivered twice, the second time under a name that says so.
    """
    twice = _struck_part(scale, dataset, day, "resent", scale.faults.duplicated_files_per_day)
    garble = stream(scale, f"{dataset} garbled", day)
    is_garbled_day = garble.random() < CORRUPT_DAY_SHARE
    share = scale.faults.corrupt_share / CORRUPT_DAY_SHARE if is_garbled_day else 0.0
    for part, frame in enumerate(parts):
        name = file_name(dataset, day, part)
        content = corrupt(to_csv(frame), GARBLINGS[dataset], share, garble)
        if name.endswith(".gz"):
            content = gzip.compress(content, compresslevel=6, mtime=0)
        yield name, content
        if part == twice:
            yield name.replace(".csv", "_resent.csv"), content


def file_name(dataset: str, day: date, part: int) -> str:
    """Return the raw name of a day's file number `part`, its hours in the name if it has some."""
    parts = FILES_PER_DAY[dataset]
    hours = f"_{part * 24 // parts:02d}" if parts > 1 else ""
    ending = ".csv.gz" if part == parts - 1 > 0 else ".csv"
    folder = f"{dataset}/year={day:%Y}/month={day:%m}/day={day:%d}"
    return f"{folder}/{dataset}_{day:%Y%m%d}{hours}{ending}"


def late_name(scale: Scale, dataset: str, day: date) -> str | None:
    """Return the file of `day` that arrives later than the others, if one does."""
    if FILES_PER_DAY[dataset] == 1:  # a late only file would leave the day without any
        return None
    part = _struck_part(scale, dataset, day, "late", scale.faults.late_files_per_day)
    return None if part is None else file_name(dataset, day, part)


def _struck_part(
    scale: Scale, dataset: str, day: date, what: str, probability: float
) -> int | None:
    rng = stream(scale, f"{dataset} {what}", day)
    is_struck = rng.random() < probability
    return int(rng.integers(FILES_PER_DAY[dataset])) if is_struck else None


def to_csv(frame: pd.DataFrame) -> bytes:
    """Serialise a frame as CSV without quotes; no cell of ours needs one."""
    sink = io.BytesIO()
    options = pacsv.WriteOptions(quoting_style="none", quoting_header="none")
    pacsv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), sink, options)
    return sink.getvalue()


def corrupt(
    content: bytes, garblings: Sequence[Garbling], share: float, rng: np.random.Generator
) -> bytes:
    """Garble about `share` of a CSV's rows, at most 1 % of them; the number of rows stays."""
    lines = content.decode().splitlines()
    columns, rows = lines[0].split(","), len(lines) - 1
    count = min(rng.binomial(rows, share), int(rows * CORRUPT_ROWS_LIMIT))
    for line in rng.choice(rows, count, replace=False) + 1:
        garbling = garblings[int(rng.integers(len(garblings)))]
        if garbling is None:
            lines[line] = lines[line][: len(lines[line]) // 2]
            continue
        cells = lines[line].split(",")
        cells[columns.index(garbling[0])] = garbling[1]
        lines[line] = ",".join(cells)
    return ("\n".join(lines) + "\n").encode()
