"""Filters that are documented and not played: they are refused, rather than ignored without a word.

They ask for what no generated account has and rcfs has no use for.
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
        # No call is put into a category by anything else that is played.
        ("metadataCategory",),
    ),
    # Another kind of ids, for rules that the simulator only has under their documented names.
    "listAnsweringRules": ("internalIds",),
    "readAnsweringRule": ("internalIds",),
}
"""Filters by ``operationId``."""


def refuse_unplayed(call: Call) -> None:
    """Refuse what is not played of the operation that `call` asks for.

    Raises:
        ApiError: 400 CMN-101, the query has such a filter.
    """
    call.query.refuse(UNPLAYED[call.operation.id])
