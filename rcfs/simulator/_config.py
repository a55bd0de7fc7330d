"""The settings of a simulator, and the addresses and credentials that it reports when it is ready."""

import base64
import hashlib
import ipaddress
import json
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import attrs

from rcfs.model import PRIOR_PLANS, Plan, UsageGroup
from rcfs.simulator._quirks import Quirk, quirks_of
from rcfs.simulator.account._account import AccountSpec
from rcfs.simulator.account._call_values import RECORDING_LIMIT

DEFAULT_TOKEN_LIFETIME_S = 3600.0
"""Lifetime of an access token in seconds; the documentation shows 3600, and real answers had 7199."""

DEFAULT_REDIRECT_URI = "http://127.0.0.1:8477/callback"
"""Default redirect URI of a login in a browser: with a fixed port, because apps have to register it."""

FIRST_PRESENT_S = 946_684_800.0
LAST_PRESENT_S = 4_102_444_800.0
"""The account's clock starts from 2000-01-01 on, before 2100-01-01: all its dates have four digits then."""

MAX_ARCHIVE_BYTES = 1 << 30
"""Most bytes of an archive of an export (documentation of message store exports: 1 GB)."""


@attrs.frozen
class Credentials:
    """The credentials that the simulator accepts."""

    client_id: str
    """Id of the app."""
    client_secret: str = attrs.field(repr=False)
    """Secret of the app."""
    jwt: str = attrs.field(repr=False)
    """A user's JWT."""

    @classmethod
    def from_seed(cls, seed: int, *, user: str = "", app: str = "") -> "Credentials":
        """Credentials derived from `seed`, of another `user` or `app` if these are named.

        Only a simulator accepts them.
        """

        def derive(name: str) -> str:
            digest = hashlib.sha256(f"rcfs simulator {seed} {name}".rstrip().encode()).digest()
            return base64.urlsafe_b64encode(digest).decode().rstrip("=")

        def segment(claims: Mapping[str, str]) -> str:
            return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

        return cls(
            client_id=derive(f"client id {app}")[:22],
            client_secret=derive(f"client secret {app}"),
            jwt=".".join(
                [
                    segment({"alg": "RS256", "typ": "JWT"}),
                    segment({"sub": f"{seed} {user}".rstrip()}),
                    derive(f"signature {user} {app}".rstrip()),
                ]
            ),
        )


@attrs.frozen
class LoginSpec:
    """A further login of a simulator."""

    slot: int = attrs.field(default=2, validator=attrs.validators.ge(0))
    """Position of the user's extension in the account's list, from 0."""
    app: str = ""
    """Name of its app; empty for the app of the first login. Limits are those of a user in an app."""
    admin: bool = True
    """Whether the user is an administrator, whatever the extension says."""
    missing_scopes: frozenset[str] = frozenset()
    """Scopes that its app lacks."""
    closed: frozenset[int] = frozenset()
    """Positions of the extensions whose mailboxes and recordings it may not read."""
    hides: bool = False
    """Whether those do not exist for it (404), instead of being refused (403)."""
    plans: Mapping[UsageGroup, Plan] = MappingProxyType({})
    """Its limits, where they differ from those of the first login."""
    account_id: int | None = None
    """The account that it belongs to, if that is another one."""


@attrs.frozen
class Endpoints:
    """The addresses of a running simulator, and the credentials that it accepts."""

    platform_url: str
    """Origin of the platform, such as ``http://127.0.0.1:40001``; no slash at the end."""
    media_url: str
    """Origin of the media host."""
    foreign_url: str
    """Origin of a host outside the platform, to which a fault redirects. It answers only redirected
    requests, and the journal shows whether they carried a token. It serves the admin interface, too."""
    client_id: str
    """Id of the app."""
    client_secret: str = attrs.field(repr=False)
    """Secret of the app."""
    jwt: str = attrs.field(repr=False)
    """A user's JWT."""
    more: tuple[Credentials, ...] = ()
    """The further logins that it accepts."""


def _check_loopback(_instance: object, _attribute: object, value: str) -> None:
    """Raise ValueError unless `value` is a loopback address."""
    if not ipaddress.ip_address(value).is_loopback:
        raise ValueError(f"the simulator listens on loopback only, not on {value}")


def _as_set(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


def _as_tuple(uris: Iterable[str]) -> tuple[str, ...]:
    return tuple(uris)


def _as_logins(logins: Iterable[LoginSpec]) -> tuple[LoginSpec, ...]:
    return tuple(logins)


def _as_quirks(quirks: Iterable[Quirk | str]) -> frozenset[Quirk]:
    return quirks_of([quirk.value if isinstance(quirk, Quirk) else quirk for quirk in quirks])


@attrs.frozen
class SimulatorConfig:
    """Settings of one simulator."""

    spec: AccountSpec
    """The account to simulate."""
    plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS
    """Rate limits; groups without an entry have the documented defaults."""
    present_s: float | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            attrs.validators.and_(attrs.validators.ge(FIRST_PRESENT_S), attrs.validators.lt(LAST_PRESENT_S))
        ),
    )
    """The time at which the account's clock starts, in seconds since 1970 UTC, not before the ``end_s`` of
    `spec`; None for that time. The ``Date`` of all answers follows this clock."""
    fixed_window: bool = False
    """Windows start at the first request and end all at once, instead of sliding."""
    token_lifetime_s: float = attrs.field(default=DEFAULT_TOKEN_LIFETIME_S, validator=attrs.validators.gt(0))
    """Lifetime of an access token, in seconds."""
    standard_user: bool = False
    """The user of the login is not an administrator and may not read other mailboxes."""
    missing_scopes: frozenset[str] = attrs.field(default=frozenset(), converter=_as_set)
    """Scopes that the app lacks (CMN-401), such as ``ReadMessages``."""
    missing_permissions: frozenset[str] = attrs.field(default=frozenset(), converter=_as_set)
    """Permissions that the user lacks (CMN-408), such as ``ReadMessages``."""
    redirect_uris: tuple[str, ...] = attrs.field(
        default=(DEFAULT_REDIRECT_URI,), converter=_as_tuple, validator=attrs.validators.min_len(1)
    )
    """Registered redirect URIs for a login in a browser, compared literally."""
    refuse_duplicates: bool = False
    """Refuse a GET while an identical one is still being answered (CMN-304)."""
    latency_s: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    """Round-trip time added to every request, in seconds: half before it is counted, half after."""
    host: str = attrs.field(default="127.0.0.1", validator=_check_loopback)
    """Loopback address to listen on."""
    port: int = attrs.field(
        default=0, validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(65535))
    )
    """TCP port of the platform origin; 0 takes a free one."""
    media_port: int = attrs.field(
        default=0, validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(65535))
    )
    """TCP port of the media origin; 0 takes a free one."""
    calls: int = attrs.field(default=300, validator=attrs.validators.ge(0))
    """Number of calls of all extensions in the half year before the account's present, at least 0."""
    calls_per_day: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """Calls of all users a day, every one recorded, in constant memory and without end, in place of `calls`;
    0 for none."""
    call_days: int = attrs.field(default=30, validator=attrs.validators.ge(1))
    """Days before the account's present on which there were `calls_per_day`."""
    recording_limit: int = attrs.field(default=RECORDING_LIMIT, validator=attrs.validators.ge(1))
    """Most recordings that an account with `calls_per_day` keeps; newer ones push out the oldest."""
    export_s: float = attrs.field(default=20.0, validator=attrs.validators.gt(0))
    """Duration of an export, in seconds of the account's clock; the documentation shows 13 in one example."""
    archive_bytes: int = attrs.field(
        default=MAX_ARCHIVE_BYTES,
        validator=attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(MAX_ARCHIVE_BYTES)),
    )
    """Most bytes of an archive with more than one content; a larger content gets an archive for itself."""
    export_kept_s: float = attrs.field(default=math.inf, validator=attrs.validators.ge(0))
    """Seconds of the account's clock that a finished message store report is kept. U: the documentation does
    not say."""
    archives_kept_s: float = attrs.field(default=math.inf, validator=attrs.validators.ge(0))
    """Seconds that the archives of a finished export are kept, if those are fewer."""
    export_quirks: frozenset[Quirk] = attrs.field(default=frozenset(), converter=_as_quirks)
    """Quirks of the archives of exports, or their names."""
    new_call_handling: bool = False
    """Refuse user answering rules with CMN-468, as on accounts with the new call handling."""
    hipaa: bool = False
    """The account keeps recordings for 30 days instead of 90. It must keep messages for as long as the law
    says, and nobody can change that (ACT-340)."""
    mailbox_limits: bool = False
    """Apply the documented limits of mailboxes, which drop the oldest messages. Off by default, because a
    large account would lose most of its messages: 200 faxes and voicemails and 5,000 texts per direction
    remain."""
    sync_token_lifetime_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0))
    )
    """Lifetime of a sync token of messages, in seconds of the account; None for no limit."""
    sync_token_error: str = attrs.field(
        default="MSG-333", validator=attrs.validators.in_(("MSG-333", "CMN-101"))
    )
    """``errorCode`` for an expired or invalid sync token; the documentation names both values."""
    day_speed: float | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            attrs.validators.and_(attrs.validators.gt(0.0), attrs.validators.lt(math.inf))
        ),
    )
    """Play a scripted day from the start, this many times as fast as real time; None for no scripted day."""
    more_logins: tuple[LoginSpec, ...] = attrs.field(default=(), converter=_as_logins)
    """Further logins, each with limits of its own."""
    credentials: Credentials | None = None
    """The credentials to accept; None derives them from the account's id, so that two accounts at the same
    address are not mistaken for one."""
