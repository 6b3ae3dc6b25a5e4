"""A use case held against its dataset: what it names is there, of a type that it can be."""

from typing import Any

import pytest

from rancast.errors import ConfigurationError
from tests.rancast.cases import dataset, spec, use_case


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": {"current": ["laod"]}}, "features names 'laod', which is not a column"),
        ({"features": {"current": ["band"]}}, "'band', whose type is string; needed here: float"),
        ({"features": {"categories": ["load"]}}, "'load', whose type is float; needed .* string"),
        (
            {"features": {"current": ["load"], "categories": ["cell"]}},
            "the entity .* is no feature",
        ),
        ({"features": {"current": ["load"], "missing": ["5min"]}}, "5min is shorter than .* 10min"),
        ({"where": "bands == 'low'"}, "'bands' is not a column"),
        ({"where": "band > 3"}, "text and number"),
        ({"entity": "cel"}, "entity names 'cel'"),
        ({"dataset": "kpis"}, "reads dataset 'kpis', but was given 'kpi'"),
        (
            {"target": {"within": "5min", "any": "load > 90"}},
            r"target.within \(5min\) is shorter than the grid's period \(10min\)",
        ),
        ({"target": {"within": "20min", "any": "lod > 90"}}, "'lod' is not a column"),
        (
            {
                "target": {"within": "20min", "delay": "15min", "any": "load > 90"},
                "split": {"holdout": "1d", "embargo": "1h"},
            },
            r"target.delay \(15min\) is no whole number of the grid's periods \(10min\)",
        ),
    ],
)
def test_what_the_dataset_cannot_serve_is_refused(changes: dict[str, Any], reason: str) -> None:
    """A use case is held against its dataset before any data are read."""
    with pytest.raises(ConfigurationError, match=reason):
        use_case(spec(**changes)).check(dataset())


def test_a_dataset_without_a_period_needs_a_grid() -> None:
    """Events have no period of their own, so that the use case must state one."""
    with pytest.raises(ConfigurationError, match="write grid: {period"):
        use_case(spec()).check(dataset(period=None))
    use_case(spec(grid={"period": "10min"})).check(dataset(period=None))
