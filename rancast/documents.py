"""Documents in and out: strict YAML for what people write, canonical JSON for what gets hashed."""

import hashlib
import json
import re
from collections.abc import Hashable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rancast.errors import ConfigurationError

YAML_LIMIT_BYTES = 256 * 1024
# of datasets, use cases, columns and features, and the same in words
NAME = r"^[a-z][a-z0-9_]{0,62}$"
NAME_IN_WORDS = "a name has lower-case letters, digits and _, at most 63, and begins with a letter"
SHOWN_FINDINGS = 8

DocumentT = TypeVar("DocumentT", bound=BaseModel)


class Document(BaseModel):
    """A frozen model that refuses unknown keys; the base of everything that is written down."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


def parse_duration(value: Any) -> timedelta:
    """Read '30min', '7d', '5s' or ISO 8601 'PT30M' as a timedelta.

    Raises ValueError for anything else, bare numbers included, since their unit would be a guess.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and not value.strip().lstrip("+-").replace(".", "").isdigit():
        try:
            # pandas gives up on a small d for days, which is how people write it
            parsed = pd.Timedelta(re.sub(r"(?<=[0-9 ])d(?![a-z])", "D", value))
            if not pd.isna(parsed):
                return parsed.to_pytimedelta()
        except ValueError:
            pass
    raise ValueError(f"{value!r} is not a duration; write a number and a unit, such as 30min or 7d")


def format_duration(value: timedelta) -> str:
    """Write a timedelta as ISO 8601, 'P0DT0H30M0S', which `parse_duration` reads back."""
    return pd.Timedelta(value).isoformat()


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]


def canonical_json(value: Any) -> bytes:
    """Serialise as JSON with sorted keys and no white space: equal values give equal bytes."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
    ).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, timedelta):
        return format_duration(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def sha256(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return sha256(canonical_json(value))


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without aliases, since a few of them can expand to gigabytes, and repeated keys.

    Plain scalars follow YAML 1.2 rather than 1.1: `no` is a word and not false, 010 keeps its zero,
    1:30 is no number of seconds, 1e-3 is a number, and 2024-01-01 is left to the schema.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}

    def compose_node(self, parent: Any, index: int) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                None, None, "aliases (*name) are not allowed", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(
                    None, None, "a list or mapping cannot be a key", key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]{0,18})",
    "float": (
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    ),
}
for _tag, _pattern in _SCALARS.items():
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), None
    )


def parse_yaml(text: bytes, model: type[DocumentT], place: str) -> DocumentT:
    """Parse `text` as one YAML document and validate it as `model`.

    `place` names the file in errors. Raises ConfigurationError for a file over 256 KiB, broken
    YAML, aliases, repeated keys, unknown keys and values of the wrong type, each with its key.
    """
    if len(text) > YAML_LIMIT_BYTES:
        raise ConfigurationError(
            f"{place} has {len(text):,} bytes; a YAML file may have {YAML_LIMIT_BYTES:,} at most."
        )
    try:
        raw = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigurationError(f"{place} is not valid YAML: {error.problem}{where}.") from error
    except RecursionError as error:
        raise ConfigurationError(f"{place} nests its keys or lists too deeply.") from error
    except (yaml.YAMLError, ValueError, AttributeError) as error:
        # PyYAML lets the exceptions of int(), datetime() and re escape for values such as !!int x
        raise ConfigurationError(f"{place} is not valid YAML: {_one_line(error)}.") from error
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{place} must hold keys and values, not {type(raw).__name__}.")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigurationError(f"{place}: {explain(error, model)}") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Turn pydantic's findings into a sentence: each key, its value, what is expected."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "(the whole file)"
        if item["type"] == "extra_forbidden":
            lines.append(f"'{key}' is not a known key; known here: {_known(model, item['loc'])}")
        elif item["type"] == "missing":
            lines.append(f"'{key}' is missing")
        elif isinstance(item["input"], dict):
            lines.append(f"'{key}': {_message(item)}")
        else:
            lines.append(f"'{key}' is {str(item['input'])[:200]!r}: {_message(item)}")
    if len(lines) > SHOWN_FINDINGS:
        lines[SHOWN_FINDINGS:] = [f"and {len(lines) - SHOWN_FINDINGS} more"]
    return "; ".join(lines) + "."


def _message(item: ErrorDetails) -> str:
    if item.get("ctx", {}).get("pattern") == NAME:
        return NAME_IN_WORDS
    return item["msg"].removeprefix("Value error, ").rstrip(".")


def _known(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """List the keys beside an unknown one, whose path may lead through lists and mappings."""
    current: type[BaseModel] = model
    is_inside_container = False
    for part in location[:-1]:
        if is_inside_container:  # an index of a list, or a key that the writer chose
            is_inside_container = False
            continue
        field = _keys(current).get(str(part))
        nested = [] if field is None else _models_in(field.annotation)
        if field is None or len(nested) != 1:
            return "see the schema in docs"
        current = nested[0]
        is_inside_container = _is_container(field.annotation)
    return ", ".join(_keys(current))


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_container(annotation: Any) -> bool:
    parts = (annotation, *getattr(annotation, "__args__", ()))
    return any(getattr(part, "__origin__", None) in (tuple, list, dict) for part in parts)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def read_yaml(path: Path, model: type[DocumentT]) -> DocumentT:
    """Read a YAML file as `model`; see `parse_yaml` for what is refused."""
    return parse_yaml(path.read_bytes(), model, str(path))


def find_yaml(folder: Path, kind: str, name: str) -> Path:
    """Return FOLDER/NAME.yaml; `kind` is the word for it in errors.

    Raises ConfigurationError that lists the known names where there is no such file.
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        listed = ", ".join(known) or f"none, since {folder} holds no YAML file"
        raise ConfigurationError(f"{kind} {name!r} not found; known: {listed}.")
    return folder / f"{name}.yaml"
