"""The account's retention of fax and voice messages; a new value also applies to existing messages."""

import trio

from rcfs.simulator._backend import ACCOUNT_PATH, LIGHT, Call, Operation
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer
from rcfs.simulator.account._message_limits import SENT_FAX_DAYS
from rcfs.simulator.api._bulk import json_object

SHORTEST_DAYS, LONGEST_DAYS = 7, 90
"""Bounds of retentionPeriod (schema MessageStoreConfiguration); the default answer is the longest."""


def read_configuration(call: Call) -> Answer:
    """Report the setting."""
    call.check_account()
    return json_answer({"retentionPeriod": _shown_days(call)})


async def update_configuration(call: Call) -> Answer:
    """Change the setting as the body says; absent fields keep their values."""
    call.check_account()
    rules = call.backend.store_rules
    if rules.hipaa:
        raise ApiError(403, "ACT-340", "Retention period cannot be changed for a HIPAA account")
    days = json_object(call).get("retentionPeriod", _shown_days(call))
    if type(days) is not int or not SHORTEST_DAYS <= days <= LONGEST_DAYS:
        raise bad_parameter("retentionPeriod", str(days))
    rules.retention_days = days
    for _ in call.backend.limits.enforce(call.backend.account_time()):
        await trio.lowlevel.checkpoint()
    return json_answer({"retentionPeriod": days})


def _shown_days(call: Call) -> int:
    """The retention in days, as reported; with HIPAA it is fixed."""
    rules = call.backend.store_rules
    if rules.hipaa:
        return SENT_FAX_DAYS
    return LONGEST_DAYS if rules.retention_days is None else rules.retention_days


OPERATIONS = (
    Operation(
        "readMessageStoreConfiguration",
        "GET",
        ACCOUNT_PATH + "/message-store-configuration",
        LIGHT,
        read_configuration,
    ),
    Operation(
        "updateMessageStoreConfiguration",
        "PUT",
        ACCOUNT_PATH + "/message-store-configuration",
        LIGHT,
        update_configuration,
    ),
)
"""Operations of this module."""
