"""The readers of the status as text."""

from rcfs.status._values import ReadersStatus


def reader_lines(readers: ReadersStatus) -> list[str]:
    """How many wait, and a line for each process that is refused."""
    refused = (row for row in readers.programs if row.refused)
    reads = "" if readers.reads is None else f"; at most {readers.reads} of them may be reads"
    return [
        f"{readers.waiting} of at most {readers.limit} wait{reads}",
        *(f"{row.program} ({row.pid}) is refused; `rcfs top` releases it" for row in refused),
    ]
