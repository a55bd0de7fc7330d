"""Processes with a low limit of open files: rcfs uses the hard limit, or refuses a low one."""

import resource

import pytest

from rcfs.errors import ConfigError
from rcfs.host import allow_many_files


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The soft and hard limit of open files; those of this process stay as they are."""
    limits = [64, 64]

    def setrlimit(kind: int, new: tuple[int, int]) -> None:
        assert kind == resource.RLIMIT_NOFILE
        limits[:] = new

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    return limits


@pytest.mark.parametrize("hard", [100, 4096, resource.RLIM_INFINITY])
def test_all_that_a_process_may_open_is_used(limits: list[int], hard: int) -> None:
    limits[1] = hard
    allow_many_files()
    assert limits == [hard, hard]


@pytest.mark.parametrize("hard", [20, 64, 99])
def test_a_limit_that_is_too_low_is_told(limits: list[int], hard: int) -> None:
    limits[:] = [20, hard]
    with pytest.raises(ConfigError, match=rf"may open only {hard} files, but rcfs needs 100; .*ulimit -n"):
        allow_many_files()
    assert limits == [20, hard]
