"""The shared ``__repr__`` says what that of attrs says."""

import subprocess
import sys
from typing import Any

import attrs
import pytest
from attr import _make

from rcfs._shared_repr import share_repr


def values() -> list[object]:
    """Values of classes that are made now."""

    @attrs.frozen
    class Point:
        x: int
        secret: str = attrs.field(repr=False)
        hidden: str = attrs.field(repr=lambda _value: "***")

    @attrs.frozen
    class Node(Point):
        unset: int = attrs.field(init=False)
        others: list[Any] = attrs.field(factory=list)

    @attrs.frozen(repr=False)
    class Silent:
        x: int

    node = Node(2, "s3cr3t", "s3cr3t")
    node.others.extend([Point(1, "s3cr3t", "s3cr3t"), node])
    return [node, Silent(3)]


def test_it_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [repr(value) for value in values()]
    monkeypatch.setattr(_make._ClassBuilder, "add_repr", _make._ClassBuilder.add_repr)
    share_repr()
    shared, silent = values()
    assert type(shared).__repr__ is not type(silent).__repr__
    assert type(shared).__repr__.__module__ == "rcfs._shared_repr"
    assert [repr(shared), repr(silent).rpartition(" at ")[0]] == [
        expected[0],
        expected[1].rpartition(" at ")[0],
    ]
    assert "s3cr3t" not in repr(shared)


def test_the_command_shares_it() -> None:
    code = "import rcfs.__main__, rcfs.model; print(rcfs.model.Extension.__repr__.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "rcfs._shared_repr\n", "attrs has changed how it makes classes"
