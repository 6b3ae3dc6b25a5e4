"""Small feeds as a vendor would send them, and what is drafted from them."""

from collections.abc import Iterable
from typing import Any

from rancast.onboarding import Draft, draft
from rancast.onboarding_cells import ColumnGuess
from rancast.onboarding_sample import SampleFile

SCHEMAS = "../docs/schemas"


def sample(
    *contents: bytes | str, suffix: str = "csv", is_whole: bool = True
) -> tuple[SampleFile, ...]:
    """Files a.csv, b.csv, ... of these contents."""
    datas = [text.encode() if isinstance(text, str) else text for text in contents]
    return tuple(
        SampleFile(f"{chr(97 + place)}.{suffix}", data, is_whole, len(data))
        for place, data in enumerate(datas)
    )


def csv(header: str, rows: Iterable[Iterable[Any]], delimiter: str = ",") -> str:
    """A CSV text."""
    lines = [header, *(delimiter.join(map(str, row)) for row in rows)]
    return "\n".join(line for line in lines if line) + "\n"


def stamps(count: int, minutes: int = 5, day: str = "2024-03-01") -> list[str]:
    """ISO stamps from midnight on, so many minutes apart, without an offset."""
    import pandas as pd

    times = pd.date_range(day, periods=count, freq=f"{minutes}min")
    return times.strftime("%Y-%m-%d %H:%M:%S").tolist()


def drafted(*contents: bytes | str, use_case: str | None = None, **kind: Any) -> Draft:
    """The draft from files of these contents; its own sample is read and nothing of it is lost."""
    found = draft(sample(*contents, **kind), "feed", SCHEMAS, use_case)
    assert found.pulled.rejected.empty and found.pulled.inventory.refusals == ()
    assert len(found.pulled.typed) == found.guesses.table.rows
    return found


def column(found: Draft, name: str) -> ColumnGuess:
    """The guess for one of our columns."""
    (guess,) = [guess for guess in found.guesses.columns if guess.name == name]
    return guess


def one_column(cells: Iterable[Any], name: str = "value") -> ColumnGuess:
    """The guess for a column of cells beside a time and a cell's name."""
    cells = list(cells)
    rows = zip(stamps(len(cells)), ["A"] * len(cells), cells, strict=True)
    text = csv(f"timestamp,cell_id,{name}", rows)
    return drafted(text).guesses.columns[2]


def text_of(found: Draft) -> str:
    """All that would be written down of a draft."""
    return "\n".join([found.dataset_yaml, found.suite_json, found.use_case_yaml or ""])
