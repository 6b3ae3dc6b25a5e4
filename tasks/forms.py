"""Types of flow parameters whose forms in the UI offer what RANCAST_HOME holds, as a choice."""

from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler

from rancast.settings import find_home


class _Choice:
    """The names of the YAML files in a folder, listed when a form is made: at each `make deploy`.

    Prefect makes a flow's form when it is imported, which must not fail where there is no home:
    without names any text will do, and the flow itself says what is wrong with it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __get_pydantic_json_schema__(
        self, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        names = sorted(path.stem for path in (find_home() / self.folder).glob("*.yaml"))
        return {**handler(core_schema), **({"enum": names} if names else {})}


UseCaseName = Annotated[str, _Choice("use_cases")]
DatasetName = Annotated[str, _Choice("datasets")]
