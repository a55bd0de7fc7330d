"""When pulls last brought all that they were asked for, as the index remembers it."""

from rcfs.model import iso_time
from rcfs.status import PullsStatus
from rcfs.store import MailboxIndex


def pulls_status(index: MailboxIndex, account_id: str) -> PullsStatus:
    """The ends of the latest pulls that left nothing out; for a worker thread.

    Raises:
        StoreError: The index fails.
    """
    notes = [index.reader.noted(_topic(account_id, whole=whole)) for whole in (True, False)]
    return PullsStatus(*(None if note is None else iso_time(note.noted_s) for note in notes))


def note_pull(index: MailboxIndex, account_id: str, now_s: float, *, whole: bool) -> None:
    """Notes that a pull has just left nothing out; for a worker thread.

    Args:
        index: Keeps the note.
        account_id: The account.
        now_s: Time in seconds since 1970 UTC.
        whole: Whether it was to bring all of the account.

    Raises:
        StoreError: The index fails.
    """
    index.writer.note(_topic(account_id, whole=whole), "", now_s)


def _topic(account_id: str, *, whole: bool) -> str:
    # The index forgets a topic that ends with an account together with the account.
    return f"{'whole' if whole else 'partial'}-pull {account_id}"
