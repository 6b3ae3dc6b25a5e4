"""Whatever happens to a file on its way, its records add up and nothing crashes."""

import gzip
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.datasets import Dataset
from tests.rancast.feeds import CALLS, KEY, NAME, cells, read

HEADER = b"timestamp,cell_id,latency_ms,note\n"
ROWS = [
    f'2024-03-01T00:{minute:02}:00Z,cell_{minute % 3},{minute / 7:.3f},"a ""note"", {minute}"\r\n'
    for minute in range(0, 60, 5)
]
CSV = HEADER + "".join(ROWS).encode()
CALL_ROWS = [f"C{n},2024-03-01T10:{n:02}:00Z,35386123{n:04},{n}\n" for n in range(12)]
CALLS_CSV = b"call_id,timestamp,caller_id,seconds\n" + "".join(CALL_ROWS).encode()
# Two shared cores: no deadline, and the same examples each time
examples = settings(max_examples=1500, deadline=None)
DATASET = Dataset.model_validate(CALLS)


def _parquet() -> bytes:
    sink = io.BytesIO()
    columns: dict[str, Any] = {
        "timestamp": [f"2024-03-01T00:{minute:02}:00Z" for minute in range(12)],
        "cell_id": ["A", "B"] * 6,
        "latency_ms": [minute / 7 for minute in range(12)],
    }
    pq.write_table(pa.table(columns), sink, write_page_checksum=True)
    return sink.getvalue()


PARQUET = _parquet()
INSERTED = st.sampled_from(
    [b"\n", b"\r", b'"', b'"\n', b",", b"\0", b"\xff", b"\xc3\xa9", b"x" * 500, b'"' * 3, CSV[:90]]
)
# Where, relative to the length; a byte's flip mask, or what is inserted; how much is removed
DAMAGE = st.lists(
    st.tuples(
        st.floats(0, 1), st.one_of(st.integers(1, 255), INSERTED), st.sampled_from([0, 1, 9, 200])
    ),
    min_size=1,
    max_size=6,
)


def damaged(data: bytes, damage: list[tuple[float, int | bytes, int]]) -> bytes:
    """Flip, insert and remove bytes, one damage after the other."""
    for where, what, removed in damage:
        place = min(int(where * len(data)), len(data))
        if isinstance(what, int):
            flipped = bytes(octet ^ what for octet in data[place : place + 1])
            data = data[:place] + flipped + data[place + 1 :]
        else:
            data = data[:place] + what + data[place + removed :]
    return data


@examples
@given(DAMAGE)
def test_records_of_a_damaged_csv_add_up(damage: list[tuple[float, int | bytes, int]]) -> None:
    """Every record is typed or rejected, in order, at its own line, and no line is both."""
    pulled = read(damaged(CSV, damage))
    typed, rejected = pulled.typed["_line"].tolist(), pulled.rejected["line"].tolist()
    assert typed == sorted(typed)
    assert rejected == sorted(rejected)
    assert len({*typed, *rejected}) == len(typed) + len(rejected)
    assert (pulled.rejected["rule"] != "").all()
    assert not pulled.inventory.refusals or not typed


@examples
@given(st.integers(0, len(CSV)))
def test_a_csv_cut_anywhere_gives_no_false_row(length: int) -> None:
    """The rows that are read are rows of the whole file, and not the one that was cut."""
    columns = ["timestamp", "cell_id", "latency_ms", "note"]
    whole = read(CSV).typed[columns]
    part = read(CSV[:length]).typed[columns]
    assert len(part) == max(CSV[:length].count(b"\n") - 1, 0)
    assert part.equals(whole.head(len(part)))


@examples
@given(st.integers(0, len(ROWS)), INSERTED)
def test_an_inserted_line_costs_no_other(place: int, line: bytes) -> None:
    """What is on a line of its own leaves the rows around it as they are."""
    rows = [row.encode() for row in ROWS]
    data = HEADER + b"".join([*rows[:place], line.strip(b"\n") + b"\n", *rows[place:]])
    pulled = read(data, cells(quarantine_limit=1.0))
    assert set(read(CSV).typed["latency_ms"]) <= set(pulled.typed["latency_ms"])


@examples
@given(DAMAGE)
def test_a_damaged_gzip_never_raises(damage: list[tuple[float, int | bytes, int]]) -> None:
    """It is read, or refused with its records counted."""
    read(damaged(gzip.compress(CSV, mtime=0), damage), name="a.csv.gz")


@examples
@given(DAMAGE)
def test_a_damaged_parquet_never_raises(damage: list[tuple[float, int | bytes, int]]) -> None:
    """It is read, or refused with its records counted."""
    read(damaged(PARQUET, damage), name="a.parquet")


@examples
@given(DAMAGE)
def test_no_damage_lays_a_subscriber_open(damage: list[tuple[float, int | bytes, int]]) -> None:
    """The numbers of the file are in no column, no rule and no refusal."""
    pulled = read(damaged(CALLS_CSV, damage), DATASET)
    told = [
        *pulled.rejected["rule"],
        *pulled.rejected["value"],
        *pulled.rejected["record"],
        *pulled.inventory.refusals,
        *pulled.typed["caller_id"].dropna(),
    ]
    assert not [text for text in told if "35386123" in text]


def test_the_file_itself_is_sound() -> None:
    """Or the tests above would test nothing."""
    assert len(read(CSV).typed) == 12
    assert len(read(PARQUET, name="a.parquet").typed) == 12
    assert len(read(CALLS_CSV, DATASET).typed) == 12
    assert KEY.decode() not in NAME
