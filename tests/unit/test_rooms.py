"""The boundaries of the rooms, the packages in `rcfs`: what a room offers, and what others use of it."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import rcfs

TOP = Path(rcfs.__file__).parent
ROOMS = sorted(path.name for path in TOP.iterdir() if (path / "__init__.py").exists())

BEFORE_ALL = {"rcfs._interrupt", "rcfs._shared_repr"}
"""Modules that `rcfs.__main__` loads before all rooms."""


def test_the_rooms_are_found() -> None:
    assert {"model", "quota", "tree", "fuse", "cli"} <= set(ROOMS)


def test_the_top_has_nothing_but_what_belongs_there() -> None:
    found = {path.name for path in TOP.parent.iterdir() if not path.name.startswith(".")}
    made = {name for name in found if name == "build" or name.endswith(".egg-info")}
    texts = {"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"}
    assert found - made == {"rcfs", "tests", "contrib", "pyproject.toml", "setup.cfg", *texts}


@pytest.mark.parametrize("room", [*ROOMS, ""])
def test_a_module_imports_from_another_room_only_what_that_room_offers(room: str) -> None:
    private = [
        (str(module), name)
        for module in (TOP / room).glob("**/*.py" if room else "*.py")
        for name in imported_from_rcfs(module)
        if name.split(".")[1] != room and "._" in name and name not in BEFORE_ALL
    ]
    assert private == []


def imported_from_rcfs(module: Path) -> list[str]:
    tree = ast.walk(ast.parse(module.read_text()))
    found = (node.module for node in tree if isinstance(node, ast.ImportFrom))
    return [name for name in found if name is not None and name.startswith("rcfs.")]


@pytest.mark.parametrize("room", ROOMS)
def test_whatever_a_room_offers_has_a_docstring(room: str) -> None:
    offered = vars(importlib.import_module(f"rcfs.{room}"))
    ours = {
        name: value
        for name, value in offered.items()
        if name[0] != "_" and getattr(value, "__module__", "").startswith(f"rcfs.{room}")
    }
    undocumented = [
        name
        for name, value in ours.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not value.__doc__
    ]
    assert undocumented == []
