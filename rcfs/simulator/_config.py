"""What a simulator is made from, and what it says when it is ready."""

import base64
import hashlib
import ipaddress
import json
import math
from collections.abc import Iterable, Mapping

import attrs

from rcfs.model import PRIOR_PLANS, Plan, UsageGroup
from rcfs.simulator.account._account import AccountSpec

DEFAULT_TOKEN_LIFETIME_S = 3600.0
"""Lifetime of an access token in seconds; the documentation shows 3600, and 7199 has been seen."""

DEFAULT_REDIRECT_URI = "http://127.0.0.1:8477/callback"
"""Where a login in a browser ends unless told otherwise: a fixed port, as apps have to register it."""


MAX_ARCHIVE_BYTES = 1 << 30
"""Most bytes of an archive of an export (documentation of message store exports: 1 GB)."""


@attrs.frozen
class Credentials:
    """What a client must show to log in."""

    client_id: str
    """Id of the app."""
    client_secret: str = attrs.field(repr=False)
    """Secret of the app."""
    jwt: str = attrs.field(repr=False)
    """The login of a person, as a JWT."""

    @classmethod
    def from_seed(cls, seed: int) -> "Credentials":
        """Credentials that are the same for the same `seed`; they open nothing but a simulator."""

        def derive(name: str) -> str:
            digest = hashlib.sha256(f"rcfs simulator {seed} {name}".encode()).digest()
            return base64.urlsafe_b64encode(digest).decode().rstrip("=")

        def segment(claims: Mapping[str, str]) -> str:
            return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

        return cls(
            client_id=derive("client id")[:22],
            client_secret=derive("client secret"),
            jwt=".".join(
                [segment({"alg": "RS256", "typ": "JWT"}), segment({"sub": str(seed)}), derive("signature")]
            ),
        )


@attrs.frozen
class Endpoints:
    """Where a running simulator listens, and how to log in."""

    platform_url: str
    """Origin of the platform, such as ``http://127.0.0.1:40001``; no slash at the end."""
    media_url: str
    """Origin of the media host."""
    foreign_url: str
    """Origin of a host that is not the platform's, to which a fault redirects; it answers whoever was sent
    there, and the journal tells whether a token came along. It has the admin interface, too."""
    client_id: str
    """Id of the app."""
    client_secret: str = attrs.field(repr=False)
    """Secret of the app."""
    jwt: str = attrs.field(repr=False)
    """The login of a person."""


def _check_loopback(_instance: object, _attribute: object, value: str) -> None:
    """Raise ValueError unless `value` is an address that only this machine reaches."""
    if not ipaddress.ip_address(value).is_loopback:
        raise ValueError(f"the simulator listens on loopback only, not on {value}")


def _as_set(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


def _as_tuple(uris: Iterable[str]) -> tuple[str, ...]:
    return tuple(uris)


@attrs.frozen
class SimulatorConfig:
    """Settings of one simulator."""

    spec: AccountSpec
    """The account that is played. The simulated clock starts at its ``end_s``."""
    plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS
    """Limits; groups that are not named have the documented defaults."""
    fixed_window: bool = False
    """Windows start at the first request and end at once, instead of sliding."""
    token_lifetime_s: float = attrs.field(default=DEFAULT_TOKEN_LIFETIME_S, validator=attrs.validators.gt(0))
    """How long an access token is good, in seconds."""
    standard_user: bool = False
    """The login is not an administrator: it may not read other mailboxes."""
    missing_scopes: frozenset[str] = attrs.field(default=frozenset(), converter=_as_set)
    """Scopes that the app has not (CMN-401), such as ``ReadMessages``."""
    missing_permissions: frozenset[str] = attrs.field(default=frozenset(), converter=_as_set)
    """Permissions that the user has not (CMN-408), such as ``ReadMessages``."""
    redirect_uris: tuple[str, ...] = attrs.field(
        default=(DEFAULT_REDIRECT_URI,), converter=_as_tuple, validator=attrs.validators.min_len(1)
    )
    """Where a login in a browser may send the code: registered with the app, compared letter by letter."""
    refuse_duplicates: bool = False
    """A GET of which an identical one is still being answered is refused (CMN-304)."""
    latency_s: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    """Round trip that is added to every request, in seconds: half before it counts, half after."""
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
    """Calls of all extensions together in the half year before the account's present, at least 0."""
    export_s: float = attrs.field(default=20.0, validator=attrs.validators.gt(0))
    """How long an export takes, in seconds of the account's clock; the documentation shows 13 once."""
    archive_bytes: int = attrs.field(
        default=MAX_ARCHIVE_BYTES,
        validator=attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(MAX_ARCHIVE_BYTES)),
    )
    """Most bytes of an archive with more than one content; a content that is larger has one of its own."""
    new_call_handling: bool = False
    """User answering rules are refused with CMN-468, as on accounts that have their successor."""
    hipaa: bool = False
    """The account's retention of messages is the law's and cannot be changed (ACT-340)."""
    mailbox_limits: bool = False
    """Mailboxes are full at what the documentation says, and what is too old is dropped. Off by default, as
    it would leave little of a large account: 200 faxes and voicemails and 5,000 texts of each direction."""
    sync_token_lifetime_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0))
    )
    """How long a sync token of messages is good, in seconds of the account; None for ever."""
    sync_token_error: str = attrs.field(
        default="MSG-333", validator=attrs.validators.in_(("MSG-333", "CMN-101"))
    )
    """``errorCode`` for such a token that is not good; the documentation knows both."""
    day_speed: float | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            attrs.validators.and_(attrs.validators.gt(0.0), attrs.validators.lt(math.inf))
        ),
    )
    """Play a scripted day from the start on, this many times as fast as real time; None for no such day."""
    credentials: Credentials | None = None
    """What a client must show; None makes it from the seed of `spec`."""
