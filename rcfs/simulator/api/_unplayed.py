"""Filters that are documented but not simulated: refused instead of silently ignored.

They concern features that generated accounts lack and rcfs does not use.
"""

from rcfs.simulator._backend import Call

UNPLAYED = {
    **dict.fromkeys(
        (
            "readCompanyCallLog",
            "readUserCallLog",
            "syncAccountCallLog",
            "syncUserCallLog",
        ),
        # Nothing in the simulator assigns categories to calls.
        ("metadataCategory",),
    ),
    # These are alternative ids of rules, which the simulator knows only by their documented names.
    "listAnsweringRules": ("internalIds",),
    "readAnsweringRule": ("internalIds",),
}
"""Filters by ``operationId``."""


def refuse_unplayed(call: Call) -> None:
    """Refuse the filters that are not simulated for the operation of `call`.

    Raises:
        ApiError: 400 CMN-101, the query has such a filter.
    """
    call.query.refuse(UNPLAYED[call.operation.id])
