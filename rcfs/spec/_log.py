"""The log of a library: Python's logger ``rcfs``, which says nothing unless the program wants to hear it."""

import logging

import structlog

_NAME = "rcfs"


def library_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger whose events are lines of Python's logger ``rcfs``.

    Traces are plain: they show no local variables, which could hold a token.
    """
    logger = logging.getLogger(_NAME)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else warnings go to stderr where logging is not set up
    wrapped: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        logger,
        processors=[
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return wrapped
