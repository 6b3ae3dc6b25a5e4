"""What a raw blob holds before any cell is understood: its records, their lines, its faults."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# The csv module's own default, beyond which it takes a field for an unclosed quote
CELL_LIMIT = 131_072
# What a record takes in memory beside its cells: blob, line, and the objects that hold them
RECORD_OVERHEAD_BYTES = 64


class Malformed(NamedTuple):
    """A record that has no cells: the line where it starts, the rule it broke, its text."""

    line: int
    rule: str
    text: str


class Records(NamedTuple):
    """All records of one blob, as text.

    `cells` has a pyarrow array (large_string) per name, each as long as `lines`; `iso` are the
    positions of columns that were stored as times, and are ISO 8601 whatever the dataset's format.
    """

    names: tuple[str, ...]
    cells: tuple[Any, ...]
    lines: npt.NDArray[np.int64]
    malformed: tuple[Malformed, ...] = ()
    iso: frozenset[int] = frozenset()

    @property
    def total(self) -> int:
        """How many records the blob has, readable or not."""
        return len(self.lines) + len(self.malformed)


class BlobRefused(Exception):
    """A fault of a whole blob, handled by the reader: what is wrong, and what to do next.

    `records` are those that could be counted; all of them are rejected for the fault.
    """

    def __init__(self, reason: str, step: str, records: Records | None = None) -> None:
        """Keep the two halves of the sentence apart: `reason` is also the rule of each record."""
        super().__init__(f"{reason}; {step}")
        self.reason = reason
        self.step = step
        self.records = records


def check_size(size: int, records: int, limit: int) -> None:
    """Raise BlobRefused where reading `records` of `size` bytes would take more than `limit`."""
    if size + records * RECORD_OVERHEAD_BYTES > limit:
        raise BlobRefused(
            f"is too large to be read safely ({size:,} bytes in {records:,} records)",
            "have it delivered in several files, or raise format.limit_mb in the dataset's YAML",
        )
