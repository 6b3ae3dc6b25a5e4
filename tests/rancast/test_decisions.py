"""Decisions: paired comparisons, gates that fail closed, and sentences an operator understands."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rancast.decisions import (
    Comparison,
    Contender,
    Decision,
    Incumbent,
    SliceComparison,
    Vacancy,
    compare,
    decide,
    relative_improvement,
)
from rancast.documents import canonical_json
from rancast.errors import ConfigurationError
from rancast.evaluation import Evaluation, Interval
from rancast.gates import Gates, Slice

START = pd.Timestamp("2024-03-01", tz="UTC")
GATES = Gates(floors={"average_precision": 0.3, "roc_auc": 0.7})
SLICED = Gates(slices=(Slice(column="technology", minimum_support=50, tolerance=0.1),))


def comparison(**changes: Any) -> Comparison:
    """A champion that was beaten: 0.412 against 0.381."""
    return Comparison(
        **{
            "metric": "average_precision",
            "candidate": 0.412,
            "other": 0.381,
            "improvement": 0.081,
            "low": 0.030,
            "high": 0.129,
            "confidence": 0.95,
            "rows": 400,
            "clusters": {"entity": 20, "day": 7},
            "is_sufficient": True,
            **changes,
        }
    )


def contender(fingerprint: str = "f" * 64, **metrics: float) -> Contender:
    """A candidate that passes the floors of GATES unless told otherwise."""
    values = {"average_precision": 0.412, "roc_auc": 0.9} | metrics
    return Contender(
        candidate="boosting",
        fingerprint=fingerprint,
        evaluation=Evaluation(
            problem="classification",
            metrics={name: Interval(value=value) for name, value in values.items()},
            missing={"recall": "recall needs a threshold."},
            rows=400,
            positives=40,
            clusters={"entity": 20, "day": 7},
            confidence=0.95,
        ),
    )


def incumbent(**changes: Any) -> Incumbent:
    """The champion, version 3, compared as `comparison` says."""
    return Incumbent(version=3, fingerprint="c" * 64, comparison=comparison(**changes))


BASELINES = {"last_value": comparison(), "majority": comparison(other=0.1, improvement=3.12)}


def decided(**changes: Any) -> Decision:
    """Decide on a candidate that would be promoted, apart from `changes`."""
    usual: dict[str, Any] = {
        "candidate": contender(),
        "champion": incumbent(),
        "baselines": BASELINES,
        "gates": GATES,
    }
    return decide(**(usual | changes))


def predictions(error: float, rows: int = 240, seed: int = 1, **columns: Any) -> pd.DataFrame:
    """Hourly predictions of 12 cells that are wrong by about `error`, over `rows` / 12 hours."""
    random = np.random.default_rng(seed)
    hours = -(-rows // 12)
    return pd.DataFrame(
        {
            "entity": np.repeat([f"cell_{number:02}" for number in range(12)], hours),
            "time": np.tile(pd.date_range(START, periods=hours, freq="8h"), 12),
            "y": np.repeat(10.0, hours * 12),
            "prediction": 10.0 + error * random.uniform(0.9, 1.1, hours * 12),
            **columns,
        }
    )


LAX = Gates(minimum_clusters={"entity": 10, "day": 5})
BEFORE = START - pd.Timedelta("1h")


# --- comparing ----------------------------------------------------------------------------------


def test_better_candidate_has_an_interval_around_its_improvement() -> None:
    """A model with 20 % less error is about 20 % better, and the interval says so."""
    result = compare(predictions(0.8), predictions(1.0, seed=2), "mae", LAX, BEFORE)
    assert result.is_sufficient and result.reason == ""
    assert result.improvement == pytest.approx(0.2, abs=0.01)
    assert result.low is not None and result.high is not None
    assert 0.18 < result.low < result.improvement < result.high < 0.22
    assert result.clusters == {"entity": 12, "day": 7}
    assert (result.rows, result.dropped, result.unmatched) == (240, 0, 0)


@pytest.mark.parametrize(
    ("confidence", "low", "high"), [(0.95, 0.160893, 0.239107), (0.9, 0.169364, 0.230636)]
)
def test_the_interval_reaches_by_students_quantile(
    confidence: float, low: float, high: float
) -> None:
    """0.2 more or less 2.576958 standard errors of 0.0151757 at 95 %, 2.018718 of them at 90 %.

    That is Student's t of 4.959184 degrees of freedom: 4 cells and 3 days, see `test_influence`.
    """
    cell, day = (each.ravel() for each in np.indices((4, 3)))
    of_cell, of_day = np.array([3.0, -3, 1, -1])[cell], np.array([2.0, 0, -2])[day]
    other = pd.DataFrame(
        {
            "entity": [f"cell_{number}" for number in cell],
            "time": START + pd.to_timedelta(day, unit="D"),
            "y": 0.0,
            "prediction": 10.0,
        }
    )
    candidate = other.assign(prediction=8 - (of_cell + of_day) / 10)
    gates = Gates(minimum_clusters={"entity": 4, "day": 3}, confidence=confidence)
    result = compare(candidate, other, "mae", gates, BEFORE)
    assert result.improvement == pytest.approx(0.2, abs=1e-12)
    assert result.low == pytest.approx(low, abs=1e-6)
    assert result.high == pytest.approx(high, abs=1e-6)


def test_gain_of_a_single_day_is_uncertain() -> None:
    """A gain that one day made alone is no evidence, however many cells share it."""
    candidate, other = predictions(1.0), predictions(1.0)
    first_day = candidate["time"] < START + pd.Timedelta("1D")
    candidate.loc[first_day, "prediction"] = 10.0
    result = compare(candidate, other, "mae", LAX, BEFORE)
    assert result.improvement == pytest.approx(0.15, abs=0.01)
    assert result.low is not None and result.low < 0


def test_only_rows_later_than_the_training_of_both_count() -> None:
    """Rows up to `after` are dropped and counted."""
    after = START + pd.Timedelta("16h")
    result = compare(predictions(0.8), predictions(1.0), "mae", LAX, after.isoformat())
    assert (result.rows, result.dropped) == (204, 36)


def test_only_rows_of_both_models_count() -> None:
    """Rows that one of the two did not predict are counted and left out."""
    result = compare(predictions(0.8), predictions(1.0).iloc[5:], "mae", LAX, BEFORE)
    assert (result.rows, result.unmatched) == (235, 5)


def _twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[:2]])


def _relabelled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(y=frame["y"].mask(frame.index < 3, 11.0))


def _unlabelled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(y=frame["y"].mask(frame.index < 3))


def _without_prediction(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(prediction=frame["prediction"].mask(frame.index < 4))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda frame: frame.iloc[:0], "no row is later"),
        (lambda frame: frame.drop(columns="prediction"), "other model lack prediction"),
        (_twice, "2 of 242 predictions of the other model repeat"),
        (_relabelled, "y differs in 3 of 240 rows"),
        (_unlabelled, "3 of 240 rows have no label"),
        (_without_prediction, "4 of 240 predictions are not finite"),
        (
            lambda frame: frame[frame["time"] < START + pd.Timedelta("2D")],
            r"only 2 days \(at least",
        ),
        (lambda frame: frame[frame["entity"] < "cell_02"], r"only 2 entities \(at least 10"),
        (lambda frame: frame.assign(prediction=10.0), "improvement over 0 is undefined"),
    ],
)
def test_evidence_that_does_not_suffice_says_why(spoil: Any, reason: str) -> None:
    """Frames that cannot be compared give an insufficient comparison with the reason."""
    result = compare(predictions(0.8), spoil(predictions(1.0)), "mae", LAX, BEFORE)
    assert not result.is_sufficient
    assert result.low is None
    assert pd.Series([result.reason]).str.contains(reason).all(), result.reason
    assert not decided(champion=incumbent(**dict(result))).promote


def test_too_few_of_both_clusters_names_both() -> None:
    """Seven traces on two days: the operator reads both counts at once."""
    frame = predictions(1.0)
    frame = frame[(frame["entity"] < "cell_07") & (frame["time"] < START + pd.Timedelta("2D"))]
    result = compare(frame, frame, "mae", LAX, BEFORE)
    assert result.reason == (
        "the compared rows cover only 7 entities (at least 10 are required) "
        "and 2 days (at least 5 are required)."
    )


def test_unknown_metric_is_an_error() -> None:
    """A misspelt metric is a mistake in the use case, not evidence."""
    with pytest.raises(ConfigurationError, match="mean_absolute"):
        compare(predictions(1.0), predictions(1.0), "mean_absolute", LAX, BEFORE)


@pytest.mark.parametrize(
    ("metric", "candidate", "other", "expected"),
    [
        ("mae", 18.0, 20.0, 0.10),
        ("average_precision", 0.44, 0.40, 0.10),
        ("average_precision", 0.36, 0.40, -0.10),
        ("r2", 0.77, 0.54, 0.50),
        ("r2", 0.1, -0.2, 0.25),
        ("mae", 0.0, 0.0, 0.0),
        ("mae", 1.0, 0.0, np.nan),
    ],
)
def test_improvement_is_relative_and_knows_the_direction(
    metric: str, candidate: float, other: float, expected: float
) -> None:
    """A loss improves downwards, a score upwards, and R² by the variance left unexplained."""
    assert relative_improvement(candidate, other, metric) == pytest.approx(expected, nan_ok=True)


def test_slices_are_compared_where_they_have_support() -> None:
    """Each group has its own numbers; a small one only says how many rows it has."""
    technology = np.where(np.arange(240) < 200, "4G", "5G")
    candidate = predictions(0.8, technology=technology)
    result = compare(candidate, predictions(1.0), "mae", SLICED, BEFORE)
    four, five = result.slices
    assert (four.column, four.value, four.rows) == ("technology", "4G", 200)
    assert four.improvement == pytest.approx(0.2, abs=0.01)
    assert five == SliceComparison(
        column="technology", value="5G", rows=40, reason="40 rows, at least 50 are required"
    )


def test_equal_inputs_give_equal_bytes() -> None:
    """A comparison has no randomness of its own: its digest may be part of a key."""
    made = [compare(predictions(0.8), predictions(1.0), "mae", LAX, BEFORE) for _ in range(2)]
    assert canonical_json(made[0]) == canonical_json(made[1])
    assert Comparison.model_validate_json(canonical_json(made[0])) == made[0]


# --- deciding -----------------------------------------------------------------------------------


def test_clear_improvement_is_promoted_with_numbers() -> None:
    """The reasons hold both values, the improvement, its interval and what is required."""
    decision = decided()
    assert decision.promote
    assert decision.champion == 3
    assert (
        "Average precision 0.412 is 8.1 % (95 %: 3.0 to 12.9 %) above that of the champion "
        "(version 3), 0.381; at least 2 %, and a lower bound above 0 is required."
    ) in decision.reasons
    assert set(decision.comparisons) == {"last_value", "majority", "version 3"}


def test_tie_keeps_the_champion() -> None:
    """Equal models never swap."""
    tie = incumbent(candidate=0.381, improvement=0.0, low=0.0, high=0.0)
    decision = decided(champion=tie, gates=Gates(over_champion=0.0))
    assert not decision.promote
    assert "equals that of the champion" in decision.reasons[0]


def test_same_model_keeps_the_champion() -> None:
    """A candidate with the champion's fingerprint is the champion."""
    decision = decided(candidate=contender(fingerprint="c" * 64))
    assert decision.reasons == ("The candidate is the champion itself, version 3.",)


@pytest.mark.parametrize(
    "changes",
    [{"low": -0.001}, {"low": 0.0}, {"improvement": 0.019, "low": 0.001}, {"improvement": -0.1}],
)
def test_champion_falls_only_to_margin_and_certainty_together(changes: dict[str, float]) -> None:
    """A lower bound at zero or an improvement below the margin keeps the champion."""
    assert not decided(champion=incumbent(**changes)).promote


def test_worse_candidate_is_told_how_much_worse() -> None:
    """A higher MAE reads as above, worse, with the interval in the same direction."""
    worse = incumbent(
        metric="mae", candidate=21.0, other=20.0, improvement=-0.05, low=-0.09, high=-0.01
    )
    assert decided(champion=worse).reasons == (
        "MAE 21 is 5.0 % (95 %: 1.0 to 9.0 %) above that of the champion (version 3), 20, which is "
        "worse; at least 2 %, and a lower bound above 0 is required.",
    )


def test_baseline_must_be_beaten_by_the_lower_bound() -> None:
    """Three per cent may do against a champion; against a baseline the interval must clear 2 %."""
    near = {"seasonal": comparison(improvement=0.05, low=0.019)}
    decision = decided(baselines=near)
    assert not decision.promote
    assert "the baseline seasonal" in decision.reasons[0]
    assert "a lower bound above 2 % is required" in decision.reasons[0]


def test_first_champion_needs_a_registry_that_answered() -> None:
    """An empty ledger alone does not make a first champion."""
    assert decided(champion=Vacancy(has_registry_answered=True)).promote
    decision = decided(champion=Vacancy(has_registry_answered=False))
    assert not decision.promote
    assert "the registry did not answer" in decision.reasons[0]


def test_first_champion_must_beat_every_baseline() -> None:
    """Too few clusters against one baseline is too little evidence for a first champion."""
    few = Comparison(metric="mae", confidence=0.95, reason="the compared rows cover only 2 days.")
    decision = decided(
        champion=Vacancy(has_registry_answered=True), baselines=BASELINES | {"seasonal": few}
    )
    assert decision.reasons == (
        "The evidence against the baseline seasonal is insufficient: "
        "the compared rows cover only 2 days.",
    )


def test_floor_is_absolute() -> None:
    """A candidate better than everything but below the floor is kept out, with both numbers."""
    decision = decided(candidate=contender(roc_auc=0.65))
    assert decision.reasons == ("ROC AUC is 0.65; at least 0.7 is required.",)
    assert decided(candidate=contender(brier=0.2), gates=Gates(floors={"brier": 0.2})).promote
    assert not decided(candidate=contender(brier=0.21), gates=Gates(floors={"brier": 0.2})).promote


def test_floor_without_value_says_why_there_is_none() -> None:
    """A metric that could not be computed fails its floor, with the evaluation's reason."""
    decision = decided(gates=Gates(floors={"recall": 0.5}))
    assert decision.reasons == ("The floor of recall cannot be judged: recall needs a threshold.",)


def sliced(*parts: SliceComparison) -> Comparison:
    """A comparison won overall, with these groups."""
    return comparison(slices=parts)


def part(value: str, improvement: float | None, rows: int = 80, reason: str = "") -> Any:
    """One group by technology."""
    return SliceComparison(
        column="technology", value=value, rows=rows, improvement=improvement, reason=reason
    )


def decided_on(*parts: SliceComparison) -> Decision:
    """Decide where only the groups can make a difference."""
    champion = Incumbent(version=3, fingerprint="c", comparison=sliced(*parts))
    return decided(champion=champion, gates=SLICED)


def test_group_that_suffers_keeps_the_champion() -> None:
    """An overall gain at the cost of one technology is not a gain."""
    assert decided_on(part("4G", 0.2), part("5G", -0.10)).promote
    decision = decided_on(part("4G", 0.2), part("5G", -0.11))
    assert decision.reasons == (
        "For technology 5G (80 rows) the candidate is 11.0 % worse than the champion; "
        "at most 10 % worse is accepted.",
    )


def test_small_group_is_reported_as_not_judged() -> None:
    """A group below its support decides nothing, and is not silently left out."""
    decision = decided_on(
        part("4G", 0.2), part("5G", None, 12, "12 rows, at least 50 are required")
    )
    assert decision.promote
    assert (
        "For technology 5G the candidate is not judged: 12 rows, at least 50 are required."
    ) in decision.reasons


def test_slices_without_any_judged_group_keep_the_champion() -> None:
    """A slice rule that nothing could be held against is not a passed rule."""
    assert not decided_on().promote
    assert not decided_on(part("5G", None, 12, "12 rows, at least 50 are required")).promote


def test_group_whose_champion_was_perfect_keeps_it() -> None:
    """Worse than perfect has no size, and is not let through."""
    assert not decided_on(part("4G", 0.2), part("5G", None)).promote


def test_first_champion_is_sliced_against_the_best_baseline() -> None:
    """Before there is a champion, groups are held against the baseline that is hardest to beat."""
    baselines = {
        "weak": comparison(improvement=0.5, slices=(part("4G", 0.5),)),
        "strong": comparison(improvement=0.1, slices=(part("4G", -0.2),)),
    }
    decision = decided(
        champion=Vacancy(has_registry_answered=True), baselines=baselines, gates=SLICED
    )
    assert len(decision.reasons) == 1
    assert "20.0 % worse than the baseline strong" in decision.reasons[0]


MISSING = {
    "candidate": [None, "fitting failed", contender(roc_auc=float("nan"))],
    "champion": [
        None,
        "model.skops of version 3 has another SHA-256",
        Vacancy(has_registry_answered=False),
        incumbent(improvement=None),
        incumbent(low=None),
        incumbent(low=float("nan")),
        incumbent(candidate=float("nan")),
        incumbent(improvement=float("inf")),
        incumbent(is_sufficient=False),
    ],
    "baselines": [
        {},
        {"last_value": "there is no last value"},
        BASELINES | {"seasonal": comparison(low=None)},
        BASELINES | {"seasonal": comparison(is_sufficient=False, reason="2 days.")},
    ],
    "gates": [Gates(floors={"f1": 0.1}), SLICED],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in MISSING for value in MISSING[name]]
)
def test_whatever_is_missing_keeps_the_champion(name: str, value: Any) -> None:
    """Any one input that is missing is enough to keep the champion, with a reason."""
    decision = decided(**{name: value})
    assert not decision.promote
    assert decision.reasons and all(reason.endswith(".") for reason in decision.reasons)


numbers = st.none() | st.floats(-2, 2) | st.sampled_from([float("nan"), float("inf")])
comparisons = st.builds(
    comparison,
    candidate=numbers,
    other=numbers,
    improvement=numbers,
    low=numbers,
    high=numbers,
    is_sufficient=st.booleans(),
    slices=st.lists(
        st.builds(part, st.sampled_from(["4G", "5G"]), numbers, st.integers(0, 99)), max_size=2
    ).map(tuple),
)
champions = (
    st.none()
    | st.just("unreadable")
    | st.builds(Vacancy, has_registry_answered=st.booleans())
    | st.builds(Incumbent, version=st.just(3), fingerprint=st.just("c"), comparison=comparisons)
)
baselines = st.dictionaries(st.sampled_from("ab"), comparisons | st.just("missing"), max_size=2)


def _is_complete(item: Comparison | str) -> bool:
    if isinstance(item, str) or not item.is_sufficient:
        return False
    values = (item.candidate, item.other, item.improvement, item.low, item.high)
    return all(value is not None and np.isfinite(value) for value in values)


@settings(max_examples=300, deadline=None)
@given(champion=champions, baselines=baselines, is_sliced=st.booleans())
def test_nothing_incomplete_is_ever_promoted(
    champion: Any, baselines: dict[str, Comparison | str], is_sliced: bool
) -> None:
    """Whatever is promoted had every number there is, and each of them on the right side."""
    gates = SLICED if is_sliced else Gates()
    decision = decide(contender(), champion, baselines, gates)
    assert decision.promote == all(result.passed for result in decision.gates)
    if decision.promote:
        assert baselines and all(_is_complete(item) for item in baselines.values())
        assert (
            isinstance(champion, Vacancy)
            and champion.has_registry_answered
            or (
                isinstance(champion, Incumbent)
                and _is_complete(champion.comparison)
                and (champion.comparison.low or 0) > 0
            )
        )
    assert Decision.model_validate_json(canonical_json(decision)).promote == decision.promote


def test_order_of_gates_makes_no_difference() -> None:
    """Floors, baselines and slices in any order give the same decision, byte for byte."""
    floors = {"average_precision": 0.3, "roc_auc": 0.7, "recall": 0.1}
    slices = (Slice(column="technology", minimum_support=50), Slice(column="vendor"))
    made = {
        canonical_json(
            decide(
                contender(),
                incumbent(slices=(part("4G", -0.3), part("5G", 0.1))),
                dict(order),
                Gates(floors=dict(floor), slices=slice_order),
            )
        )
        for order in itertools.permutations(BASELINES.items())
        for floor in itertools.permutations(floors.items())
        for slice_order in itertools.permutations(slices)
    }
    assert len(made) == 1


@settings(max_examples=25, deadline=None)
@example(first=8.6e-123, second=1.0, metric="mae", seed=0)
@given(
    first=st.floats(0.0, 2.0),
    second=st.floats(0.0, 2.0),
    metric=st.sampled_from(["mae", "rmse", "r2"]),
    seed=st.integers(0, 5),
)
def test_two_models_never_replace_each_other(
    first: float, second: float, metric: str, seed: int
) -> None:
    """Whatever the two are worth, at most one direction is promoted."""
    label = np.sin(np.arange(240)) * 3
    a, b = (
        predictions(error, seed=seed).assign(y=label, prediction=label + error * noise)
        for error, noise in ((first, np.cos(np.arange(240))), (second, np.sin(np.arange(240) * 2)))
    )
    gates = Gates(over_champion=0.0)
    promoted = [
        decided(
            champion=Incumbent(version=3, fingerprint="c", comparison=result), gates=gates
        ).promote
        for result in (
            compare(a, b, metric, gates, BEFORE),
            compare(b, a, metric, gates, BEFORE),
        )
    ]
    assert sum(promoted) <= 1
