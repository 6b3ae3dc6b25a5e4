"""The JSON schemas of what people write, by which an editor completes and checks while they type.

`make schemas` writes them to docs/schemas. They say what each key may hold; rules between keys,
such as an embargo shorter than its horizon, are told by the models when the file is read.
"""

import json
import sys
from pathlib import Path

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import TimedeltaSchema

from rancast.datasets import Dataset
from rancast.documents import Document
from rancast.use_cases import UseCase

KINDS: dict[str, type[Document]] = {"dataset": Dataset, "use_case": UseCase}

# What `documents.parse_duration` reads, as people are asked to write it; or ISO 8601
DURATION = r"^(([0-9]+(\.[0-9]+)?(ms|s|min|h|d))+|P[0-9DTHMS.]+)$"


class _ForEditors(GenerateJsonSchema):
    """pydantic's schema with durations as people write them."""

    def timedelta_schema(self, schema: TimedeltaSchema) -> JsonSchemaValue:
        """Return 'a number and a unit' where pydantic knows ISO 8601 alone."""
        return {"type": "string", "pattern": DURATION, "examples": ["30min", "7d"]}


def schema_text(kind: str) -> str:
    """Return the schema of a `dataset` or `use_case` file as JSON text."""
    schema = KINDS[kind].model_json_schema(schema_generator=_ForEditors)
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return json.dumps(dialect | schema, indent=2, ensure_ascii=False) + "\n"


def main(folder: Path) -> None:
    """Write the schema of each kind into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (folder / f"{kind}.json").write_text(schema_text(kind), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
