"""How large and how faulty a simulated operator is, and where its randomness comes from."""

from datetime import date, timedelta
from typing import Annotated, Any
from zlib import crc32

import numpy as np
from pydantic import BeforeValidator, Field

from rancast.documents import Document

Probability = Annotated[float, Field(ge=0, le=1)]


class Faults(Document):
    """How often the network and its collectors fail; a probability is per draw, none is daily."""

    outages_per_cell_day: Probability = Field(default=0.01, description="no rows, about two hours")
    sleeps_per_cell_day: Probability = Field(
        default=0.01, description="the cell reports but carries nothing, about two hours"
    )
    gaps_per_site_day: Probability = Field(
        default=0.02, description="a site's rows of two to eight periods are lost"
    )
    corrupt_share: Annotated[float, Field(ge=0, le=0.01)] = Field(
        default=0.002, description="share of garbled rows, averaged over days"
    )
    duplicated_files_per_day: Probability = Field(
        default=0.15, description="chance per dataset and day that a file is delivered twice"
    )
    late_files_per_day: Probability = Field(
        default=0.15, description="chance per dataset and day that a file arrives later"
    )


NO_FAULTS = Faults(
    outages_per_cell_day=0,
    sleeps_per_cell_day=0,
    gaps_per_site_day=0,
    corrupt_share=0,
    duplicated_files_per_day=0,
    late_files_per_day=0,
)


def _faults_from_flag(value: Any) -> Any:
    return {True: Faults(), False: NO_FAULTS}[value] if isinstance(value, bool) else value


class Scale(Document):
    """The simulated operator: its size, its dates, its faults and its seed.

    Adding days changes no file of an earlier day; changing anything else but `customer_days`
    changes them all.
    """

    cells: int = Field(default=20, ge=1)
    sites: int | None = Field(default=None, ge=1, description="default: one for three cells")
    start: date = date(2024, 3, 1)
    days: int = Field(default=30, ge=1, description="days of network performance from start on")
    customers: int = Field(default=200, ge=1)
    customer_days: int | None = Field(
        default=None, ge=1, description="days of customers and calls up to the end; default: days"
    )
    calls_per_customer_day: float = Field(
        default=4.0, gt=0, le=500, description="voice calls, messages and data sessions together"
    )
    seed: int = Field(default=20240301, ge=0)
    faults: Annotated[Faults, BeforeValidator(_faults_from_flag)] = Faults()

    @property
    def end(self) -> date:
        """The day after the last one."""
        return self.start + timedelta(days=self.days)

    @property
    def site_count(self) -> int:
        """How many sites carry the cells."""
        return min(self.cells, self.sites or -(-self.cells // 3))

    def network_days(self) -> list[date]:
        """Return the days of network performance, in order."""
        return [self.start + timedelta(days=number) for number in range(self.days)]

    def customer_dates(self) -> list[date]:
        """Return the days of customer experience and call detail records, in order."""
        count = self.customer_days or self.days
        return [self.end - timedelta(days=number) for number in range(count, 0, -1)]


def stream(scale: Scale, purpose: str, day: date | None = None) -> np.random.Generator:
    """Return the random numbers of one purpose on one day, independent of all the others.

    Each day has streams of its own, so that no day depends on how many days are simulated.
    """
    key = [scale.seed, crc32(purpose.encode())]
    return np.random.default_rng(key if day is None else [*key, day.toordinal()])
