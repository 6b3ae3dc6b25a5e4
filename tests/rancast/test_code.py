"""The code digest changes with whatever can change a result, and with nothing else."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rancast import code, features
from rancast.code import code_digest

SOURCES = {
    "step.py": (
        "from rancast.fake import near\n\n\ndef run():\n    from rancast.fake import inside\n"
    ),
    "near.py": "import rancast.fake.far\n",
    "far.py": "VALUE = 1\n",
    "inside.py": "VALUE = 1\n",
    "unrelated.py": "VALUE = 1\n",
}


@pytest.fixture()
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package rancast.fake, whose modules import each other in different ways."""
    import rancast

    folder = tmp_path / "fake"
    folder.mkdir()
    for name, text in SOURCES.items():
        (folder / name).write_text(text)
    (folder / "__init__.py").write_text('"""A package."""\n')
    monkeypatch.setattr(rancast, "__path__", [*rancast.__path__, str(tmp_path)])
    yield folder
    forget()


def forget() -> None:
    """Have the modules of the package and what is known of them read again."""
    for name in [name for name in sys.modules if name.startswith("rancast.fake")]:
        del sys.modules[name]
    for known in (code._modules, code._source_digest, code._is_module):
        known.cache_clear()
    importlib.invalidate_caches()


def digest() -> str:
    """Return the digest of the package's step as it stands on disk now."""
    forget()
    module: ModuleType = importlib.import_module("rancast.fake.step")
    return code_digest(module.run)


@pytest.mark.parametrize("name", ["step.py", "near.py", "far.py", "inside.py"])
def test_a_change_of_what_it_imports_changes_the_digest(package: Path, name: str) -> None:
    """Its own source counts, and that of imports of imports and of imports inside functions."""
    before = digest()
    (package / name).write_text(SOURCES[name] + "# longer than before\n")
    assert digest() != before


def test_a_change_elsewhere_does_not(package: Path) -> None:
    """A module that it does not import changes nothing."""
    before = digest()
    (package / "unrelated.py").write_text("VALUE = 2, and longer\n")
    assert digest() == before


@pytest.mark.parametrize("library", code.LIBRARIES)
def test_another_version_of_a_library_is_another_digest(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The versions of the libraries that compute are part of the digest."""
    before = code_digest(features.build)
    versions = code._versions() | {library: "0.0"}
    monkeypatch.setattr(code, "_versions", lambda: versions)
    assert code_digest(features.build) != before


def test_the_real_steps_know_their_helpers() -> None:
    """The features' digest covers the grid that they are made on."""
    assert "rancast.grids" in code._modules("rancast.features")
    assert "rancast.row_rules" in code._modules("tasks.validation")


@pytest.mark.parametrize("step", ["features", "tables", "candidates"])
def test_the_code_of_gates_makes_no_feature_or_model_anew(step: str) -> None:
    """What is computed before judging depends on its own part of a use case's schema alone."""
    modules = code._modules(f"rancast.{step}")
    assert {"rancast.feature_set", "rancast.feature_definitions"} <= modules
    assert not {"rancast.use_cases", "rancast.gates"} & modules


def test_the_real_steps_know_the_schema_of_what_they_are_given() -> None:
    """Each digest covers the part of a use case that is the step's own, defaults included."""
    assert "rancast.feature_view" in code._modules("rancast.features")
    assert "rancast.table_view" in code._modules("rancast.tables")
    assert "rancast.fit_view" in code._modules("rancast.candidates")
    assert "rancast.gates" in code._modules("rancast.judging")
    assert not {"rancast.table_view", "rancast.fit_view"} & code._modules("rancast.features")
