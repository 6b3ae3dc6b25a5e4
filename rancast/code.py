"""The code part of a step's key: which sources and library versions a function depends on."""

import ast
import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module, metadata
from types import ModuleType
from typing import Any

from rancast.documents import digest, sha256

LIBRARIES = ("pandas", "numpy", "pyarrow", "scikit-learn", "skops", "great-expectations")


def code_digest(function: Callable[..., Any]) -> str:
    """Return the SHA-256 of all sources that can change what `function` returns.

    These are the module that defines it and the `rancast` modules that this one imports,
    transitively, at any depth of nesting, with the versions of the libraries that compute.
    """
    sources = {name: _source_digest(name) for name in sorted(_modules(function.__module__))}
    return digest({"sources": sources, "versions": _versions()})


@cache
def _versions() -> dict[str, str]:
    return {library: metadata.version(library) for library in LIBRARIES}


@cache
def _source_digest(name: str) -> str:
    return sha256(inspect.getsource(import_module(name)).encode())


@cache
def _modules(name: str) -> frozenset[str]:
    found, queue = {name}, [name]
    while queue:
        for imported in _imports(import_module(queue.pop())):
            if imported not in found:
                found.add(imported)
                queue.append(imported)
    return frozenset(found)


def _imports(module: ModuleType) -> set[str]:
    """Name the rancast modules that a module imports, `from rancast import x` included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if name.startswith("rancast.") and _is_module(name)}


@cache
def _is_module(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
