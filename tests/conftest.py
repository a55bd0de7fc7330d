"""Set-up of every test: hypothesis settings, quiet logs, and the choice between skipping and failing.

Two environment variables forbid what is convenient on a developer's machine and wrong in CI:

- ``RCFS_REQUIRE_MOUNT=1``: a skipped test of `tests/mount` counts as failed, whatever the reason.
- ``RCFS_REQUIRE_OPENAPI=1``: the run does not start without the official description of the API, whose
  path is in ``RCFS_OPENAPI``.
"""

import gc
import os
import signal
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from rcfs.errors import FuseUnavailableError
from rcfs.host import FuseSystem
from tests.fakes.scratch import scratch_directory

MOUNT_TESTS = Path(__file__).parent / "mount"


@pytest.hookimpl(tryfirst=True)  # before hypothesis' plugin, whose --hypothesis-profile wins
def pytest_configure(config: pytest.Config) -> None:
    # No deadlines and no check of the speed: they measure the machine, and virtual clocks pause at will.
    # Fixed examples in CI: a failure must come from the change, not from a new example.
    everyday = settings(
        max_examples=40,
        deadline=None,
        derandomize="CI" in os.environ,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.register_profile("rcfs", everyday)
    # For a night: --hypothesis-profile=long
    settings.register_profile("long", everyday, max_examples=1000, derandomize=False)
    settings.load_profile("rcfs")
    # A shell starts background jobs with both ignored, and all processes of the tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if required("OPENAPI") and not Path(os.environ.get("RCFS_OPENAPI", "")).is_file():
        raise pytest.UsageError("RCFS_REQUIRE_OPENAPI is set, but RCFS_OPENAPI does not name a file")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Lets processes keep compiled modules in pytest's cache where they must not beside the source.

    Compiling rcfs takes 0.9 s of each `rcfs mount`, which the tests start hundreds of times.
    """
    cache = getattr(session.config, "cache", None)
    if cache is not None and os.environ.get("PYTHONDONTWRITEBYTECODE"):
        with suppress(OSError):  # a source tree that cannot be written to
            os.environ["PYTHONPYCACHEPREFIX"] = str(cache.mkdir("bytecode"))
            del os.environ["PYTHONDONTWRITEBYTECODE"]


def required(what: str) -> bool:
    """Whether the environment forbids to skip tests that need `what`."""
    return os.environ.get(f"RCFS_REQUIRE_{what}") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(MOUNT_TESTS):
            item.add_marker("mount")
    if os.environ.get("RCFS_LONG") != "1":
        left = [item for item in items if item.get_closest_marker("long") is not None]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_collection_finish() -> None:
    """Spares the garbage collector the thousands of tests, which live until the end."""
    gc.freeze()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory in memory if there is room; for tests that mount, on the disk."""
    if request.node.get_closest_marker("mount") is not None:
        yield tmp_path
        return
    with scratch_directory() as directory:
        yield directory


@pytest.hookimpl(tryfirst=True)  # before fixtures, which mount
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("mount") is not None:
        try:
            FuseSystem().check()
        except FuseUnavailableError as exc:
            pytest.skip(str(exc))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("mount") is not None:
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.path.is_relative_to(MOUNT_TESTS):
        refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip of a mount test into a failure, where mount tests are required."""
    if required("MOUNT") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but RCFS_REQUIRE_MOUNT is set: {report.longreprtext}"


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    """Discard log events unless a test captures them; `structlog.testing.capture_logs` still sees them."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()
