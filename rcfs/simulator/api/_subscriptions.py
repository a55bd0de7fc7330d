"""Subscriptions to changes of message stores and to telephony sessions, delivered by WebSocket.

They are requested over HTTP or the WebSocket. A subscription belongs to a WebSocket; one requested over HTTP
belongs to the login's newest WebSocket. WebHooks are refused as unreachable, because the simulator sends no
requests.
"""

import json
from typing import Any

import attrs

from rcfs.simulator._backend import LIGHT, MEDIUM, MINE, Call, Operation, may_read
from rcfs.simulator._notifications import Channel, Subscription
from rcfs.simulator._params import iso_time
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer, not_found
from rcfs.simulator.account._events import SESSIONS, EventFilter

SUBSCRIPTIONS_PATH = "/restapi/v1.0/subscription"
SUBSCRIPTION_PATH = SUBSCRIPTIONS_PATH + "/{subscription_id}"

LIFETIME_S = 86_400
"""Lifetime of a subscription, in seconds, as reported; its WebSocket ends then, so nobody needs to renew
it."""


def create_subscription(call: Call) -> Answer:
    """A subscription of the WebSocket that the call came over, or of the login's newest one."""
    body = _body(call)
    mode = body.get("deliveryMode")
    match mode.get("transportType") if isinstance(mode, dict) else None:
        case "WebSocket":
            pass
        case "WebHook":
            raise ApiError(400, "SUB-521", "WebHook is not reachable")
        case other:
            raise bad_parameter("deliveryMode.transportType", str(other))
    filters = _filters(call, body)
    session = call.login()
    channel = call.channel or call.backend.notifications.channel_of(session)
    if channel is None:
        raise ApiError(400, "CMN-101", "There is no open WebSocket", parameter="deliveryMode.transportType")
    subscription = call.backend.notifications.subscribe(channel, filters, call.backend.account_time())
    return json_answer(_record(call, subscription))


def list_subscriptions(call: Call) -> Answer:
    """All subscriptions of the user and app."""
    records = [_record(call, subscription) for _, subscription in _mine(call)]
    return json_answer({"uri": call.backend.endpoints.platform_url + SUBSCRIPTIONS_PATH, "records": records})


def read_subscription(call: Call) -> Answer:
    """One subscription."""
    return json_answer(_record(call, _find(call)[1]))


def update_subscription(call: Call) -> Answer:
    """Change the events of the subscription and renew it; a requested lifetime is ignored, as documented."""
    _, subscription = _find(call)
    subscription.filters = _filters(call, _body(call))
    subscription.renewed_s = call.backend.account_time()
    return json_answer(_record(call, subscription))


def renew_subscription(call: Call) -> Answer:
    """Renew the subscription."""
    _, subscription = _find(call)
    subscription.renewed_s = call.backend.account_time()
    return json_answer(_record(call, subscription))


def delete_subscription(call: Call) -> Answer:
    """Delete the subscription."""
    channel, _ = _find(call)
    channel.subscription = None
    return Answer(204)


def _mine(call: Call) -> list[tuple[Channel, Subscription]]:
    channels = call.backend.notifications.subscribed(call.login(), call.backend.clock())
    return [(channel, channel.subscription) for channel in channels if channel.subscription is not None]


def _find(call: Call) -> tuple[Channel, Subscription]:
    """The subscription in the path, and its channel.

    Raises:
        ApiError: 404, the login has no such subscription.
    """
    for channel, subscription in _mine(call):
        if subscription.id == call.path["subscription_id"]:
            return channel, subscription
    raise not_found("subscriptionId")


def _body(call: Call) -> dict[str, Any]:
    """The JSON object of the body.

    Raises:
        ApiError: 400, the body is not a JSON object.
    """
    try:
        body = json.loads(call.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, "CMN-100", "Cannot parse request body")
    return body


def _filters(call: Call, body: dict[str, Any]) -> tuple[EventFilter, ...]:
    """The event filters of a request.

    Raises:
        ApiError: 400, the list is empty, or names events that the simulator does not have; 403, this app or
            user may not read the messages of that extension.
    """
    wanted = body.get("eventFilters")
    if not (isinstance(wanted, list) and wanted and all(isinstance(path, str) for path in wanted)):
        raise bad_parameter("eventFilters", json.dumps(wanted))
    return tuple(_filter(call, path) for path in wanted)


def _filter(call: Call, path: str) -> EventFilter:
    account, user = call.backend.account, call.user
    try:
        account_id, extension_id, wanted = EventFilter.parse(path)
    except ValueError:
        raise bad_parameter("eventFilters", path) from None
    if account_id not in (MINE, str(account.account_id)):
        raise bad_parameter("eventFilters", path)
    needed = "telephonySessionsEvent" if wanted.resource == SESSIONS else "listMessages"
    if extension_id is None:
        call.backend.permissions.check("accountTelephonySessionsEvent", user, call.login().scopes)
        return wanted
    owner_id = str(user.id) if extension_id == MINE else extension_id
    owner = next((extension for extension in account.extensions if str(extension.id) == owner_id), None)
    if owner is None:
        raise bad_parameter("eventFilters", path)
    call.backend.permissions.check(needed, user, call.login().scopes)
    if not may_read(user, owner):
        raise ApiError(
            403, "CMN-419", "In order to call this API endpoint, user needs access to this extension"
        )
    return attrs.evolve(wanted, extension_id=owner.id)


def _record(call: Call, subscription: Subscription) -> dict[str, Any]:
    expires_s = subscription.renewed_s + LIFETIME_S
    return {
        "uri": f"{call.backend.endpoints.platform_url}{SUBSCRIPTIONS_PATH}/{subscription.id}",
        "id": subscription.id,
        "creationTime": iso_time(subscription.created_s),
        "expirationTime": iso_time(expires_s),
        "expiresIn": max(1, int(expires_s - call.backend.account_time())),
        "status": "Active",
        "eventFilters": [wanted.path(call.backend.account.account_id) for wanted in subscription.filters],
        "disabledFilters": [],
        "deliveryMode": {"transportType": "WebSocket"},
    }


OPERATIONS = (
    Operation("listSubscriptions", "GET", SUBSCRIPTIONS_PATH, LIGHT, list_subscriptions),
    Operation("createSubscription", "POST", SUBSCRIPTIONS_PATH, MEDIUM, create_subscription),
    Operation("readSubscription", "GET", SUBSCRIPTION_PATH, LIGHT, read_subscription),
    Operation("updateSubscription", "PUT", SUBSCRIPTION_PATH, MEDIUM, update_subscription),
    Operation("deleteSubscription", "DELETE", SUBSCRIPTION_PATH, MEDIUM, delete_subscription),
    Operation("renewSubscription", "POST", SUBSCRIPTION_PATH + "/renew", LIGHT, renew_subscription),
)
"""Operations of this module."""
