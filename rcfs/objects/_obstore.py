"""S3, Google Cloud Storage, Azure and whatever else obstore opens; the only file that knows obstore."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from rcfs.errors import ConfigError
from rcfs.objects._store import Found, ObjectStoreError

_PART_BYTES: Final = 8 << 20
"""Size of a part of a large upload, and of the largest object that is put at once; S3 needs 5 MiB or more."""
_UPLOADS: Final = 2
"""Parts of an upload that are sent at the same time, so that at most 24 MiB are in memory."""
_READING: Final = {"connect_timeout": "1s", "read_timeout": "5s", "timeout": "60s"}
"""A reader waits for a second at most, see `SharedContents`; these free the thread that it leaves behind."""
_WRITING: Final = {"connect_timeout": "5s", "timeout": "120s"}
_SECRETS: Final = re.compile(r"\?\S*|//[^/\s]*@")
"""The parts of a URL that may hold a signature or a password."""


class Obstore:
    """See `ObjectStore`."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        """Opens the store at `url`; nothing is sent.

        Args:
            url: A URL that obstore knows, with a prefix as its path.
            options: Settings of obstore, such as ``aws_access_key_id``; they win over the environment.

        Raises:
            ConfigError: obstore does not accept them.
        """
        self._place = url

        def opened(client: Mapping[str, str]) -> Any:
            # Once, since a server may have closed an idle connection; rcfs decides itself on all else.
            pause = timedelta(milliseconds=50)
            retries = {
                "max_retries": 1,
                "retry_timeout": timedelta(seconds=1),
                "backoff": {"init_backoff": pause, "max_backoff": pause, "base": 2},
            }
            plain = {"allow_http": True} if _is_local(options) else {}
            open_url: Any = from_url  # Its overloads know the settings of each cloud, ours are the user's.
            return open_url(
                url,
                config=dict(options) or None,
                client_options={**client, **plain},
                retry_config=retries,
            )

        try:
            self._reads, self._writes = opened(_READING), opened(_WRITING)
        except (BaseError, ValueError, TypeError, OSError) as exc:
            raise ConfigError(f"the shared store {url} cannot be opened: {_reason(exc)}") from exc

    @property
    def place(self) -> str:
        """See `ObjectStore.place`."""
        return self._place

    def get(
        self, name: str, start: int, stop: int, on_answer: Callable[[], None] = lambda: None
    ) -> Found | None:
        """See `ObjectStore.get`."""
        with self._translated():
            try:
                answer = obstore.get(self._reads, name, options={"range": (start, stop)})
            except FileNotFoundError:
                return None
            on_answer()
            meta = answer.meta
            return Found(
                bytes(answer.bytes()), meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp()
            )

    def put(self, name: str, parts: Iterable[bytes], size_bytes: int) -> None:
        """See `ObjectStore.put`."""
        with self._translated():
            if size_bytes <= _PART_BYTES:
                obstore.put(self._writes, name, b"".join(parts), use_multipart=False)
            else:
                obstore.put(self._writes, name, iter(parts), chunk_size=_PART_BYTES, max_concurrency=_UPLOADS)

    def create(self, name: str, data: bytes) -> str | None:
        """See `ObjectStore.create`."""
        with self._translated():
            try:
                return obstore.put(self._reads, name, data, mode="create")["e_tag"] or ""
            except AlreadyExistsError:
                return None

    def replace(self, name: str, data: bytes, tag: str) -> str | None:
        """See `ObjectStore.replace`."""
        with self._translated():
            try:
                return obstore.put(self._reads, name, data, mode={"e_tag": tag})["e_tag"] or ""
            except (PreconditionError, FileNotFoundError):
                return None

    def delete(self, names: Sequence[str]) -> None:
        """See `ObjectStore.delete`."""
        with self._translated():
            for name in names:
                try:
                    obstore.delete(self._writes, name)
                except FileNotFoundError:
                    continue

    def names(self, prefix: str) -> Iterator[Sequence[str]]:
        """See `ObjectStore.names`."""
        with self._translated():
            for found in obstore.list(self._writes, prefix, chunk_size=500):
                yield [each["path"] for each in found]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError, NotImplementedError) as exc:
            raise ObjectStoreError(f"{self._place}: {_reason(exc)}") from exc


def _is_local(options: Mapping[str, str]) -> bool:
    """Whether the endpoint is on this machine, where http is no risk; other endpoints need https."""
    endpoint = next((options[name] for name in ("aws_endpoint", "endpoint") if name in options), "")
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    return re.match(r"http://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:|/|$)", endpoint) is not None


def _reason(error: Exception) -> str:
    """The cause in an obstore error, on one line: without the request, XML and what may be secret."""
    line = str(error).partition("\n")[0].partition("<")[0]
    return _SECRETS.sub("", line.rpartition(" - ")[2]).strip(" :")[:200]
