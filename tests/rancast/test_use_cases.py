"""The use case file: what it says, and what it refuses, with the key and the value."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from rancast.datasets import load_dataset
from rancast.errors import ConfigurationError
from rancast.expressions import Expression
from rancast.feature_view import FeatureView
from rancast.simulation_customers import Customers
from rancast.simulation_network import Network
from rancast.simulation_scale import Scale
from rancast.use_cases import UseCase, known_use_cases, load_use_case
from tests.rancast.cases import regression, spec, use_case

ROOT = Path(__file__).parents[2]
HOMES = [ROOT, ROOT / "examples" / "ucc_5g", ROOT / "examples" / "cell_traffic"]
SHIPPED = [(home, name) for home in HOMES for name in known_use_cases(home)]


@pytest.mark.parametrize(("home", "name"), SHIPPED, ids=[name for _, name in SHIPPED])
def test_shipped_use_cases_fit_their_datasets(home: Path, name: str) -> None:
    """Each use case that we ship loads, and its datasets have every column it names."""
    case = load_use_case(home, name)
    datasets = {name: load_dataset(home, name) for name in case.datasets}
    case.check(datasets[case.dataset], datasets)


def test_all_shipped_use_cases_are_found() -> None:
    """The mission's models and the three on real data are there."""
    assert [name for _, name in SHIPPED] == [
        "cell_profiles",
        "customer_experience",
        "network_degradation",
        "throughput_forecast",
        "throughput_forecast_24h",
        "ucc_5g_throughput",
        "ucc_5g_throughput_all_apps",
        "cell_traffic_bytes",
    ]


def test_the_mission_is_decided_by_five() -> None:
    """The shipped use case declares its deadline, which `supervision` then watches."""
    deadline = load_use_case(ROOT, "network_degradation").deadline
    assert deadline is not None
    assert deadline.on(date(2024, 3, 20)) == datetime(2024, 3, 20, 5, tzinfo=UTC)


def test_no_session_that_still_runs_is_load() -> None:
    """Of the simulated calls those that the join counts have ended within its delay; not all do."""
    [load] = load_use_case(ROOT, "network_degradation").features.joins
    assert load.where is not None
    calls = Customers(Network(Scale(cells=20, customers=200))).calls(date(2024, 3, 4))
    lasts = pd.to_timedelta(calls["call_duration_seconds"], unit="s")
    is_counted = Expression(load.where).holds(calls)
    assert lasts[is_counted].max() <= load.delay < lasts.max()
    assert is_counted.mean() > 0.9


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": {"within": "0s", "any": "load > 90"}}, "computed from its own row"),
        ({"target": {"within": "-5min", "any": "load > 90"}}, "computed from its own row"),
        ({"target": {"within": "20min"}}, "exactly one of any, mean, sum"),
        ({"target": {"within": "20min", "any": "load > 90", "mean": "load"}}, "exactly one"),
        ({"target": {"within": "20min", "any": "load >"}}, "does not parse"),
        ({"target": {"within": "20min", "mean": "load"}}, "classification goes with target.any"),
        ({"where": "open('x')"}, "not allowed"),
        ({"split": {"holdout": "1d", "embargo": "10min"}}, "shorter than target.within"),
        ({"target": {"within": "20min", "delay": "1min", "any": "load > 90"}}, "0:21:00"),
        ({"target": {"within": "20min", "delay": "-1h", "any": "load > 90"}}, "is negative"),
        ({"split": {"holdout": "10d", "embargo": "20min"}}, "shorter than history"),
        ({"split": {"holdout": "30h", "embargo": "20min"}}, "whole days"),
        ({"history": "30"}, "is not a duration"),
        ({"metric": "mae"}, "not one for classification; known: average_precision"),
        ({"metric": "acuracy"}, "not one for classification"),
        ({"gates": {"floors": {"recall": 0.5}}}, "'recall', which is not a metric here"),
        ({"gates": {"slices": [{"column": "band"}]}}, "add it to features.categories"),
        ({"report": {"slices": ["band"]}}, "report.slices names 'band'"),
        ({"report": {"levels": {"load": "(?P<value>.)"}}}, "report.levels names 'load'"),
        ({"report": {"levels": {"site": "^."}}}, "the pattern of 'site'"),
        ({"problem": "ranking"}, "classification"),
        ({"features": {"current": ["load"], "lag": []}}, "lag"),
        ({"features": {}}, "there is no feature"),
        ({"features": {"current": ["load", "load"]}}, "twice"),
        ({"features": {"current": ["y"]}}, "training table uses that name"),
        ({"features": {"current": ["hour"], "calendar": ["hour"]}}, "two features are called"),
        ({"features": {"lags": [{"columns": ["load"], "periods": [0]}]}}, "greater than or equal"),
        ({"features": {"current": ["load"], "missing": ["-1h"]}}, "above zero"),
        ({"features": {"current": ["load"], "timezone": "Mars/Base"}}, "IANA"),
        ({"audit": {"accept": {"oracles": "looked"}}}, "(?s)audit.accept.*'single_feature'"),
        ({"audit": {"accept": {"future": ""}}}, "at least 1 character"),
        ({"alerts": {"per_day": 0}}, "greater than 0"),
        ({"intervals": {"coverage": 0.9}}, "intervals need problem: regression"),
        ({"candidates": []}, "at least 1"),
        (
            {"candidates": [{"name": "a", "estimator": "X"}, {"name": "a", "estimator": "Y"}]},
            "two candidates are called 'a'",
        ),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], reason: str) -> None:
    """A value that cannot work is refused when the file is read, in words."""
    with pytest.raises(ValidationError, match=reason):
        use_case(spec(**changes))


def test_a_carried_target_must_reach_beyond_what_is_carried() -> None:
    """With `carry`, a fill as long as the horizon would compute y from its own row alone."""
    target = {"within": "20min", "mean": "load", "carry": True}
    use_case(regression(target=target, grid={"fill": "10min"}))
    with pytest.raises(ValidationError, match="own row"):
        use_case(regression(target=target, grid={"fill": "20min"}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"intervals": {}}, "intervals.coverage\n  Field required"),
        ({"intervals": {"coverage": 0.5}}, "greater than 0.5"),
        ({"intervals": {"coverage": 1}}, "less than 1"),
        ({"intervals": {"coverage": 0.9, "by": "band"}}, "intervals.by names 'band', which is ne"),
        ({"intervals": {"coverage": 0.9, "tolerance": -0.1}}, "greater than or equal to 0"),
        ({"intervals": {"coverage": 0.9, "method": "scaled"}}, "Extra inputs"),
        ({"gates": {"floors": {"interval_score": 9}}}, "'interval_score', which is not a metric"),
        (
            {"features": {"current": ["low"]}, "gates": {"slices": [{"column": "low"}]}},
            "gates.slices names 'low', as predictions call one of their own columns",
        ),
    ],
)
def test_intervals_that_cannot_work_are_refused(changes: dict[str, Any], reason: str) -> None:
    """Intervals need a regression, a share, and groups that are there; their floors need them."""
    with pytest.raises(ValidationError, match=reason):
        use_case(regression(**changes))


def test_how_intervals_are_judged_changes_no_fit() -> None:
    """A fit depends on the promise and the groups; the tolerance is the gate's alone."""
    given = {"coverage": 0.9, "by": "cell", "tolerance": 0.03}
    case = use_case(regression(intervals=given, gates={"floors": {"coverage": 0.8}}))
    other = use_case(regression(intervals=given | {"tolerance": 0.1}))
    assert case.fit_view() == other.fit_view() and case.fit_view().slices == ("cell",)
    assert use_case(regression(intervals=given | {"coverage": 0.8})).fit_view() != case.fit_view()


def test_floors_at_the_threshold_go_with_alerts() -> None:
    """Precision and recall are floors where an alert budget sets the threshold."""
    floors = {"floors": {"recall": 0.5}}
    assert use_case(spec(gates=floors, alerts={"per_day": 5})).gates.floors == {"recall": 0.5}


def test_features_depend_on_their_own_part_of_the_file_only() -> None:
    """Changing candidates, gates or the target leaves the feature view, and its key, as it was."""
    other = spec(
        target={"within": "10min", "any": "load > 50"},
        candidates=[{"name": "forest", "estimator": "RandomForestClassifier"}],
        gates={"over_baseline": 0.5},
        seed=7,
    )
    assert use_case(other).feature_view() == use_case(spec()).feature_view()
    assert use_case(other).table_view() != use_case(spec()).table_view()
    assert set(FeatureView.model_fields) < set(UseCase.model_fields)


def test_a_file_is_found_by_its_name(tmp_path: Path) -> None:
    """An unknown use case lists the known ones, and a file must carry its own name."""
    folder = tmp_path / "use_cases"
    folder.mkdir()
    (folder / "overload.yaml").write_text(yaml.safe_dump(spec()))
    (folder / "renamed.yaml").write_text(yaml.safe_dump(spec()))
    assert load_use_case(tmp_path, "overload").metric == "average_precision"
    with pytest.raises(ConfigurationError, match="'chrun' not found; known: overload, renamed"):
        load_use_case(tmp_path, "chrun")
    with pytest.raises(ConfigurationError, match="says 'name: overload'"):
        load_use_case(tmp_path, "renamed")


def test_a_typo_names_the_key_and_the_known_ones(tmp_path: Path) -> None:
    """A key that does not exist is refused with its place and the keys that do."""
    (tmp_path / "use_cases").mkdir()
    text = yaml.safe_dump(spec(split={"holdout": "1d", "embargo": "20min", "fold": 3}))
    (tmp_path / "use_cases" / "overload.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match="'split.fold' is not a known key.*folds"):
        load_use_case(tmp_path, "overload")


def test_slices_of_gates_and_report_come_with_their_support() -> None:
    """A column that a gate asks for keeps the gate's support; the others have the report's."""
    gates = {"slices": [{"column": "cell", "minimum_support": 5}]}
    case = use_case(spec(gates=gates, report={"slices": ["load", "cell"], "minimum_support": 9}))
    assert case.slice_support() == {"cell": 5, "load": 9}
    assert case.fit_view().slices == ("cell", "load")
