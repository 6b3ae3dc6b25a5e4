"""make calibrate: how often the promotion rule is wrong, on simulated data whose truth is known.

    python -m benchmarks.calibration [--trials 200] [--operators 4] [--nights 100] [--seed 1]

Prints Markdown (it stands in docs/promotion.md), progress on stderr.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, NamedTuple

import pandas as pd
from joblib import Parallel, delayed
from scipy import stats

from benchmarks.calibration_days import PATIENCE, Nights, live_through
from benchmarks.calibration_trials import (
    KINDS,
    OURS,
    Sample,
    Size,
    Trial,
    Verdict,
    Zoo,
    draw,
    judged,
    train,
)
from benchmarks.calibration_world import DEGRADED, START, THROUGHPUT, Question, simulate, use_case
from rancast.simulation_scale import Scale

BETTER = 0.05
MODELS = (20, 8, 8)  # per kind of challenger
TRAINING = (16, START, 30, 7)  # operators, first day, days, every which period
FRESH = (80, date(2024, 6, 3), 7, 18)
SIZES = (Size(20, 14), Size(40, 7))
SIZE_TRIALS = 40
MARGINS = (0.0, 0.01, 0.02, 0.03)
TWINS = 40
LABELS = {DEGRADED.metric: "average precision", THROUGHPUT.metric: "MAE of throughput"}


class Plan(NamedTuple):
    """How much is calibrated; operators of different seeds share nothing."""

    trials: int
    operators: int
    nights: int
    seed: int

    def seeds(self, purpose: int, number: int) -> range:
        """Return the seeds of `number` operators that no other purpose has."""
        first = (self.seed * 10 + purpose) * 10_000
        return range(first, first + number)


def main() -> None:
    """Read the command line, measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    for name, default in (("trials", 200), ("operators", 4), ("nights", 100), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    plan = Plan(**vars(parser.parse_args()))
    started = time.monotonic()
    trained, fresh = population(plan, 1, TRAINING), population(plan, 2, FRESH)
    worlds = [prepare(question, trained, fresh) for question in (DEGRADED, THROUGHPUT)]
    for part in (single_lines, night_lines, twin_lines, size_lines):
        print("\n".join(part(plan, worlds)) + "\n", flush=True)
    print(f"Measured in {time.monotonic() - started:,.0f} s.")


# --- running ------------------------------------------------------------------------------------


class World(NamedTuple):
    """The models of one question and their truth."""

    zoo: Zoo
    fresh: Sample


def population(plan: Plan, purpose: int, how: tuple[int, date, int, int]) -> pd.DataFrame:
    """Return rows of so many operators, from a first day on, so many days, thinned."""
    number, first, days, stride = how
    jobs = (
        delayed(simulate)(Scale(cells=20, seed=seed), first, days, stride)
        for seed in plan.seeds(purpose, number)
    )
    parts: list[pd.DataFrame] = run(jobs, number, "operators simulated")
    return pd.concat(parts, ignore_index=True)


def prepare(question: Question, trained: pd.DataFrame, fresh: pd.DataFrame) -> World:
    """Fit the models of a question."""
    zoo, sample = train(trained, question, MODELS), Sample.of(fresh, question)
    for model in (zoo.worse, zoo.better, *(one for kind in zoo.plain.values() for one in kind)):
        sample.says(model)
    print(f"models of {LABELS[question.metric]} fitted", file=sys.stderr, flush=True)
    return World(zoo, sample)


def run(jobs: Iterable[Any], number: int, what: str) -> list[Any]:
    """Run jobs on all cores, in order, and say on stderr how far they are."""
    found = []
    for result in Parallel(n_jobs=-1, return_as="generator")(jobs):
        found.append(result)
        if len(found) % max(1, number // 10) == 0:
            print(f"{len(found)} of {number} {what}", file=sys.stderr, flush=True)
    return found


def challenges(
    plan: Plan, worlds: list[World], purpose: int, size: Size, number: int, with_naive: bool
) -> list[Verdict]:
    """Judge `number` challengers of each worth, each pair on another operator."""
    trials = drawn(worlds, number, (0.0, BETTER))
    seeds = plan.seeds(purpose, number)
    jobs = (
        delayed(judged)(each, seed, size, with_naive)
        for each, seed in zip(trials, seeds, strict=True)
    )
    return [verdict for found in run(jobs, number, "challenges judged") for verdict in found]


def drawn(worlds: list[World], number: int, targets: tuple[float, ...]) -> list[list[Trial]]:
    """Draw `number` pairs of models of each question, mixed to each of the targets."""
    of_each = [
        Parallel(n_jobs=-1, backend="threading")(
            delayed(draw)(world.zoo, world.fresh, n, targets) for n in range(number)
        )
        for world in worlds
    ]
    return [[trial for found in one for trial in found] for one in zip(*of_each, strict=True)]


# --- saying it ----------------------------------------------------------------------------------


def share(count: int, number: int) -> str:
    """Return "3 of 200 (1.5 %; 0.3 to 4.3 %)", with the bounds of Clopper and Pearson (1934)."""
    bounds = stats.binomtest(count, number).proportion_ci(0.95, "exact")
    return (
        f"{count} of {number} ({count / number:.1%}; {bounds.low:.1%} to {bounds.high:.1%})"
    ).replace("%", " %")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield a Markdown table."""
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def worth(target: float) -> str:
    """Say what a challenger is truly worth."""
    return f"{target:.0%} better".replace("%", " %") if target else "no better"


def single_lines(plan: Plan, worlds: list[World]) -> Iterator[str]:
    """Yield what became of single challenges."""
    found = challenges(plan, worlds, 3, Size(), plan.trials, with_naive=True)
    yield "### One challenge"
    yield ""
    yield from _setup(found)
    groups = [(name, target) for name in LABELS for target in (0.0, BETTER)]
    by = {
        (name, target): [v for v in found if (v.metric, v.target) == (name, target)]
        for name, target in groups
    }
    yield from table(
        ("metric", "the challenger is truly", "promoted (95 % bounds)", *KINDS),
        (
            (LABELS[name], worth(target), _promoted(by[name, target], OURS))
            + tuple(_short([v for v in by[name, target] if v.kind == kind]) for kind in KINDS)
            for name, target in groups
        ),
    )
    yield ""
    yield from _refusals(by)
    yield from _margins(by)
    yield ""
    rules = list(found[0].promoted)
    yield from table(
        ("rule", *(f"{LABELS[name]}, {worth(target)}" for name, target in groups)),
        ((rule, *(_rate(by[group], rule) for group in groups)) for rule in rules[1:] + rules[:1]),
    )


def _margins(by: dict[tuple[str, float], list[Verdict]]) -> Iterator[str]:
    """Yield what other margins over the champion would do, the other gates as they are."""
    yield from table(
        ("over_champion", *(f"{LABELS[name]}, {worth(target)}" for name, target in by)),
        ((str(margin), *(_share_at(found, margin) for found in by.values())) for margin in MARGINS),
    )


def _share_at(found: list[Verdict], margin: float) -> str:
    count = sum(
        (v.comparison.low or 0) > 0
        and (v.comparison.improvement or 0) >= margin
        and not set(v.failed) - {"champion"}
        for v in found
    )
    return f"{count / len(found):.1%}".replace("%", " %")


def _setup(found: list[Verdict]) -> Iterator[str]:
    truths = [abs(v.truth - v.target) for v in found]
    rows = [v.comparison.rows for v in found]
    clusters = found[0].comparison.clusters
    gates = use_case().gates
    yield (
        f"Each pair of models is judged on another operator's {clusters['entity']} cells and "
        f"{clusters['day']} days, {min(rows):,} to {max(rows):,} rows; the truth is "
        f"{FRESH[0]} operators with {FRESH[0] * 20:,} cells and {FRESH[2]} days each, and a "
        f"challenger is worth what it is said to be to {max(truths):.2%}. "
        f"`over_champion` is {gates.over_champion}, `confidence` {gates.confidence}."
    ).replace("%", " %")
    yield ""


def _promoted(found: list[Verdict], rule: str) -> str:
    return share(sum(v.promoted[rule] for v in found), len(found))


def _short(found: list[Verdict]) -> str:
    return f"{sum(v.promoted[OURS] for v in found)} of {len(found)}"


def _rate(found: list[Verdict], rule: str) -> str:
    return f"{sum(v.promoted[rule] for v in found) / len(found):.1%}".replace("%", " %")


def _refusals(by: dict[tuple[str, float], list[Verdict]]) -> Iterator[str]:
    for (name, target), found in by.items():
        if target:
            failed = Counter(gate for v in found for gate in v.failed)
            said = ", ".join(f"{gate} {count}" for gate, count in sorted(failed.items()))
            yield f"Gates that refused the better ones, by {LABELS[name]}: {said or 'none'}."
            yield ""


def size_lines(plan: Plan, worlds: list[World]) -> Iterator[str]:
    """Yield the same for other sizes of the holdout."""
    number = min(SIZE_TRIALS, plan.trials)
    yield "### Other holdouts"
    yield ""
    rows = []
    for position, size in enumerate(SIZES):
        found = challenges(plan, worlds, 4 + position, size, number, with_naive=False)
        for name in LABELS:
            shares = (
                _promoted([v for v in found if (v.metric, v.target) == (name, target)], OURS)
                for target in (0.0, BETTER)
            )
            rows.append((f"{size.cells} cells x {size.days} days", LABELS[name], *shares))
    yield from table(("holdout", "metric", "no better", "5 % better"), rows)


def night_lines(plan: Plan, worlds: list[World]) -> Iterator[str]:
    """Yield what became of successive nights."""
    seeds = plan.seeds(8, plan.operators)
    jobs = (delayed(live_through)(seed, DEGRADED, plan.nights) for seed in seeds)
    found: list[Nights] = run(jobs, plan.operators, "operators lived through")
    changes = [len(each.changes) for each in found]
    nights = plan.nights * len(found)
    yield f"### {plan.nights} successive nights"
    yield ""
    yield (
        f"{len(found)} operators retrain every night on their latest 30 days; the truth is 120 "
        "other days of their own cells. First, no challenger is truly better than the champion:"
    )
    yield ""
    yield f"- nights with a change of champion: {share(sum(changes), nights)}"
    yield f"- changes per operator: {', '.join(map(str, changes))}"
    changed = sum(count > 0 for count in changes)
    yield f"- operators with at least one: {share(changed, len(found))}"
    worths = ", ".join(f"{each.worth:+.1%}".replace("%", " %") for each in found)
    yield f"- true improvement of the last champion over the first: {worths}"
    yield ""
    yield from _waiting(found)


def _waiting(found: list[Nights]) -> Iterator[str]:
    waited = [night for each in found for night in each.waited]
    if not waited:
        return
    yield "Then, every night's challenger is truly 5 % better than the champion; it is promoted"
    yield ""
    for limit in (1, 2, 3, 7, PATIENCE):
        count = sum(night is not None and night <= limit for night in waited)
        yield f"- within {limit} night{'s' if limit > 1 else ''}: {share(count, len(waited))}"


def twin_lines(plan: Plan, worlds: list[World]) -> Iterator[str]:
    """Yield what becomes of challengers that predict what the champion does."""
    pairs = drawn(worlds, min(TWINS, plan.trials), (0.0,))
    trials = [[_twin(trial) for trial in each] for each in pairs]
    seeds = plan.seeds(9, len(trials))
    jobs = (
        delayed(judged)(each, seed, Size(), False) for each, seed in zip(trials, seeds, strict=True)
    )
    found = [v for each in run(jobs, len(trials), "twins judged") for v in each]
    yield "### Equal models"
    yield ""
    count = sum(v.promoted[OURS] for v in found)
    yield f"Of {len(found)} challengers that predict what the champion does, {count} are promoted."


def _twin(trial: Trial) -> Trial:
    return trial._replace(challenger=trial.champion, truth=0.0)


if __name__ == "__main__":
    main()
