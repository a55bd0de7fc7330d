"""The limit of the kernel for reads in the background, with files in place of the kernel's."""

from pathlib import Path

import pytest

from rcfs.fuse._background_reads import raise_background_reads
from rcfs.host import Mount

MOUNTED = Path("/mnt")
MOUNTS = (Mount(Path("/"), "ext4", minor=1), Mount(MOUNTED, "fuse.rcfs", minor=52))


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    limits = tmp_path / "52"
    limits.mkdir()
    (limits / "max_background").write_text("12\n")
    (limits / "congestion_threshold").write_text("9\n")
    return limits


def test_more_reads_may_wait_where_the_kernel_sends_more(limits: Path) -> None:
    assert raise_background_reads(MOUNTED, MOUNTS, connections=limits.parent) == 42
    assert (limits / "max_background").read_text() == "64\n"
    assert (limits / "congestion_threshold").read_text() == "48\n"


def test_a_higher_limit_stays(limits: Path) -> None:
    (limits / "max_background").write_text("128\n")
    assert raise_background_reads(MOUNTED, MOUNTS, connections=limits.parent) == 42
    assert (limits / "max_background").read_text() == "128\n"


@pytest.mark.parametrize("missing", ["52/max_background", "52/congestion_threshold"])
def test_eight_reads_may_wait_if_the_kernel_does_not_let_it(limits: Path, missing: str) -> None:
    (limits.parent / missing).unlink()
    (limits.parent / missing).mkdir()
    assert raise_background_reads(MOUNTED, MOUNTS, connections=limits.parent) == 8


def test_eight_reads_may_wait_in_a_mount_that_is_not_in_the_table(tmp_path: Path) -> None:
    assert raise_background_reads(MOUNTED, MOUNTS[:1], connections=tmp_path) == 8
