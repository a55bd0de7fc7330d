"""The watchers of a mount that its settings ask for: metrics, notifications, a bookmark."""

import ipaddress
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rcfs.cli._output import warn
from rcfs.config import Settings
from rcfs.errors import ConfigError, install_command

if TYPE_CHECKING:
    from rcfs.fuse import Watcher
    from rcfs.transport import Recorder


def check_watching(settings: Settings) -> None:
    """Warns of an address for metrics that other machines can reach.

    Raises:
        ConfigError: A package is missing.
    """
    if settings.metrics is not None or settings.metrics_textfile is not None:
        try:
            import prometheus_client  # noqa: F401 - only whether it is there
        except ImportError as exc:
            raise ConfigError(
                "metrics need the package prometheus-client, which is not installed; run:"
                f" {install_command('metrics')}"
            ) from exc
    if settings.metrics is not None and not _is_loopback(settings.metrics[0]):
        host, port = settings.metrics
        warn(
            f"--metrics: everybody who can reach {host}:{port} can read the metrics, without a password; use"
            " 127.0.0.1 unless you want that"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def watchers_of(
    settings: Settings,
    recorder: "Recorder",
    mountpoint: Path,
) -> "Mapping[str, Watcher]":
    """The watchers of a mount, by their names in the log.

    Raises:
        ConfigError: The address for metrics cannot be used.
    """
    watchers: dict[str, Watcher] = {}
    if settings.metrics is not None:
        from rcfs.watch import metrics

        listeners = await metrics.listen(*settings.metrics)
        watchers["metrics"] = lambda _engine, status: metrics.serve(listeners, recorder, status)
    if settings.metrics_textfile is not None:
        from rcfs.watch import metrics

        keep = partial(metrics.keep_file, settings.metrics_textfile, recorder)
        watchers["metrics file"] = lambda _engine, status: keep(status)
    if settings.notify:
        from rcfs.watch.notify import notify

        watchers["notify"] = partial(notify, (settings.cache_dir, settings.state_dir), recorder)
    if settings.bookmark:
        from rcfs.watch.bookmark import keep_bookmark

        watchers["bookmark"] = lambda _engine, _status: keep_bookmark(mountpoint, recorder)
    return watchers
