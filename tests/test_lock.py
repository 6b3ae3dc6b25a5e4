"""The locks: everything pinned and hashed, nothing that leads to one registry."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_library_is_pinned_and_hashed() -> None:
    """pip --require-hashes takes each line: one version of each, with the digests of its files."""
    text = (ROOT / "requirements.txt").read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_no_lock_carries_an_address() -> None:
    """Whichever registry a machine reaches serves the same files: digests tell them."""
    assert "://" not in (ROOT / "requirements.txt").read_text()
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    dependencies = [package for path, package in packages.items() if path]
    assert len(dependencies) > 50
    assert all("resolved" not in package for package in dependencies)
    assert all(package["integrity"].startswith("sha512-") for package in dependencies)
