"""What only the simulator knows: the true probability that a cell degrades within 30 minutes."""

from datetime import date
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from rancast.simulation_network import (
    BACKLOG_GAIN,
    DAY_PERIODS,
    EVENT_PERIODS,
    LATENCY_LIMIT_MS,
    LATENCY_NOISE,
    LOAD_MEMORY,
    LOAD_STEP,
    LOSS_LIMIT,
    LOSS_NOISE,
    PERIOD,
    THROUGHPUT_LIMIT_MBPS,
    THROUGHPUT_NOISE,
    Floats,
    Network,
    NetworkDay,
    demanded_backlog,
)

HORIZON_PERIODS = 6
PATHS = 64


def day_truth(network: Network, day: date, paths: int = PATHS) -> pd.DataFrame:
    """Return P(a breach in the next six periods | state at t) for each cell and period of `day`.

    Columns: cell_id, timestamp (datetime64[us, UTC]), probability; ordered by time and cell,
    without the rows of a cell in outage. A breach is latency above 100 ms, loss above 5 % or
    throughput below 5 Mbit/s. See `rancast.simulation.true_probabilities` for what is given.
    """
    state = network.day(day)
    calm = _no_congestive_breach(network, state, paths)
    begins = network.scale.faults.sleeps_per_cell_day / DAY_PERIODS
    # A sleeping cell has throughput 0, a breach. Asleep at t, it must wake at once and stay awake.
    stays_awake = (1.0 - begins) ** HORIZON_PERIODS
    wakes = (1.0 - begins) ** (HORIZON_PERIODS - 1) / EVENT_PERIODS
    probability = 1.0 - calm * np.where(state.is_asleep, wakes, stays_awake)
    period, cell = np.nonzero(~state.is_out)
    stamps = pd.DatetimeIndex(np.datetime64(day, "us") + PERIOD * period, tz="UTC").as_unit("us")
    return pd.DataFrame(
        {
            "cell_id": network.cells.names[cell],
            "timestamp": stamps,
            "probability": probability[period, cell],
        }
    )


def _no_congestive_breach(network: Network, state: NetworkDay, paths: int) -> Floats:
    """Return P(no breach by congestion in t+1 .. t+6 | load and backlog at t), [period, cell].

    E over future load of the product of the periods' P(no breach | load, backlog), which is in
    closed form. The expectation over the six Gaussian innovations is a mean over a Sobol sequence.
    """
    innovations = _future_innovations(paths)
    expected = network.expected_load(state.day, DAY_PERIODS + HORIZON_PERIODS)
    calm = np.zeros_like(state.backlog)
    for path in innovations:
        deviation, backlog = state.deviation, state.backlog
        quiet = np.ones_like(backlog)
        for step, innovation in enumerate(path, start=1):
            deviation = LOAD_MEMORY * deviation + LOAD_STEP * innovation
            utilisation = expected[step : DAY_PERIODS + step] * np.exp(deviation)
            backlog = backlog + BACKLOG_GAIN * (demanded_backlog(utilisation) - backlog)
            quiet *= _no_breach(network, utilisation, backlog)
        calm += quiet
    return calm / len(innovations)


def _no_breach(network: Network, utilisation: Floats, backlog: Floats) -> Floats:
    medians = network.medians(utilisation, backlog)
    quiet: Floats = ndtr((np.log(LATENCY_LIMIT_MS) - medians.latency) / LATENCY_NOISE)
    quiet *= ndtr((np.log(LOSS_LIMIT) - medians.loss) / LOSS_NOISE)
    quiet *= ndtr((medians.throughput - np.log(THROUGHPUT_LIMIT_MBPS)) / THROUGHPUT_NOISE)
    return quiet


@lru_cache(maxsize=4)
def _future_innovations(paths: int) -> Floats:
    points = qmc.Sobol(d=HORIZON_PERIODS, scramble=True, rng=0).random(paths)
    innovations: Floats = ndtri(points)
    return innovations
