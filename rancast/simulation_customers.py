"""The simulated subscribers: where they are, whom they call, how satisfied they are."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr

from rancast.simulation_network import DAY_PERIODS, Flags, Floats, Network
from rancast.simulation_scale import stream

Integers = npt.NDArray[np.int64]

# Country code 999 is not assigned and 998 is not either: no id is anybody's number.
SUBSCRIBER_PREFIX = 999_000_000_000
FOREIGN_PREFIX = 998_000_000_000
LOCAL_OFFSET = np.timedelta64(1, "h")  # call records are stamped in the operator's +01:00

SERVICE_TYPES = ("prepaid", "postpaid", "business")
SERVICE_SHARES = (0.45, 0.43, 0.12)
CALL_TYPES = ("voice", "sms", "data")
CALL_SHARES = (0.40, 0.22, 0.38)
ROAMER_SHARE = 0.03  # visitors' calls per call of a subscriber
EXTERNAL_CALLEE_SHARE = 0.35

MOOD_DAYS = 7  # a bad day is remembered this long
MOOD_DECAY = 0.65
# Satisfaction is an ordered probit: 1 plus the number of cuts below tone - mood + noise.
SATISFACTION_CUTS = (-1.75, -0.95, 0.0, 1.1)
SATISFACTION_NOISE = 0.45
PAIN_WEIGHT = 8.0

HOURS = np.arange(24)
ACTIVITY = (
    0.12
    + np.exp(-0.5 * ((HOURS - 12.0) / 3.4) ** 2)
    + 1.2 * np.exp(-0.5 * ((HOURS - 19.5) / 2.3) ** 2)
)
ACTIVITY_SHARE = ACTIVITY / ACTIVITY.sum()
IS_OFFICE_HOUR = (HOURS >= 8) & (HOURS < 17)


class Subscribers(NamedTuple):
    """What does not change about each customer; every array is one value per customer."""

    number: Integers  # the MSISDN, in customer_id and in caller_id
    service: Integers
    home: Integers
    work: Integers
    tone: Floats  # satisfaction with a network without congestion
    sensitivity: Floats
    calls_per_day: Floats
    voice_seconds: Floats
    session_mb: Floats


class Customers:
    """The subscribers of a network, their calls and their days."""

    def __init__(self, network: Network) -> None:
        """Draw the subscribers; a day's experience is computed when asked for and kept a while."""
        self.network = network
        self.scale = network.scale
        self.people = draw_subscribers(network)
        self.pain = lru_cache(maxsize=2 * MOOD_DAYS)(self._pain_of_day)

    def _places(self, day: date) -> Integers:
        """Return the cell of each customer in each hour of `day`, [hour, customer]."""
        is_at_work = IS_OFFICE_HOUR[:, None] & (day.weekday() < 5)
        return np.where(is_at_work, self.people.work, self.people.home)

    def _pain_of_day(self, day: date) -> Floats:
        """Return what each customer suffered on `day`: 0 no congestion, 1 no service at all."""
        state = self.network.day(day)
        pain = np.clip(state.backlog, 0.0, 1.0)
        pain[state.is_out | state.is_asleep] = 1.0
        hourly = pain.reshape(24, DAY_PERIODS // 24, -1).mean(axis=1)
        suffered: Floats = ACTIVITY_SHARE @ hourly[HOURS[:, None], self._places(day)]
        return suffered

    def leaning(self, day: date) -> Floats:
        """Return each customer's satisfaction of `day` on the probit's scale, before noise."""
        pains = [self.pain(day - timedelta(days=back)) for back in range(MOOD_DAYS)]
        return leaning_after(self.people, pains)

    def calls(self, day: date) -> pd.DataFrame:
        """Return the day's call detail records as delivered, ordered by time.

        Customers call from the cell where they are; a cell in outage or asleep carries no call,
        and congestion cuts calls short. Adds `caller` (index of the customer, -1 for visitors)
        and `hour`.
        """
        rng = stream(self.scale, "calls", day)
        made = rng.poisson(self.people.calls_per_day)
        visits = rng.poisson(ROAMER_SHARE * self.scale.customers * self.people.calls_per_day.mean())
        caller = np.concatenate([np.repeat(np.arange(len(made)), made), np.full(visits, -1)])
        count = len(caller)
        hour = rng.choice(24, count, p=ACTIVITY_SHARE)
        second = np.sort(hour * 3600 + rng.integers(0, 3600, count))
        caller = rng.permutation(caller)
        cell = self._places(day)[second // 3600, caller]
        cell = np.where(caller < 0, rng.integers(0, self.scale.cells, count), cell)
        state = self.network.day(day)
        period = second // 300
        backlog = np.clip(state.backlog[period, cell], 0.0, 1.0)
        frame = self._records(rng, day, second, caller, backlog)
        frame.insert(6, "cell_id", self.network.cells.names[cell])
        is_served: Flags = ~(state.is_out | state.is_asleep)[period, cell]
        return frame[is_served].reset_index(drop=True)

    def _records(
        self, rng: np.random.Generator, day: date, second: Integers, caller: Integers, pain: Floats
    ) -> pd.DataFrame:
        people, count = self.people, len(caller)
        kind = np.searchsorted(np.cumsum(CALL_SHARES)[:-1], rng.random(count), side="right")
        known = rng.integers(0, self.scale.customers, count)
        outside = rng.integers(500_000_000, 1_000_000_000, count)
        is_outside = (rng.random(count) < EXTERNAL_CALLEE_SHARE) | (known == caller)
        visitor = FOREIGN_PREFIX + rng.integers(1, 1_000_000_000, count)
        is_cut = rng.random(count) < 0.5 * pain
        spread = np.exp(0.8 * rng.standard_normal(count)) * np.where(is_cut, rng.random(count), 1.0)
        seconds = np.where(kind == 0, np.ceil(people.voice_seconds[caller] * spread), 0.0)
        seconds[kind == 2] = np.ceil(300.0 * spread[kind == 2])
        megabytes = np.where(kind == 2, people.session_mb[caller] * spread * (1.0 - 0.6 * pain), 0)
        stamps = np.datetime64(day, "s") + second.astype("timedelta64[s]") + LOCAL_OFFSET
        serial = np.arange(1, count + 1) + day.toordinal() * 10_000_000
        callee = np.where(is_outside, SUBSCRIBER_PREFIX + outside, people.number[known])
        columns = {
            "call_id": np.strings.add("C", serial.astype(str)),
            "timestamp": np.strings.add(np.datetime_as_string(stamps), "+01:00"),
            "caller_id": np.where(caller < 0, visitor, people.number[caller]).astype(str),
            "callee_id": np.where(kind == 2, "", callee.astype(str)),
            "call_duration_seconds": seconds.astype(np.int64),
            "call_type": np.array(CALL_TYPES)[kind],
            "roaming_status": np.where(caller < 0, "roaming", "home"),
            "data_used_mb": megabytes.round(3),
            "caller": caller,
            "hour": second // 3600,
        }
        return pd.DataFrame(columns)

    def experience(self, day: date) -> pd.DataFrame:
        """Return the day's `customer_experience` as delivered, one row per customer.

        Usage is the sum of the customer's own call detail records of the day.
        """
        rng = stream(self.scale, "experience", day)
        calls = self.calls(day)
        own = calls[calls["caller"] >= 0]
        usage = own.groupby("caller")[["data_used_mb", "call_duration_seconds"]].sum()
        voice = own[own["call_type"] == "voice"].groupby("caller")["call_duration_seconds"].sum()
        messages = own[own["call_type"] == "sms"].groupby("caller").size()
        everyone = range(self.scale.customers)
        noise = rng.standard_normal((2, self.scale.customers))
        felt = self.leaning(day) + SATISFACTION_NOISE * noise[0]
        quality = np.clip(100.0 * (1.0 - self.pain(day)) + 3.0 * noise[1], 0.0, 100.0)
        columns = {
            "customer_id": self.people.number.astype(str),
            "timestamp": np.full(len(everyone), f"{day.isoformat()} 00:00:00"),
            "service_type": np.array(SERVICE_TYPES)[self.people.service],
            "data_usage_mb": usage["data_used_mb"].reindex(everyone, fill_value=0).round(2),
            "voice_minutes": (voice.reindex(everyone, fill_value=0) / 60.0).round(2),
            "sms_count": messages.reindex(everyone, fill_value=0),
            "network_quality_score": quality.round(1),
            "customer_satisfaction_score": 1 + np.searchsorted(SATISFACTION_CUTS, felt),
        }
        return pd.DataFrame(columns)

    def satisfaction_truth(self, day: date) -> pd.DataFrame:
        """Return the expected score of `day` and P(score below 3), in closed form.

        Given are the customer's traits and the state of their cells up to the end of the day; what
        remains open is the noise of the answer. Columns: customer_id, timestamp
        (datetime64[us, UTC]), expected_score, probability_below_3.
        """
        leaning = self.leaning(day)
        cuts = np.array(SATISFACTION_CUTS)[:, None]
        above = ndtr((leaning - cuts) / SATISFACTION_NOISE)
        return pd.DataFrame(
            {
                "customer_id": self.people.number.astype(str),
                "timestamp": pd.Timestamp(day, tz="UTC").as_unit("us"),
                "expected_score": 1.0 + above.sum(axis=0),
                "probability_below_3": 1.0 - above[1],
            }
        )


def leaning_after(people: Subscribers, pains: Sequence[Floats]) -> Floats:
    """Return satisfaction on the probit's scale after `MOOD_DAYS` days of pain, latest first."""
    weights = MOOD_DECAY ** np.arange(MOOD_DAYS)
    remembered = sum(weight * pain for weight, pain in zip(weights, pains, strict=True))
    mood = remembered / weights.sum()
    leaning: Floats = people.tone - PAIN_WEIGHT * people.sensitivity * mood
    return leaning


def draw_subscribers(network: Network) -> Subscribers:
    """Draw the customers of a network: numbers, homes, jobs, habits and tempers."""
    scale = network.scale
    rng = stream(scale, "subscribers")
    count = scale.customers
    service = np.searchsorted(np.cumsum(SERVICE_SHARES)[:-1], rng.random(count), side="right")
    # 1,000,003 is prime to 5e8: distinct customers get distinct numbers, without any order.
    number = (np.arange(count) * 1_000_003 + rng.integers(500_000_000)) % 500_000_000
    habit = rng.gamma(4.0, 0.25, count)
    return Subscribers(
        number=SUBSCRIBER_PREFIX + number,
        service=service,
        home=rng.integers(0, scale.cells, count),
        work=rng.integers(0, scale.cells, count),
        tone=1.20 + 0.35 * rng.standard_normal(count) + np.array([-0.1, 0.1, 0.2])[service],
        sensitivity=rng.uniform(0.6, 1.4, count),
        calls_per_day=scale.calls_per_customer_day * habit,
        voice_seconds=rng.lognormal(np.log(110.0), 0.4, count),
        session_mb=rng.lognormal(np.log(60.0), 0.7, count),
    )
