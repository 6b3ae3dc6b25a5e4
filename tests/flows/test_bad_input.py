"""What bad input gets, through the flows: an error or a quarantine that says where and why."""

import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from flows.daily import daily
from flows.ingest import ingest
from rancast.errors import ConfigurationError, DataError, EvidenceError, RancastError
from rancast.manifests import PartitionFacts
from rancast.windows import Ingested
from tests.faults import tiny
from tests.flows import homes
from tests.flows.conftest import AS_OF, against, flush
from tests.servers import CHECKOUT, Servers

FIRST, DAY = date(2024, 4, 1), timedelta(days=1)
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


def unreadable(name: str, data: Callable[[date], bytes], said: str, line: int = 7) -> Bad:
    """Return a blob of which one record as a whole cannot be read."""
    return Bad(name, data, (24, 23, 1, 0), said, line)


BAD = (
    refused("empty_file", lambda day: b"", 0, "empty"),
    refused("header_only", lines(lambda found: found[:1]), 0, "0 rows"),
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
    refused(
        "too_many_bad_rows",
        lines(lambda found: [*found[:10], *(line.replace(".5", ".x") for line in found[10:])]),
        24,
        "at most 5 % of the rows are quarantined",
    ),
    quarantined("word_for_number", "fast", "latency_ms"),
    quarantined("dash", "-", "latency_ms"),
    quarantined("null_word", "NULL", "latency_ms"),
    quarantined("infinite", "inf", "latency_ms"),
    quarantined("too_large_for_a_float", "1e400", "latency_ms"),
    quarantined("not_a_number", "NaN", "latency_ms"),
    quarantined("negative", "-5", "latency_ms"),
    quarantined("absurd", "1e9", "latency_ms"),
    quarantined("other_time_format", "01.04.2024 05:00", "timestamp", "timestamp"),
    quarantined("other_day", "2024-05-05T05:00:00Z", "timestamp", "timestamp"),
    quarantined("no_key", "", "cell_id", "cell_id"),
    unreadable("long_cell", cell("x" * 200_000), "more than 131,072 characters"),
    unreadable(
        "other_encoding",
        lambda day: cell("München", "cell_id")(day).decode().encode("latin-1"),
        "utf-8",
    ),
    unreadable(
        "too_many_cells",
        lines(lambda found: [*found[:6], found[6] + ",1", *found[7:]]),
        "5 fields instead of 4",
    ),
    unreadable("cut_short", lambda day: text(sound(day))[:-3], "cut short", 25),
    Bad("other_zone", lambda day: cell(f"{day}T07:00+02:00", "timestamp")(day), (24, 24, 0, 0)),
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
def test_rows_add_up_and_end_where_they_belong(bad: Bad, ingested: tuple[Path, Ingested]) -> None:
    """Of a bad blob, each row is curated, quarantined or a duplicate, and the counts say so."""
    home, night = ingested
    facts = facts_of(night, DAYS[bad.name])
    manifest = json.loads(homes.manifests(home)[str(DAYS[bad.name])])
    rows = facts.rows
    assert (rows.raw, rows.curated, rows.quarantined, rows.duplicates) == bad.rows
    assert manifest["rows"] == rows.model_dump()
    assert facts.is_refused == bad.is_refused
    stored = {
        name: len(homes.load(home, manifest["files"][name])) for name in ("curated", "quarantined")
    }
    assert stored == {"curated": rows.curated, "quarantined": rows.quarantined}


@pytest.mark.xdist_group("bad_input")
@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.said], ids=lambda bad: bad.name)
def test_it_is_said_which_blob_where_and_why(bad: Bad, ingested: tuple[Path, Ingested]) -> None:
    """A refusal names blob and reason; a quarantined row its blob, line, column and rule."""
    home, night = ingested
    day = DAYS[bad.name]
    blob = f"kpis/year=2024/month={day:%m}/day={day:%d}/{bad.file}"
    if bad.is_refused:
        reason = " ".join(facts_of(night, day).reasons)
        assert blob in reason
        assert bad.said in reason
        return
    files = json.loads(homes.manifests(home)[str(day)])["files"]
    (row,) = homes.load(home, files["quarantined"]).to_dict("records")
    assert (row["blob"], row["line"], row["column"]) == (blob, bad.line, bad.column)
    assert bad.said in row["rule"]
    assert len(str(row)) < 10_000


@pytest.mark.xdist_group("bad_input")
def test_a_day_without_a_blob_is_missing_and_not_empty(ingested: tuple[Path, Ingested]) -> None:
    """A day of which nothing arrived is told apart from a day with an empty file."""
    home, night = ingested
    assert night.missing == (LAST,)
    assert str(LAST) not in homes.manifests(home)


@pytest.mark.xdist_group("bad_input")
def test_nothing_is_half_written(ingested: tuple[Path, Ingested]) -> None:
    """Each data file in the lake holds the very bytes that its name is the SHA-256 of."""
    home, _ = ingested
    assert len(homes.manifests(home)) == len(BAD)
    assert homes.half_written(home) == []


@dataclass(frozen=True)
class Wrong:
    """A change of the tiny use case or dataset, or of the call, and the error that it gets."""

    name: str
    error: type[RancastError]
    said: str
    use_case: dict[str, str] = field(default_factory=dict)
    dataset: dict[str, str] = field(default_factory=dict)
    as_of: date = AS_OF
    call: str = "tiny"


WRONG = (
    Wrong(
        "use_case_with_a_typo", ConfigurationError, "'tinny' not found; known: tiny", call="tinny"
    ),
    Wrong(
        "dataset_that_does_not_exist",
        ConfigurationError,
        "dataset 'kpi' not found; known: kpis",
        {"dataset: kpis": "dataset: kpi"},
    ),
    Wrong(
        "key_of_a_use_case",
        ConfigurationError,
        r"use_cases/tiny.yaml: .*'metrc' is not a known key; known here: .*metric",
        {"metric: mae": "metrc: mae"},
    ),
    Wrong(
        "key_of_a_dataset",
        ConfigurationError,
        r"datasets/kpis.yaml: 'entty' is not a known key; known here: .*entity",
        dataset={"entity: cell_id": "entty: cell_id"},
    ),
    Wrong(
        "target_of_its_own_row",
        ConfigurationError,
        "target computed from its own row",
        {"within: 1h": "within: 0h"},
    ),
    Wrong(
        "embargo_shorter_than_the_horizon",
        ConfigurationError,
        r"split.embargo \(0:30:00\) is shorter than target.within \(1:00:00\)",
        {"embargo: 1h": "embargo: 30min"},
    ),
    Wrong(
        "single_class",
        EvidenceError,
        "same class",
        {
            "problem: regression": "problem: classification",
            "mean: latency_ms": "any: latency_ms > 5000",
            "Ridge": "LogisticRegression",
            "DummyRegressor": "DummyClassifier",
            "metric: mae": "metric: average_precision",
        },
    ),
    Wrong(
        "too_few_days_for_the_split",
        EvidenceError,
        "3 days .* too few: no row is left for train",
        {"holdout: 2d": "holdout: 3d"},
    ),
    Wrong("day_without_a_file", DataError, "kpis 2024-03-05 has no file", as_of=AS_OF + DAY),
    Wrong(
        "history_that_never_arrived",
        DataError,
        "minimum_coverage",
        {"history: 4d": "history: 30d"},
    ),
)


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_what_cannot_work_is_refused_and_the_champion_stays(
    wrong: Wrong, champion_home: Path
) -> None:
    """A use case, dataset or window that cannot work is an error that says why, and changes
    neither the champion nor the registry."""
    edit(champion_home / "use_cases" / "tiny.yaml", wrong.use_case)
    edit(champion_home / "datasets" / "kpis.yaml", wrong.dataset)
    before = homes.pointer(champion_home), homes.registry(champion_home)
    with pytest.raises(wrong.error, match=wrong.said):
        daily([wrong.call], wrong.as_of)
    assert (homes.pointer(champion_home), homes.registry(champion_home)) == before
    assert homes.half_written(champion_home) == []


def edit(path: Path, changes: dict[str, str]) -> None:
    """Replace texts that a file is known to hold."""
    content = path.read_text()
    for old, new in changes.items():
        assert old in content
        content = content.replace(old, new)
    path.write_text(content)


@pytest.mark.usefixtures("hurry")
def test_a_refused_newest_day_is_not_trained_on(champion_home: Path) -> None:
    """Where the newest day was refused, the training says so and why, and the champion stays."""
    before = homes.pointer(champion_home)
    write_blob(champion_home, AS_OF, "kpis.csv", b"timestamp,cell_id\n2024-03-05T00:00:00Z,C1\n")
    with pytest.raises(DataError, match=r"kpis 2024-03-05 was refused: .*kpis.csv.* load_ratio"):
        daily(["tiny"], AS_OF + DAY)
    assert homes.pointer(champion_home) == before


@pytest.mark.usefixtures("prefect_api")
def test_an_ingest_of_an_unknown_dataset_names_the_known_ones(new_home: Path) -> None:
    """`ingest` of a dataset with a typo lists those that there are, and writes nothing."""
    with pytest.raises(ConfigurationError, match="dataset 'kpi' not found; known: kpis"):
        ingest("kpi", tiny.START, AS_OF)
    assert homes.lake_files(new_home) == {}


@pytest.mark.usefixtures("hurry")
def test_one_use_case_that_fails_does_not_keep_the_others_from_training(
    champion_home: Path,
) -> None:
    """The main job trains what it can, and fails afterwards with the error of what it could not."""
    homes.write_use_case(
        champion_home, "broken", split="split: {holdout: 3d, embargo: 1h, folds: 2}"
    )
    tiny.write_day(champion_home, AS_OF)
    with pytest.raises(EvidenceError, match="too few"):
        daily(as_of=AS_OF + DAY)
    assert homes.registry(champion_home)["versions"] == [("tiny", 1), ("tiny", 2)]


CANARY = "87555019"
NUMBER, OTHER = f"+353{CANARY}9", f"00353 {CANARY[:4]} {CANARY[4:]}3"
CALLS = (
    "call_id,timestamp,caller_id,callee_id,call_duration_seconds,call_type,cell_id,"
    "roaming_status,data_used_mb"
)


def calls(day: date) -> list[str]:
    """Return a day of 100 calls between two subscribers whose numbers must not show anywhere."""
    return [
        f"{day}-{index},{day}T{index % 24:02}:10:00Z,{NUMBER},{OTHER},30,voice,C1,home,0"
        for index in range(100)
    ]


def call(day: date, **cells: str) -> str:
    """Return one more call, some of its cells replaced."""
    known = dict(zip(CALLS.split(","), calls(day)[0].split(","), strict=True))
    return ",".join((known | {"call_id": f"{day}-bad-{sorted(cells)}"[:30]} | cells).values())


def subscribers_blobs() -> list[tuple[str, Callable[[date], bytes]]]:
    """Return blobs with faults in and around cells that hold a subscriber's number."""
    return [
        (
            "cells.csv",
            lambda day: text(
                [
                    CALLS,
                    *calls(day),
                    call(day, timestamp=NUMBER),
                    call(day, call_duration_seconds=OTHER),
                    call(day, call_type="carrier pigeon"),
                    f"{NUMBER},{OTHER}",
                ]
            ),
        ),
        ("no_header.csv", lambda day: text(calls(day))),
        ("extra.csv", lambda day: text([f"{CALLS},{NUMBER}", *(f"{c},1" for c in calls(day))])),
        ("cut.csv.gz", lambda day: gzip.compress(text([CALLS, *calls(day)]), mtime=0)[:-20]),
        ("none.parquet", lambda day: b"PAR1" + text(calls(day))),
        (
            "mostly_bad.csv",
            lambda day: text([CALLS, *(line.replace(",30,", ",x,") for line in calls(day))]),
        ),
        ("utf16.csv", lambda day: text([CALLS, *calls(day)]).decode().encode("utf-16")),
        ("open_quote.csv", lambda day: text([CALLS, *calls(day), f'"{NUMBER}', *calls(day)])),
    ]


def test_a_subscribers_number_is_nowhere(
    new_home: Path,
    servers: Servers,
    prefect_api: str,
    storage: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """From blobs with any fault, no number of a subscriber reaches the lake, Prefect's database,
    its results, or a log."""
    for folder, ending in (("datasets", "yaml"), ("expectations", "json")):
        name = f"{folder}/call_detail_records.{ending}"
        shutil.copy(CHECKOUT / name, new_home / name)
    for index, (file, data) in enumerate(subscribers_blobs()):
        day = FIRST + DAY * index
        write_blob(new_home, day, file, data(day), "call_detail_records")
    night = ingest("call_detail_records", FIRST, FIRST + DAY * len(subscribers_blobs()))
    flush()
    assert [facts.is_refused for facts in night.partitions] == [False, *[True] * 6, False]
    assert night.partitions[0].rows.quarantined == 4
    texts = {
        **{f"lake {name}": spelt(name, data) for name, data in homes.lake_files(new_home).items()},
        **{f"result {name}": str(data) for name, data in homes.files_below(storage).items()},
        **{path.name: str(path.read_bytes()) for path in servers.folder.glob("prefect*.db*")},
        "log": caplog.text,
        "answer": str(night),
    }
    assert [place for place, content in texts.items() if CANARY in digits(content)] == []
    # what was looked through does hold what it should
    for kind in ("lake quarantine", "result", "prefect", "log", "answer"):
        found = "".join(content for place, content in texts.items() if place.startswith(kind))
        assert "call_detail_records" in found, kind


def spelt(name: str, data: bytes) -> str:
    """Return a lake file's content as text; that of Parquet, which is packed, cell by cell."""
    if name.endswith(".parquet"):
        return pd.read_parquet(io.BytesIO(data)).to_csv()
    return data.decode(errors="replace")


def digits(text: str) -> str:
    """Return a text without what may stand between the digits of a number."""
    return text.replace(" ", "")
