"""Influence: how much each row moves a metric, and how precise a difference then is."""

import numpy as np
import pytest
from scipy import stats

from rancast.decisions import relative_improvement
from rancast.errors import EvidenceError
from rancast.influence import Precision, improvement_influence, row_influence, two_way
from rancast.metrics import METRICS, FloatArray, find_metric

ROWS = np.arange(12)
CLUSTERS = {"entity": ROWS % 4, "day": ROWS // 4}


def example(problem: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return labels of 40 rows and what two models say of them, with ties among the predictions."""
    random = np.random.default_rng(3)
    y = random.normal(5, 2, 40) if problem == "regression" else random.random(40) < 0.3
    y = y.astype(np.float64)
    pair = [np.round(0.4 * y + random.random(40) * 0.5 + 0.05, 1) for _ in range(2)]
    return y, pair[0], pair[1]


@pytest.mark.parametrize("name", sorted(METRICS))
def test_influence_is_the_derivative_by_a_rows_weight(name: str) -> None:
    """Of every metric the improvement moves as it does when one row weighs a little more."""
    metric = find_metric(name)
    y, candidate, other = example(metric.problem)
    found = improvement_influence(metric, y, candidate, other)
    for row in range(0, 40, 7):
        ends = []
        for step in (1e-5, -1e-5):
            weight = np.ones(40)
            weight[row] += step
            pair = [metric.score(y, each, weight) for each in (candidate, other)]
            ends.append(relative_improvement(pair[0], pair[1], name))
        assert found[row] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-7)
    assert found.sum() == pytest.approx(0.0, abs=1e-8)


def test_equal_predictions_have_no_spread() -> None:
    """Two models that say the same differ by nothing, surely."""
    y, candidate, _ = example("classification")
    moved = improvement_influence(find_metric("average_precision"), y, candidate, candidate)
    assert not moved.any()
    assert two_way(moved[:12], CLUSTERS, ROWS).standard_error == 0.0


def test_perfect_models_are_not_moved() -> None:
    """Where the other model makes no error the relative improvement has no derivative."""
    y = np.arange(6.0)
    assert not row_influence(find_metric("rmse"), y, y).any()
    assert not improvement_influence(find_metric("mae"), y, y, y).any()


def test_both_ways_add_up() -> None:
    """Cells and days that move by themselves count both, and what is in a single row once."""
    cell, day = np.array([3.0, -3, 1, -1]), np.array([2.0, 0, -2])
    moved = cell[CLUSTERS["entity"]] + day[CLUSTERS["day"]]
    found = two_way(moved, CLUSTERS, ROWS)
    of_cells, of_days = 4 / 3 * 9 * (cell**2).sum(), 3 / 2 * 16 * (day**2).sum()
    of_rows = 12 / 11 * (moved**2).sum()
    assert found.standard_error**2 == pytest.approx(of_cells + of_days - of_rows)


def test_degrees_of_freedom_lie_between_the_fewer_clusters_and_both() -> None:
    """Of 4 cells and 3 days, of variance 240 and 192, they are 432² / (240²/3 + 192²/2)."""
    cell, day = np.array([3.0, -3, 1, -1]), np.array([2.0, 0, -2])
    found = two_way(cell[CLUSTERS["entity"]] + day[CLUSTERS["day"]], CLUSTERS, ROWS)
    assert found.degrees_of_freedom == pytest.approx(4.959184, abs=1e-6)
    assert found.standard_error == pytest.approx(18.210886, abs=1e-6)


def test_clusters_without_a_positive_give_no_degree_of_freedom() -> None:
    """Positives lie in 4 of 5 cells and in 3 of 4 days: 1000² / (400²/3 + 600²/2) is 30/7."""
    entity, day = (each.ravel() for each in np.indices((5, 4)))
    moved = np.array([3.0, -3, 1, -1, 0])[entity] + np.array([3.0, 0, -3, 0])[day]
    positives = np.flatnonzero((entity < 4) & (day < 3))
    found = two_way(moved, {"entity": entity, "day": day}, positives)
    assert found.degrees_of_freedom == pytest.approx(4.285714, abs=1e-6)


def test_positives_of_two_days_tell_no_spread() -> None:
    """Evidence is counted by the clusters that hold a positive row."""
    with pytest.raises(EvidenceError, match="2 of 3 clusters by day"):
        two_way(np.ones(12), CLUSTERS, np.arange(8))


def test_two_days_of_rows_that_all_count_have_a_spread() -> None:
    """As few clusters as the gates allow give an interval, a wide one, where each row counts."""
    days = {"entity": np.arange(12) % 4, "day": np.arange(12) // 6}
    found = two_way(np.arange(12.0) - 5.5, days, np.arange(12))
    assert found.standard_error > 0 and found.degrees_of_freedom < 4


def lower_bounds(truth: float, trials: int) -> FloatArray:
    """Return the lower bounds for challengers of 20 cells and 7 days that are `truth` better.

    Each cell and each day is kinder to one of the two models than the others are.
    """
    random, bounds = np.random.default_rng(5), []
    cell, day = (each.ravel() for each in np.indices((20, 7)))
    for _ in range(trials):
        hardness = random.gamma(4.0, 1.0, 20)[cell] * random.gamma(9.0, 1.0, 7)[day]
        taste = random.normal(0, 0.04, 20)[cell] + random.normal(0, 0.02, 7)[day]
        errors = hardness * (1 - truth + taste + random.normal(0, 0.03, 140)), hardness
        metric, y = find_metric("mae"), np.zeros(140)
        moved = improvement_influence(metric, y, *errors)
        found = two_way(moved, {"entity": cell, "day": day}, np.arange(140))
        value = relative_improvement(metric(y, errors[0]), metric(y, errors[1]), "mae")
        bounds.append(value - student(found) * found.standard_error)
    return np.array(bounds)


def student(precision: Precision) -> float:
    """Return by how many standard errors a two-sided 95 % interval reaches."""
    return float(stats.t.ppf(0.975, precision.degrees_of_freedom))


def test_challengers_no_better_are_rarely_promoted_and_better_ones_mostly() -> None:
    """At most 5 % of those truly no better have a bound above zero, of those 5 % better 90 %."""
    assert (lower_bounds(0.0, 400) > 0).mean() <= 0.05
    assert (lower_bounds(0.05, 100) > 0).mean() >= 0.9
