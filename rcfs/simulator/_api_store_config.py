"""How long the account keeps fax and voice messages.

The setting is kept and shown; it deletes nothing here, as the generated account reaches back further.
"""

from rcfs.simulator._backend import ACCOUNT_PATH, LIGHT, Call, Operation
from rcfs.simulator._bulk import json_object
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer

SHORTEST_DAYS, LONGEST_DAYS = 7, 90
"""Bounds of retentionPeriod (schema MessageStoreConfiguration)."""


def read_configuration(call: Call) -> Answer:
    """The setting."""
    call.check_account()
    return json_answer({"retentionPeriod": call.backend.store_rules.retention_days})


def update_configuration(call: Call) -> Answer:
    """The setting as the body wants it; what is left out stays."""
    call.check_account()
    rules = call.backend.store_rules
    if rules.hipaa:
        raise ApiError(403, "ACT-340", "Retention period cannot be changed for a HIPAA account")
    days = json_object(call).get("retentionPeriod", rules.retention_days)
    if type(days) is not int or not SHORTEST_DAYS <= days <= LONGEST_DAYS:
        raise bad_parameter("retentionPeriod", str(days))
    rules.retention_days = days
    return json_answer({"retentionPeriod": days})


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
