"""Use cases whose entity has several rows at one time, such as a cell of several carriers.

One of these rows is not the entity. What is right there are KPIs, which are added up
(`rancast.kpis`), and levels, which are the same in all of these rows; other columns are refused.
"""

from collections.abc import Iterable

from rancast.datasets import Dataset, PlacedDataset
from rancast.errors import ConfigurationError
from rancast.expressions import Expression


def parts_of(dataset: Dataset, entity: str, where: str | None) -> tuple[str, ...]:
    """Return the columns of the key that tell rows of one entity and time apart, none for events.

    A column of which `where` keeps a single value tells nothing apart.
    """
    if dataset.kind != "periodic":
        return ()
    alike = {entity, dataset.time.column} | (Expression(where).fixed if where else set())
    return tuple(name for name in dataset.key if name not in alike)


def expect_whole(
    dataset: Dataset, entity: str, where: str | None, asked: dict[str, Iterable[str]]
) -> None:
    """Refuse columns of single rows where an entity has several rows at one time.

    `asked` are the columns by the key of the use case that names them. Raises ConfigurationError.
    """
    if not (parts := parts_of(dataset, entity, where)):
        return
    whole = {*dataset.kpis, *_levels_above(dataset, entity)}
    for key, names in asked.items():
        for name in sorted({*names} - whole):
            raise ConfigurationError(
                f"{key} names {name!r}, the value of one row, but "
                f"{_several(dataset, entity, parts)}. Name a KPI instead, which adds the rows up "
                f"(kpis of the dataset), or {_one(parts)}."
            )


def expect_met(dataset: Dataset, key: str, by: str, where: str | None) -> None:
    """Refuse a dataset whose last row of `by` is looked up, where that is one of several."""
    if parts := parts_of(dataset, by, where):
        raise ConfigurationError(
            f"{key} looks up the last row of each {by!r}, but {_several(dataset, by, parts)}; "
            f"{_one(parts)}."
        )


def _several(dataset: Dataset, entity: str, parts: tuple[str, ...]) -> str:
    return (
        f"the key of dataset {dataset.name!r} is {', '.join(dataset.key)}: one {entity!r} has "
        f"several rows at a time, which differ in {' and '.join(parts)}"
    )


def _one(parts: tuple[str, ...]) -> str:
    return (
        f"keep one of them by where, such as {parts[0]} == '...'; if {' and '.join(parts)} cannot "
        "differ, take it out of the key"
    )


def _levels_above(dataset: Dataset, entity: str) -> set[str]:
    """Return the entity and the columns that are the same in all of its rows of one time."""
    read = {name for name, level in dataset.levels.items() if level.source == entity}
    if not isinstance(dataset, PlacedDataset):
        return {entity} | read
    order = (str(dataset.entity), *dataset.placement.levels)
    return {entity} | read | {*(order[order.index(entity) :] if entity in order else ())}
