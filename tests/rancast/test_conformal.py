"""Prediction intervals: as many values inside as promised, by group, and no more than known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rancast.conformal import ConformalIntervals, Quantiles, bounds, calibrate, least_rows
from rancast.errors import EvidenceError
from rancast.fit_view import Calibration

BY = Calibration(coverage=0.9, by="technology", minimum_support=19)
NONE = pd.Series(dtype="str")


def residuals(*values: float) -> tuple[pd.Series, pd.Series]:
    """Return y and predictions whose differences are `values`."""
    y = pd.Series(values, dtype="float64")
    return y + 100.0, pd.Series(100.0, index=y.index)


def test_each_tail_has_its_own_quantile() -> None:
    """Of the residuals 1 to 19 the 1st and the 19th make a 90 % interval, without rounding up."""
    found = calibrate(*residuals(*range(1, 20)), None, Calibration(coverage=0.9))
    assert found.pooled == (Quantiles(low=1.0, high=19.0, rows=19),) and found.groups == {}
    # the 19th of 20 would hold a 21st with probability 18 / 21 only
    found = calibrate(*residuals(*range(1, 21)), None, Calibration(coverage=0.9))
    assert found.pooled == (Quantiles(low=1.0, high=20.0, rows=20),)
    found = calibrate(*residuals(*range(1, 40)), None, Calibration(coverage=0.9))
    assert found.pooled == (Quantiles(low=2.0, high=38.0, rows=39),)
    low, high = bounds(found, np.array([50.0, 0.0]), None)
    assert (low.tolist(), high.tolist()) == ([52.0, 2.0], [88.0, 38.0])


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 19), (0.8, 9), (0.95, 39), (0.99, 199)])
def test_fewer_rows_than_a_finite_interval_needs_are_no_evidence(
    coverage: float, least: int
) -> None:
    """One residual below the least number is refused; with that number the interval is finite."""
    wanted = Calibration(coverage=coverage)
    assert least_rows(coverage) == least
    assert calibrate(*residuals(*range(least)), None, wanted).pooled[0].high == least - 1
    with pytest.raises(EvidenceError, match=f"at least {least} finite residuals"):
        calibrate(*residuals(*range(least - 1)), None, wanted)


def test_residuals_that_are_not_finite_are_no_evidence() -> None:
    """A missing prediction is not left out of the quantiles."""
    with pytest.raises(EvidenceError, match="of 30 here 1 are not finite"):
        calibrate(*residuals(*range(29), float("nan")), None, Calibration(coverage=0.9))


def test_groups_have_intervals_of_their_own_where_they_are_large_enough() -> None:
    """A large group has its own quantiles, also that of missing ones; others take those of all."""
    y, prediction = residuals(*[1.0, -1.0] * 20, *[5.0, -7.0] * 5, *[9.0] * 20)
    group = pd.Series(["5G"] * 40 + ["4G"] * 10 + [None] * 20, dtype="str")
    found = calibrate(y, prediction, group, BY)
    assert found.groups == {
        "5G": (Quantiles(low=-1.0, high=1.0, rows=40),),
        "missing": (Quantiles(low=9.0, high=9.0, rows=20),),
    }
    assert found.pooled == (Quantiles(low=-7.0, high=9.0, rows=70),)
    asked = pd.Series(["5G", "4G", "6G", None], index=[7, 7, 8, 9], dtype="str")
    low, high = bounds(found, np.array([10.0, 20.0, 30.0, 40.0]), asked)
    assert low.tolist() == [9.0, 13.0, 23.0, 49.0] and high.tolist() == [11.0, 29.0, 39.0, 49.0]
    strict = BY.model_copy(update={"minimum_support": 41})
    assert calibrate(y, prediction, group, strict).groups == {}


def test_bounds_of_many_groups_are_those_of_each_row_by_itself() -> None:
    """Each row has its own group's quantiles at its own level; unknown and small groups the pooled.

    Groups are as many as cells, in any order, under an index that repeats.
    """
    random = np.random.default_rng(6)
    size = 3000
    prediction = pd.Series(random.random(size))
    cells = pd.Series([f"c{number}" for number in random.integers(0, 40, size)], dtype="str")
    y = prediction + random.normal(size=size) * random.random(size)
    cells[:15] = "small"
    cells[15:215] = None
    wanted = Calibration(coverage=0.8, by="cell", minimum_support=20, levels=2)
    found = calibrate(y, prediction, cells, wanted)
    assert len(found.groups) == 41 and "missing" in found.groups
    asked = pd.concat([cells[:600], pd.Series(["new"] * 3, dtype="str")]).sample(
        frac=1.0, random_state=1
    )
    asked.index = pd.Index(np.arange(len(asked)) // 2)
    forecast = random.random(len(asked))
    low, high = bounds(found, forecast, asked)
    for row, (cell, value) in enumerate(zip(asked, forecast)):
        levels = found.groups.get("missing" if pd.isna(cell) else cell, found.pooled)
        level = next(one for one in levels if one.upto is None or value <= one.upto)
        assert (low[row], high[row]) == (value + level.low, value + level.high)


def test_levels_of_the_prediction_have_intervals_of_their_own() -> None:
    """Of small predictions the errors are small; an edge belongs to the level below it."""
    prediction = pd.Series(np.arange(80) % 4, dtype="float64")
    y = prediction + [-1.0, 1.0] * 20 * 2
    y[prediction >= 2] = prediction + 10 * (y - prediction)
    wanted = Calibration(coverage=0.9, levels=2, minimum_support=19)
    found = calibrate(y, prediction, None, wanted)
    assert found.pooled == (
        Quantiles(low=-1.0, high=1.0, rows=40, upto=1.0),
        Quantiles(low=-10.0, high=10.0, rows=40),
    )
    low, high = bounds(found, np.array([-5.0, 1.0, 1.1, 99.0]), None)
    assert low.tolist() == [-6.0, 0.0, -8.9, 89.0] and high.tolist() == [-4.0, 2.0, 11.1, 109.0]
    # equal predictions stay together, and no level has fewer than 19 rows
    for levels, rows in ((4, [20, 20, 20, 20]), (3, [40, 20, 20]), (20, [20, 20, 20, 20])):
        cut = calibrate(y, prediction, None, wanted.model_copy(update={"levels": levels})).pooled
        assert [level.rows for level in cut] == rows
    same = calibrate(y, prediction * 0, None, wanted)
    assert [level.rows for level in same.pooled] == [80]


def test_quantiles_go_through_json_unchanged() -> None:
    """What is stored beside the model is what was computed, bit for bit."""
    random = np.random.default_rng(2)
    found = calibrate(*residuals(*random.normal(size=99)), None, Calibration(coverage=0.9))
    assert ConformalIntervals.model_validate_json(found.model_dump_json()) == found


# without shrinking, which would repeat this for minutes
@settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    seed=st.integers(0, 2**32 - 1),
    coverage=st.sampled_from([0.6, 0.8, 0.9, 0.95]),
    size=st.integers(40, 200),
)
def test_exchangeable_rows_are_held_as_promised(seed: int, coverage: float, size: int) -> None:
    """Over many calibrations the mean coverage of new rows lies in [promise, promise + 2 / (n +
    1)], of a skewed distribution as of any; the slack is four standard errors."""
    random = np.random.default_rng(seed)
    held = []
    for _ in range(300):
        drawn = random.lognormal(size=size + 100)
        found = calibrate(*residuals(*drawn[:size]), None, Calibration(coverage=coverage)).pooled[0]
        new = drawn[size:]
        held.append(np.mean((new >= found.low) & (new <= found.high)))
    slack = 4 * np.std(held) / np.sqrt(len(held))
    assert coverage - slack <= np.mean(held) <= coverage + 2 / (size + 1) + slack


def test_each_group_is_held_as_promised() -> None:
    """Groups of different noise are each covered as promised, which pooled quantiles do not do."""
    random = np.random.default_rng(4)
    group = pd.Series(np.repeat(["4G", "5G"], 4000), dtype="str")
    noise = random.normal(size=8000) * np.where(group == "5G", 10.0, 1.0)
    is_new = random.random(8000) < 0.5
    y, prediction = residuals(*noise)

    def held(by: pd.Series | None) -> list[float]:
        old = None if by is None else by[~is_new]
        found = calibrate(y[~is_new], prediction[~is_new], old, BY)
        low, high = bounds(found, prediction.to_numpy(), by)
        inside = (y >= low) & (y <= high)
        return inside[is_new].groupby(group[is_new]).mean().tolist()

    assert held(group) == pytest.approx([0.9, 0.9], abs=0.03)
    assert held(None)[0] > 0.99 and held(None)[1] < 0.85
