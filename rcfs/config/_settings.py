"""What rcfs is told, from the command line, the environment, config.toml and the keyring, in this order.

`load_settings` is the one place that decides which source wins. Every error names the option, variable or
line of the file that is wrong; no error and no repr shows a secret.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
import platformdirs

from rcfs.config._access import ALONE_UMASK, OTHERS_UMASK, parse_umask, parse_user, parse_user_group
from rcfs.config._config_file import ConfigFile, Found, did_you_mean, read_config
from rcfs.config._credentials_file import read_credentials_file
from rcfs.config._keyring import SavedCredentials, read_keyring
from rcfs.config._units import parse_group, parse_limit, parse_size
from rcfs.errors import ConfigError
from rcfs.filenames import StateFiles
from rcfs.model import (
    CHUNK_BYTES,
    DEFAULT_CACHE_BYTES,
    PRIOR_PLANS,
    Plan,
    UsageGroup,
    login_digest,
    server_origin,
)

_T = TypeVar("_T")

DEFAULT_SERVER_URL = "https://platform.ringcentral.com"
"""The production platform; the sandbox was discontinued (RingCentral's documentation, 2026-04)."""
DEFAULT_MAX_CONTENT_BYTES = 4 << 30
"""4 GiB: four times the largest archive of an export, the largest content that RingCentral documents."""
DEFAULT_MAX_WAIT_S = 300.0
"""Five penalties of 60 s: longer than a busy minute lasts, shorter than a desktop's patience."""
MAX_WAIT_ONLINE_S = 86_400.0
"""A day: whoever started it has given up by then."""
DEFAULT_WAIT_ONLINE_S = 60.0
"""For a mount in the background: a machine that boots has its network within a minute."""
DEFAULT_SUBTYPE = "rcfs"
CRAWLER_POLICIES = ("refuse", "lowest")
"""What a crawler gets that opens what is not cached: EBUSY, or a request after everybody else's."""
LOG_LEVELS = ("debug", "info", "warning", "error")

_ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "server_url": ("RC_SERVER_URL",),
    "media_url": ("RCFS_MEDIA_URL",),
    "client_id": ("RC_APP_CLIENT_ID", "RC_CLIENT_ID"),
    "client_secret": ("RC_APP_CLIENT_SECRET", "RC_CLIENT_SECRET"),
    "jwt": ("RC_USER_JWT", "RC_JWT"),
    "cache_dir": ("RCFS_CACHE_DIR",),
    "cache_size": ("RCFS_CACHE_SIZE",),
    "state_dir": ("RCFS_STATE_DIR",),
}
"""Variables of each setting, the first one that is set wins. Source of the RC_ names: the official
samples, then the older ones."""
_CONFIG_KEYS: Mapping[str, str] = {
    "server_url": "credentials.server_url",
    "media_url": "credentials.media_url",
    "client_id": "credentials.client_id",
    "client_secret": "credentials.client_secret",
    "jwt": "credentials.jwt",
    "cache_dir": "cache.directory",
    "cache_size": "cache.size",
    "max_content": "cache.max_content",
    "max_wait": "mount.max_wait",
    "allow_other": "mount.allow_other",
    "uid": "mount.uid",
    "gid": "mount.gid",
    "umask": "mount.umask",
    "read_only": "mount.read_only",
    "list_control": "mount.list_control",
    "fs_subtype": "mount.fs_subtype",
    "crawlers": "crawlers.names",
    "more_crawlers": "crawlers.also",
    "crawler_policy": "crawlers.policy",
    "offline": "mount.offline",
    "keep_purged": "mount.keep_purged",
    "fast_wait": "mount.fast_wait",
    "preload": "mount.preload",
    "wait_online": "mount.wait_online",
}
_OTHER_VARIABLES = ("RCFS_CONFIG",)
_LOGIN_FIELDS = ("client_id", "client_secret", "jwt")
_SPOKEN = {"client_id": "client id", "client_secret": "client secret", "jwt": "JWT"}
_SUBTYPE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}", re.ASCII)
"""A comma would begin another mount option."""


@attrs.frozen
class Credentials:
    """Where to log in, and as whom."""

    server_url: str
    """Origin of the platform, without a trailing slash."""
    client_id: str
    """Client id of the app."""
    client_secret: str = attrs.field(repr=False)
    """Client secret of the app."""
    jwt: str = attrs.field(repr=False)
    """JWT credential of the user."""

    @property
    def identity(self) -> str:
        """What the index, the ledger and the sessions know the login by; see `rcfs.model.login_digest`."""
        return login_digest(self.server_url, self.client_id, self.jwt)


@attrs.frozen
class Settings:
    """Everything a command may want to know; all paths are absolute."""

    credentials: Credentials | None
    """None when at least one of `missing_credentials` is missing."""
    cache_dir: Path
    """Directory of the content cache."""
    state_dir: Path
    """Directory of the index, the quota ledger, the logs and the registry of mounts."""
    cache_size_bytes: int = DEFAULT_CACHE_BYTES
    """Cap of the content cache, at least one chunk."""
    media_url: str | None = None
    """Origin of a media host outside the server's domain; None when the payload's URIs decide."""
    max_content_bytes: int = DEFAULT_MAX_CONTENT_BYTES
    """Size of the largest content that is fetched."""
    max_wait_s: float = DEFAULT_MAX_WAIT_S
    """Longest wait for content inside the mount."""
    allow_other: bool = False
    """Whether other users may enter the mount."""
    uid: int | None = None
    """Whom everything in the mount belongs to; None for the user of the process."""
    gid: int | None = None
    """The group of everything in the mount; None for that of the process."""
    umask: int = ALONE_UMASK
    """Permission bits that nothing in the mount has."""
    read_only: bool = False
    """Whether searches cannot be made in the mount."""
    list_control: bool = False
    """Whether listings of the mount name ``.rcfs``."""
    fs_subtype: str = DEFAULT_SUBTYPE
    """The mount's type is ``fuse.`` and this."""
    crawlers: tuple[str, ...] | None = None
    """Programs that get what is cached and no more, in place of the usual list; None for that list."""
    more_crawlers: tuple[str, ...] = ()
    """Further such programs."""
    crawler_policy: str = CRAWLER_POLICIES[0]
    """What they get, one of `CRAWLER_POLICIES`."""
    offline: bool = False
    """Whether the server is never asked."""
    keep_purged: bool | None = None
    """Whether what the platform purges stays; None as it was last said for the state directory."""
    fast_wait: bool = True
    """Whether the kernel is waited for in a faster way than the usual, where that is possible."""
    preload: bool = True
    """Whether a mount loads mailboxes in the background."""
    wait_online_s: float | None = None
    """How long the first mount of an account waits for the network; None for DEFAULT_WAIT_ONLINE_S in the
    background, and not at all in the foreground, where whoever started it can start it again."""
    log_level: str = "info"
    """Least severe level that is logged, one of `LOG_LEVELS`."""
    plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS
    """What is assumed of a usage plan group until a response says otherwise."""
    missing_credentials: tuple[str, ...] = ()
    """Fields of the credentials that no source has; empty when `credentials` is there."""
    keyring_problem: str = ""
    """Why the keyring could not be asked for them; empty when it could, or was not asked."""
    config_path: Path | None = None
    """The config file that was looked for."""

    @property
    def files(self) -> StateFiles:
        """What lies in the state directory."""
        return StateFiles(self.state_dir)

    def require_credentials(self) -> Credentials:
        """The credentials.

        Raises:
            ConfigError: Some are missing; the text says which, and where to put them.
        """
        if self.credentials is not None:
            return self.credentials
        variables = ", ".join(_ENVIRONMENT[field][0] for field in self.missing_credentials)
        names = ", ".join(_SPOKEN[field] for field in self.missing_credentials)
        why = f" ({self.keyring_problem})" if self.keyring_problem else ""
        raise ConfigError(
            f"missing credentials: {names}{why}. Run `rcfs login`, or set {variables}, or write them under"
            f" [credentials] in {self.config_path}. `rcfs demo` needs none"
        )


def find_config(environ: Mapping[str, str]) -> Path:
    """Path of the config file: RCFS_CONFIG, else ``rcfs/config.toml`` in the XDG config directory.

    Raises:
        ConfigError: RCFS_CONFIG names a file that does not exist.
    """
    named = environ.get("RCFS_CONFIG")
    if not named:
        return platformdirs.user_config_path("rcfs") / "config.toml"
    path = _read(Found(named, "RCFS_CONFIG"), _absolute)
    if not path.exists():
        raise ConfigError(f"RCFS_CONFIG: there is no file {path}")
    return path


def load_settings(
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    config_path: Path,
    *,
    keyring: Callable[[Callable[[str], None]], SavedCredentials] | None = read_keyring,
    warn: Callable[[str], None],
) -> Settings:
    """The settings, each from the first source that has it.

    Args:
        options: Options of the command line by name with underscores, None where not given; ``limit`` is
            a sequence of texts for `parse_limit`.
        environ: The environment.
        config_path: Where config.toml would be.
        keyring: Reads the keyring, where no file has the credentials; None for a command that needs none,
            so that no locked keyring asks for its password.
        warn: Gets one line for each thing that is allowed but unwise.

    Raises:
        ConfigError: A value is wrong; the text names its source.
    """
    _warn_of_unknown(environ, warn)
    sources = _Sources(options, environ, read_config(config_path, warn))
    fields = {name: sources.text(name) for name in _LOGIN_FIELDS}
    server_url = sources.parsed("server_url", server_origin)
    problems: list[str] = []
    # A mount at boot has no keyring, and perhaps one that never answers: it is left alone if it can be.
    if keyring is not None and not all(fields.values()):
        entry = read_credentials_file(warn) or keyring(problems.append)
        # What was saved for one server or app is never sent to another that is named elsewhere.
        if server_url in (None, entry.server_url) and fields["client_id"] in (None, entry.client_id):
            server_url = server_url or entry.server_url
            fields = {name: value or getattr(entry, name) for name, value in fields.items()}
    missing = tuple(name for name, value in fields.items() if not value)
    cache_size = sources.parsed("cache_size", _cache_size)
    max_content = sources.parsed("max_content", _max_content)
    max_wait_s = sources.parsed("max_wait", _max_wait)
    allow_other = bool(sources.parsed("allow_other", bool))
    umask = sources.parsed("umask", parse_umask)
    if umask is None:
        umask = OTHERS_UMASK if allow_other else ALONE_UMASK
    return Settings(
        credentials=None
        if missing
        else Credentials(
            server_url=server_url or DEFAULT_SERVER_URL,
            client_id=fields["client_id"] or "",
            client_secret=fields["client_secret"] or "",
            jwt=fields["jwt"] or "",
        ),
        missing_credentials=missing,
        keyring_problem="; ".join(problems),
        media_url=sources.parsed("media_url", server_origin),
        cache_dir=sources.parsed("cache_dir", _absolute) or platformdirs.user_cache_path("rcfs"),
        cache_size_bytes=DEFAULT_CACHE_BYTES if cache_size is None else cache_size,
        state_dir=sources.parsed("state_dir", _absolute) or platformdirs.user_state_path("rcfs"),
        max_content_bytes=DEFAULT_MAX_CONTENT_BYTES if max_content is None else max_content,
        max_wait_s=DEFAULT_MAX_WAIT_S if max_wait_s is None else max_wait_s,
        allow_other=allow_other,
        uid=sources.parsed("uid", parse_user),
        gid=sources.parsed("gid", parse_user_group),
        umask=umask,
        read_only=bool(sources.parsed("read_only", bool)),
        list_control=bool(sources.parsed("list_control", bool)),
        fs_subtype=sources.parsed("fs_subtype", _subtype) or DEFAULT_SUBTYPE,
        crawlers=sources.parsed("crawlers", _program_names),
        # Those of the command line are added to those of the file.
        more_crawlers=(sources.parsed("more_crawlers", _program_names) or ())
        + _read(Found(options.get("crawler") or (), "--crawler"), _program_names),
        crawler_policy=sources.parsed("crawler_policy", _crawler_policy) or CRAWLER_POLICIES[0],
        offline=bool(sources.parsed("offline", bool)),
        keep_purged=sources.parsed("keep_purged", bool),
        fast_wait=sources.parsed("fast_wait", bool) is not False,
        preload=sources.parsed("preload", bool) is not False,
        wait_online_s=sources.parsed("wait_online", _wait_online),
        log_level=sources.text("log_level") or "info",
        plans=sources.plans(),
        config_path=config_path,
    )


@attrs.frozen
class _Sources:
    """Command line, environment and file, in the order in which they are asked."""

    options: Mapping[str, Any]
    environ: Mapping[str, str]
    config: ConfigFile

    def find(self, name: str) -> Found | None:
        """The value of setting `name` as the first source that has one gives it."""
        if self.options.get(name) is not None:
            return Found(self.options[name], "--" + name.replace("_", "-"))
        for variable in _ENVIRONMENT.get(name, ()):
            if self.environ.get(variable, "").strip():
                return Found(self.environ[variable].strip(), variable)
        return self.config.get(_CONFIG_KEYS[name]) if name in _CONFIG_KEYS else None

    def text(self, name: str) -> str | None:
        """The value of setting `name` as it stands; None when no source has it, or only a blank."""
        found = self.find(name)
        return None if found is None else str(found.value).strip() or None

    def parsed(self, name: str, parse: Callable[[Any], _T]) -> _T | None:
        """The value of setting `name` as `parse` reads it; its ValueError becomes a ConfigError."""
        found = self.find(name)
        return None if found is None else _read(found, parse)

    def plans(self) -> Mapping[UsageGroup, Plan]:
        """The prior plans with the limits of the file, then those of the command line."""
        plans = dict(PRIOR_PLANS)
        for name, found in self.config.limits().items():
            plans[_read(Found(name, found.where), parse_group)] = _read(found, Plan)
        plans.update(read_limits(self.options.get("limit") or ()))
        return MappingProxyType(plans)


def _warn_of_unknown(environ: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """Warns of each variable that looks like one of rcfs and is none, so that no slip goes unnoticed."""
    known = {*_OTHER_VARIABLES, *(name for names in _ENVIRONMENT.values() for name in names)}
    for name in sorted(environ):
        if name.startswith("RCFS_") and name not in known:
            hint = did_you_mean(name, known, likeness=0.8)
            warn(f"rcfs knows no environment variable {name}, so it has no effect{hint}")


def read_limits(texts: Iterable[str]) -> Mapping[UsageGroup, Plan]:
    """The plans that ``--limit`` was given as `texts`; of a group given twice, the last one.

    Raises:
        ConfigError: One of them is no limit.
    """
    return dict(_read(Found(text, "--limit"), parse_limit) for text in texts)


def _read(found: Found, parse: Callable[[Any], _T]) -> _T:
    try:
        return parse(found.value)
    except ValueError as exc:
        raise ConfigError(f"{found.where}: {exc}") from exc


def _absolute(path: str | Path) -> Path:
    if not str(path).strip():
        raise ValueError("a path cannot be empty")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as exc:  # ~name of a user who does not exist
        raise ValueError(f"{path}: there is no such home directory") from exc


def _cache_size(size: str | int) -> int:
    size_bytes = size if isinstance(size, int) else parse_size(size)
    if size_bytes < CHUNK_BYTES:
        raise ValueError("a cache of less than 1 MiB holds nothing; write 10GiB, 500M or a number of bytes")
    return size_bytes


def _max_content(size: str | int) -> int:
    size_bytes = size if isinstance(size, int) else parse_size(size)
    if size_bytes < 1:
        raise ValueError("the largest content is at least one byte; write 4GiB, 500M or a number of bytes")
    return size_bytes


def _max_wait(wait_s: float) -> float:
    if not (wait_s > 0 and math.isfinite(wait_s)):
        raise ValueError("the longest wait is a positive number of seconds")
    return float(wait_s)


def _wait_online(wait_s: float) -> float:
    if not 0 <= wait_s <= MAX_WAIT_ONLINE_S:
        raise ValueError(f"the wait for the network is 0 to {MAX_WAIT_ONLINE_S:.0f} seconds")
    return float(wait_s)


def _program_names(names: Iterable[str]) -> tuple[str, ...]:
    kept = tuple(names)
    if not all(name.strip() and "/" not in name for name in kept):
        raise ValueError("a program is named without its directory, such as tumblerd")
    return kept


def _crawler_policy(text: str) -> str:
    if text not in CRAWLER_POLICIES:
        raise ValueError(f"the policy for crawlers is one of {', '.join(CRAWLER_POLICIES)}")
    return text


def _subtype(text: str) -> str:
    if not _SUBTYPE.fullmatch(text):
        raise ValueError("a file system type is a letter, then up to 31 letters, digits, '.', '_' and '-'")
    return text
