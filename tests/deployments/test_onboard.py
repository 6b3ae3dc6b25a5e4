"""make onboard, make layout, make audit: from a vendor's files to files for a person, on disk."""

import gzip
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from deployments import audit, layout, onboard
from deployments.samples import MOST_FILES, find_files, read_sample
from rancast.datasets import load_dataset
from rancast.errors import ConfigurationError, DataError
from rancast.expectations import load_suite
from rancast.partitions import Partition
from rancast.use_cases import load_use_case
from tests.rancast.drafts import csv, stamps
from tests.rancast.test_onboarding import KPIS
from tests.servers import CHECKOUT

real = pytest.mark.real_data


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    """A folder as a vendor delivers it, with a file that is no data."""
    folder = tmp_path / "vendor" / "north"
    folder.mkdir(parents=True)
    (folder / "kpi.csv").write_text(KPIS)
    (folder / "README.txt").write_text("see the contract")
    return tmp_path / "vendor"


def test_three_files_are_written_and_load(
    vendor: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dataset, suite and use case stand where they belong, fit, and their sample is curated."""
    onboard.onboard(vendor, "north_kpi", "north_latency", home)
    dataset = load_dataset(home, "north_kpi")
    load_suite(home, "north_kpi").check(dataset)
    load_use_case(home, "north_latency").check(dataset)
    printed = capsys.readouterr().out
    assert "864 records = 864 curated + 0 quarantined + 0 duplicates" in printed
    assert "failed" not in printed and "could_not_evaluate" not in printed


def test_the_first_line_leads_to_the_schema(vendor: Path, home: Path) -> None:
    """A home of its own gets the schemas, so that the editor's line leads somewhere."""
    onboard.onboard(vendor, "north_kpi", "north_latency", home)
    for name in ("datasets/north_kpi.yaml", "use_cases/north_latency.yaml"):
        first = (home / name).read_text().splitlines()[0]
        relative = first.removeprefix("# yaml-language-server: $schema=")
        assert ((home / name).parent / relative).is_file()


@pytest.mark.parametrize(
    "there", ["datasets/north_kpi.yaml", "expectations/north_kpi.json", "use_cases/soon.yaml"]
)
def test_nothing_is_overwritten(vendor: Path, home: Path, there: str) -> None:
    """One of the files is there: nothing is written, and the error says what to do."""
    (home / there).write_text("mine")
    with pytest.raises(ConfigurationError, match=f"{there} is there already; take another NAME"):
        onboard.onboard(vendor, "north_kpi", "soon", home)
    assert (home / there).read_text() == "mine"
    written = {"datasets/north_kpi.yaml", "expectations/north_kpi.json", "use_cases/soon.yaml"}
    assert {name for name in written if (home / name).exists()} == {there}


@pytest.mark.parametrize(
    ("name", "use_case", "said"),
    [
        ("Ran-PM", None, "NAME is 'Ran-PM', .* lower-case letters, digits and _, .* 'ran_pm'"),
        ("5g", None, "begins with a letter; take 'c_5g'"),
        ("--", None, "take another"),
        ("ran_pm", "Soon!", "USE_CASE is 'Soon!', .* take 'soon'"),
    ],
)
def test_a_name_is_refused_in_words(
    vendor: Path, home: Path, name: str, use_case: str | None, said: str
) -> None:
    """Which characters a name may have, and one like it that is one."""
    with pytest.raises(ConfigurationError, match=said):
        onboard.onboard(vendor, name, use_case, home)


def test_a_failure_is_one_sentence(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No trace back: exit code 1 and what to do."""
    (tmp_path / "kpi.xlsx").write_bytes(b"PK")
    monkeypatch.setattr(sys, "argv", ["onboard", str(tmp_path / "kpi.xlsx"), "kpi"])
    assert onboard.main() == 1
    error = capsys.readouterr().err
    assert "has no .csv, .csv.gz, .parquet file, but .xlsx" in error and "Traceback" not in error


def test_people_are_not_printed(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the terminal nor any file that is written has a subscriber's number in it."""
    numbers = [f"35386{place * 7919:07d}" for place in range(50)]
    rows = zip(stamps(100, 1), numbers * 2, range(100), strict=True)
    (tmp_path / "calls.csv").write_text(csv("at,caller,seconds", rows))
    onboard.onboard(tmp_path / "calls.csv", "calls", "usage", home)
    written = "".join(path.read_text() for path in home.glob("*/*[cu]*[.]*") if path.is_file())
    said = capsys.readouterr()
    assert "pseudonymise" in written
    assert not [number for number in numbers if number[3:] in written + said.out + said.err]


def test_a_sample_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many files some are looked at, of each of these its head, of whole records."""
    for place in range(MOST_FILES + 20):
        (tmp_path / f"{place:03d}.csv.gz").write_bytes(gzip.compress(KPIS.encode()))
    monkeypatch.setattr("deployments.samples.MOST_ROWS", 20 * MOST_FILES)
    files = read_sample(find_files(tmp_path))
    assert len(files) == MOST_FILES and files[-1].name == "059.csv"
    assert all(file.data == "".join(KPIS.splitlines(True)[:21]).encode() for file in files)
    assert not any(file.is_whole for file in files)
    monkeypatch.setattr("deployments.samples.MOST_BYTES", 100 * MOST_FILES)
    assert all(len(file.data) <= 100 for file in read_sample(find_files(tmp_path)))


def test_a_head_ends_with_a_whole_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line break within quotes is no end: the cut moves to the record before."""
    (tmp_path / "a.csv").write_text('at,note\n1,x\n2,"two\nlines"\n3,y\n4,z\n')
    for most, last in ((1, "1,x"), (2, "1,x"), (3, '2,"two\nlines"')):
        monkeypatch.setattr("deployments.samples.MOST_ROWS", most)
        (file,) = read_sample(find_files(tmp_path))
        assert file.data.decode().endswith(f"{last}\n")


def test_a_parquet_head_keeps_its_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows, as Parquet."""
    frame = pd.DataFrame({"at": pd.date_range("2024-03-01", periods=50, freq="h"), "load": 1.5})
    frame.to_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr("deployments.samples.MOST_ROWS", 10)
    (file,) = read_sample(find_files(tmp_path / "a.parquet"))
    assert not file.is_whole and not file.is_csv and file.data.startswith(b"PAR1")


def test_files_are_laid_out_by_day(
    vendor: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was drafted is laid out: folders of days, names with the vendor's folders in them."""
    late = KPIS.replace("2024-03-01", "2024-03-02").splitlines(keepends=True)[1:]
    (vendor / "north" / "kpi.csv").write_text(KPIS + "".join(late))
    onboard.onboard(vendor, "north_kpi", None, home)
    dataset = load_dataset(home, "north_kpi")
    for _ in range(2):  # a second time changes nothing
        layout.lay_out(find_files(vendor), dataset, home / "raw", None)
    blobs = sorted(path.relative_to(home / "raw") for path in (home / "raw").rglob("*.csv"))
    assert list(map(str, blobs)) == [
        "north_kpi/year=2024/month=03/day=01/north_kpi.csv",
        "north_kpi/year=2024/month=03/day=02/north_kpi.csv",
    ]
    assert (home / "raw" / blobs[0]).read_text() == KPIS
    assert "1 files are 2 blobs on 2 UTC days" in capsys.readouterr().out


def test_a_layout_holds_the_suite_against_the_dataset(
    vendor: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column moved to ignore, but not out of the suite, is told before a file is written."""
    onboard.onboard(vendor, "north_kpi", None, home)
    path = home / "datasets" / "north_kpi.yaml"
    config = yaml.safe_load(path.read_text())
    name, column = list(config["columns"].items())[-1]
    del config["columns"][name]
    config["ignore"] = column.get("from", [name])
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setattr(sys, "argv", ["layout", str(vendor), "north_kpi", "--to", str(home / "to")])
    assert layout.main() == 1
    assert f"names the column '{name}', which dataset 'north_kpi' does" in capsys.readouterr().err
    assert not (home / "to").exists()
    (home / "expectations" / "north_kpi.json").unlink()
    assert layout.main() == 0


def test_a_layout_overwrites_nothing(vendor: Path, home: Path) -> None:
    """Another file of that name in the folder of that day is left alone."""
    onboard.onboard(vendor, "north_kpi", None, home)
    target = home / "raw" / "north_kpi/year=2024/month=03/day=01/north_kpi.csv"
    target.parent.mkdir(parents=True)
    target.write_text("other")
    with pytest.raises(DataError, match="is there already with other content"):
        layout.lay_out(find_files(vendor), load_dataset(home, "north_kpi"), home / "raw", None)
    assert target.read_text() == "other"


def test_an_audit_of_a_plain_table_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table with its label in disguise: refused, the columns named, exit code 2."""
    rows = [(place, 2 * place, place % 7 / 2, place % 2) for place in range(200)]
    (tmp_path / "t.csv").write_text(csv("a,twice,c,label", rows))
    monkeypatch.setattr(sys, "argv", ["audit", str(tmp_path / "t.csv"), "label"])
    assert audit.main() == 2
    assert "twice = 2 × a in every row" in capsys.readouterr().out


# --- public data --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public data sets, laid out as a raw container."""
    folder = tmp_path_factory.mktemp("raw")
    command = [sys.executable, str(real_data / "lay_out.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def ingested(path: Path, home: Path) -> Partition:
    """Draft a feed and ingest its sample; nothing but duplicates is missing from it."""
    drafted = onboard.draft(read_sample(find_files(path)), "feed", "../docs/schemas")
    partition = onboard.ingest_sample(drafted)
    assert partition.report.rows.quarantined == 0 and not partition.report.is_refused
    assert [item for item in partition.report.results if item.outcome != "passed"] == []
    return partition


@real
@pytest.mark.parametrize(
    ("name", "curated", "duplicates"),
    [("c2tm_clustered", 60_893, 0), ("iranian_churn", 2_850, 300)],
)
def test_public_tables_are_ingested_by_their_drafts(
    real_data: Path, home: Path, name: str, curated: int, duplicates: int
) -> None:
    """Every record of a public table is curated, or equal to one that is."""
    rows = ingested(real_data / name, home).report.rows
    assert (rows.curated, rows.duplicates) == (curated, duplicates)


@real
def test_traces_are_ingested_by_their_draft(raw: Path, home: Path) -> None:
    """The 5G traces: each file is a trace, and seconds that are there twice keep their last row."""
    drafted = onboard.draft(read_sample(find_files(raw / "ucc_5g")), "feed", "../docs/schemas")
    assert drafted.dataset.key == ("source_file", "timestamp")
    assert drafted.dataset.time.format == "%Y.%m.%d_%H.%M.%S"
    assert drafted.dataset.columns["n_rx_rsrq"].missing == ("-", "2147483647")
    partition = onboard.ingest_sample(drafted)
    assert partition.report.rows.quarantined == 0 and partition.report.rows.curated > 70_000


@real
def test_small_public_files_are_ingested_by_their_drafts(real_data: Path, home: Path) -> None:
    """The 14 files of 5Gophers: no times, no names of things, and yet no record is lost."""
    files = sorted((real_data / "5gophers_v1.0").rglob("*.csv"))
    total = sum(ingested(file, home).report.rows.raw for file in files)
    assert (len(files), total) == (14, 16_904)


def test_shipped_feeds_are_drafted_as_they_are_declared(home: Path) -> None:
    """From the simulator's files alone, a draft finds the key and the people that we declared."""
    from rancast.simulation import DATASETS, Scale, raw_files

    for name, content in raw_files(Scale(days=1)):
        path = home / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in DATASETS:
        shipped = load_dataset(CHECKOUT, name)
        found = onboard.draft(read_sample(find_files(home / "raw" / name)), "feed", "x").dataset
        assert found.key == shipped.key and found.entity == shipped.entity
        assert set(found.pseudonymise) == set(shipped.pseudonymise)
