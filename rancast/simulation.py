"""A simulated operator whose truth is known: raw files as they arrive, and what only it can know.

Cells stand on sites and have a technology, a capacity and a load with daily, weekly and busy-hour
rhythm. Utilisation beyond capacity builds up a backlog over an hour or so, and backlog degrades
latency, loss and throughput. Cells fail, sleep and lose periods; files are garbled, late or sent
twice. Customers live and work on those cells, call there, and remember bad days for a week.

Everything follows from the `Scale`: equal scales give equal bytes, and adding days leaves the files
of earlier days as they are. The parts: `simulation_scale` (size, faults, random numbers),
`simulation_network` (load and congestion), `simulation_customers` (people and calls),
`simulation_delivery` (files and their faults), `simulation_truth` (true probabilities),
`simulation_forecasts` (what is true of the hours and days ahead).
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd

from rancast.simulation_customers import Customers
from rancast.simulation_delivery import FILES_PER_DAY, deliver, late_name
from rancast.simulation_forecasts import Ahead, throughput_medians, week_truth
from rancast.simulation_network import AREAS, DAY_PERIODS, TECHNOLOGIES, Network
from rancast.simulation_scale import NO_FAULTS, Faults, Scale
from rancast.simulation_truth import day_truth

__all__ = [
    "DATASETS",
    "NO_FAULTS",
    "Faults",
    "Scale",
    "late_files",
    "raw_files",
    "true_probabilities",
    "true_profiles",
    "true_satisfaction",
    "true_throughput",
    "true_week_probabilities",
]

DATASETS = ("network_performance", "customer_experience", "call_detail_records")


def raw_files(scale: Scale, datasets: Sequence[str] = DATASETS) -> Iterator[tuple[str, bytes]]:
    """Yield the raw container's files, name and content, days in order.

    Names are `DATASET/year=YYYY/month=MM/day=DD/FILE.csv` or `.csv.gz`; all rows of a file lie in
    its UTC day. Raises ValueError for a dataset that is not simulated.
    """
    unknown = sorted(set(datasets) - set(DATASETS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not simulated; known: {', '.join(DATASETS)}")
    network = Network(scale)
    customers = Customers(network)
    for day, dataset in _schedule(scale, datasets):
        yield from deliver(scale, dataset, day, _parts(customers, dataset, day))


def late_files(scale: Scale, datasets: Sequence[str] = DATASETS) -> tuple[str, ...]:
    """Return the names of those of `raw_files` that arrive late, into their own day's folder.

    At most one of a day's several files is late. `raw_files` yields them at their place; whoever
    wants lateness withholds them at first.
    """
    names = (late_name(scale, dataset, day) for day, dataset in _schedule(scale, datasets))
    return tuple(name for name in names if name is not None)


def true_probabilities(scale: Scale) -> pd.DataFrame:
    """Return the true P(the cell breaks a limit in (t, t + 30 min]) for each cell and period.

    Columns: cell_id, timestamp (datetime64[us, UTC], start of the period t), probability. A breach
    is a report with latency above 100 ms, packet loss above 5 % or throughput below 5 Mbit/s in one
    of the six periods after t, all six taken as reported. Given is all that the simulator knows at
    t: the cell's traits, the load that is due (profile, weekday, the site's drifting demand), the
    actual load, the backlog, and whether the cell sleeps; open are the six load innovations, the
    measurements' noise, and whether a sleep begins or ends.

    Noise and sleep are integrated in closed form, the six innovations by quasi-Monte Carlo (64
    scrambled Sobol points; root mean square error 0.0005, at most 0.006). It is the best any model
    could do, and no model can reach it: load and backlog are seen through noise only. Outages and
    gaps delete rows whatever their values, so they are left out; a cell in outage has no row here.
    """
    network = Network(scale)
    return pd.concat([day_truth(network, day) for day in scale.network_days()], ignore_index=True)


def true_throughput(
    scale: Scale,
    at: pd.DataFrame,
    delay: timedelta = timedelta(0),
    within: timedelta = timedelta(minutes=30),
) -> pd.DataFrame:
    """Return the true median of the mean throughput in (t + delay, t + delay + within], per row.

    `at` has cell_id and timestamp (t, UTC, the start of a period of the network's days). Columns:
    these two, and throughput_mbps, by which no forecast has a smaller mean absolute error. Given is
    what `true_probabilities` states, taken at t, and the site's demand of the days ahead, which is
    a little more than can be known at t. Load, the measurements' noise and sleep are integrated by
    quasi-Monte Carlo (512 scrambled Sobol points; mean error 0.2 %); all periods are taken as
    reported.
    """
    period = timedelta(minutes=5)
    ahead = Ahead(delay // period, within // period)
    keys = at[["cell_id", "timestamp"]].reset_index(drop=True)
    return keys.assign(throughput_mbps=throughput_medians(Network(scale), at, ahead))


def true_profiles(scale: Scale) -> pd.DataFrame:
    """Return what kind of cell each one is: cell_id, site, area and technology, all text.

    The area (residential, business, transit) sets the busy hours and the weekend, the technology
    latency and throughput; these are the classes from which profiles differ.
    """
    cells = Network(scale).cells
    return pd.DataFrame(
        {
            "cell_id": cells.names,
            "site": [name.split("-")[0] for name in cells.names],
            "area": np.array(AREAS)[cells.area],
            "technology": np.array(TECHNOLOGIES)[cells.technology],
        }
    )


def true_week_probabilities(scale: Scale, days: Sequence[date]) -> pd.DataFrame:
    """Return the true P(a score below 3 on one of the seven days after t), by customer and day t.

    Columns: customer_id, timestamp (datetime64[us, UTC], the day), probability. Given are the
    customer's traits, and the network up to the end of the day t; open are the network of the week
    after it and the noise of the answers. The answers are integrated in closed form, the week by
    64 futures of the network, which begin from its state (root mean square error 0.013).
    """
    return week_truth(Network(scale), days)


def true_satisfaction(scale: Scale) -> pd.DataFrame:
    """Return each customer's expected score and P(score < 3) per day, in closed form.

    Columns: customer_id, timestamp (datetime64[us, UTC], the day), expected_score,
    probability_below_3. Given are the customer's traits and the state of their cells up to the end
    of that day; open is the noise of the answer alone.
    """
    customers = Customers(Network(scale))
    return pd.concat(
        [customers.satisfaction_truth(day) for day in scale.customer_dates()], ignore_index=True
    )


def _schedule(scale: Scale, datasets: Sequence[str]) -> list[tuple[date, str]]:
    """Return which datasets are delivered on which days, in order."""
    days = dict.fromkeys(DATASETS, scale.customer_dates())
    days["network_performance"] = scale.network_days()
    return sorted(
        ((day, name) for name in set(datasets) for day in days[name]),
        key=lambda item: (item[0], DATASETS.index(item[1])),
    )


def _parts(customers: Customers, dataset: str, day: date) -> list[pd.DataFrame]:
    """Return one frame per file of `dataset` on `day`."""
    parts = FILES_PER_DAY[dataset]
    if dataset == "network_performance":
        frame = customers.network.reports(day)
        part = frame.pop("period") * parts // DAY_PERIODS
    elif dataset == "call_detail_records":
        frame = customers.calls(day)
        part = frame.pop("hour") * parts // 24
        frame = frame.drop(columns="caller")
    else:
        return [customers.experience(day)]
    return [frame[part == number] for number in range(parts)]
