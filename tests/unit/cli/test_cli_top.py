"""`rcfs top` where it cannot begin; the view itself is tested in tests/unit/watch."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from rcfs.cli import _top
from rcfs.errors import MountError


def test_it_needs_a_terminal(run: Callable[..., Result], state_dir: Path) -> None:
    result = run("top")
    assert result.exit_code == 2
    assert "`rcfs status --watch`" in result.stderr


def test_it_acts_through_files_of_the_mount(tmp_path: Path) -> None:
    (tmp_path / ".rcfs" / "refuse").mkdir(parents=True)
    (tmp_path / ".rcfs" / "refuse" / "5").write_text("cp (5) gets EBUSY\n")
    assert _top._act(tmp_path, "refuse", 5) == "cp (5) gets EBUSY"
    with pytest.raises(MountError, match="process 6 has ended"):
        _top._act(tmp_path, "refuse", 6)
