"""Push notifications: tokens for WebSockets, the channels behind them, and their subscriptions.

A channel is the documentation's WebSocket session. It outlives its connection for a while, so a client that
reconnects in time gets the events that it missed. This module does no I/O (see `_socket`).

Source: "WebSockets" of RingCentral's API documentation.
"""

import secrets
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import trio

from rcfs.simulator._params import iso_time
from rcfs.simulator._wire import ApiError
from rcfs.simulator.account._events import EventFilter
from rcfs.simulator.login._auth import Session

SOCKET_PATH = "/ws"
"""Path of the WebSocket on the platform origin: the last part of the URI in the documentation's example."""

TOKEN_LIFETIME_S = 30.0
"""Lifetime of a token for a WebSocket, in seconds: ``expires_in`` of the example."""

RECOVERY_S = 180.0
"""How long a channel waits for its client to reconnect, in seconds: ``recoveryTimeout`` of the example."""

RECOVERY_FRAMES = 100
"""Number of newest events that a channel without a connection keeps: ``recoveryBufferSize`` of the
example."""

Frame = tuple[dict[str, Any], Any]
"""One message to send: its header, and its body; None for no body."""


class Event(Protocol):
    """A change in the account."""

    def body(self, wanted: EventFilter) -> dict[str, Any] | None:
        """The body of the notification for the filter `wanted`; None when the filter does not match."""


@attrs.define(eq=False)
class Subscription:
    """A channel's subscription to events."""

    id: str
    filters: Sequence[EventFilter]
    """Its event filters, at least one."""
    created_s: float
    """Account time of its creation."""
    renewed_s: float
    """Account time of the last renewal."""


@attrs.define(eq=False)
class Channel:
    """The state of one WebSocket, and of the next one that recovers it."""

    token: str
    """Secret with which a new WebSocket recovers this channel."""
    session: Session
    """The login."""
    subscription: Subscription | None = None
    """The only subscription: a new one replaces it."""
    lost_at: float | None = None
    """When the connection ended; None while connected."""
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the login has ended, and the connection must end, too."""
    _sequence: int = attrs.field(default=0, init=False)
    _events: deque[Frame] = attrs.field(factory=deque, init=False)
    _arrived: trio.Event = attrs.field(factory=trio.Event, init=False)

    def put(self, event: Frame) -> None:
        """Add an event."""
        self._events.append(event)
        self._arrived.set()
        self.trim()

    def trim(self) -> None:
        """Without a connection, keep only the newest events."""
        while self.lost_at is not None and len(self._events) > RECOVERY_FRAMES:
            self._events.popleft()

    async def wait_event(self) -> Frame:
        """Take the oldest waiting event; a cancelled call takes none."""
        while not self._events:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._events.popleft()

    def next_mark(self) -> dict[str, Any]:
        """The ``wsc`` object of the next frame, which a client needs to recover the channel."""
        self._sequence += 1
        return {"token": self.token, "sequence": self._sequence}


@attrs.frozen
class _Token:
    session: Session
    expires_at: float


class Notifications:
    """All WebSocket tokens, channels and subscriptions of one simulator; `now` is in seconds of its clock."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Token] = {}
        self._channels: dict[str, Channel] = {}

    def issue_token(self, session: Session, now: float) -> str:
        """A token with which the login can open one WebSocket."""
        self._tokens = {text: token for text, token in self._tokens.items() if now < token.expires_at}
        text = secrets.token_urlsafe(32)
        self._tokens[text] = _Token(session, now + TOKEN_LIFETIME_S)
        return text

    def open(self, token: str, recover: str, now: float) -> tuple[Channel, str]:
        """The channel for a new WebSocket; and, if it was to be recovered, ``Successful`` or ``Failed``.

        Args:
            token: A token of `issue_token`; this call uses it up.
            recover: Token of the channel that the client had; empty for none.
            now: The present.

        Raises:
            ApiError: 401, the token is unknown, used or expired.
        """
        known = self._tokens.pop(token, None)
        if known is None or now >= known.expires_at:
            raise ApiError(401, "OAU-213", "Token not found")
        self._forget(now)
        former = self._channels.get(recover)
        if former is not None and former.lost_at is not None and _same_login(former.session, known.session):
            former.lost_at, former.session = None, known.session
            return former, "Successful"
        channel = Channel(secrets.token_urlsafe(24), known.session)
        self._channels[channel.token] = channel
        return channel, "Failed" if recover else ""

    def close(self, channel: Channel, now: float) -> None:
        """Note that the connection of `channel` has ended."""
        channel.lost_at = now
        channel.trim()

    def end(self, session: Session) -> None:
        """Note that the login `session` has ended: close its channels for good."""
        self._tokens = {text: token for text, token in self._tokens.items() if token.session is not session}
        for channel in [c for c in self._channels.values() if c.session is session]:
            del self._channels[channel.token]
            channel.ended.set()

    def channel_of(self, session: Session) -> Channel | None:
        """The newest open channel of a login."""
        open_ones = (c for c in reversed(self._channels.values()) if c.lost_at is None)
        return next((c for c in open_ones if _same_login(c.session, session)), None)

    def subscribe(self, channel: Channel, filters: Sequence[EventFilter], account_s: float) -> Subscription:
        """A subscription that replaces the one of `channel`; `account_s` is the account's time."""
        channel.subscription = Subscription(str(uuid.uuid4()), filters, account_s, account_s)
        return channel.subscription

    def subscribed(self, session: Session, now: float) -> list[Channel]:
        """The channels of a login that have a subscription, oldest first."""
        self._forget(now)
        mine = (c for c in self._channels.values() if _same_login(c.session, session))
        return [channel for channel in mine if channel.subscription is not None]

    def notify(self, event: Event, account_id: int, account_s: float) -> None:
        """Notify all subscribers of `event`.

        Args:
            event: The change.
            account_id: The account.
            account_s: Time of the change, in the account's time.
        """
        for channel in self._channels.values():
            subscription, owner = channel.subscription, str(channel.session.user)
            if subscription is None:
                continue
            for wanted in subscription.filters:
                body = event.body(wanted)
                if body is not None:
                    told = {**body, "ownerId": owner}
                    channel.put(_frame(subscription.id, owner, wanted.path(account_id), account_s, told))

    def _forget(self, now: float) -> None:
        """Forget the channels whose clients did not reconnect in time."""
        self._channels = {
            token: channel
            for token, channel in self._channels.items()
            if channel.lost_at is None or now < channel.lost_at + RECOVERY_S
        }


def _frame(subscription_id: str, owner: str, path: str, account_s: float, body: dict[str, Any]) -> Frame:
    """The notification of an event; real ones carry their id twice, too."""
    event_id = str(uuid.uuid4())
    return {"type": "ServerNotification", "messageId": event_id, "status": 200}, {
        "uuid": event_id,
        "event": path,
        "timestamp": iso_time(account_s),
        "subscriptionId": subscription_id,
        "ownerId": owner,
        "body": body,
    }


def _same_login(one: Session, other: Session) -> bool:
    """Whether both belong to the same user and app, so that one may recover the other's channels."""
    return (one.user, one.client) == (other.user, other.client)
