"""Neighbours: what the other cells of the site measured up to t, never the cell itself."""

import json
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import TypeAdapter

from rancast.datasets import AnyDataset, Dataset, PlacedDataset, load_dataset
from rancast.errors import ConfigurationError
from rancast.features import build, lookback_days
from tests.rancast.cases import DAY, dataset, rows, spec, use_case

NAN = float("nan")
LEVELS = {"site": {"from": "cell", "pattern": "^(?P<value>S\\d+)-"}}
KPI = Dataset.model_validate(dataset().model_dump(by_alias=True) | {"levels": LEVELS})


def X(frame: pd.DataFrame, kpi: Dataset = KPI, **neighbours: Any) -> pd.DataFrame:
    """Return the features of DAY without the time."""
    given = {"same": "site", "columns": ["load"], "over": ["20min"]} | neighbours
    view = use_case(spec(features={"neighbours": [given]})).feature_view()
    return build([frame], view, kpi, DAY).drop(columns="at")


def test_neighbours_are_the_other_cells_of_the_site() -> None:
    """Their rows of (t - window, t] count, the cell's own never, nor those of other sites."""
    given = rows(
        ("S1-1", "10:00", 1.0),
        ("S1-1", "10:20", 2.0),
        ("S1-2", "10:00", 10.0),
        ("S1-2", "10:10", 20.0),
        ("S1-3", "10:20", 60.0),
        ("S2-1", "10:20", 500.0),
        ("lone", "10:20", 700.0),
    )
    found = X(given, statistics=["mean", "min", "max"])
    expected = pd.DataFrame(
        {
            "cell": pd.Series(
                ["S1-1", "S1-1", "S1-2", "S1-2", "S1-3", "S2-1", "lone"], dtype="str"
            ),
            "neighbours_load_mean_20min": [10.0, 40.0, 1.0, 1.0, 11.0, NAN, NAN],
            "neighbours_load_min_20min": [10.0, 20.0, 1.0, 1.0, 2.0, NAN, NAN],
            "neighbours_load_max_20min": [10.0, 60.0, 1.0, 1.0, 20.0, NAN, NAN],
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_a_neighbour_that_appears_later_leaves_every_bit() -> None:
    """Sums of what was there do not know of cells that come."""
    random = np.random.default_rng(3)
    cells = [f"S1-{number}" for number in range(1, 14)]
    early = [(cell, "10:00", value) for cell, value in zip(cells, random.lognormal(0, 9, 13))]
    later = [(f"S1-{number}", "10:10", 1.0) for number in (0, 5.5, 9.5)]
    before = X(rows(*early)).set_index("cell").loc[cells]
    after = X(rows(*early, *later)).set_index("cell").loc[cells]
    pd.testing.assert_frame_equal(after, before, check_exact=True)


def test_neighbours_are_what_the_plain_definition_says() -> None:
    """Row by row over all the others: sites of many sizes, rows absent, values missing."""
    random = np.random.default_rng(5)
    given = [
        (f"S{site}-{cell:02}", f"10:{minute:02}", random.lognormal(0, 9))
        for site, cells in enumerate((1, 2, 3, 3, 30))
        for cell in range(cells)
        for minute in range(0, 60, 10)
        if random.random() < 0.7
    ]
    frame = rows(*given)
    frame.loc[random.random(len(frame)) < 0.1, "load"] = NAN
    found = X(frame, statistics=["mean", "min", "max"])
    for row, (cell, at) in enumerate(zip(frame["cell"], frame["at"])):
        is_near = frame["cell"].str.startswith(cell.split("-")[0] + "-") & (frame["cell"] != cell)
        is_near &= (frame["at"] <= at) & (frame["at"] > at - pd.Timedelta("20min"))
        values = frame["load"][is_near].dropna()
        assert found["cell"][row] == cell
        np.testing.assert_allclose(
            found.iloc[row, 1:].astype(float), [values.mean(), values.min(), values.max()], 1e-12
        )


def test_a_cell_does_not_show_in_its_neighbours_even_by_rounding() -> None:
    """Nothing is taken off a total, in which a large value would swallow the others' digits."""
    small = [(f"S1-{number}", "10:00", 0.1 * number) for number in range(1, 40)]
    plain = X(rows(*small, ("S1-20.5", "10:00", 1.0))).set_index("cell").loc["S1-20.5"]
    large = X(rows(*small, ("S1-20.5", "10:00", 1e300))).set_index("cell").loc["S1-20.5"]
    pd.testing.assert_series_equal(large, plain, check_exact=True)


def test_a_level_of_many_is_added_up_once() -> None:
    """A region of 400 cells takes memory as rows do, not as rows times cells."""
    cells = [f"S1-{number}" for number in range(400)]
    given = [(cell, f"1{hour}:00", 1.0) for hour in range(10) for cell in cells]
    frame = rows(*given)
    tracemalloc.start()
    try:
        found = X(frame)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found["neighbours_load_mean_20min"] == 1.0).all()
    assert peak < 20e6  # each row beside each other cell would be 1.6 million, of 8 bytes a number


def test_neighbours_add_to_the_lookback() -> None:
    """A window of two hours reaches into the day before."""
    given = {"same": "site", "columns": ["load"], "over": ["2h"]}
    view = use_case(spec(features={"neighbours": [given]})).feature_view()
    assert lookback_days(view, KPI) == 1


@pytest.mark.parametrize(
    ("neighbours", "reason"),
    [
        ({"same": "cell"}, "the entity itself"),
        ({"same": "region"}, "names 'region', which is not a column"),
        ({"same": "load"}, "needed here: string"),
        ({"over": ["5min"]}, "shorter than the grid's period"),
    ],
)
def test_neighbours_that_cannot_be_are_refused(neighbours: dict[str, Any], reason: str) -> None:
    """A level that is no text, or nobody's, is refused with the key."""
    with pytest.raises(ConfigurationError, match=reason):
        X(rows(("S1-1", "10:00", 1.0)), **neighbours)


def test_a_level_is_from_a_column_of_text() -> None:
    """A pattern without the group that the level is, or of numbers, is refused at load."""
    given = dataset().model_dump(by_alias=True)
    for level, reason in [
        ({"from": "cell", "pattern": "^S"}, "no group"),
        ({"from": "load", "pattern": "(?P<value>.)"}, "not a column of text"),
    ]:
        with pytest.raises(ValueError, match=reason):
            Dataset.model_validate(given | {"levels": {"site": level}})


RADIO = b"""entity,site,region,valid_from,valid_to
a,north,up,2024-01-01,2024-03-04T10:10:00Z
a,south,up,2024-03-04T10:10:00Z,
b,north,up,2024-01-01,
c,south,up,2024-01-01,2025-01-01
c,,,2025-01-01,
"""


@pytest.fixture()
def placed(tmp_path: Path) -> Dataset:
    """A dataset whose cells an inventory places: a moves from north to south at 10:10."""
    for folder in ("datasets", "hierarchies"):
        (tmp_path / folder).mkdir()
    (tmp_path / "hierarchies" / "radio.csv").write_bytes(RADIO)
    given = json.loads(dataset().model_dump_json(by_alias=True, exclude_none=True))
    given["time"]["period"] = "10min"
    (tmp_path / "datasets" / "kpi.yaml").write_text(yaml.safe_dump(given | {"hierarchy": "radio"}))
    return load_dataset(tmp_path, "kpi")


def test_neighbours_of_a_hierarchy_are_as_of_each_row(placed: Dataset) -> None:
    """What a measured in the north stays the north's; from its move on it has the south's cells."""
    given = rows(
        ("a", "10:00", 1.0), ("a", "10:10", 2.0), ("b", "10:10", 10.0), ("c", "10:10", 100.0)
    )
    found = X(given, placed)["neighbours_load_mean_20min"]
    np.testing.assert_array_equal(found, [NAN, 100.0, 1.0, 2.0])


def test_what_a_hierarchy_says_of_other_days_is_no_part_of_a_step(placed: Dataset) -> None:
    """A move of next year changes no key of this March, and the move of the day does."""
    days = [date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)]
    here, later = placed.between(*days[:2]), placed.between(*days[1:])
    assert isinstance(here, PlacedDataset) and isinstance(later, PlacedDataset)
    assert len(here.placement.stays) == 4 and len(later.placement.stays) == 3
    assert "2025" not in here.model_dump_json()
    read_back = TypeAdapter(AnyDataset).validate_python(here.model_dump(mode="json"))
    assert read_back == here
    frame = rows(("a", "10:00", 1.0), ("b", "10:10", 10.0))
    pd.testing.assert_frame_equal(X(frame, here), X(frame, placed))


def test_reading_and_joining_know_no_hierarchy(placed: Dataset) -> None:
    """A new inventory reads no file again."""
    assert placed.as_delivered() == dataset().as_delivered()
    assert set(placed.types) - set(dataset().types) == {"site", "region"}


def test_a_level_that_is_a_column_already_is_refused(tmp_path: Path, placed: Dataset) -> None:
    """Two things of one name are never guessed apart."""
    path = tmp_path / "hierarchies" / "radio.csv"
    path.write_bytes(RADIO.replace(b"entity,site", b"entity,band"))
    with pytest.raises(ConfigurationError, match="'band' is a level of hierarchy 'radio'"):
        load_dataset(tmp_path, "kpi")
