"""Who is to be told of what: tokens for WebSockets, the channels behind them, and their subscriptions.

A channel is what the documentation calls a WebSocket session: it outlives its connection for a while, so
that a client which comes back in time gets the events that it has missed. No sockets here (see `_socket`).

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
"""Where the platform origin accepts WebSockets: the last part of the example's URI."""

TOKEN_LIFETIME_S = 30.0
"""How long a token for a WebSocket is good, in seconds: ``expires_in`` of the example."""

RECOVERY_S = 180.0
"""How long a channel waits for its client, in seconds: ``recoveryTimeout`` of the example."""

RECOVERY_FRAMES = 100
"""Events that a channel keeps, the newest ones: ``recoveryBufferSize`` of the example."""

Frame = tuple[dict[str, Any], Any]
"""What is sent at once: what it is, and its body; None for no body."""


class Event(Protocol):
    """Something that has happened."""

    def body(self, wanted: EventFilter) -> dict[str, Any] | None:
        """What `wanted` tells of it; None for nothing."""


@attrs.define(eq=False)
class Subscription:
    """What a channel wants to hear of."""

    id: str
    """Random."""
    filters: Sequence[EventFilter]
    """At least one."""
    created_s: float
    """Account time of its creation."""
    renewed_s: float
    """Account time of the last renewal."""


@attrs.define(eq=False)
class Channel:
    """What stands behind one WebSocket, and behind the next one that recovers it."""

    token: str
    """Recovers it."""
    session: Session
    """The login."""
    subscription: Subscription | None = None
    """Only one at a time: a further one replaces it."""
    lost_at: float | None = None
    """When the connection ended; None while there is one."""
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the login has ended, and the connection must."""
    _sequence: int = attrs.field(default=0, init=False)
    _events: deque[Frame] = attrs.field(factory=deque, init=False)
    _arrived: trio.Event = attrs.field(factory=trio.Event, init=False)

    def put(self, event: Frame) -> None:
        """Add an event."""
        self._events.append(event)
        self._arrived.set()
        self.trim()

    def trim(self) -> None:
        """Without a connection, keep the newest events only."""
        while self.lost_at is not None and len(self._events) > RECOVERY_FRAMES:
            self._events.popleft()

    async def wait_event(self) -> Frame:
        """The oldest event that was not taken; cancelled, it takes none."""
        while not self._events:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._events.popleft()

    def next_mark(self) -> dict[str, Any]:
        """The ``wsc`` object of the next frame: what a client needs in order to come back."""
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
        """The channel for a new WebSocket, and how its recovery went: ``Successful``, ``Failed``, or empty.

        Args:
            token: What `issue_token` gave; it is not good any more.
            recover: Token of the channel that the client had; empty for none.
            now: When it came.

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
        """Note that the login `session` has ended: its channels are closed, and cannot be recovered."""
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
        """Tell whoever has subscribed of `event`.

        Args:
            event: What has happened.
            account_id: The account.
            account_s: When, in the account's time.
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
        """Forget the channels whose clients have not come back in time."""
        self._channels = {
            token: channel
            for token, channel in self._channels.items()
            if channel.lost_at is None or now < channel.lost_at + RECOVERY_S
        }


def _frame(subscription_id: str, owner: str, path: str, account_s: float, body: dict[str, Any]) -> Frame:
    """The notification of an event, with the same id twice, as real ones have it."""
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
    """Whether both belong to the same user and app; a new session of theirs may recover an old channel."""
    return (one.user, one.client) == (other.user, other.client)
