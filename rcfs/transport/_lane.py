"""A lane: one login with its budget. Several lanes can exist side by side."""

import attrs

from rcfs.transport._gate import Gate
from rcfs.transport._session import Session


@attrs.frozen
class Lane:
    """The parts of one login; all lanes share the client, the network and the recorder."""

    gate: Gate
    """The budget, and the requests that wait for it; a task must run it."""
    session: Session
    """The credentials and the token."""
