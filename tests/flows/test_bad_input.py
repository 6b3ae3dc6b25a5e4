"""What bad input gets, through the flows: an error or a quarantine that says where and why."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from flows.daily import daily
from flows.ingest import ingest
from flows.training import training
from rancast.errors import ConfigurationError, DataError, EvidenceError, RancastError
from rancast.manifests import PartitionFacts
from rancast.windows import Ingested
from tests.faults import tiny
from tests.flows import homes
from tests.flows.conftest import AS_OF, against

FIRST = date(2024, 4, 1)
HEADER = "timestamp,cell_id,load_ratio,latency_ms"
Change = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Bad:
    """One bad blob of a day with 24 sound rows in lines 2 to 25, and what becomes of them.

    `rows` are raw, curated, quarantined, duplicates; `said` is in the quarantine's rule, or, with
    `is_refused`, in the reason of the refusal.
    """

    name: str
    data: Callable[[date], bytes]
    rows: tuple[int, int, int, int]
    said: str = ""
    line: int = 0
    column: str = ""
    is_refused: bool = False
    file: str = "kpis.csv"


def sound(day: date) -> list[str]:
    """Return a day's file as lines: one cell, 24 hours."""
    hours = [f"{day}T{hour:02}:00:00Z,C1,0.5,{hour}.5" for hour in range(24)]
    return [HEADER, *hours]


def text(lines: list[str]) -> bytes:
    """Return lines as a file."""
    return "".join(f"{line}\n" for line in lines).encode()


def lines(change: Change) -> Callable[[date], bytes]:
    """Return what makes a day's file out of the sound one's lines."""
    return lambda day: text(change(sound(day)))


def cell(value: str, column: str = "latency_ms") -> Callable[[date], bytes]:
    """Return what makes a day's file in which line 7, that of 05:00, has another cell."""

    def make(day: date) -> bytes:
        found = sound(day)
        cells = dict(zip(HEADER.split(","), found[6].split(","), strict=True))
        found[6] = ",".join((cells | {column: value}).values())
        return text(found)

    return make


def header(names: str, tail: str = "") -> Callable[[date], bytes]:
    """Return what makes a day's file with another header, and one more cell in each row."""
    return lines(lambda found: [names, *(line + tail for line in found[1:])])


def refused(name: str, data: Callable[[date], bytes], raw: int, said: str, **more: str) -> Bad:
    """Return a blob that refuses its partition: all its rows are quarantined."""
    return Bad(name, data, (raw, 0, raw, 0), said, is_refused=True, **more)


def quarantined(name: str, value: str, said: str, column: str = "latency_ms") -> Bad:
    """Return a blob of which one cell in line 7 is bad."""
    return Bad(name, cell(value, column), (24, 23, 1, 0), said, 7, column)


BAD = (
    refused("empty_file", lambda day: b"", 0, "empty"),
    refused("header_only", lines(lambda found: found[:1]), 0, "rows"),
    refused(
        "missing_column",
        lines(lambda found: [",".join(line.split(",")[:3]) for line in found]),
        24,
        "latency_ms",
    ),
    refused("extra_column", header(HEADER + ",surprise", ",1"), 24, "surprise"),
    refused("renamed_column", header(HEADER.replace("latency_ms", "delay")), 24, "delay"),
    refused("repeated_column", header(HEADER + ",latency_ms", ",1"), 24, "latency_ms"),
    refused(
        "truncated_gzip",
        lambda day: gzip.compress(text(sound(day)), mtime=0)[:-12],
        24,
        "gzip",
        file="kpis.csv.gz",
    ),
    refused("no_parquet", lambda day: b"PAR1 and no more", 0, "Parquet", file="kpis.parquet"),
    quarantined("word_for_number", "fast", "latency_ms"),
    quarantined("dash", "-", "latency_ms"),
    quarantined("null_word", "NULL", "latency_ms"),
    quarantined("infinite", "inf", "latency_ms"),
    quarantined("too_large_for_a_float", "1e400", "latency_ms"),
    quarantined("not_a_number", "NaN", "latency_ms"),
    quarantined("negative", "-5", "latency_ms"),
    quarantined("absurd", "1e9", "latency_ms"),
    quarantined("long_cell", "x" * 200_000, "latency_ms"),
    quarantined("other_time_format", "01.04.2024 05:00", "timestamp", "timestamp"),
    quarantined("other_day", "2024-05-05T05:00:00Z", "timestamp", "timestamp"),
    quarantined("no_key", "", "cell_id", "cell_id"),
    Bad(
        "other_encoding",
        lambda day: cell("München", "cell_id")(day).decode().encode("latin-1"),
        (24, 23, 1, 0),
        "utf-8",
        7,
    ),
    Bad(
        "cut_short",
        lambda day: text(sound(day))[:-3],
        (24, 23, 1, 0),
        "cut",
        25,
    ),
    Bad(
        "too_many_cells",
        lines(lambda found: [*found[:6], found[6] + ",1", *found[7:]]),
        (24, 23, 1, 0),
        "",
        7,
    ),
    Bad(
        "other_zone",
        lambda day: cell(f"{day}T07:00:00+02:00", "timestamp")(day),
        (24, 24, 0, 0),
    ),
    Bad(
        "bom_crlf_quotes",
        lambda day: (
            b"\xef\xbb\xbf" + text(sound(day)).replace(b"C1", b'"C1"').replace(b"\n", b"\r\n")
        ),
        (24, 24, 0, 0),
    ),
    Bad("duplicates_that_agree", lines(lambda found: [*found, found[6]]), (25, 24, 0, 1)),
    Bad(
        "duplicates_that_differ",
        lines(lambda found: [*found, found[6].replace("5.5", "6.5")]),
        (25, 24, 0, 1),
    ),
)
DAYS = {bad.name: FIRST + timedelta(days=index) for index, bad in enumerate(BAD)}
LAST = FIRST + timedelta(days=len(BAD))


@pytest.fixture(scope="module")
def ingested(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: str
) -> Iterator[tuple[Path, Ingested]]:
    """A home into which one bad blob a day was ingested, and no blob on the last day."""
    folder = tmp_path_factory.mktemp("bad")
    home = folder / "home"
    tiny.write_home(home)
    for bad in BAD:
        write_blob(home, DAYS[bad.name], bad.file, bad.data(DAYS[bad.name]))
    with pytest.MonkeyPatch.context() as patch, against(prefect_server, folder / "results"):
        patch.setenv("RANCAST_HOME", str(home))
        yield home, ingest("kpis", FIRST, LAST + timedelta(days=1))


def write_blob(home: Path, day: date, file: str, data: bytes, dataset: str = "kpis") -> None:
    """Write one blob into the raw container of a home."""
    folder = home / ".local" / "raw" / dataset / f"year={day:%Y}/month={day:%m}/day={day:%d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(data)


def facts_of(ingested: Ingested, day: date) -> PartitionFacts:
    """Return what an ingest found on one day."""
    (found,) = [facts for facts in ingested.partitions if facts.date == day]
    return found


@pytest.mark.xdist_group("bad_input")
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_rows_add_up_and_end_where_they_belong(
    bad: Bad, ingested: tuple[Path, Ingested]
) -> None:
    """Of a bad blob, each row is curated, quarantined or a duplicate, and the counts say so."""
    home, night = ingested
    facts = facts_of(night, DAYS[bad.name])
    manifest = json.loads(homes.manifests(home)[str(DAYS[bad.name])])
    rows = facts.rows
    assert (rows.raw, rows.curated, rows.quarantined, rows.duplicates) == bad.rows
    assert manifest["rows"] == rows.model_dump() and rows.add_up()
    assert facts.is_refused == bad.is_refused
    stored = {
        name: len(homes.load(home, manifest["files"][name]))
        for name in ("curated", "quarantined")
    }
    assert stored == {"curated": rows.curated, "quarantined": rows.quarantined}


@pytest.mark.xdist_group("bad_input")
@pytest.mark.parametrize(
    "bad", [bad for bad in BAD if bad.said], ids=lambda bad: bad.name
)
def test_it_is_said_which_blob_where_and_why(bad: Bad, ingested: tuple[Path, Ingested]) -> None:
    """A refusal names the blob and the reason, a quarantined row its blob, line, column and rule."""
    home, night = ingested
    day = DAYS[bad.name]
    blob = f"kpis/year=2024/month={day:%m}/day={day:%d}/{bad.file}"
    if bad.is_refused:
        reason = " ".join(facts_of(night, day).reasons)
        assert blob in reason or bad.name == "header_only"
        assert bad.said in reason
        return
    files = json.loads(homes.manifests(home)[str(day)])["files"]
    (row,) = homes.load(home, files["quarantined"]).to_dict("records")
    assert (row["blob"], row["line"], row["column"]) == (blob, bad.line, bad.column)
    assert bad.said in row["rule"]
    assert len(str(row)) < 10_000
