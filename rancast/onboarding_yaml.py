"""YAML as a person would write it: short values on one line, each guess under its comment.

Libraries write YAML without comments, and the comments are what a drafted file is for.
"""

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import yaml

from rancast.durations import short_duration

WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./]*( [A-Za-z0-9_./]+)*")
_READER = yaml.resolver.Resolver()


def comment(*sentences: str, indent: int = 0) -> list[str]:
    """Return sentences as comment lines, each sentence wrapped and on lines of its own."""
    start = " " * indent + "# "
    lines: list[str] = []
    for sentence in sentences:
        lines += textwrap.wrap(
            " ".join(sentence.split()),
            WIDTH,
            initial_indent=start,
            subsequent_indent=start + "  " if lines or len(sentences) > 1 else start,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def scalar(value: Any) -> str:
    """Return one value as YAML, in quotes where it could be read as anything but itself."""
    if isinstance(value, timedelta):
        return short_duration(value) if value else "0s"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and _is_word(value):
        return value
    if value.isprintable() and ("\\" in value or '"' in value):
        return "'" + value.replace("'", "''") + "'"
    return f'"{"".join(map(_escaped, value))}"'


def _is_word(text: str) -> bool:
    """Tell whether text without quotes stays text; `no`, `on` and `null` are taken for a value."""
    tag = _READER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return bool(tag == _READER.DEFAULT_SCALAR_TAG)


def _escaped(char: str) -> str:
    """Return a character as it stands between double quotes; JSON's pairs are two in YAML."""
    if char in '\\"':
        return f"\\{char}"
    return char if char.isprintable() else f"\\U{ord(char):08x}"


def listing(values: Iterable[Any]) -> str:
    """Return a list on one line: [cell_id, timestamp]."""
    return f"[{', '.join(flow(value) for value in values)}]"


def mapping(values: Mapping[str, Any]) -> str:
    """Return keys and values on one line: {type: float, from: [latency]}."""
    return f"{{{', '.join(f'{scalar(key)}: {flow(value)}' for key, value in values.items())}}}"


def flow(value: Any) -> str:
    """Return any value on one line."""
    if isinstance(value, Mapping):
        return mapping(value)
    return listing(value) if isinstance(value, (list, tuple)) else scalar(value)


def shown(text: str, most: int = 40) -> str:
    """Return a name or a mark from a raw file for a comment: quoted, on one line, not too long."""
    short = text if len(text) <= most else f"{text[:most]}…"
    return f"'{''.join(char if char.isprintable() else '�' for char in short)}'"


def amount(value: float) -> str:
    """Return a number for a sentence: 188,711 or 0.0123 or 2.3e+12."""
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}"


def number_of(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun: '1 file', '3 files', '2 entities'."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
