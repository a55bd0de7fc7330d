"""The log of a library: Python's logger ``rcfs``, which says nothing unless the program wants to hear it."""

import logging

from rcfs.host.logs import EventLog


def library_log() -> EventLog:
    """A log whose events are lines of Python's logger ``rcfs``."""
    logger = logging.getLogger("rcfs")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else warnings go to stderr where logging is not set up
    return EventLog()
