"""Lengths of time as a use case states them, and how they are written for people."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from rancast.documents import Duration

DAY, WEEK = timedelta(days=1), timedelta(weeks=1)


def _is_positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError(f"{value} is not a length of time; write one above zero, such as 30min")
    return value


def _is_not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError(f"{value} is negative; write 0s or more")
    return value


def _is_whole_days(value: timedelta) -> timedelta:
    if value < DAY or value % DAY:
        raise ValueError(f"{value} is not a number of whole days, such as 7d")
    return value


Length = Annotated[Duration, AfterValidator(_is_positive)]
LengthOrZero = Annotated[Duration, AfterValidator(_is_not_negative)]
WholeDays = Annotated[Duration, AfterValidator(_is_whole_days)]


def short_duration(value: timedelta) -> str:
    """Write a length of time as people do, in its largest whole unit: '7d', '30min', '5s'."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(value, timedelta(seconds=length))
        if count and not rest:
            return f"{count}{unit}"
    return f"{value // timedelta(milliseconds=1)}ms"
