"""What a raw column is called with us, and what its name tells of its cells and their unit."""

import re
import unicodedata
from collections.abc import Iterable

from rancast.column_names import RESERVED
from rancast.documents import NAME, NAME_IN_WORDS
from rancast.errors import ConfigurationError

LONGEST = 63
# columns that a draft takes from the path of a file
FILE, DAY = OWN = ("source_file", "delivery_day")
# the unit as vendors write it in brackets, and as our names end
UNITS = {
    **{"ms": "ms", "msec": "ms", "s": "seconds", "sec": "seconds", "min": "minutes", "h": "hours"},
    **{"%": "percent", "pct": "percent", "percent": "percent", "dbm": "dbm", "db": "db"},
    **{"bps": "bps", "kbps": "kbps", "kbit/s": "kbps", "mbps": "mbps", "mbit/s": "mbps"},
    **{"gbps": "gbps", "b": "bytes", "byte": "bytes", "bytes": "bytes", "kb": "kb", "mb": "mb"},
    **{"gb": "gb", "km/h": "kmh", "kmh": "kmh", "m/s": "mps", "m": "m", "km": "km", "w": "w"},
    **{
        "kwh": "kwh",
        "erl": "erlang",
        "erlang": "erlang",
        "hz": "hz",
        "mhz": "mhz",
        "°c": "celsius",
    },
}
SUFFIXES = frozenset({*UNITS.values(), "ratio", "count", "share", "score", "index", "bytes"})

# how people group the digits of a number: 0151-234-5678, +49 (151) 2345678
_GROUPING = re.compile(r"[ \-/.()+]")
_NAMES_SOMEBODY = re.compile(r"[0-9]{7}|[^ @]@[^ @]")

_BRACKETS = re.compile(r"^(?P<name>.+?)\s*[(\[](?P<unit>[^()\[\]]{1,10})[)\]]\s*$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

# what a name says about its cells; the words are looked for in our form of it
_NETWORK = re.compile(
    r"(^|_)(raw)?(cell|site|node|sector|enb|gnb|enodeb|gnodeb|bs|bts|nodeb|carrier|band|link|trunk|"
    r"rnc|bsc|lac|tac|eci|ecgi|nci|ncgi|cgi|pci|plmn|mcc|mnc|earfcn|nrarfcn|region|area|cluster|ne|"
    r"element|port|interface|slice|cellid|nodeid|siteid)(_|$|\d)"
)
_PERSON = re.compile(
    r"(^|_)(msisdn|imsi|imei|iccid|sim|supi|gpsi|subscriber|customer|caller|callee|calling|called|"
    r"account|user|phone|telephone|mobile|msn|a_number|b_number|a_party|b_party|anumber|bnumber|"
    r"email|ssn)(_|$)"
)
_IDENTIFIER = re.compile(
    r"(^|_)(id|uid|uuid|guid|key|code|zip|name)$|hex$|"
    r"(cell|node|site|link|session|call|trace|device|record|ticket|order|bs|enb)_?(id|no|number)$"
)
_TIME = re.compile(
    r"(^|_)(time|timestamp|stamp|date|datetime|day|hour|thour|begin|start|end|ts)(_|$)"
)
_END = re.compile(r"(^|_)(end|stop|finish|till|until)(_|$)|end_?time")
_START = re.compile(r"(^|_)(begin|start|from)(_|$)|start_?time")

_HINTS: tuple[tuple[re.Pattern[str], float, float, str], ...] = (
    (re.compile(r"rsrp|rssi|signal_strength|rxlev|rscp"), -160, 0, "dBm? then end it with _dbm"),
    (re.compile(r"rsrq|snr|sinr|ecno"), -60, 60, "dB? then end it with _db"),
    (
        re.compile(r"loss|util|ratio|rate|share|pct|percent|avail|success|drop"),
        0,
        1,
        "a share of 1? then end it with _ratio",
    ),
    (
        re.compile(r"loss|util|ratio|share|pct|percent|avail|success|prb"),
        0,
        100,
        "per cent? then 'scale: 0.01', and end it with _ratio",
    ),
    (
        re.compile(r"bitrate|throughput|thp|speed_test|data_rate"),
        0,
        float("inf"),
        "kbit/s or Mbit/s? say it at the end, such as _mbps with 'scale: 0.001'",
    ),
    (
        re.compile(r"latency|delay|ping|rtt|jitter|response"),
        0,
        float("inf"),
        "ms or s? say it at the end, such as _ms",
    ),
    (
        re.compile(r"duration|seconds|elapsed"),
        0,
        float("inf"),
        "seconds? then end it with _seconds",
    ),
    (
        re.compile(r"volume|traffic|octets|data_usage|payload"),
        0,
        float("inf"),
        "bytes, kB or MB? say it at the end, such as _mb",
    ),
    (re.compile(r"speed|velocity"), 0, float("inf"), "km/h or m/s? say it at the end"),
)


def curated_names(raw: Iterable[str]) -> dict[str, str]:
    """Return our name of each raw one: lower-case words, distinct, free for features."""
    raw = list(raw)
    names: dict[str, str] = {}
    for place, given in enumerate(raw, start=1):
        base = _snake(given) or f"column_{place}"
        if base in (*RESERVED, *OWN):
            base = {"time": "timestamp"}.get(base, f"{base}_value")
        name, number = base[:LONGEST], 2
        # a name of ours must not be the raw name of another column, either
        while name in names.values() or (name in raw and name != given):
            name, number = f"{base[: LONGEST - 3]}_{number}", number + 1
        names[given] = name
    return names


def check_name(word: str, given: str) -> None:
    """Refuse a name that a file of ours cannot have, and say which one like it can.

    Raises ConfigurationError; `word` is what the name is given by.
    """
    if re.fullmatch(NAME, given):
        return
    like = _snake(given)[:LONGEST]
    other = repr(like) if like else "another"
    raise ConfigurationError(f"{word} is {given!r}, but {NAME_IN_WORDS}; take {other}.")


def _snake(raw: str) -> str:
    suffix = ""
    if (found := _BRACKETS.match(raw)) and found["unit"].strip().lower() in UNITS:
        raw, suffix = found["name"], UNITS[found["unit"].strip().lower()]
    plain = unicodedata.normalize("NFKD", raw).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", _CAMEL.sub("_", plain)).strip("_").lower()
    if suffix and words and not words.endswith(suffix):
        words = f"{words}_{suffix}"
    return f"c_{words}" if words[:1].isdigit() else words


def has_unit(name: str) -> bool:
    """Tell whether a name of ours ends with a unit."""
    return name.rsplit("_", 1)[-1] in SUFFIXES


def unit_hint(name: str, low: float, high: float) -> str:
    """Return a question about the unit of a column of numbers, "" where there is none."""
    if has_unit(name):
        return ""
    for pattern, least, most, hint in _HINTS:
        if pattern.search(name) and least <= low and high <= most:
            return hint
    return ""


def may_name_person(cell: str) -> bool:
    """Tell whether a cell may be a person's: seven digits in a row, however grouped, or a mail."""
    return bool(_NAMES_SOMEBODY.search(_GROUPING.sub("", cell)))


def is_network(name: str) -> bool:
    """Tell whether a name of ours is that of a part of the network."""
    return bool(_NETWORK.search(name))


def is_person(name: str) -> bool:
    """Tell whether a name of ours is that of a person or of their identifier."""
    return bool(_PERSON.search(name)) and not is_network(name)


def is_identifier(name: str) -> bool:
    """Tell whether a name of ours says that its cells are names of things."""
    return bool(_IDENTIFIER.search(name)) or is_network(name)


def is_time(name: str) -> bool:
    """Tell whether a name of ours is that of a time."""
    return bool(_TIME.search(name))


def is_start(name: str) -> bool:
    """Tell whether a name of ours is that of the start of something."""
    return bool(_START.search(name))


def is_end(name: str) -> bool:
    """Tell whether a name of ours is that of the end of something."""
    return bool(_END.search(name))
