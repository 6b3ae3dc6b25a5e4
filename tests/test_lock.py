"""The locks: everything pinned and hashed, nothing that leads to one registry."""

import json
import re
from importlib.metadata import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.txt", "deployments/requirements.txt", "deployments/pip.txt")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_library_is_pinned_and_hashed(lock: str) -> None:
    """pip --require-hashes takes each line: one version of each, with the digests of its files."""
    text = read(lock)
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert len(entries) > 100 or lock == "deployments/pip.txt"
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9, -]+\])?==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_no_lock_carries_an_address() -> None:
    """Whichever registry a machine reaches serves the same files: digests tell them."""
    assert not [lock for lock in LOCKS if "://" in read(lock)]
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    dependencies = [package for path, package in packages.items() if path]
    assert len(dependencies) > 50
    assert all("resolved" not in package for package in dependencies)
    assert all(package["integrity"].startswith("sha512-") for package in dependencies)


def test_the_image_has_the_versions_that_the_tests_ran_with() -> None:
    """What runs in the stack is a part of what is installed here, version for version."""
    here, image = (pins(lock) for lock in LOCKS[:2])
    assert len(image) > 100
    assert image.items() <= here.items()
    assert not {"pytest", "jupyterlab", "mypy"} & image.keys()


def test_an_installation_hides_one_warning_and_no_other() -> None:
    """make install leaves out what the locked setuptools says of every editable install."""
    hidden = re.findall(r'-W "(.*)" -m pip install .*--editable', read("Makefile"))
    action, _, words = hidden[0].partition(":")
    (source,) = [path for path in files("setuptools") or () if path.name == "editable_wheel.py"]
    assert (len(hidden), action, ":" in words) == (1, "ignore", False)
    assert f'emit("{words}' in source.read_text()
    assert "PYTHONWARNINGS" not in read("Makefile")


def pins(lock: str) -> dict[str, str]:
    """Return library -> version, without the condition under which it is installed."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.+?\])?==(\S+)", read(lock), re.MULTILINE))


def read(lock: str) -> str:
    """Return the text of a lock."""
    return (ROOT / lock).read_text()
