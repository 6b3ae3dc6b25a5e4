"""The names of metrics: those that can be computed for each kind of problem."""

from rancast.metrics import known_metrics
from rancast.problems import METRICS, METRICS_AT_THRESHOLD, METRICS_OF_INTERVALS


def test_metric_names_are_those_that_can_be_computed() -> None:
    """The schema's metric names are the ones that `metrics` knows, neither more nor fewer."""
    for problem, names in METRICS.items():
        others = {"classification": METRICS_AT_THRESHOLD, "regression": METRICS_OF_INTERVALS}
        extra = others.get(problem, ())
        assert sorted((*names, *extra)) == known_metrics(problem)
