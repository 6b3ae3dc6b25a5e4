"""Which raw name is which column: a header must fit the dataset exactly, or the file is refused."""

from collections import Counter
from difflib import get_close_matches

from rancast.datasets import Dataset
from rancast.quarantine import shape
from rancast.records import BlobRefused

LOOKS_ALIKE = 0.6


def match_columns(names: tuple[str, ...], dataset: Dataset) -> dict[str, int]:
    """Return the position of each column that the file has; optional ones may be absent.

    Raises BlobRefused for required columns that are missing, columns that are there twice, and
    names that neither `columns` nor `ignore` knows, with the likely renaming if there is one.
    """
    faults = [f"has the column {_quote(name, dataset)} twice" for name in _repeated(names)]
    found: dict[str, int] = {}
    unknown = {name: place for place, name in enumerate(names) if name not in dataset.ignore}
    missing = []
    for column in dataset.raw_columns:
        present = [name for name in dataset.aliases_of(column) if name in unknown]
        if len(present) > 1:
            faults.append(f"has both {' and '.join(map(repr, present))} for the column {column}")
        if present:
            found[column] = names.index(present[0])
        elif dataset.columns[column].required:
            missing.append(column)
            faults.append(f"lacks the column {column}{_also_known(column, dataset)}")
        for name in present:
            del unknown[name]
    faults += [
        f"has the unknown column {_quote(name, dataset)} (number {place + 1})"
        for name, place in unknown.items()
    ]
    if faults:
        raise BlobRefused(", ".join(faults), _next_step(missing, list(unknown), dataset))
    return found


def _repeated(names: tuple[str, ...]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _also_known(column: str, dataset: Dataset) -> str:
    others = dataset.aliases_of(column)[1:]
    return f" (also known as {', '.join(others)})" if others else ""


def _quote(name: str, dataset: Dataset) -> str:
    """Show a raw name; in a file whose header is missing it may be a subscriber's cell."""
    is_known = any(name in dataset.aliases_of(column) for column in dataset.columns)
    if dataset.has_subscribers and not is_known:
        return f"of {shape(name)}"
    return repr(name if len(name) <= 60 else f"{name[:60]}…")


def _next_step(missing: list[str], unknown: list[str], dataset: Dataset) -> str:
    place = f"datasets/{dataset.name}.yaml"
    for column in missing:
        for alias in dataset.aliases_of(column):
            lowered = {name.lower(): name for name in unknown}
            close = get_close_matches(alias.lower(), lowered, n=1, cutoff=LOOKS_ALIKE)
            if close and not dataset.has_subscribers:
                return (
                    f"if {lowered[close[0]]!r} is a new name of {column}, add it to 'from' of that "
                    f"column in {place}, else have the file delivered again"
                )
    if missing:
        return f"have it delivered again with that column, or say 'required: false' in {place}"
    if unknown:
        return f"add the name to 'columns' or to 'ignore' in {place}, or have the file corrected"
    return "have it delivered again with each column once"
