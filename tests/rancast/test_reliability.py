"""Calibration in numbers: equal groups, honest bounds, and parts that add up to the Brier score."""

import numpy as np
import pytest

from rancast.reliability import reliability_of


def test_a_forecast_by_hand() -> None:
    """Of 0.25 nothing comes true, of 0.5 all: two groups, errors of a quarter and a half."""
    found = reliability_of(np.array([1.0, 0.0]), np.array([0.5, 0.25]))
    groups = [(group.rows, group.prediction, group.share) for group in found.groups]
    assert groups == [(1, 0.25, 0.0), (1, 0.5, 1.0)]
    assert found.expected_error == (0.25 + 0.5) / 2
    parts = (found.reliability, found.resolution, found.uncertainty)
    assert parts == ((0.0625 + 0.25) / 2, 0.25, 0.25)


def test_the_parts_add_up_to_the_brier_score() -> None:
    """Where predictions do not differ within a group, the score is the sum of its parts exactly."""
    random = np.random.default_rng(1)
    prediction = np.repeat(np.linspace(0.05, 0.95, 10), 30)
    y = (random.random(300) < prediction).astype(float)
    found = reliability_of(y, prediction)
    brier = found.reliability - found.resolution + found.uncertainty
    assert brier == pytest.approx(float(((prediction - y) ** 2).mean()))


def test_groups_hold_equal_rows_and_bounds_around_the_share() -> None:
    """Ten groups of 24 rows rise in prediction, each share within its bounds."""
    random = np.random.default_rng(4)
    prediction = random.random(240)
    groups = reliability_of((random.random(240) < prediction).astype(float), prediction).groups
    assert [group.rows for group in groups] == [24] * 10
    assert sorted(groups, key=lambda group: group.prediction) == list(groups)
    assert all(group.low <= group.share <= group.high for group in groups)
    certain = reliability_of(np.zeros(240), prediction).groups
    # Wilson's upper bound for 0 of 24: z^2 / (n + z^2)
    assert certain[0].high == pytest.approx(1.96**2 / (24 + 1.96**2))
    assert max(abs(group.low) for group in certain) < 1e-12
