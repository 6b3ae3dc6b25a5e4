"""The simulated network: load that comes and goes, congestion that builds up, cells that fail."""

from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter

from rancast.simulation_scale import Scale, stream

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PERIOD = np.timedelta64(5, "m")
DAY_PERIODS = 288
LATENCY_LIMIT_MS = 100.0
LOSS_LIMIT = 0.05
THROUGHPUT_LIMIT_MBPS = 5.0

# The logarithm of load relative to its profile is an AR(1) that forgets within LOAD_MINUTES.
LOAD_MINUTES = 50.0
LOAD_SPREAD = 0.18
SITE_SHARE = 0.45  # of the load's variance is common to the cells of a site
# Each site's demand drifts from day to day: a moving average of daily draws, interpolated.
DRIFT_DAYS = 10
DRIFT_DECAY = 0.75
DRIFT_SPREAD = 0.08
# Backlog relaxes towards what the utilisation demands, within BACKLOG_MINUTES.
BACKLOG_MINUTES = 60.0
BACKLOG_CEILING = 1.25
BACKLOG_STEEPNESS = 0.05

LOAD_MEMORY = float(np.exp(-5.0 / LOAD_MINUTES))
LOAD_STEP = LOAD_SPREAD * float(np.sqrt(1.0 - LOAD_MEMORY**2))
BACKLOG_GAIN = 1.0 - float(np.exp(-5.0 / BACKLOG_MINUTES))

# Standard deviations of what a period's measurement adds to the logarithm of its median.
LATENCY_NOISE = 0.32
LOSS_NOISE = 0.70
THROUGHPUT_NOISE = 0.40

EVENT_PERIODS = 24.0  # mean length of outages and sleeps: two hours

TECHNOLOGIES = ("5G", "4G", "LTE")
TECHNOLOGY_SHARES = (0.40, 0.35, 0.25)
BASE_LATENCY_MS = (16.0, 34.0, 42.0)
PEAK_THROUGHPUT_MBPS = (180.0, 55.0, 40.0)
BASE_LOSS = 0.0015

AREAS = ("residential", "business", "transit")
# Areas and their busy hours (centre and width in UTC hours, height), and what weekends keep.
BUSY_HOURS = (
    ((20.3, 2.4, 0.93), (12.5, 3.2, 0.62)),  # residential: the evening
    ((10.8, 2.4, 0.88), (15.2, 2.2, 0.92)),  # business: office hours
    ((8.0, 1.4, 0.92), (17.4, 2.0, 0.95)),  # transit: both commutes
)
WEEKEND_LOAD = (1.03, 0.78, 0.88)
NIGHT_LOAD = 0.12


class Cells(NamedTuple):
    """What does not change about each cell; every array is one value per cell."""

    names: npt.NDArray[np.str_]
    site: npt.NDArray[np.int64]
    technology: npt.NDArray[np.int64]
    area: npt.NDArray[np.int64]
    stress: Floats  # utilisation of the mean busy hour
    shift_hours: Floats
    base_log_latency: Floats
    base_log_throughput: Floats
    latency_slope: Floats
    loss_slope: Floats
    throughput_slope: Floats
    signal_dbm: Floats


class NetworkDay(NamedTuple):
    """The state of every cell in each of a day's 288 periods, all arrays [period, cell]."""

    day: date
    deviation: Floats  # log load relative to the profile
    utilisation: Floats
    backlog: Floats
    is_asleep: Flags
    is_out: Flags


class Medians(NamedTuple):
    """Logarithms of the median measurement, given utilisation and backlog."""

    latency: Floats
    loss: Floats
    throughput: Floats


class Network:
    """The cells of a scale, and their state on any day."""

    def __init__(self, scale: Scale) -> None:
        """Draw the cells; days are computed when asked for and the last few are kept."""
        self.scale = scale
        self.cells = draw_cells(scale)
        self.day = lru_cache(maxsize=2)(self._simulate_day)
        self._demand = lru_cache(maxsize=8)(self._demand_of_day)

    def stream(self, purpose: str, day: date) -> np.random.Generator:
        """Return the random numbers of one purpose on one day."""
        return stream(self.scale, purpose, day)

    def _simulate_day(self, day: date) -> NetworkDay:
        # The state forgets within hours. So a day starts from rest one day earlier, and depends
        # on nothing else: files never change when days are added before or after.
        before = day - timedelta(days=1)
        draws = np.concatenate([self._innovations(before), self._innovations(day)])
        deviation = lfilter([LOAD_STEP], [1.0, -LOAD_MEMORY], draws, axis=0)
        utilisation = self.expected_load(before, 2 * DAY_PERIODS) * np.exp(deviation)
        backlog = lfilter(
            [BACKLOG_GAIN], [1.0, BACKLOG_GAIN - 1.0], demanded_backlog(utilisation), axis=0
        )
        faults = self.scale.faults
        today = slice(DAY_PERIODS, None)
        return NetworkDay(
            day,
            deviation[today],
            utilisation[today],
            backlog[today],
            self._spells("sleep", faults.sleeps_per_cell_day, day),
            self._spells("outage", faults.outages_per_cell_day, day),
        )

    def _innovations(self, day: date) -> Floats:
        rng = self.stream("load", day)
        own = rng.standard_normal((DAY_PERIODS, self.scale.cells))
        shared = rng.standard_normal((DAY_PERIODS, self.scale.site_count))[:, self.cells.site]
        innovations: Floats = np.sqrt(SITE_SHARE) * shared + np.sqrt(1.0 - SITE_SHARE) * own
        return innovations

    def _spells(self, kind: str, per_day: float, day: date) -> Flags:
        """Return in which periods each cell is in a spell, a two-state Markov chain."""
        shape = (DAY_PERIODS, self.scale.cells)
        before = day - timedelta(days=1)
        draws = np.concatenate([self.stream(kind, each).random(shape) for each in (before, day)])
        # One draw settles a period: low begins a spell, high ends it, between goes on as before.
        settled = np.where(draws < per_day / DAY_PERIODS, 1.0, np.nan)
        settled[draws >= 1.0 - 1.0 / EVENT_PERIODS] = 0.0
        filled = pd.DataFrame(settled).ffill().fillna(0.0).to_numpy()
        is_in_spell: Flags = filled[DAY_PERIODS:] > 0.5
        return is_in_spell

    def _demand_of_day(self, day: date) -> Floats:
        """Return the drift of each site's log demand at the end of `day`."""
        weights = DRIFT_DECAY ** np.arange(DRIFT_DAYS)
        draws = [
            self.stream("demand", day - timedelta(days=back)).standard_normal(self.scale.site_count)
            for back in range(DRIFT_DAYS)
        ]
        demand: Floats = DRIFT_SPREAD * (weights @ np.array(draws)) / np.sqrt(np.sum(weights**2))
        return demand

    def _drift(self, day: date, periods: int) -> Floats:
        number, within = np.divmod(np.arange(periods), DAY_PERIODS)
        ends = np.array(
            [self._demand(day + timedelta(days=int(k))) for k in range(-1, number[-1] + 1)]
        )
        share = (within / DAY_PERIODS)[:, None]
        drift: Floats = (1.0 - share) * ends[number] + share * ends[number + 1]
        return drift[:, self.cells.site]

    def expected_load(self, day: date, periods: int) -> Floats:
        """Return the utilisation [period, cell] that is due from `day` on: all but the AR(1)."""
        cells = self.cells
        number = np.arange(periods)
        hour = (number % DAY_PERIODS / 12.0)[:, None] - cells.shift_hours
        is_weekend = (day.weekday() + number // DAY_PERIODS) % 7 >= 5
        load = np.full((periods, len(cells.names)), NIGHT_LOAD)
        for area, busy_hours in enumerate(BUSY_HOURS):
            here = cells.area == area
            bumps = sum(
                height * np.exp(-0.5 * (_around_midnight(hour[:, here] - centre) / width) ** 2)
                for centre, width, height in busy_hours
            )
            weekend = np.where(is_weekend, WEEKEND_LOAD[area], 1.0)[:, None]
            load[:, here] += bumps * weekend
        expected: Floats = load * cells.stress * np.exp(self._drift(day, periods))
        return expected

    def medians(self, utilisation: Floats, backlog: Floats) -> Medians:
        """Return the log medians of latency, loss and throughput; the last axis is the cell."""
        return medians_of(self.cells, utilisation, backlog)

    def reports(self, day: date) -> pd.DataFrame:
        """Return the day's rows as the cells report them, ordered by time and cell.

        Columns as `network_performance` is delivered, with `timestamp` as ISO 8601 text, and
        `period`, the number of the 5-min period within the day.
        """
        state = self.day(day)
        medians = self.medians(state.utilisation, state.backlog)
        rng = self.stream("measurement", day)
        noise = rng.standard_normal((4, *state.backlog.shape))
        latency = np.exp(medians.latency + LATENCY_NOISE * noise[0])
        loss = np.minimum(np.exp(medians.loss + LOSS_NOISE * noise[1]), 1.0)
        throughput = np.exp(medians.throughput + THROUGHPUT_NOISE * noise[2])
        idle = np.exp(self.cells.base_log_latency + LATENCY_NOISE * noise[0])
        period, cell = np.nonzero(~state.is_out & ~self._gaps(day))
        stamps = np.datetime_as_string(np.datetime64(day) + PERIOD * np.arange(DAY_PERIODS), "s")
        columns = {
            "timestamp": np.strings.add(stamps, "Z")[period],
            "cell_id": self.cells.names[cell],
            "latency_ms": np.where(state.is_asleep, idle, latency).round(2)[period, cell],
            "packet_loss": np.where(state.is_asleep, 0.0, loss).round(5)[period, cell],
            "throughput_mbps": np.where(state.is_asleep, 0.0, throughput).round(2)[period, cell],
            "signal_strength_dbm": (self.cells.signal_dbm + 2.0 * noise[3]).round(1)[period, cell],
            "connection_type": np.array(TECHNOLOGIES)[self.cells.technology][cell],
            "period": period,
        }
        return pd.DataFrame(columns)

    def _gaps(self, day: date) -> Flags:
        rng = self.stream("gaps", day)
        sites = self.scale.site_count
        is_hit = rng.random(sites) < self.scale.faults.gaps_per_site_day
        first = rng.integers(0, DAY_PERIODS, sites)
        length = rng.integers(2, 9, sites)
        number = np.arange(DAY_PERIODS)[:, None]
        return (is_hit & (number >= first) & (number < first + length))[:, self.cells.site]


class Continuation(Network):
    """The same cells with the same days up to `known_until`, and another future after it.

    Each `path` is one of the futures that are as likely as the one that came.
    """

    def __init__(self, network: Network, known_until: date, path: int) -> None:
        """Share cells and past with a network; only the days after `known_until` are drawn anew."""
        super().__init__(network.scale)
        self.known_until = known_until
        self._other = self.scale.model_copy(update={"seed": self.scale.seed + 1 + path})

    def stream(self, purpose: str, day: date) -> np.random.Generator:
        """Return the random numbers of one purpose on one day, others after what is known."""
        return stream(self.scale if day <= self.known_until else self._other, purpose, day)


def cells_at(cells: Cells, places: npt.NDArray[np.int64]) -> Cells:
    """Return what does not change about some cells, one value per place; cells may repeat."""
    return Cells(**{name: values[places] for name, values in cells._asdict().items()})


def medians_of(cells: Cells, utilisation: Floats, backlog: Floats) -> Medians:
    """Return the log medians of latency, loss and throughput of cells, which are the last axis."""
    return Medians(
        cells.base_log_latency + 0.25 * utilisation + cells.latency_slope * backlog,
        np.log(BASE_LOSS) + cells.loss_slope * backlog,
        cells.base_log_throughput - 0.9 * utilisation - cells.throughput_slope * backlog,
    )


def demanded_backlog(utilisation: Floats) -> Floats:
    """Return the backlog towards which a cell tends at this utilisation: logistic around 1."""
    demanded: Floats = BACKLOG_CEILING / (1.0 + np.exp((1.0 - utilisation) / BACKLOG_STEEPNESS))
    return demanded


def draw_cells(scale: Scale) -> Cells:
    """Draw the cells of a scale; stress and technology are spread evenly, not left to chance."""
    rng = stream(scale, "cells")
    count, sites = scale.cells, scale.site_count
    site = np.arange(count) * sites // count
    sector = np.arange(count) - np.searchsorted(site, site) + 1
    names = [f"S{1 + number:04d}-{part}" for number, part in zip(site, sector, strict=True)]
    spread = (np.arange(count) + 0.5) / count
    technology = np.searchsorted(np.cumsum(TECHNOLOGY_SHARES)[:-1], rng.permutation(spread))
    signal_dbm = rng.uniform(-102.0, -72.0, count)
    base_latency = np.log(BASE_LATENCY_MS)[technology] + rng.normal(0.0, 0.08, count)
    base_throughput = np.log(PEAK_THROUGHPUT_MBPS)[technology] + 0.008 * (signal_dbm + 87.0)
    # At which backlog the median breaks each limit, at full utilisation: it differs by cell.
    latency_at, loss_at, throughput_at = rng.uniform([[0.8], [0.9], [0.9]], 1.1, (3, count))
    return Cells(
        names=np.array(names),
        site=site,
        technology=technology,
        area=(np.arange(sites) + rng.integers(3))[site] % len(BUSY_HOURS),
        stress=0.77 + 0.14 * rng.permutation(spread),
        shift_hours=rng.uniform(-0.7, 0.7, count),
        base_log_latency=base_latency,
        base_log_throughput=base_throughput,
        latency_slope=(np.log(LATENCY_LIMIT_MS) - base_latency - 0.25) / latency_at,
        loss_slope=(np.log(LOSS_LIMIT / BASE_LOSS)) / loss_at,
        throughput_slope=(base_throughput - 0.9 - np.log(THROUGHPUT_LIMIT_MBPS)) / throughput_at,
        signal_dbm=signal_dbm,
    )


def _around_midnight(hours: Floats) -> Floats:
    return (hours + 12.0) % 24.0 - 12.0
