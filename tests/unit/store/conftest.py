"""Fixtures of the store's tests."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = "/dev/shm"


@pytest.fixture
def quick_directory() -> Iterator[Path]:
    """A directory in memory where there is one: for tests that copy and open a cache hundreds of times."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="rcfs-test-", dir=memory) as directory:
        yield Path(directory)
