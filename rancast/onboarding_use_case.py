"""The text of a drafted `use_cases/NAME.yaml`: a first question, for a person to sharpen."""

import re
from collections.abc import Iterator
from datetime import timedelta

from rancast.column_names import RESERVED
from rancast.durations import short_duration
from rancast.errors import DataError
from rancast.onboarding_cells import ColumnGuess
from rancast.onboarding_dataset import MODELINE, Guesses
from rancast.onboarding_measures import measures
from rancast.onboarding_yaml import amount, comment, flow, number_of, scalar

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_INPUTS = 6
MOST_CATEGORIES = 3
# what operators forecast, the first first
_WORTH = (
    *("throughput|bitrate|thp", "latency|delay|rtt|ping", "loss|drop|fail|error", "util|prb|load"),
    *("bytes|volume|traffic|usage|octets", "users|calls|sessions|attempts", "satisf|score|quality"),
)


def use_case_text(guesses: Guesses, name: str, schemas: str) -> str:
    """Return the YAML of a regression: the mean of a measure over the time ahead.

    Raises DataError where the feed has no time, no entity or no measure to forecast.
    """
    target = _target(guesses)
    period, note = _period(guesses)
    within = 6 * period if period < HOUR else period
    lines = [
        MODELINE.format(schemas=schemas, kind="use_case"),
        *comment(
            f"Drafted by make onboard from a sample of {guesses.name}: a first question, not yet "
            "the one whose answer somebody needs. Change the target first, then the features."
        ),
        f"name: {scalar(name)}",
        'description: ""  # one line for people',
        "problem: regression",
        f"dataset: {scalar(guesses.name)}",
        f"entity: {scalar(guesses.key.entity)}",
        *_history(guesses),
        *comment(note),
        f"grid: {{period: {scalar(period)}}}",
        *_target_lines(guesses, target, within),
        *_features(guesses, period),
        *_split(guesses, within),
        *_models(),
    ]
    return "\n".join(lines) + "\n"


def _target(guesses: Guesses) -> ColumnGuess:
    lacks = [
        word
        for word, value in (("time", guesses.clock), ("entity", guesses.key.entity))
        if value is None
    ]
    found = _inputs(guesses)
    if lacks or not found:
        what = " and no ".join([*lacks, *([] if found else ["measure that varies"])])
        raise DataError(
            f"no use case can be drafted for {guesses.name}: its sample has no {what}; run "
            "make onboard without USE_CASE, and correct the dataset first."
        )
    return found[0]


def _inputs(guesses: Guesses) -> list[ColumnGuess]:
    """Return the measures that use cases can name, the one that says most first."""
    found = sorted(measures(guesses.columns, guesses.key), key=_worth)
    return [one for one in found if not guesses.key.parts or one.name in guesses.kpis]


def _named(guesses: Guesses, measure: ColumnGuess) -> str:
    """Return what a use case calls a measure: by its KPI where one row is not the entity."""
    kpi = guesses.kpis.get(measure.name)
    return measure.name if kpi is None else kpi.name


def _worth(guess: ColumnGuess) -> tuple[int, int]:
    places = [place for place, words in enumerate(_WORTH) if re.search(words, guess.name)]
    return (places[0] if places else len(_WORTH), -guess.distinct)


def _period(guesses: Guesses) -> tuple[timedelta, str]:
    """Return the step of the grid and why."""
    if guesses.key.period is not None:
        return guesses.key.period, "the period that was seen in the sample"
    entities = max(1, guesses.table.rows // max(1, guesses.delivery.days))
    by_entity = next(
        (guess.distinct for guess in guesses.columns if guess.name == guesses.key.entity), 1
    )
    each = entities / max(1, by_entity)
    period = HOUR if each >= 12 else DAY
    return period, (
        f"rows come when something happens, about {amount(round(each, 1))} a day for each entity: "
        "the grid on which the last one before each time is taken"
    )


def _history(guesses: Guesses) -> Iterator[str]:
    delivery = guesses.delivery
    seen = f"the sample lies on {number_of(delivery.days, 'UTC day')}"
    if delivery.first is not None and delivery.last is not None:
        seen += f", {delivery.first} to {delivery.last}"
    yield from comment(f"the days that training sees; {seen}")
    yield f"history: {_days(guesses)}d"
    yield from comment("share of these days that must be there; 0 while the feed is new")
    yield "minimum_coverage: 0"


def _days(guesses: Guesses) -> int:
    first, last = guesses.delivery.first, guesses.delivery.last
    span = (last - first).days + 1 if first is not None and last is not None else 1
    return span if span >= 4 else 30


def _target_lines(guesses: Guesses, target: ColumnGuess, within: timedelta) -> Iterator[str]:
    length, name = short_duration(within), _named(guesses, target)
    why = "the measure whose name says most to an operator; any column of numbers will do"
    limit, passed = (
        f"{target.tail:g}",
        f"; {amount(target.tail or 0)} is passed by 5 % of the cells",
    )
    if guesses.key.parts:  # what single rows have does not say what is large for their sum
        why = f"a KPI, since {guesses.key.several}; any other KPI of the dataset will do"
        limit, passed = "LIMIT", ""
    yield from comment(
        f"{name}: {why}",
        "for the probability of a breach instead, 'problem: classification', 'metric: "
        f"average_precision', and a limit that hurts{passed}: target: {{within: {length}, any: "
        f"{name} > {limit}, observed: 0.8}}",
    )
    yield f"target: {{within: {length}, mean: {scalar(name)}, observed: 0.8}}"


def _features(guesses: Guesses, period: timedelta) -> Iterator[str]:
    names = [_named(guesses, measure) for measure in _inputs(guesses)][:MOST_INPUTS]
    words = [
        guess.name
        for guess in guesses.columns
        if len(guess.categories) > 1
        and guess.name not in (*guesses.key.key, *RESERVED)
        and not guesses.key.parts  # texts of single rows are not the entity's
    ][:MOST_CATEGORIES]
    windows = [7 * DAY, 28 * DAY] if period >= DAY else [6 * period, 24 * period]
    yield from comment(
        "everything looks back; lags count periods, windows are lengths of time. Start with few: "
        "each must be worth its place in the importances of the first training"
    )
    yield "features:"
    yield f"  current: {flow(names)}"
    if words:
        yield f"  categories: {flow(words)}"
    of = flow(names[:1])
    yield "  lags:"
    yield f"    - {{columns: {of}, periods: [1, 2, 3]}}"
    yield "  windows:"
    yield f"    - {{columns: {of}, over: {flow(windows)}, statistics: [mean, std]}}"
    if period < DAY and guesses.delivery.days > 7:
        yield "  history:"
        yield f"    - {{columns: {of}, days: 7, at: same_hour}}"
    yield f"  calendar: {'[is_weekend]' if period >= DAY else '[hour, is_weekend]'}"
    zone = guesses.zone.timezone if guesses.zone else "UTC"
    yield from comment("the operator's own zone, in which people get up and go to bed", indent=2)
    yield f"  timezone: {zone}"


def _split(guesses: Guesses, within: timedelta) -> Iterator[str]:
    holdout = max(1, min(14, _days(guesses) // 4))
    yield from comment(
        "the latest days judge; the gap before them is at least as long as the horizon"
    )
    yield f"split: {{holdout: {holdout}d, embargo: {short_duration(within)}, folds: 3}}"


def _models() -> list[str]:
    return [
        "candidates:",
        "  - {name: ridge, estimator: Ridge, scale: true, impute: true, search: {alpha: [1, 100]}}",
        "  - name: hist_gradient_boosting",
        "    estimator: HistGradientBoostingRegressor",
        "    params: {loss: absolute_error}",
        "    search: {max_leaf_nodes: [15, 31], min_samples_leaf: [20, 50]}",
        "search: {iterations: 4, rows: 20000}",
        "metric: mae",
        *comment("a floor, such as {floors: {mae: 3.0}}, says from which error on it is of use"),
        "gates: {over_baseline: 0.05}",
    ]
