"""The dependencies between layers point one way, and each outside system has one home."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

OUTSIDE = {
    "azure": "tasks/storage.py",
    "great_expectations": "tasks/validation.py",
    "mlflow": "tasks/registry.py",
}


def imports(path: Path) -> set[str]:
    """Name every module that a file imports, at any depth of nesting."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.add("." * node.level)
    return names


def complaint(place: str, module: str) -> str | None:
    """Return the sentence that says where an import belongs, None where it may stand."""
    layer, system = place.split("/")[0], module.split(".")[0]
    if system == "":
        return f"{place} imports relatively; write the full name, so that its layer can be seen."
    if system in OUTSIDE and place != OUTSIDE[system]:
        return (
            f"{place} imports {module}; whatever talks to {system} belongs into {OUTSIDE[system]}."
        )
    if layer == "rancast" and system == "prefect":
        return (
            f"{place} imports {module}; rancast decides, what runs it belongs into tasks or flows."
        )
    if layer == "rancast" and system in ("tasks", "flows"):
        return f"{place} imports {module}; the direction is flows -> tasks -> rancast."
    if layer == "tasks" and system == "flows":
        return f"{place} imports {module}; a task knows no flow, hand it what it needs."
    if layer == "flows" and system in ("pandas", "numpy", "sklearn"):
        return f"{place} imports {module}; flows only call, the computation belongs into rancast."
    return None


SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for layer in ("flows", "tasks", "rancast")
    for path in (ROOT / layer).rglob("*.py")
)


@pytest.mark.parametrize("place", SOURCES)
def test_imports_point_one_way(place: str) -> None:
    """No file imports what its layer must not know."""
    found = [complaint(place, module) for module in imports(ROOT / place)]
    assert not [sentence for sentence in found if sentence]


@pytest.mark.parametrize(
    ("place", "module", "home"),
    [
        ("rancast/features.py", "prefect.flows", "tasks or flows"),
        ("rancast/features.py", "tasks.storage", "flows -> tasks -> rancast"),
        ("tasks/steps.py", "azure.storage.blob", "tasks/storage.py"),
        ("tasks/storage.py", "mlflow", "tasks/registry.py"),
        ("flows/daily.py", "pandas", "into rancast"),
        ("tasks/steps.py", "flows.daily", "knows no flow"),
    ],
)
def test_a_wrong_import_is_told_where_it_belongs(place: str, module: str, home: str) -> None:
    """The complaint about a misplaced import names the right place."""
    assert home in str(complaint(place, module))


def declares(path: Path, decorator: str) -> set[str]:
    """Name the functions of a file under a decorator, `@flow` as well as `@flow(...)`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = {ast.unparse(one).split("(")[0] for one in node.decorator_list}
            found |= {node.name} if decorator in names else set()
    return found


@pytest.mark.parametrize("place", [one for one in SOURCES if one.startswith("flows/")])
def test_a_flow_lies_in_the_file_of_its_name(place: str) -> None:
    """Who sees a flow's name in the UI knows its file."""
    stem = Path(place).stem
    assert declares(ROOT / place, "flow") == (set() if stem == "__init__" else {stem})


TASKS = {
    name
    for place in SOURCES
    if place.startswith("tasks/")
    for name in declares(ROOT / place, "task")
}


@pytest.mark.parametrize("place", [one for one in SOURCES if one.startswith("tasks/")])
def test_tasks_do_not_call_tasks(place: str) -> None:
    """Only a flow says what comes after what."""
    called = {
        ast.unparse(node.func).split(".")[0]
        for node in ast.walk(ast.parse((ROOT / place).read_text()))
        if isinstance(node, ast.Call)
    }
    assert len(TASKS) > 10 and not called & TASKS


@pytest.mark.parametrize("place", SOURCES)
def test_modules_state_their_reason_in_the_first_line(place: str) -> None:
    """Every module's docstring starts with a sentence of its own, ending on the first line."""
    docstring = ast.get_docstring(ast.parse((ROOT / place).read_text())) or ""
    assert len(docstring.splitlines()[:1]) == 1 and len(docstring.splitlines()[0]) > 20
