"""What only the simulator knows of the hours and days ahead: throughput, and who gets unhappy."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from rancast.simulation_customers import (
    MOOD_DAYS,
    SATISFACTION_CUTS,
    SATISFACTION_NOISE,
    Customers,
    leaning_after,
)
from rancast.simulation_network import (
    BACKLOG_GAIN,
    DAY_PERIODS,
    EVENT_PERIODS,
    LOAD_MEMORY,
    LOAD_STEP,
    PERIOD,
    THROUGHPUT_NOISE,
    Continuation,
    Floats,
    Network,
    cells_at,
    demanded_backlog,
    medians_of,
)

# load and backlog forget within an hour; what was longer ago than this is as good as unknown
MEMORY_PERIODS = 72
THROUGHPUT_PATHS = 512
WEEK = 7
WEEK_PATHS = 64
BELOW_3 = SATISFACTION_CUTS[1]

Places = npt.NDArray[np.int64]


class Ahead(NamedTuple):
    """Which periods after t a forecast is about: so many, after so many others."""

    delay: int
    periods: int


def throughput_medians(
    network: Network, at: pd.DataFrame, ahead: Ahead, paths: int = THROUGHPUT_PATHS
) -> Floats:
    """Return the median of the mean throughput of the periods ahead of t, by row of `at`.

    `at` has cell_id and timestamp (t, the start of a period). See
    `rancast.simulation.true_throughput` for what is given.
    """
    medians = np.full(len(at), np.nan)
    cells = pd.Index(network.cells.names).get_indexer(pd.Index(at["cell_id"]))
    day_of = at["timestamp"].dt.date.to_numpy()
    period = ((at["timestamp"] - at["timestamp"].dt.floor("D")) // PERIOD).to_numpy()
    for day in sorted(set(day_of)):
        here = np.flatnonzero(day_of == day)
        means = _future_means(network, day, period[here], cells[here], ahead, paths)
        medians[here] = np.median(means, axis=0)
    return medians


def _future_means(
    network: Network, day: date, period: Places, cell: Places, ahead: Ahead, paths: int
) -> Floats:
    """Return the mean throughput of the periods ahead [path, row], in as many likely futures."""
    state = network.day(day)
    skipped = max(ahead.delay - MEMORY_PERIODS, 0)
    steps = ahead.delay - skipped + ahead.periods
    load, noise, spells = _draws(paths, steps)
    expected = network.expected_load(day, DAY_PERIODS + ahead.delay + ahead.periods)
    cells = cells_at(network.cells, cell)
    # what is left of the state after the periods that are skipped
    deviation = state.deviation[period, cell] * LOAD_MEMORY**skipped
    fallen_asleep = state.is_asleep[period, cell] & (skipped == 0)
    backlog = demanded_backlog(expected[period + skipped, cell])
    backlog = np.where(skipped == 0, state.backlog[period, cell], backlog)
    begins = network.scale.faults.sleeps_per_cell_day / DAY_PERIODS
    total = np.zeros((paths, len(cell)))
    is_asleep = np.broadcast_to(fallen_asleep, total.shape)
    for step in range(steps):
        deviation = LOAD_MEMORY * deviation + LOAD_STEP * load[:, step, None]
        utilisation = expected[period + skipped + step + 1, cell] * np.exp(deviation)
        backlog = backlog + BACKLOG_GAIN * (demanded_backlog(utilisation) - backlog)
        draw = spells[:, step, None]
        is_asleep = (draw < begins) | (is_asleep & (draw < 1.0 - 1.0 / EVENT_PERIODS))
        if step >= steps - ahead.periods:
            log_mbps = medians_of(cells, utilisation, backlog).throughput
            seen = np.exp(log_mbps + THROUGHPUT_NOISE * noise[:, step, None])
            total += np.where(is_asleep, 0.0, seen)
    return total / ahead.periods


@lru_cache(maxsize=4)
def _draws(paths: int, steps: int) -> tuple[Floats, Floats, Floats]:
    """Return innovations and noise (normal) and spells (uniform), each [path, period]."""
    points = qmc.Sobol(d=3 * steps, scramble=True, rng=0).random(paths)
    load, noise, spells = np.split(points, 3, axis=1)
    return ndtri(load), ndtri(noise), spells


def week_truth(network: Network, days: Sequence[date], paths: int = WEEK_PATHS) -> pd.DataFrame:
    """Return each customer's P(a score below 3 on one of the seven days after each of `days`).

    Columns: customer_id, timestamp (datetime64[us, UTC], the day), probability. See
    `rancast.simulation.true_week_probabilities` for what is given.
    """
    customers = Customers(network)
    return pd.concat([_week_of(customers, day, paths) for day in days], ignore_index=True)


def _week_of(customers: Customers, day: date, paths: int) -> pd.DataFrame:
    past = [customers.pain(day - timedelta(days=back)) for back in range(MOOD_DAYS - 1)]
    calm = [_calm_week(customers, day, past, path) for path in range(paths)]
    return pd.DataFrame(
        {
            "customer_id": customers.people.number.astype(str),
            "timestamp": pd.Timestamp(day, tz="UTC").as_unit("us"),
            "probability": 1.0 - np.mean(calm, axis=0),
        }
    )


def _calm_week(customers: Customers, day: date, past: Sequence[Floats], path: int) -> Floats:
    """Return each customer's P(no score below 3) in one of the likely weeks, given its pains."""
    ahead = Customers(Continuation(customers.network, day, path))
    pains, calm = list(past), np.ones(len(customers.people.number))
    for number in range(1, WEEK + 1):
        pains = [ahead.pain(day + timedelta(days=number)), *pains][:MOOD_DAYS]
        leaning = leaning_after(customers.people, pains)
        calm *= ndtr((leaning - BELOW_3) / SATISFACTION_NOISE)
    return calm
