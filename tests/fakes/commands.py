"""Commands of rcfs against a simulator, each in a process of its own."""

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from tests.fakes.fork_server import run_forked
from tests.fakes.simulated import Simulated

WITHIN_S = 120.0
"""Longest run of a command, in seconds; most take a fraction of one on an idle machine."""


@attrs.frozen
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def environment_of(simulated: Simulated, directory: Path) -> Mapping[str, str]:
    """The variables with which a command logs in there, and keeps everything in `directory`."""
    kept = {f"RCFS_{name.upper()}_DIR": str(directory / name) for name in ("state", "cache")}
    return {**simulated.environment(), **kept}


def run_rcfs(simulated: Simulated, directory: Path, *arguments: str, typed: str = "", **more: str) -> Done:
    """Runs `rcfs` with `typed` on stdin; `more` are further variables of its environment."""
    environment = {**os.environ, **environment_of(simulated, directory), **more}
    done = run_forked(arguments, environment, WITHIN_S, typed)
    return Done(done.returncode, done.stdout, done.stderr)
