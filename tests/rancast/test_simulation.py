"""The simulated operator: what it delivers, what goes wrong in it, and what it knows."""

import gzip
import io
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits

from rancast.simulation import (
    DATASETS,
    NO_FAULTS,
    Faults,
    Scale,
    late_files,
    raw_files,
    true_probabilities,
    true_profiles,
    true_satisfaction,
    true_throughput,
    true_week_probabilities,
)
from rancast.simulation_network import (
    BACKLOG_GAIN,
    EVENT_PERIODS,
    LATENCY_NOISE,
    LOAD_MEMORY,
    LOAD_STEP,
    LOSS_NOISE,
    THROUGHPUT_NOISE,
    Continuation,
    Network,
    demanded_backlog,
)
from rancast.simulation_truth import day_truth

DAY = timedelta(days=1)
SMALL = Scale(cells=4, days=3, customers=12, seed=7)
CLEAN = SMALL.model_copy(update={"faults": NO_FAULTS})
COLUMNS = {
    "network_performance": "timestamp,cell_id,latency_ms,packet_loss,throughput_mbps,"
    "signal_strength_dbm,connection_type",
    "customer_experience": "customer_id,timestamp,service_type,data_usage_mb,voice_minutes,"
    "sms_count,network_quality_score,customer_satisfaction_score",
    "call_detail_records": "call_id,timestamp,caller_id,callee_id,call_duration_seconds,"
    "call_type,cell_id,roaming_status,data_used_mb",
}


def text_of(name: str, content: bytes) -> str:
    return (gzip.decompress(content) if name.endswith(".gz") else content).decode()


def rows_of(scale: Scale, dataset: str) -> pd.DataFrame:
    """Read a clean dataset back, all days, `timestamp` in UTC and ids as text."""
    ids = dict.fromkeys(("customer_id", "caller_id", "callee_id"), str)
    frame = pd.concat(
        [
            pd.read_csv(io.StringIO(text_of(name, content)), dtype=ids)
            for name, content in raw_files(scale, [dataset])
        ],
        ignore_index=True,
    )
    return frame.assign(timestamp=pd.to_datetime(frame["timestamp"], utc=True))


def breaches(rows: pd.DataFrame) -> pd.Series:
    return (rows["latency_ms"] > 100) | (rows["packet_loss"] > 0.05) | (rows["throughput_mbps"] < 5)


def labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return [timestamp x cell]: 1 if one of the next six rows is a breach, NaN at the end."""
    wide = rows.assign(y=breaches(rows).astype(float)).pivot(
        index="timestamp", columns="cell_id", values="y"
    )
    return wide[::-1].rolling(6, min_periods=6).max()[::-1].shift(-1)


def test_equal_scales_give_equal_bytes_and_another_seed_others():
    """A scale determines every byte."""
    first = dict(raw_files(SMALL))
    assert first == dict(raw_files(SMALL))
    zipped = [content for name, content in first.items() if name.endswith(".gz")]
    assert {content[4:8] for content in zipped} == {bytes(4)}  # no time of writing in them
    other = dict(raw_files(SMALL.model_copy(update={"seed": 8})))
    assert not set(first.values()) & set(other.values())


def test_adding_days_leaves_the_earlier_files_as_they_are():
    """One day more, or a longer past of customers, adds files and changes none."""
    month = dict(raw_files(SMALL))
    longer = dict(raw_files(SMALL.model_copy(update={"days": 4, "customer_days": 6})))
    assert len(longer) > len(month)
    assert {name: longer.get(name) for name in month} == month


def test_names_are_the_raw_containers_layout_with_days_in_order():
    """Files lie in their day's folder; days ascend; some files are gzipped."""
    names = [name for name, _ in raw_files(CLEAN)]
    assert names[:7] == [
        "network_performance/year=2024/month=03/day=01/network_performance_20240301_00.csv",
        "network_performance/year=2024/month=03/day=01/network_performance_20240301_06.csv",
        "network_performance/year=2024/month=03/day=01/network_performance_20240301_12.csv",
        "network_performance/year=2024/month=03/day=01/network_performance_20240301_18.csv.gz",
        "customer_experience/year=2024/month=03/day=01/customer_experience_20240301.csv",
        "call_detail_records/year=2024/month=03/day=01/call_detail_records_20240301_00.csv",
        "call_detail_records/year=2024/month=03/day=01/call_detail_records_20240301_12.csv.gz",
    ]
    days = [name.split("/", 1)[1].rsplit("/", 1)[0] for name in names]
    assert days == sorted(days) and len(set(days)) == 3


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_have_the_delivered_columns_and_lie_in_their_day(dataset):
    """Columns are as the operator delivers them, and no row lies outside its folder's UTC day."""
    for name, content in raw_files(CLEAN, [dataset]):
        text = text_of(name, content)
        assert text.splitlines()[0] == COLUMNS[dataset]
        stamps = pd.to_datetime(pd.read_csv(io.StringIO(text))["timestamp"], utc=True)
        day = date(*(int(part.split("=")[1]) for part in name.split("/")[1:4]))
        assert set(stamps.dt.date) == {day}


def test_each_dataset_stamps_time_in_its_own_way():
    """Network in ISO 8601 with Z, customers without a zone, calls with the operator's offset."""
    forms = {
        "network_performance": r"2024-03-01T\d\d:\d\d:00Z",
        "customer_experience": r"2024-03-01 00:00:00",
        "call_detail_records": r"2024-03-0[12]T\d\d:\d\d:\d\d\+01:00",
    }
    for dataset, form in forms.items():
        name, content = next(raw_files(CLEAN, [dataset]))
        stamps = pd.read_csv(io.StringIO(text_of(name, content)))["timestamp"]
        assert stamps.str.fullmatch(form).all()


def test_without_faults_every_cell_reports_every_period_once():
    """4 cells report 288 periods on 3 days, each once, and within physical bounds."""
    rows = rows_of(CLEAN, "network_performance")
    assert len(rows) == len(rows.drop_duplicates(["cell_id", "timestamp"])) == 4 * 288 * 3
    assert rows["cell_id"].str.fullmatch(r"S\d{4}-\d+").all()
    assert set(rows["connection_type"]) <= {"5G", "4G", "LTE"}
    assert rows["latency_ms"].gt(0).all() and rows["throughput_mbps"].gt(0).all()
    assert rows["packet_loss"].between(0, 1).all()
    assert rows["signal_strength_dbm"].between(-120, -50).all()


def test_load_has_busy_hours_and_weekends():
    """Congestion comes with the busy hours of working days, not at night."""
    rows = rows_of(Scale(cells=9, days=14, faults=False), "network_performance")
    rows["is_breach"] = breaches(rows)
    by_hour = rows.groupby(rows["timestamp"].dt.hour)["is_breach"].mean()
    is_weekend = rows["timestamp"].dt.day_of_week >= 5
    assert by_hour.loc[1:4].max() < 0.01 < 0.05 < by_hour.max()
    assert rows["is_breach"][is_weekend].mean() < 0.8 * rows["is_breach"][~is_weekend].mean()


def test_corrupt_rows_are_few_and_spare_some_days():
    """About 0.2 % of the rows are garbled, under 1 % of any file's, and on some days none."""
    only = NO_FAULTS.model_copy(update={"corrupt_share": 0.002})
    faulty = Scale(cells=10, days=20, faults=only)
    clean = faulty.model_copy(update={"faults": NO_FAULTS})
    by_day: Counter[str] = Counter()
    rows = 0
    for (name, bad), (_, good) in zip(
        raw_files(faulty, DATASETS[:1]), raw_files(clean, DATASETS[:1]), strict=True
    ):
        pairs = list(
            zip(text_of(name, bad).splitlines(), text_of(name, good).splitlines(), strict=True)
        )
        garbled = sum(left != right for left, right in pairs)
        assert garbled <= 0.01 * len(pairs)
        by_day[name.split("/")[3]] += garbled
        rows += len(pairs) - 1
    assert 0.001 < by_day.total() / rows < 0.004
    assert 0 < sum(count == 0 for count in by_day.values()) < 15


def test_a_resent_file_repeats_the_bytes_in_the_same_folder():
    """Now and then a file is delivered twice, never on every day."""
    files = dict(raw_files(Scale(cells=2, days=20, customers=5, seed=3)))
    resent = [name for name in files if "_resent" in name]
    assert 0 < len(resent) < 20
    assert all(files[name] == files[name.replace("_resent", "")] for name in resent)


def test_late_files_are_some_of_the_files_and_never_a_days_only_one():
    """Whoever withholds the late files still has files of that dataset and day."""
    scale = Scale(cells=2, days=20, customers=5)
    names = [name for name, _ in raw_files(scale)]
    assert 0 < len(late_files(scale)) < 20 and set(late_files(scale)) < set(names)
    always = scale.model_copy(update={"faults": Faults(late_files_per_day=1)})
    late = late_files(always)
    assert len(late) == 20 * 2 == len({name.rsplit("/", 1)[0] for name in late})
    folders = {name.rsplit("/", 1)[0] for name in names}
    assert {name.rsplit("/", 1)[0] for name in names if name not in late} == folders
    assert late_files(scale.model_copy(update={"faults": NO_FAULTS})) == ()


def test_an_outage_and_a_gap_deliver_no_rows_and_a_sleeping_cell_zeros():
    """An absent cell is not a zero; a sleeping cell is one, and looks healthy otherwise."""
    often = NO_FAULTS.model_copy(
        update={"outages_per_cell_day": 0.3, "sleeps_per_cell_day": 0.3, "gaps_per_site_day": 0.3}
    )
    scale = Scale(cells=6, days=5, faults=often)
    rows = rows_of(scale, "network_performance").set_index(["timestamp", "cell_id"])
    network = Network(scale)
    out, asleep = (
        pd.concat(
            [
                pd.DataFrame(
                    getattr(network.day(day), flag),
                    columns=network.cells.names,
                    index=pd.date_range(str(day), periods=288, freq="5min", tz="UTC"),
                ).stack()
                for day in scale.network_days()
            ]
        )
        for flag in ("is_out", "is_asleep")
    )
    is_reported = out.index.isin(rows.index)
    assert out.any() and not is_reported[out].any()
    assert 0 < (~is_reported[~out]).sum() < 100  # the gaps
    is_asleep = asleep[is_reported].reindex(rows.index)
    assert 0 < is_asleep.mean() < 0.1  # spells end after two hours or so
    assert ((rows["throughput_mbps"] == 0) == is_asleep).all()
    assert rows.loc[is_asleep, "latency_ms"].lt(100).mean() > 0.95


def test_faults_can_be_switched_by_a_flag_and_are_checked():
    """`faults: false` means none; a probability above 1 is refused."""
    assert Scale(faults=False).faults == NO_FAULTS
    assert Scale(faults=True) == Scale(faults=Faults()) == Scale()
    with pytest.raises(ValueError, match="gaps_per_site_day"):
        Scale(faults={"gaps_per_site_day": 1.5})


def test_customers_and_calls_may_reach_further_back_than_the_network():
    """With customer_days=5 there are 5 days of customers before the same end."""
    scale = CLEAN.model_copy(update={"customer_days": 5})
    days = {name: rows_of(scale, name)["timestamp"].dt.date for name in DATASETS}
    assert days["network_performance"].min() == date(2024, 3, 1)
    for name in DATASETS[1:]:
        assert (days[name].min(), days[name].max()) == (date(2024, 2, 28), date(2024, 3, 3))


def test_calls_join_to_customers_and_cells_and_add_up_to_usage():
    """Customer and caller are one number; a customer's usage is the sum of the calls made."""
    calls = rows_of(CLEAN, "call_detail_records")
    customers = rows_of(CLEAN, "customer_experience")
    assert calls["call_id"].is_unique
    assert not customers.duplicated(["customer_id", "timestamp"]).any()
    assert set(calls["cell_id"]) <= set(Network(CLEAN).cells.names)
    assert calls.loc[calls["call_type"] == "data", "callee_id"].isna().all()
    at_home = calls[calls["roaming_status"] == "home"]
    assert set(at_home["caller_id"]) <= set(customers["customer_id"])
    assert customers["customer_id"].str.fullmatch(r"999\d{9}").all()
    used = at_home.groupby(["caller_id", at_home["timestamp"].dt.floor("D")])["data_used_mb"].sum()
    stated = customers.set_index(["customer_id", "timestamp"])["data_usage_mb"]
    differences = stated - used.reindex(stated.index, fill_value=0)
    assert differences.abs().max() < 0.006


def test_satisfaction_follows_what_the_customer_experienced():
    """Scores are 1 to 5, fall with network quality, and agree with their stated truth."""
    scale = Scale(cells=9, days=10, customers=150, faults=False)
    rows = rows_of(scale, "customer_experience").set_index(["customer_id", "timestamp"])
    score = rows["customer_satisfaction_score"]
    assert set(score) == {1, 2, 3, 4, 5}
    assert score.corr(rows["network_quality_score"]) > 0.3
    truth = true_satisfaction(scale).set_index(["customer_id", "timestamp"]).reindex(score.index)
    assert abs(score.mean() - truth["expected_score"].mean()) < 0.05
    assert abs((score < 3).mean() - truth["probability_below_3"].mean()) < 0.02
    unexplained = (score - truth["expected_score"]).var() / score.var()
    assert 0.1 < unexplained < 0.6


def test_true_probabilities_agree_with_a_brute_force_simulation():
    """Continuing the process from one state 20,000 times breaks limits as often as stated."""
    network = Network(Scale(cells=6, days=1, faults=Faults(sleeps_per_cell_day=1.0)))
    day = network.scale.start
    truth = day_truth(network, day).pivot(
        index="timestamp", columns="cell_id", values="probability"
    )
    is_asleep = network.day(day).is_asleep
    states = [
        np.unravel_index(np.where(is_asleep, 1, np.abs(truth - target)).argmin(), truth.shape)
        for target in (0.03, 0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    states.append(tuple(np.argwhere(is_asleep & (truth < 0.97))[0]))  # may wake up in calm
    for period, cell in states:
        stated = truth.iat[period, cell]
        share = continue_from(network, day, int(period), int(cell), 20_000)
        sampling = 4 * np.sqrt(stated * (1 - stated) / 20_000)
        assert share == pytest.approx(stated, abs=sampling + 0.005)


def continue_from(network: Network, day: date, period: int, cell: int, runs: int) -> float:
    """Return the share of continuations from a cell's state that break a limit."""
    rng = np.random.default_rng(1)
    state = network.day(day)
    due = network.expected_load(day, 288 + 6)[:, cell]
    load = np.full(runs, state.deviation[period, cell])
    backlog = np.full(runs, state.backlog[period, cell])
    is_asleep = np.full(runs, state.is_asleep[period, cell])
    is_broken = np.zeros(runs, dtype=bool)
    for step in range(1, 7):
        load = LOAD_MEMORY * load + LOAD_STEP * rng.standard_normal(runs)
        utilisation = due[period + step] * np.exp(load)
        backlog += BACKLOG_GAIN * (demanded_backlog(utilisation) - backlog)
        draw = rng.random(runs)
        begins = network.scale.faults.sleeps_per_cell_day / 288
        is_asleep = np.where(is_asleep, draw < 1 - 1 / EVENT_PERIODS, draw < begins)
        here = [np.repeat(x[:, None], len(network.cells.names), 1) for x in (utilisation, backlog)]
        latency, loss, throughput = (log[:, cell] for log in network.medians(*here))
        noise = rng.standard_normal((3, runs))
        is_broken |= is_asleep | (np.exp(latency + LATENCY_NOISE * noise[0]) > 100)
        is_broken |= (np.exp(loss + LOSS_NOISE * noise[1]) > 0.05) | (
            np.exp(throughput + THROUGHPUT_NOISE * noise[2]) < 5
        )
    return float(is_broken.mean())


@pytest.mark.parametrize("delay", [0, 24])
def test_true_throughput_agrees_with_a_brute_force_simulation(delay: int):
    """Half of 4,000 continuations from one state lie above the median that is stated."""
    network = Network(Scale(cells=6, days=1, faults=False))
    day, period, cell = network.scale.start, 200, 2
    at = pd.DataFrame(
        {
            "cell_id": [network.cells.names[cell]],
            "timestamp": [pd.Timestamp(day, tz="UTC") + timedelta(minutes=5 * period)],
        }
    )
    (stated,) = true_throughput(network.scale, at, timedelta(hours=delay))["throughput_mbps"]
    means = mean_throughput_ahead(network, period, cell, 12 * delay, runs=4_000)
    assert (means > stated).mean() == pytest.approx(0.5, abs=0.03)


def mean_throughput_ahead(
    network: Network, period: int, cell: int, delay: int, runs: int
) -> np.ndarray:
    """Return the mean throughput of the six periods after a delay, in each continuation."""
    rng = np.random.default_rng(1)
    day = network.scale.start
    due = network.expected_load(day, 2 * 288 + 6)[:, cell]
    load = np.full(runs, network.day(day).deviation[period, cell])
    backlog = np.full(runs, network.day(day).backlog[period, cell])
    seen = []
    for step in range(1, delay + 7):
        load = LOAD_MEMORY * load + LOAD_STEP * rng.standard_normal(runs)
        utilisation = due[period + step] * np.exp(load)
        backlog += BACKLOG_GAIN * (demanded_backlog(utilisation) - backlog)
        log_mbps = (
            network.cells.base_log_throughput[cell]
            - 0.9 * utilisation
            - network.cells.throughput_slope[cell] * backlog
        )
        seen.append(np.exp(log_mbps + THROUGHPUT_NOISE * rng.standard_normal(runs)))
    return np.mean(seen[-6:], axis=0)


def test_another_future_begins_from_the_same_past():
    """Up to the day that is known every period is as it was; after it load goes on from there."""
    network = Network(CLEAN)
    known, after = CLEAN.start, CLEAN.start + timedelta(days=1)
    one, other = (Continuation(network, known, path) for path in (0, 1))
    assert np.array_equal(one.day(known).backlog, network.day(known).backlog)
    assert not np.array_equal(one.day(after).backlog, other.day(after).backlog)
    step = one.day(after).deviation[0] - LOAD_MEMORY * network.day(known).deviation[-1]
    assert np.abs(step).max() < 6 * LOAD_STEP


def test_true_week_probabilities_are_those_of_bad_scores():
    """Over many customers and days, as many have a bad score in the week as is stated, and those
    of whom it is stated more often than the others."""
    scale = Scale(cells=9, days=14, customers=150, faults=False)
    days = [scale.start + timedelta(days=number) for number in (0, 6)]
    truth = true_week_probabilities(scale, days)
    rows = rows_of(scale, "customer_experience")
    rows["is_bad"] = rows["customer_satisfaction_score"] < 3
    y = [
        rows[rows["timestamp"].between(start + DAY, start + 7 * DAY)]
        .groupby("customer_id")["is_bad"]
        .any()
        .reindex(who)
        for start, who in truth.groupby("timestamp")["customer_id"]
    ]
    happened = pd.concat(y).to_numpy(dtype=float)
    assert len(happened) == len(truth) == 300
    assert truth["probability"].mean() == pytest.approx(happened.mean(), abs=0.05)
    assert average_precision_score(happened, truth["probability"]) > 0.6


def test_true_profiles_name_each_cells_kind():
    """Site, area and technology of each cell, as its reports show them."""
    profiles = true_profiles(CLEAN)
    assert list(profiles.columns) == ["cell_id", "site", "area", "technology"]
    assert set(profiles["area"]) <= {"residential", "business", "transit"}
    assert profiles.groupby("site")["area"].nunique().eq(1).all()
    rows = rows_of(CLEAN, "network_performance").groupby("cell_id")["connection_type"].first()
    assert profiles.set_index("cell_id")["technology"].to_dict() == rows.to_dict()


def test_true_probabilities_leave_out_cells_in_outage_and_fit_the_network_days():
    """One row per cell and period of the network's days, except during outages."""
    clean = true_probabilities(CLEAN)
    assert list(clean.columns) == ["cell_id", "timestamp", "probability"]
    assert str(clean["timestamp"].dtype) == "datetime64[us, UTC]"
    assert len(clean) == 4 * 288 * 3 and clean["probability"].between(0, 1).all()
    often = CLEAN.model_copy(update={"faults": Faults(outages_per_cell_day=0.5)})
    assert 0 < len(true_probabilities(often)) < len(clean)


def test_a_model_can_learn_degradation_but_not_perfectly():
    """Boosting on simple features beats the last value by far and stays below the truth."""
    scale = Scale(cells=10, days=14, seed=9)
    rows = rows_of(scale.model_copy(update={"faults": NO_FAULTS}), "network_performance")
    truth = true_probabilities(scale.model_copy(update={"faults": NO_FAULTS}))
    y = labels(rows).stack().dropna().rename("y")
    X = features(rows).reindex(y.index)
    probability = truth.set_index(["timestamp", "cell_id"])["probability"].reindex(y.index)
    last = breaches(rows).set_axis(pd.MultiIndex.from_frame(rows[["timestamp", "cell_id"]]))
    is_test = y.index.get_level_values("timestamp") >= pd.Timestamp(
        scale.end - timedelta(days=4), tz="UTC"
    )
    scores = {
        "truth": average_precision(y, probability, is_test),
        "last value": average_precision(y, last.astype(float).reindex(y.index), is_test),
        "level only": boosting(X[list("lpt")], y, is_test),
        "boosting": boosting(X, y, is_test),
    }
    per_cell = y.groupby("cell_id").sum()
    assert 0.04 < y.mean() < 0.14 and per_cell.max() / per_cell.sum() < 0.4
    assert abs(probability.mean() - y.mean()) < 0.01
    assert scores["last value"] > 2 * y[is_test].mean()
    assert scores["boosting"] > scores["last value"] + 0.2
    assert scores["boosting"] > scores["level only"] + 0.01  # the last half hour tells more
    assert scores["boosting"] < scores["truth"] < 0.93


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Return latency, loss, throughput (l, p, t), their lags and rolling means, and the hour."""
    wide = rows.pivot(
        index="timestamp",
        columns="cell_id",
        values=["latency_ms", "packet_loss", "throughput_mbps"],
    )
    columns = {}
    for column in ("latency_ms", "packet_loss", "throughput_mbps"):
        value = wide[column]
        columns[column[0]] = value
        columns |= {f"{column}_lag_{lag}": value.shift(lag) for lag in (1, 3, 6)}
        columns |= {f"{column}_mean_{over}": value.rolling(over).mean() for over in (6, 24)}
    X = pd.DataFrame({name: value.stack() for name, value in columns.items()})
    return X.assign(hour=X.index.get_level_values("timestamp").hour)


def boosting(X: pd.DataFrame, y: pd.Series, is_test: np.ndarray) -> float:
    model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=0)
    with threadpool_limits(1):  # on a busy machine OpenMP's threads mostly wait for each other
        model.fit(X[~is_test], y[~is_test])
        score = pd.Series(model.predict_proba(X)[:, 1], index=y.index)
    return average_precision(y, score, is_test)


def average_precision(y: pd.Series, score: pd.Series, is_test: np.ndarray) -> float:
    return float(average_precision_score(y[is_test], score[is_test]))


def test_the_smallest_operator_works():
    """One cell and one silent customer still give readable files with headers."""
    scale = Scale(cells=1, days=2, customers=1, calls_per_customer_day=0.01, seed=5)
    heads = {name.split("/")[0]: text_of(name, data) for name, data in raw_files(scale)}
    assert {name: text.splitlines()[0] for name, text in heads.items()} == COLUMNS


def test_an_unknown_dataset_is_refused_with_the_known_ones():
    """A typo does not silently deliver nothing."""
    with pytest.raises(ValueError, match="'network' is not simulated; known: network_performance"):
        next(raw_files(SMALL, ["network"]))
