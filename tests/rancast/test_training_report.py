"""The interactive report: complete, self-contained, escaped, and the same bytes again."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast import report_figures, training_report
from rancast.cluster_profiles import Cluster, Clusters, label_of
from rancast.decisions import Decision, GateResult
from rancast.evaluation import SliceScore, evaluate
from rancast.judging import Entry
from rancast.models import ModelCard
from rancast.problems import Problem
from rancast.report_page import Head, Section, Table, render
from rancast.tables import Part, TableSummary
from rancast.training_report import ReportFacts

EVIL = "</script><script>alert(1)</script>"
METRICS: dict[Problem, tuple[str, ...]] = {
    "classification": ("average_precision", "brier"),
    "regression": ("mae", "r2"),
}
IMPORTANCE = pd.DataFrame(
    {"feature": ["load", EVIL], "importance_mean": [0.2, -0.01], "importance_std": [0.02, 0.01]}
)
DEPENDENCE = pd.DataFrame(
    {
        "feature": ["load", "load", "band"],
        "value": ["1.0", "2.0", EVIL],
        "number": [1.0, 2.0, np.nan],
        "average": [0.1, 0.2, 0.15],
        "low": [0.05, 0.1, 0.1],
        "high": [0.2, 0.3, 0.2],
    }
)
START = datetime(2024, 3, 1, tzinfo=UTC)


def predictions(problem: Problem, entity: str = "b") -> pd.DataFrame:
    """Return two entities over five days, in and out of busy hours; a regression has intervals."""
    random = np.random.default_rng(4)
    time = pd.Timestamp(START) + pd.to_timedelta(np.arange(240) // 2, unit="h")
    value = random.random(240)
    y = (random.random(240) < value**2).astype(float) if problem == "classification" else value
    prediction = np.clip(value + random.normal(0, 0.1, 240), 0, 1)
    frame = pd.DataFrame(
        {"entity": ["a", entity] * 120, "time": time, "y": y, "prediction": prediction}
    )
    if problem == "regression":
        frame = frame.assign(low=frame["prediction"] - 0.1, high=frame["prediction"] + 0.1)
    return frame.assign(is_busy_hour=(frame.index % 24 < 2).astype(float))


def facts(problem: Problem, frame: pd.DataFrame, is_decided: bool = True) -> ReportFacts:
    """Return what is known of a training whose best candidate made these predictions."""
    part = Part(rows=240, entities=2, days=5, positives=None, first=START, last=START)
    features = ("load", EVIL, "band")
    gate = GateResult(
        name="champion", passed=False, observed=0.0, required=0.01, sentence=f"Equal {EVIL}."
    )
    found = evaluate(frame, problem, METRICS[problem], seed=1, support={"is_busy_hour": 100})
    return ReportFacts(
        use_case="degradation",
        description=EVIL,
        problem=problem,
        metric=METRICS[problem][0],
        end="2024-03-06",
        table=TableSummary(
            rows=500,
            labelled=490,
            unlabelled=6,
            too_recent=4,
            embargoed=2,
            positives=None,
            train=part,
            holdout=part,
            features=features,
            categories=("band",),
        ),
        entries=(
            Entry(name="boosting", kind="candidate", fold_score=0.4, evaluation=found),
            Entry(name="last_value", kind="baseline", evaluation=found),
        ),
        card=ModelCard(
            candidate="boosting",
            estimator="HistGradientBoostingClassifier",
            params={"max_iter": 7},
            features=features,
            categories=("band",),
            problem=problem,
            threshold=0.6 if problem == "classification" else None,
            alert_budget=5 if problem == "classification" else None,
            selected=("load", "band"),
            train_end="2024-02-29T00:00:00+00:00",
            refit=False,
            model_sha256="",
        ),
        baselines=("last_value",),
        decision=(
            Decision(
                promote=False,
                reasons=(gate.sentence,),
                gates=(gate,),
                candidate="boosting",
                fingerprint="f",
                champion=3,
                comparisons={},
            )
            if is_decided
            else None
        ),
    )


def build(problem: Problem, frame: pd.DataFrame | None = None, is_decided: bool = True) -> str:
    """Return the page of one training."""
    shown = predictions(problem) if frame is None else frame
    baseline = shown.drop(columns=["low", "high"], errors="ignore")
    baseline = baseline.assign(prediction=0.3 + 0.1 * (shown.index % 3))
    given = facts(problem, shown, is_decided)
    return training_report.build(shown, IMPORTANCE, DEPENDENCE, [baseline], given)


@pytest.fixture(scope="module")
def page() -> str:
    """The page of a classification, with a name that would like to be a script."""
    return build("classification", predictions("classification", EVIL))


def figures(page: str) -> list[dict[str, Any]]:
    """Return the figures of a page, as the browser reads them."""
    found = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    return [json.loads(text) for text in found]


def own(page: str) -> str:
    """Return a page without plotly.js."""
    start, end = page.index("</main>"), page.rindex("<script>")
    return page[:start] + page[end:]


def headings(page: str) -> list[str]:
    """Return the headings of a page's sections."""
    return re.findall(r"<h2>(.*?)</h2>", own(page))


def test_a_classification_has_its_sections(page: str) -> None:
    """From the leaderboard to what the model is made of, with a figure wherever one helps."""
    assert headings(page) == [
        "Leaderboard",
        "Gates",
        "Precision, recall",
        "Calibration",
        "Over time",
        "What it rests on",
        "How predictions follow a feature",
        "Slices",
        "Made of",
    ]
    assert len(figures(page)) == 1 + 2 + 1 + 1 + 1 + 2
    assert "The selection kept 2 of 3 features: load, band." in page


def test_alerts_stand_beside_their_budget() -> None:
    """The head and the leaderboard's column say what is allowed; where none are, neither does."""
    frame = predictions("classification")
    known = facts("classification", frame)
    names = ("average_precision", "alerts_per_day")
    found = evaluate(frame, "classification", names, seed=1, threshold=0.6)
    entries = tuple(one.model_copy(update={"evaluation": found}) for one in known.entries)
    told = known.model_copy(update={"entries": entries})
    page = training_report.build(frame, IMPORTANCE, DEPENDENCE, [frame], told)
    assert "alerts per day (budget 5)" in page and "budget 5; 95%: " in page
    assert "(budget" not in build("regression")


def test_a_regression_has_residuals_and_intervals() -> None:
    """Its entities are drawn with the prediction interval, and the page says how often it held."""
    page = build("regression", is_decided=False)
    assert headings(page)[:3] == ["Leaderboard", "Predicted and actual", "Over time"]
    over_time = figures(page)[3]
    filled = [trace["meta"] for trace in over_time["data"] if trace.get("fill") == "tonexty"]
    assert filled == ["1", "2"]
    inside = predictions("regression").query("low <= y <= high")
    assert f"<b>{len(inside) / 240:.1%}</b>" in page
    assert "Do not promote" not in page


def test_slices_say_busy_hour_and_too_few_rows(page: str) -> None:
    """Twenty rows lie in busy hours, fewer than the support; other hours have their number."""
    rows = [re.sub(r"<[^>]*>", " ", row).split() for row in own(page).split("<tr>")]
    groups = {" ".join(row[:2]): row[2:] for row in rows if row[1:2] == ["hour"] or "hours" in row}
    assert groups["busy hour"][:1] == ["20"]
    assert groups["busy hour"][2:] == "too few rows: 20, needed are 100".split()
    count, breaches, score = groups["other hours"][:3]
    assert count == "220" and 0 < int(breaches) < 220 and 0 < float(score) <= 1


def test_tables_show_every_row_and_break_long_words_only(page: str) -> None:
    """No table is cut at a height, no word is torn; a long name may break after its signs."""
    assert "max-height" not in own(page) and "overflow-wrap: anywhere" not in own(page)
    assert '<td class="failed">failed</td>' in page
    name = "downlink_throughput_mbps_mean_7d_any_hour"
    table = Table(("kind", "name"), [["baseline", name], ["<b>", "x" * 30]])
    shown = render(Head("", "", "", None, ()), [Section("", "", tables=[table])])
    assert ">baseline</td>" in shown and ">&lt;b&gt;</td>" in shown
    assert ">downlink_throughput_<wbr>mbps_mean_7d_any_<wbr>hour</td>" in shown
    assert f">{24 * 'x'}<wbr>{6 * 'x'}</td>" in shown


def test_a_clustering_names_clusters_by_letters_and_speaks_of_no_labels() -> None:
    """The report is made before the decision, so no number in it can be one that people know."""
    one = Cluster(
        label=1,
        rows=9,
        entities=3,
        members=("a",),
        silhouette=0.5,
        categories={},
        traits=(),
        days={},
        words="Three of them.",
    )
    found = Clusters(rows=9, entities=3, clusters=(one,))
    frame = predictions("regression")
    given = facts("regression", frame).model_copy(
        update={"problem": "clustering", "metric": "mae", "clusters": found}
    )
    page = own(training_report.build(frame, None, None, [frame], given))
    assert '<td class="">B</td><' in page.replace("\n", "")
    assert "clusters-degradation in Prefect" in page
    assert "with a label" not in page and "without a label" not in page
    assert "too recent" not in page


def test_the_alert_threshold_is_of_entities_and_not_of_their_mean() -> None:
    """The line belongs to each entity's view; the axis of a regression has its unit."""
    frame = predictions("classification")
    figure, names = report_figures.over_time(frame, True, 0.6)
    lines = [trace.meta for trace in figure.data if trace.name == "alert threshold"]
    assert lines == ["1", "2"] and len(names) == 3 and not figure.layout.shapes
    figure, _ = report_figures.over_time(frame, False, None, label_of("latency_ms"))
    assert figure.layout.yaxis.title.text == "latency (ms)"


def test_residuals_and_slices_are_comparable(page: str) -> None:
    """Errors stand beside the best baseline's; bars of all slices of a metric have one scale."""
    boxes = figures(build("regression"))[2]["data"]
    assert [trace["name"] for trace in boxes] == ["boosting", "baseline: last value"]
    given = facts("classification", predictions("classification"))
    parts = [
        SliceScore(
            column=column, value="x", rows=9, positives=1, metric="average_precision", score=score
        )
        for column, score in (("band", 1.0), ("vendor", 0.5))
    ]
    entry = given.entries[0]
    found = entry.evaluation.model_copy(update={"slices": tuple(parts)})
    entries = (entry.model_copy(update={"evaluation": found}), *given.entries[1:])
    frame = predictions("classification")
    shown = own(
        training_report.build(
            frame, None, None, [frame], given.model_copy(update={"entries": entries})
        )
    )
    assert '<i style="width: 70.0%"></i>1<' in shown and '<i style="width: 35.0%"></i>0.5<' in shown


def test_it_loads_nothing_and_runs_no_text_of_data(page: str) -> None:
    """No element names another file, the policy forbids it, and names stay text, also for plotly,
    which reads markup of its own."""
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", own(page))
    assert "default-src 'none'" in page and "connect-src" not in page
    assert "<script>alert(1)" not in page
    names = [name for figure in figures(page) for name in texts(figure) if "alert(1)" in name]
    assert names and not any("<" in name for name in names)


def texts(value: Any) -> list[str]:
    """Return every text in a figure."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in texts(item)]
    if isinstance(value, list):
        return [found for item in value for found in texts(item)]
    return [value] if isinstance(value, str) else []


def test_equal_input_gives_equal_bytes(page: str) -> None:
    """The page has no time, no random id, and no order that changes."""
    assert build("classification", predictions("classification", EVIL)) == page


def test_a_holdout_of_one_class_has_no_curve() -> None:
    """Without any breach there is no precision-recall curve; the rest is shown."""
    page = build("classification", predictions("classification").assign(y=0.0))
    assert "Precision, recall" not in headings(page) and "Calibration" in headings(page)


def test_lines_are_downsampled() -> None:
    """Ten thousand rows become at most two thousand points, with the same mean."""
    time = pd.date_range("2024-03-01", periods=10_000, freq="s", tz="UTC")
    rows = pd.DataFrame({"time": time, "y": np.arange(10_000.0)})
    thin = report_figures.downsample(rows, ["y"])
    assert 1_000 < len(thin) <= report_figures.LINE_POINTS
    assert thin["y"].mean() == pytest.approx(rows["y"].mean(), rel=0.01)
