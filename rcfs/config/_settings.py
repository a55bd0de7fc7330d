"""The settings of a command as values, with their defaults and what they mean.

`rcfs.config.load_settings` makes them. No repr of them shows a secret.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

import attrs

from rcfs.config._access import ALONE_UMASK
from rcfs.errors import ConfigError
from rcfs.filenames import StateFiles
from rcfs.model import (
    DEFAULT_CACHE_BYTES,
    DELETE_LIMIT,
    PRIOR_PLANS,
    LedgerAddress,
    Plan,
    UsageGroup,
    login_digest,
)

DEFAULT_SERVER_URL = "https://platform.ringcentral.com"
"""The production platform. RingCentral has discontinued the sandbox (its documentation, 2026-04)."""
DEFAULT_MAX_CONTENT_BYTES = 4 << 30
"""4 GiB: four times the largest archive of an export, the largest content that RingCentral documents."""
DEFAULT_MAX_WAIT_S = 300.0
"""Five penalties of 60 s: longer than a busy minute lasts, shorter than a desktop's patience."""
DEFAULT_WAIT_ONLINE_S = 60.0
"""Longest wait of a mount in the background, in seconds: a machine that boots has its network by then."""
DEFAULT_SHARED_WAIT_S = 1.0
"""Longest wait for the shared store, in seconds: a request to RingCentral takes about as long."""
DEFAULT_SUBTYPE = "rcfs"
CRAWLER_POLICIES = ("refuse", "lowest")
"""The answer to a crawler that opens a file which is not cached: EBUSY, or a request of the lowest class."""
LOG_LEVELS = ("debug", "info", "warning", "error")

LOGIN_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "client_id": ("RC_APP_CLIENT_ID", "RC_CLIENT_ID"),
    "client_secret": ("RC_APP_CLIENT_SECRET", "RC_CLIENT_SECRET"),
    "jwt": ("RC_USER_JWT", "RC_JWT"),
}
"""Variables of each part of a login; the first one with a value counts. Source: RingCentral's samples, the
present ones and the older ones."""
SPOKEN = {"client_id": "client id", "client_secret": "client secret", "jwt": "JWT"}
"""The parts of a login in words."""


@attrs.frozen
class Credentials:
    """A server, and the app and user that log in to it."""

    server_url: str
    """Origin of the platform, without a trailing slash."""
    client_id: str
    """Client id of the app."""
    client_secret: str = attrs.field(repr=False)
    """Client secret of the app; empty for a public app."""
    jwt: str = attrs.field(repr=False)
    """JWT credential of the user; empty after a login with a browser."""
    user: str = ""
    """Id of the user who has logged in with a browser; empty with a JWT. Refresh tokens are elsewhere,
    because each is good for one use: with the sessions, in the state directory."""

    @property
    def identity(self) -> str:
        """The digest that names this login in the index, the ledger and the sessions."""
        return login_digest(self.server_url, self.client_id, self.jwt, self.user)


@attrs.frozen
class PoolEntry:
    """A further login, which fetches contents."""

    name: str
    """Its name."""
    credentials: Credentials | None
    """None if it cannot be used."""
    problem: str = ""
    """Why it cannot be used, and what to do, in one line; empty if it can."""


@attrs.frozen
class Settings:
    """The settings of a command; all paths are absolute."""

    credentials: Credentials | None
    """None when `missing_credentials` names a part that no source has."""
    cache_dir: Path
    """Directory of the content cache."""
    state_dir: Path
    """Directory of the index, the quota ledger, the logs and the registry of mounts."""
    cache_size_bytes: int = DEFAULT_CACHE_BYTES
    """Largest size of the content cache, at least one chunk."""
    shared: str | None = None
    """Where contents are shared with other machines: an absolute path or a URL; None to share none."""
    shared_options: Path | None = None
    """A file with the credentials and options of `shared`; None if the environment has them."""
    shared_wait_s: float = DEFAULT_SHARED_WAIT_S
    """Longest wait for an answer of `shared`, in seconds."""
    media_url: str | None = None
    """Origin of a media host outside the server's domain; None if rcfs takes it from the records."""
    max_content_bytes: int = DEFAULT_MAX_CONTENT_BYTES
    """Size of the largest content that rcfs fetches."""
    max_wait_s: float = DEFAULT_MAX_WAIT_S
    """Longest wait for content inside the mount."""
    allow_other: bool = False
    """Whether other users may enter the mount."""
    uid: int | None = None
    """Owner of everything in the mount; None for the user of the process."""
    gid: int | None = None
    """Group of everything in the mount; None for the group of the process."""
    umask: int = ALONE_UMASK
    """Permission bits that nothing in the mount has."""
    read_only: bool = False
    """Whether the mount refuses to create, rename and remove searches."""
    read_write: bool = False
    """Whether the mount lets people change messages, and sends these changes to RingCentral."""
    allow_purge: bool = False
    """Whether people may also delete messages for good in the mount."""
    delete_limit: int = DELETE_LIMIT
    """Deletions in an hour that need no confirmation."""
    send: bool = False
    """Whether the mount sends what people put into its directory ``Outbox``."""
    list_control: bool = False
    """Whether the listing of the root names ``.rcfs``."""
    fs_subtype: str = DEFAULT_SUBTYPE
    """Type of the mount, without the ``fuse.`` before it."""
    crawlers: tuple[str, ...] | None = None
    """Programs that may read only cached contents, in place of the built-in list; None for that list."""
    more_crawlers: tuple[str, ...] = ()
    """Programs that are added to the list of crawlers."""
    crawler_policy: str = CRAWLER_POLICIES[0]
    """The answer to crawlers, one of `CRAWLER_POLICIES`."""
    offline: bool = False
    """Whether rcfs sends nothing to the server."""
    keep_purged: bool | None = None
    """Whether purged messages stay; None for the latest choice in this state directory."""
    fast_wait: bool = True
    """Whether the mount polls the kernel before it waits in trio, where it can."""
    keep_listings: bool = True
    """Whether the kernel may keep listings of directories, where pyfuse3 can tell it."""
    preload: bool = True
    """Whether a mount loads mailboxes in the background."""
    wait_online_s: float | None = None
    """How long the first mount of an account waits for the network. None for DEFAULT_WAIT_ONLINE_S in the
    background, and for 0 in the foreground, where you can start it again."""
    ledger: LedgerAddress | None = None
    """Server of the quota ledger that several machines share; None for the ledger of this state directory."""
    ledger_password_file: Path | None = None
    """File with the password for that server; None for the keyring, or for no password."""
    metrics: tuple[str, int] | None = None
    """Host and port at which the mount tells its metrics; None for nowhere."""
    metrics_textfile: Path | None = None
    """File into which the mount writes its metrics; None for none."""
    notify: bool = False
    """Whether the mount tells the desktop of new voicemails and faxes, and of failures."""
    bookmark: bool = False
    """Whether file managers get a bookmark of the mount while it is up."""
    log_level: str = "info"
    """Least severe level to log, one of `LOG_LEVELS`."""
    plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS
    """Limits of the usage plan groups until a response tells the real ones."""
    pool: tuple[PoolEntry, ...] = ()
    """Further logins, which fetch contents as well."""
    missing_credentials: tuple[str, ...] = ()
    """Fields of the credentials that no source has; empty when `credentials` is not None."""
    account: str | None = None
    """Name of the saved login to use; None for the one without a name."""
    credentials_file: Path | None = None
    """File with the credentials, in place of the keyring; None without one."""
    credentials_place: str = ""
    """Where the credentials come from; empty without any."""
    keyring_problem: str = ""
    """Why rcfs could not read the keyring; empty when it could, or did not try."""
    config_path: Path | None = None
    """Path of config.toml, which need not exist."""

    @property
    def files(self) -> StateFiles:
        """The paths of the files in the state directory."""
        return StateFiles(self.state_dir)

    @property
    def login_command(self) -> str:
        """The command with which the user saves other credentials in place of these."""
        chosen = []
        if self.account is not None:
            chosen.append(f"--account {self.account}")
        if self.credentials_file is not None:
            chosen.append(f"--credentials-file {shlex.quote(str(self.credentials_file))}")
        return " ".join(["rcfs login", *chosen])

    def require_credentials(self) -> Credentials:
        """The credentials.

        Raises:
            ConfigError: Some are missing; the text names them, and the places to put them.
        """
        if self.credentials is not None:
            return self.credentials
        if self.account is not None:
            why = f" ({self.keyring_problem})" if self.keyring_problem else ""
            names = ", no ".join(SPOKEN[field] for field in self.missing_credentials)
            raise ConfigError(
                f"there is no {names} of the account '{self.account}'{why}; run `{self.login_command}`"
            )
        variables = ", ".join(LOGIN_VARIABLES[field][0] for field in self.missing_credentials)
        names = ", ".join(SPOKEN[field] for field in self.missing_credentials)
        why = f" ({self.keyring_problem})" if self.keyring_problem else ""
        raise ConfigError(
            f"missing credentials: {names}{why}; run `{self.login_command}`, or set {variables}, or write"
            f" them under [credentials] in {self.config_path} (`rcfs demo` needs none)"
        )
