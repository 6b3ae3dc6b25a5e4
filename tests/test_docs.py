"""The documents say what is there: each path, name, link, key, setting and error in them exists."""

import ast
import json
import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rancast import (
    datasets,
    errors,
    feature_definitions,
    feature_set,
    feature_view,
    fit_view,
    gates,
    table_view,
    use_cases,
)
from rancast.datasets import Dataset
from rancast.documents import parse_yaml
from rancast.durations import short_duration
from rancast.expectations import parse_suite
from rancast.guidance import CRASHED, FOREIGN, NEXT, section_of
from rancast.schemas import KINDS, schema_text
from rancast.settings import Settings
from rancast.use_cases import UseCase

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").glob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
PACKAGES = ("flows", "tasks", "rancast")
FOLDERS = (
    *PACKAGES,
    *("datasets", "expectations", "use_cases", "examples", "deployments"),
    *("benchmarks", "notebooks", "docs", "tests", ".ci"),
)
# what a reader fills in: NAME, YYYY, {key}, date=…
PLACEHOLDER = re.compile(r"[A-Z]{2,}|[{}*…]|\bX\b")

TABLES: dict[str, type[BaseModel]] = {
    "Dataset": Dataset,
    "Dataset: each of `cumulative`": datasets.Cumulative,
    "Dataset: each of `kpis`": datasets.Kpi,
    "Dataset: each of `levels`": datasets.Level,
    "Dataset: `sleeping`": datasets.Sleeping,
    "Dataset: `ready`": datasets.Ready,
    "Dataset: `time`": datasets.TimeColumn,
    "Dataset: `format`": datasets.FileFormat,
    "Dataset: each of `columns`": datasets.Column,
    "Use case": UseCase,
    "Use case: `audit`": use_cases.LeakageAudit,
    "Use case: `deadline`": use_cases.Deadline,
    "Use case: `grid`": feature_view.Grid,
    "Use case: `target`": table_view.Target,
    "Use case: `features`": feature_set.Features,
    "Use case: `features.busy_hour`": feature_definitions.BusyHour,
    "Use case: `features.select`": feature_set.Select,
    "Use case: each of `features.lags`": feature_definitions.Lags,
    "Use case: each of `features.windows`": feature_definitions.Windows,
    "Use case: each of `features.history`": feature_definitions.History,
    "Use case: each of `features.profile`": feature_definitions.Profile,
    "Use case: each of `features.joins`": feature_definitions.Join,
    "Use case: `through` of a join": feature_definitions.Through,
    "Use case: each of `features.neighbours`": feature_definitions.Neighbours,
    "Use case: `split`": table_view.Split,
    "Use case: each of `candidates`": fit_view.Candidate,
    "Use case: `search`": fit_view.Search,
    "Use case: `report`": use_cases.Report,
    "Use case: `alerts`": fit_view.Alerts,
    "Use case: `intervals`": gates.Intervals,
    "Use case: `gates`": gates.Gates,
    "Use case: each of `gates.slices`": gates.Slice,
}


def read(name: str) -> str:
    """Return a file of the checkout by its name."""
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", read(name), flags=re.DOTALL | re.MULTILINE)


def blocks(name: str, language: str) -> list[str]:
    """Return a page's fenced code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(name), flags=re.DOTALL | re.MULTILINE)


def spans(name: str) -> list[str]:
    """Return what stands in backticks on a page."""
    return re.findall(r"`([^`\n]+)`", prose(name))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return frozenset(text.replace(" ", "-") for text in texts)


@cache
def defined(path: Path) -> dict[str, ast.AST]:
    """Return what a module, or a class given as `path::Class`, defines, by name."""
    return names_in(ast.parse(path.read_text(encoding="utf-8")))


def names_in(tree: ast.AST) -> dict[str, ast.AST]:
    """Return the functions, classes, variables and imported names of one level."""
    found: dict[str, ast.AST] = {}
    for node in getattr(tree, "body", []):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name: node for alias in node.names}
    return found


def is_defined(dotted: str) -> bool:
    """Tell whether `package.module.name.attribute` is there, without importing anything."""
    parts = dotted.split(".")
    path = ROOT / parts[0] / f"{parts[1]}.py"
    if not path.is_file():
        return False
    level = defined(path)
    for part in parts[2:]:
        if part not in level:
            return False
        level = names_in(level[part])
    return True


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link of a page leads to a file that is there, and to a heading in it."""
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name} links to {target}, which is not there"
        assert not anchor or anchor in anchors(file), f"{name} links to {target}: no such heading"


@pytest.mark.parametrize("name", NAMES)
def test_paths_in_backticks_exist(name: str) -> None:
    """A path of this repository that a page names is there."""
    for span in spans(name):
        folder = span.split("/")[0]
        if "/" in span and folder in FOLDERS and not PLACEHOLDER.search(span):
            assert (ROOT / span).exists(), f"{name} names {span}, which is not there"


@pytest.mark.parametrize("name", NAMES)
def test_names_in_backticks_are_defined(name: str) -> None:
    """A function, class or constant that a page names by its module is defined there.

    What starts with `rancast.` may also be one of the tags that our MLflow runs carry.
    """
    places = ("tasks/promotion.py", "tasks/tracking.py", "rancast/approvals.py")
    tags = {tag for place in places for tag in re.findall(r'"(rancast\.\w+)"', read(place))}
    for span in spans(name):
        if re.fullmatch(rf"({'|'.join(PACKAGES)})(\.\w+)+", span) and span not in tags:
            assert is_defined(span), f"{name} names {span}, which is not defined"


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    """Every `make TARGET` of a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), flags=re.MULTILINE))
    text = "\n".join(spans(name) + re.findall(r"^    (.+)$", read(name), flags=re.MULTILINE))
    for target in re.findall(r"\bmake ([a-z]+)", text):
        assert target in targets, f"{name} says make {target}"


@pytest.mark.parametrize("name", NAMES)
def test_python_blocks_import_what_exists(name: str) -> None:
    """The Python of a page parses, and imports from our packages only what is defined there."""
    for block in blocks(name, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in PACKAGES:
                for alias in node.names:
                    assert is_defined(f"{node.module}.{alias.name}"), f"{name}: {alias.name}"


def test_pages_that_code_points_to_exist() -> None:
    """A comment or an error that sends its reader to docs/ names a page that is there."""
    sources = [path for package in PACKAGES for path in (ROOT / package).glob("*.py")]
    named = {
        (path.name, page)
        for path in sources
        for page in re.findall(r"docs/[\w./-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert named and not [pair for pair in named if not (ROOT / pair[1]).is_file()]


def test_decision_records_are_numbered_and_listed() -> None:
    """Each record has a number of its own, says it in the title, and stands in the list."""
    records = sorted(path for path in (DOCS / "adr").glob("*.md") if path.name != "README.md")
    numbers = [path.name[:4] for path in records]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    listed = re.findall(r"\]\(([^)]+)\)", read("docs/adr/README.md"))
    assert sorted(listed) == [path.name for path in records]
    for path in records:
        assert path.read_text(encoding="utf-8").startswith(f"# {path.name[:4]} ")


# --- architecture -------------------------------------------------------------------------------


def test_every_module_has_its_line_in_the_architecture() -> None:
    """A newcomer finds each module in docs/architecture.md; a new one needs a line there."""
    named = set(spans("docs/architecture.md"))
    modules = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).glob("*.py")
        if path.name != "__init__.py"
    ]
    assert sorted(set(modules) - named) == []


def test_every_folder_of_the_lake_is_in_its_layout() -> None:
    """Where a step or the ledger writes stands in the layout of the lake, and nothing else does."""
    sources = "".join(read(f"tasks/{name}.py") for name in ("catalogue", "ingestion", "ledger"))
    written = set(re.findall(r'"([a-z]+)/[^"]*\{(?:sha256|key|name|use_case)\}', sources))
    section = read("docs/architecture.md").split("## The lake")[1].split("\n## ")[0]
    assert set(re.findall(r"^    ([a-z]+)/", section, flags=re.MULTILINE)) == written


# --- operations ---------------------------------------------------------------------------------


def test_every_error_has_its_section_in_the_operations_page() -> None:
    """Whatever class of error an operator reads, docs/operations.md says what to do."""
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.RancastError)
    }
    sections = re.findall(r"^### `(\w+)`$", read("docs/operations.md"), flags=re.MULTILINE)
    assert classes - set(sections) == set()


def test_every_place_that_a_failure_names_is_on_the_operations_page() -> None:
    """The section that an error, an alarm or a page of a run sends its reader to is there."""
    kinds = [name for name in vars(errors) if name in NEXT] + [CRASHED, FOREIGN, "KeyError"]
    named = {section_of(kind) for kind in kinds}
    for package in (*PACKAGES, "deployments"):
        for path in (ROOT / package).iterdir():
            if path.suffix in (".py", ".yaml"):
                text = path.read_text(encoding="utf-8")
                named |= set(re.findall(r"docs/operations\.md#([\w-]+)", text))
    assert len(named) > len(kinds) and named - anchors(DOCS / "operations.md") == set()


def test_every_artifact_is_explained() -> None:
    """Whatever key a page is published under, the table of artifacts says what it holds."""
    keys = set()
    for path in (ROOT / "tasks").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        keys |= set(re.findall(r'(?:publish\(|key=|key = )f"([a-z-]+)-\{', text))
    section = read("docs/operations.md").split("### Artifacts")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    explained = " ".join(rows)
    assert {"what-to-do", "validation", "plan"} <= keys
    assert [key for key in sorted(keys) if f"`{key}-" not in explained] == []


def test_every_picture_is_shown() -> None:
    """No picture is kept that no page shows, and none is large."""
    shown = {
        target
        for name in NAMES
        for target in re.findall(r"\]\(([\w./-]*img/[\w-]+\.png)\)", read(name))
    }
    kept = sorted((DOCS / "img").glob("*.png"))
    assert {path.name for path in kept} == {target.rpartition("/")[2] for target in shown}
    assert [path.name for path in kept if path.stat().st_size > 80_000] == []


# --- settings -----------------------------------------------------------------------------------


def settings_read() -> set[str]:
    """Return the environment variables that rancast.settings reads."""
    return {str(field.validation_alias) for field in Settings.model_fields.values()}


def variables(text: str) -> set[str]:
    """Return the names of the environment variables that a text mentions as such."""
    return set(re.findall(r"\b(?:RANCAST|AZURE|MLFLOW|PREFECT)_[A-Z_]+\b", text))


def test_the_readme_lists_every_setting() -> None:
    """The README's table of settings has each one that is read, and no other of our own."""
    section = read("README.md").split("## Settings")[1].split("\n## ")[0]
    rows = "\n".join(row.split("|")[1] for row in section.splitlines() if row.startswith("| `"))
    assert settings_read() <= variables(rows)
    assert {name for name in variables(rows) if name.startswith("RANCAST_")} <= settings_read()


def test_the_example_of_settings_has_every_one_and_sets_none() -> None:
    """.env.example has a line for each setting, and copied as it is changes nothing."""
    lines = read(".env.example").splitlines()
    offered = {found[1] for line in lines if (found := re.match(r"# ([A-Z_]+)=", line))}
    assert settings_read() <= offered
    assert {name for name in offered if name.startswith("RANCAST_")} <= settings_read()
    assert [line for line in lines if line and not line.startswith("#")] == []


# --- onboarding ---------------------------------------------------------------------------------


def rows_of(heading: str) -> dict[str, str]:
    """Return key -> default of the table under a heading of docs/onboarding.md."""
    section = read("docs/onboarding.md").split(f"\n### {heading}\n")[1].split("\n## ")[0]
    table = section.split("\n### ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `?(.+?)`? \|", table, flags=re.MULTILINE))


def default_of(field: FieldInfo) -> str:
    """Return a key's default as the tables write it."""
    value = field.default
    if field.is_required():
        return "required"
    if isinstance(value, BaseModel):
        return "its defaults"
    if value == "":
        return "empty"
    if isinstance(value, timedelta):
        return short_duration(value) if value else "0s"
    if isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else f"{value:.12g}"
    if isinstance(value, tuple) and value:
        return f"[{', '.join(value)}]"
    if isinstance(value, dict) and value:
        return f"{{{', '.join(f'{key}: {item}' for key, item in value.items())}}}"
    return str(value) if value else "none"


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_is_documented_with_its_default(heading: str) -> None:
    """The tables of docs/onboarding.md have the very keys and defaults of the models."""
    fields = TABLES[heading].model_fields
    assert rows_of(heading) == {
        field.alias or name: default_of(field) for name, field in fields.items()
    }


def test_every_part_of_a_file_has_its_table() -> None:
    """No model of a dataset or use case file is left without a table."""
    parts = {name for kind in KINDS for name in json.loads(schema_text(kind))["$defs"]}
    titles = {model.__name__ for model in TABLES.values()}
    assert titles == parts | {model.__name__ for model in KINDS.values()}


def test_the_examples_of_the_onboarding_page_work_together() -> None:
    """The YAML and the suite that a newcomer copies load, and fit each other."""
    dataset_text, case_text = blocks("docs/onboarding.md", "yaml")
    (suite_text,) = blocks("docs/onboarding.md", "json")
    dataset = parse_yaml(dataset_text.encode(), Dataset, "dataset")
    parse_suite(suite_text.encode(), "suite").check(dataset)
    parse_yaml(case_text.encode(), UseCase, "use case").check(dataset)


# --- schemas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_published_schemas_are_those_of_the_models(kind: str) -> None:
    """docs/schemas holds what `make schemas` writes now."""
    assert read(f"docs/schemas/{kind}.json") == schema_text(kind), "run make schemas"


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_files_satisfy_the_published_schema(kind: str) -> None:
    """An editor that checks by the schema has no complaint about any file that we ship."""
    validator = jsonschema.Draft202012Validator(json.loads(read(f"docs/schemas/{kind}.json")))
    paths = sorted(ROOT.glob(f"{kind}s/*.yaml")) + sorted(ROOT.glob(f"examples/*/{kind}s/*.yaml"))
    assert paths
    for path in paths:
        content = yaml.safe_load(path.read_bytes())
        found = [error.message for error in validator.iter_errors(content)]
        assert found == [], path


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_line_of_each_shipped_file_leads_editors_to_its_schema(kind: str) -> None:
    """The YAML language server reads it: the path from the file to the schema of its kind."""
    for path in sorted(ROOT.glob(f"{kind}s/*.yaml")) + sorted(ROOT.glob(f"examples/*/{kind}s/*")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert found is not None, f"{path} starts with {first!r}"
        assert (path.parent / found[1]).resolve() == DOCS / "schemas" / f"{kind}.json", path


@pytest.mark.parametrize(
    ("duration", "is_valid"),
    [("30min", True), ("7d", True), ("1.5h", True), ("PT30M", True), ("30", False), (30, False)],
)
def test_the_schema_takes_durations_as_people_write_them(duration: Any, is_valid: bool) -> None:
    """A number with a unit is a duration to an editor, a bare number is none."""
    schema = json.loads(schema_text("dataset"))
    definition = {"$defs": schema["$defs"], **schema["properties"]["tolerance"]}
    assert jsonschema.Draft202012Validator(definition).is_valid(duration) is is_valid
