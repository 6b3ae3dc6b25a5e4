"""What a value in a use case's YAML may be: a condition, a zone, a time of day, distinct names."""

from datetime import time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from rancast.errors import ConfigurationError
from rancast.expressions import Expression


def _is_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is not an IANA time zone, such as Europe/Dublin") from error
    return value


def _is_local(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError(f"{value} has an offset; write the time alone and the zone as timezone")
    return value


def _is_expression(text: str) -> str:
    try:
        Expression(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return text


def _is_free_of_repeats(items: tuple[Any, ...]) -> tuple[Any, ...]:
    for item in items:
        if items.count(item) > 1:
            raise ValueError(f"{item} stands here twice")
    return items


Condition = Annotated[str, AfterValidator(_is_expression)]
Zone = Annotated[str, AfterValidator(_is_zone)]
LocalTime = Annotated[time, AfterValidator(_is_local)]
WITHOUT_REPEATS = AfterValidator(_is_free_of_repeats)
Columns = Annotated[tuple[str, ...], Field(min_length=1), WITHOUT_REPEATS]


def columns_of(condition: str | None) -> frozenset[str]:
    """Return the columns that a condition names, none where there is no condition."""
    return frozenset() if condition is None else Expression(condition).columns
