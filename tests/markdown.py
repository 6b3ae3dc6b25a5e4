"""Reads back the tables of a markdown page, as the Prefect UI would show their cells."""

import re


def rows_of(page: str, number: int = 0) -> list[dict[str, str]]:
    """Return the rows of a page's table, counted from 0: column -> cell as a person reads it."""
    tables: list[list[list[str]]] = [[]]
    for line in page.splitlines():
        if line.startswith("| "):
            tables[-1].append([_shown(cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif tables[-1]:
            tables.append([])
    columns, _rule, *rows = tables[number]
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _shown(cell: str) -> str:
    text = re.sub(r"(?<!\\)\*\*", "", cell.strip())
    return re.sub(r"\\(.)", r"\1", text).replace("&lt;", "<")
