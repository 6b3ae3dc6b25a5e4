"""Documents: strict YAML in, canonical JSON out, and errors that name the place."""

from datetime import timedelta
from typing import Any

import pytest

from rancast.documents import Document, Duration, canonical_json, digest, parse_duration, parse_yaml
from rancast.errors import ConfigurationError


class Part(Document):
    """A model inside of another."""

    number: float = 0.0
    word: str = ""


class Whole(Document):
    """A model with all sorts of nesting."""

    part: Part = Part()
    parts: tuple[Part, ...] = ()
    named: dict[str, Part] = {}
    anything: Any = None
    length: Duration = timedelta(0)


def parse(text: str) -> Whole:
    """Parse YAML that is right."""
    return parse_yaml(text.encode(), Whole, "x.yaml")


def refusal(text: str | bytes) -> str:
    """Parse YAML that is refused and return the error, which is one line."""
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigurationError) as caught:
        parse_yaml(data, Whole, "x.yaml")
    message = str(caught.value)
    assert message.startswith("x.yaml")
    assert "\n" not in message
    assert len(message) < 2_000
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("Off", "Off"),
        ("y", "y"),
        ("010", "010"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("2024-01-01", "2024-01-01"),
        ("1" * 30, "1" * 30),
        ("true", True),
        ("12", 12),
        ("-5", -5),
        ("1e-3", 0.001),
        ("0.5", 0.5),
        ("~", None),
        ("", None),
        ("'12'", "12"),
    ],
)
def test_plain_words_stay_words(text: str, value: Any) -> None:
    """YAML 1.1 would read a truth value, an octal, minutes and a date into some of these."""
    found = parse(f"anything: {text}").anything
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parts: [", "is not valid YAML"),
        ("part: {word: a, word: b}", "the key 'word' stands here twice (line 1, column 17)"),
        ("anything: &a [1]\nnamed: *a", "aliases (*name) are not allowed (line 2, column 8)"),
        ("{[a]: b}", "a list or mapping cannot be a key"),
        ("anything: !!python/name:os.system", "could not determine a constructor"),
        ("anything: !!int word", "is not valid YAML"),
        ("anything: !!timestamp word", "is not valid YAML"),
        ("anything: " + "[" * 30_000, "nests its keys or lists too deeply"),
        ("--- {}\n--- {}", "another document"),
        ("- a", "must hold keys and values, not list"),
        ("", "must hold keys and values, not NoneType"),
        (b"anything: \x00", "unacceptable character"),
        (b"anything: \xff", "is not valid YAML"),
        (b"#" * 262_145, "has 262,145 bytes; a YAML file may have 262,144 at most"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text: str | bytes, message: str) -> None:
    """With the place where there is one."""
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lenght: 1d", "'lenght' is not a known key; known here: part, parts, named, anything"),
        ("part: {wrd: a}", "'part.wrd' is not a known key; known here: number, word"),
        ("parts: [{}, {wrd: a}]", "'parts.1.wrd' is not a known key; known here: number, word"),
        ("named: {x: {wrd: a}}", "'named.x.wrd' is not a known key; known here: number, word"),
        ("part: {number: many}", "'part.number' is 'many': Input should be a valid number"),
        ("length: 30", "'length' is '30': 30 is not a duration; write a number and a unit"),
    ],
)
def test_typos_are_named_beside_what_is_known(text: str, message: str) -> None:
    """At any depth, through lists and mappings."""
    assert message in refusal(text)


def test_many_faults_are_counted_rather_than_listed() -> None:
    """A file of another kind gives a readable error, and quickly."""
    text = "\n".join(f"key{number}: 1" for number in range(5_000))
    assert refusal(text).endswith("and 4992 more.")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30min", timedelta(minutes=30)),
        ("7d", timedelta(days=7)),
        ("1 d", timedelta(days=1)),
        ("5s", timedelta(seconds=5)),
        ("PT30M", timedelta(minutes=30)),
        ("P7DT0H", timedelta(days=7)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_durations(text: str, length: timedelta) -> None:
    """A number and a unit, or ISO 8601; written down they are read back."""
    assert parse_duration(text) == length
    assert Whole.model_validate_json(canonical_json(Whole(length=length))).length == length


@pytest.mark.parametrize(
    "text", ["30", "", "nat", "NaT", "soon", "5 parsecs", "99999999999d", None]
)
def test_what_is_no_duration_is_refused(text: Any) -> None:
    """A bare number has no unit, and NaT is no length."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_canonical_json_is_equal_for_equal_values() -> None:
    """Whatever order the keys came in."""
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
