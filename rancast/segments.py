"""Statistics of slices of one array, each slice on its own: equal slices give equal bits.

A slice is [start, end) of positions. No running sum or window is carried from one to the next,
whose rounding would depend on what lies before.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def sums(values: Floats, start: Ints, end: Ints) -> Floats:
    """Return the sum of values[start:end] of each pair, 0 of none.

    Each is summed on its own: differences of a running sum would lose digits to the rows before.
    """
    found = _reduced(np.add, values, start, end)
    return np.where(end > start, found, 0.0)


def means(values: Floats, start: Ints, end: Ints) -> Floats:
    """Return the mean of values[start:end] of each pair, NaN of none."""
    return np.where(end > start, sums(values, start, end) / np.maximum(end - start, 1), np.nan)


def smallest(values: Floats, start: Ints, end: Ints) -> Floats:
    """Return the minimum of values[start:end] of each pair, NaN of none."""
    return np.where(end > start, _reduced(np.minimum, values, start, end), np.nan)


def largest(values: Floats, start: Ints, end: Ints) -> Floats:
    """Return the maximum of values[start:end] of each pair, NaN of none."""
    return np.where(end > start, _reduced(np.maximum, values, start, end), np.nan)


def distinct(previous: Ints, start: Ints, end: Ints) -> Floats:
    """Return how many different values lie in each slice, as a float.

    `previous` is for each position that of the same value before it, -1 where there is none: a
    value counts where it is first in the slice.
    """
    size = np.maximum(end - start, 0)
    after = np.cumsum(size)
    offset = np.arange(after[-1] if len(after) else 0) - np.repeat(after - size, size)
    is_first = previous[np.repeat(start, size) + offset] < np.repeat(start, size)
    return sums(is_first.astype(np.float64), after - size, after)


def previous_equal(codes: Ints) -> Ints:
    """Return for each position the one before it with the same code, -1 where there is none."""
    order = np.argsort(codes, kind="stable")
    is_same = np.diff(codes[order], prepend=-1) == 0
    found = np.full(len(codes), -1, dtype=np.int64)
    found[order] = np.where(is_same, np.append(-1, order[:-1])[: len(order)], -1)
    return found


def _reduced(reduce: np.ufunc, values: Floats, start: Ints, end: Ints) -> Floats:
    if not len(start):
        return np.zeros(0)
    # reduceat also reduces what lies between two pairs: in order of start that is little
    order = np.argsort(start, kind="stable")
    bounds = np.column_stack([start, end])[order].ravel()
    found = np.empty(len(start))
    found[order] = reduce.reduceat(np.append(values, 0.0), bounds)[::2]
    return found
