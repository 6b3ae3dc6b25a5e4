"""Markdown for the Prefect UI: tables, links and pictures, in which no text becomes markup.

Table artifacts neither wrap long cells nor show links, and image artifacts print the whole address
of a picture below it, so everything that is shown is markdown.
"""

import base64
import re
from collections.abc import Iterable, Sequence

Cell = str | int | float | None


def escape(text: str) -> str:
    """Keep text from a file or an exception from becoming markup or another table cell."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", " ".join(text.split())).replace("<", "&lt;")


def code(text: str) -> str:
    """Return a name or place as it is typed."""
    return f"`{text.replace('`', '')}`"


def link(text: str, address: str) -> str:
    """Return a link to an http(s) address; any other place is named, since no browser opens it."""
    if re.match(r"https?://[^\s()<>]+$", address):
        return f"[{escape(text)}]({address})"
    return f"{escape(text)}, {code(address)}"


def picture(png: bytes, meaning: str) -> str:
    """Return a picture that needs no other server; `meaning` is read where it cannot be seen."""
    return f"![{escape(meaning)}](data:image/png;base64,{base64.b64encode(png).decode()})"


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], numbers: str = "") -> list[str]:
    """Return the lines of a table; `numbers` names the columns that are aligned to the right.

    Cells are markdown already: text that is not ours has to be escaped before.
    """
    right = set(numbers.split(", ")) if numbers else set()
    rules = ["--:" if name in right else "---" for name in columns]
    lines = [_row(columns), _row(rules)]
    return lines + [_row([_cell(cell) for cell in row]) for row in rows]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
