"""The code part of a step's key: which sources and library versions a function depends on."""

import dis
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

from rancast.documents import digest, sha256

LIBRARIES = ("pandas", "numpy", "pyarrow", "scipy", "scikit-learn", "skops", "great-expectations")


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
    for code in _code_objects(_compiled(module)):
        for step in dis.get_instructions(code):
            if step.opname == "IMPORT_NAME":
                package = str(step.argval)
                names.add(package)
            elif step.opname == "IMPORT_FROM":
                names.add(f"{package}.{step.argval}")
    return {name for name in names if name.startswith("rancast.") and _is_module(name)}


def _compiled(module: ModuleType) -> CodeType:
    # not ast.parse: in threads of Python 3.11 it fails now and then with SystemError
    # (cpython#106905)
    return compile(inspect.getsource(module), module.__name__, "exec", dont_inherit=True)


def _code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_objects(constant)


@cache
def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
