"""Steps compute nothing twice, adopt what others computed first, and mend what was lost."""

import json
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from rancast import frames
from rancast.documents import Document
from rancast.errors import DataError
from rancast.references import Reference
from tasks.steps import STEPS, Decoded, Step, load_frame
from tasks.stores import open_lake, open_ledger

DAY = date(2024, 3, 1)
CALLS: list[str] = []


class Facts(Document):
    """A small result."""

    rows: int


class Result(NamedTuple):
    """Two files and a fact."""

    even: pd.DataFrame
    page: str
    manifest: Facts


def count(n: int, day: date) -> Result:
    """Return the even numbers below n."""
    CALLS.append("count")
    frame = pd.DataFrame({"a": range(0, n, 2)})
    return Result(frame, f"<p>{n}", Facts(rows=len(frame)))


def total(frames: list[pd.DataFrame], day: date) -> pd.DataFrame:
    """Return the sum of all frames."""
    CALLS.append("total")
    return pd.DataFrame({"total": [int(pd.concat(frames)["a"].sum())]})


def maybe(
    frames: list[pd.DataFrame],
    joined: dict[str, list[pd.DataFrame]],
    other: pd.DataFrame | None,
    days: tuple[date, ...],
) -> pd.DataFrame:
    """Return how many frames there are, and of which type the days are."""
    found = len(frames) + sum(map(len, joined.values())) + (other is not None)
    return pd.DataFrame({"frames": [found], "days": [type(days).__name__]})


def by_name(joined: dict[str, list[pd.DataFrame]], day: date) -> pd.DataFrame:
    """Return how many rows came under each name."""
    sizes = {name: sum(map(len, frames)) for name, frames in joined.items()}
    return pd.DataFrame({"name": list(sizes), "rows": list(sizes.values())})


def spoil(frame: pd.DataFrame, day: date) -> pd.DataFrame:
    """Write into the frame that came in."""
    frame.loc[0, "a"] -= 1
    return frame


SERIAL = iter(range(1000))


def stamp(day: date) -> bytes:
    """Return other bytes at each call, as a model's serialisation does."""
    return f"model {next(SERIAL)}".encode()


FOLDER = "features/{place}/date={day}"
COUNT = Step(
    "count",
    count,
    {"even": FOLDER + "/{sha256}.parquet", "page": "reports/{place}/{sha256}.html"},
    manifest=FOLDER,
)
TOTAL = Step("total", total, {"data": FOLDER + "/{sha256}.parquet"})
BY_NAME = Step("by_name", by_name, {"data": "tables/date={day}/{sha256}.parquet"})
MAYBE = Step("maybe", maybe, {"data": "tables/{sha256}.parquet"})
SPOIL = Step("spoil", spoil, {"data": "tables/date={day}/{sha256}.parquet"})
STAMP = Step("stamp", stamp, {"data": "models/{sha256}.skops"}, volatile=("data",))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "datasets").mkdir()
    monkeypatch.setenv("RANCAST_HOME", str(tmp_path))
    CALLS.clear()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The places of all frames that are decoded from now on."""
    places: list[str] = []
    decode = frames.from_parquet

    def noted(data: bytes, place: str, columns: list[str] | None = None) -> pd.DataFrame:
        places.append(place)
        return decode(data, place, columns)

    monkeypatch.setattr(frames, "from_parquet", noted)
    return places


def test_a_known_step_is_not_computed_again() -> None:
    """The second call with equal input returns the same references and calls nothing."""
    first = COUNT.make({"n": 5, "day": DAY}, "uc")
    second = COUNT.make({"n": 5, "day": DAY}, "uc")
    assert (first.is_reused, second.is_reused) == (False, True)
    assert first.outputs == second.outputs
    assert first.facts == second.facts == {"manifest": {"rows": 3}}
    assert CALLS == ["count"]


@pytest.mark.parametrize("change", [{"n": 6}, {"day": date(2024, 3, 2)}, {"place": "other"}])
def test_a_changed_configuration_is_another_key(change: dict[str, object]) -> None:
    """Any argument, and the place, is part of the key."""
    call = {"n": 5, "day": DAY, "place": "uc"}

    def key(given: dict[str, object]) -> str:
        arguments = {name: value for name, value in given.items() if name != "place"}
        return COUNT.key(arguments, str(given["place"]))

    assert key(call) != key(call | change)


def test_changed_code_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose sources changed does not find what the old sources made."""
    before = COUNT.key({"n": 5, "day": DAY})
    monkeypatch.setattr("tasks.steps.code_digest", lambda function: "other code")
    assert COUNT.key({"n": 5, "day": DAY}) != before


def test_input_may_be_lists_by_name() -> None:
    """A mapping of lists is loaded as one of frames; the name and the content are in the key."""
    one, two = (COUNT.make({"n": n, "day": DAY}, "uc")["even"] for n in (5, 9))

    def key(joined: dict[str, list[Reference]]) -> str:
        return BY_NAME.key({"joined": joined, "day": DAY})

    made = BY_NAME.make({"joined": {"a": [one, two], "b": []}, "day": DAY})
    found = load_frame(made["data"])
    assert found.to_dict("list") == {"name": ["a", "b"], "rows": [8, 0]}
    others = [{"a": [one], "b": [two]}, {"a": [one, two], "c": []}, {"a": [], "b": []}]
    assert len({made.key, *map(key, others)}) == 4
    moved = [Reference(uri=f"elsewhere/{ref.digest}", digest=ref.digest) for ref in (one, two)]
    assert key({"a": moved, "b": []}) == made.key


def test_lost_lists_by_name_are_made_again() -> None:
    """What the ledger remembers of a mapping is enough to compute the step once more."""
    one = COUNT.make({"n": 5, "day": DAY}, "uc")["even"]
    made = BY_NAME.make({"joined": {"a": [one], "b": []}, "day": DAY}, "uc")
    lake, entry = open_lake(), open_ledger().step(made.key)
    assert entry is not None
    lake.delete(made["data"].uri)
    STEPS["by_name"].remake(entry)
    assert lake.exists(made["data"].uri)


def test_a_lost_output_of_no_files_at_all_is_made_again() -> None:
    """A call whose lists were empty, by name too, and whose frame was None, can be repeated; the
    other arguments come back as the types that the function asks for."""
    made = MAYBE.make({"frames": [], "joined": {"a": []}, "other": None, "days": ()})
    before = load_frame(made["data"])
    open_lake().delete(made["data"].uri)
    assert load_frame(made["data"]).equals(before)
    assert before.to_dict("list") == {"frames": [0], "days": ["tuple"]}


def test_input_is_known_by_content_and_not_by_place() -> None:
    """Two references to equal bytes at different places give the same key."""
    one = Reference(uri="a/1", digest="d", rows=1)
    other = Reference(uri="b/2", digest="d", rows=1)
    changed = Reference(uri="a/1", digest="e", rows=1)
    keys = [TOTAL.key({"frames": [ref], "day": DAY}) for ref in (one, other, changed)]
    assert keys[0] == keys[1] != keys[2]


def test_files_are_named_by_their_content_and_shown_by_a_manifest() -> None:
    """The manifest lists the files, their digests are their names, and its facts come first."""
    made = COUNT.make({"n": 5, "day": DAY}, "uc")
    manifest = json.loads(open_lake().read("features/uc/date=2024-03-01/manifest.json"))
    assert made["even"].uri == f"features/uc/date=2024-03-01/{made['even'].digest}.parquet"
    assert manifest["files"]["even"]["digest"] == made["even"].digest
    assert (manifest["schema_version"], manifest["rows"], manifest["step"]) == (1, 3, "count")
    assert load_frame(made["even"])["a"].tolist() == [0, 2, 4]


def test_a_manifest_follows_the_present_input_back_and_forth() -> None:
    """A partition that was replaced and replaced back shows its first content again."""
    manifest = "features/uc/date=2024-03-01/manifest.json"
    COUNT.make({"n": 5, "day": DAY}, "uc")
    first = open_lake().read(manifest)
    COUNT.make({"n": 7, "day": DAY}, "uc")
    assert open_lake().read(manifest) != first
    COUNT.make({"n": 5, "day": DAY}, "uc")
    assert open_lake().read(manifest) == first


def test_a_lost_output_is_computed_again_at_the_next_call() -> None:
    """The ledger's word is not enough: the file itself must be there."""
    made = COUNT.make({"n": 5, "day": DAY}, "uc")
    open_lake().delete(made["even"].uri)
    again = COUNT.make({"n": 5, "day": DAY}, "uc")
    assert not again.is_reused and again.outputs == made.outputs
    assert open_lake().exists(made["even"].uri)


def test_a_lost_input_is_made_again_by_the_step_that_made_it() -> None:
    """A step whose input vanished has it recomputed, and ends as if nothing had happened."""
    parts = [COUNT.make({"n": n, "day": DAY}, "uc")["even"] for n in (5, 7)]
    open_lake().delete(parts[1].uri)
    CALLS.clear()
    made = TOTAL.make({"frames": parts, "day": DAY}, "uc")
    assert load_frame(made["data"])["total"].tolist() == [6 + 12]
    assert CALLS == ["count", "total"]


def test_a_lost_input_of_unknown_origin_is_an_error_with_the_next_step() -> None:
    """Where no ledger entry knows how a file was made, the error says what to run."""
    lost = Reference(uri="curated/x/nowhere.parquet", digest="d", rows=1, key="unknown")
    with pytest.raises(DataError, match=r"nowhere.parquet .* run the ingest"):
        TOTAL.make({"frames": [lost], "day": DAY}, "uc")


def test_damaged_input_is_refused() -> None:
    """A file whose bytes are not those that were recorded is never computed with."""
    part = COUNT.make({"n": 5, "day": DAY}, "uc")["even"]
    open_lake().write(part.uri, b"PAR1 something else")
    with pytest.raises(DataError, match="holds other bytes"):
        TOTAL.make({"frames": [part], "day": DAY}, "uc")


def test_input_is_decoded_once_and_what_a_step_makes_of_it_stays_its_own(
    decoded: list[str],
) -> None:
    """Frames are shared between steps, yet none sees what another one wrote into its own."""
    part = COUNT.make({"n": 22, "day": DAY}, "uc")["even"]
    for day in (DAY, date(2024, 3, 2)):
        made = SPOIL.make({"frame": part, "day": day})
        assert load_frame(made["data"])["a"].tolist() == [-1, *range(2, 22, 2)]
    assert decoded.count(part.uri) == 1


def test_decoded_frames_make_room_for_later_ones(decoded: list[str]) -> None:
    """The frame that was not asked for the longest goes first, and a large one is never kept."""
    parts = [COUNT.make({"n": 2 * n, "day": DAY}, "uc")["even"] for n in (100, 101, 1_000)]
    frame = load_frame(parts[1])
    kept = Decoded(limit_bytes=int(frame.memory_usage().sum()) * 16)
    small = [COUNT.make({"n": 2 * n, "day": DAY}, "uc")["even"] for n in range(80, 101)]
    decoded.clear()
    for part in (parts[2], parts[2], *small, small[-1], small[0]):
        found = kept.frame(part, open_lake().read(part.uri))
        assert len(found) == part.rows
    assert [decoded.count(part.uri) for part in (parts[2], small[-1], small[0])] == [2, 1, 2]


def test_the_first_bytes_of_a_volatile_output_win() -> None:
    """A model computed twice under one key stays the one that was recorded first."""
    first = STAMP.make({"day": DAY})
    forced = STAMP.make({"day": DAY}, is_forced=True)
    assert forced["data"] == first["data"]
    assert open_lake().read(first["data"].uri).startswith(b"model")


def test_a_lost_volatile_output_is_replaced_for_everyone() -> None:
    """When the recorded bytes are gone, the new ones become the recorded ones."""
    first = STAMP.make({"day": DAY})
    open_lake().delete(first["data"].uri)
    second = STAMP.make({"day": DAY})
    assert second["data"] != first["data"]
    assert STAMP.make({"day": DAY})["data"] == second["data"]


def test_a_forced_rerun_reports_non_determinism(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A forced rerun with another outcome warns, names both digests, and keeps the first."""
    first = COUNT.make({"n": 5, "day": DAY}, "uc")
    changed = Step("count", lambda n, day: count(n + 4, day), COUNT.into, manifest=FOLDER)
    monkeypatch.setitem(STEPS, "count", COUNT)
    monkeypatch.setattr(changed, "hints", COUNT.hints)
    monkeypatch.setattr("tasks.steps.step_key", lambda *parts: first.key)
    messages: list[str] = []
    monkeypatch.setattr("tasks.steps._logger", lambda: Recorder(messages))
    forced = changed.make({"n": 5, "day": DAY}, "uc", is_forced=True)
    assert forced.outputs == first.outputs
    assert len(messages) == 1 and "not deterministic" in messages[0]


class Recorder:
    """A logger that keeps its warnings."""

    def __init__(self, messages: list[str]) -> None:
        self.warning = messages.append


def test_a_lost_race_adopts_the_winner() -> None:
    """Of two computations under one key, the one recorded first is what both return."""
    key = STAMP.key({"day": DAY})
    winner = STAMP.make({"day": DAY})
    ledger = open_ledger()
    entry = ledger.step(key)
    assert entry is not None
    late = STAMP._compute(ledger, STAMP.outline({"day": DAY}), {"day": DAY}, "")
    assert late.outputs != entry.outputs
    assert STAMP._record(ledger, late).outputs == winner.outputs
