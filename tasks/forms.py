"""Types of flow parameters whose forms in the UI offer what RANCAST_HOME holds, as a choice."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler

from rancast.datasets import known_datasets
from rancast.settings import find_home
from rancast.use_cases import known_use_cases


class _Choice:
    """The names that `known` finds, listed when a form is made: at each `make deploy`."""

    def __init__(self, known: Callable[[Path], list[str]]) -> None:
        self.known = known

    def __get_pydantic_json_schema__(
        self, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(core_schema), "enum": self.known(find_home())}


UseCaseName = Annotated[str, _Choice(known_use_cases)]
DatasetName = Annotated[str, _Choice(known_datasets)]
