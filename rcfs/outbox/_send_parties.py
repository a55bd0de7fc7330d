"""The numbers that messages are sent from and to, as people write them."""

from collections.abc import Sequence

from rcfs.mailbox import Account
from rcfs.model import (
    MMS_SENDER,
    SMS_SENDER,
    OwnNumber,
    Priority,
    SendKind,
    country_of,
    e164,
    each_once,
    extension_number,
    sender_among,
)
from rcfs.platform import list_phone_numbers, own_numbers
from rcfs.transport import Requester, RequestOptions


class SendParties:
    """The numbers of one login; any number of tasks may ask at the same time."""

    def __init__(self, account: Account, requester: Requester) -> None:
        self._account = account
        self._requester = requester
        self._numbers: tuple[OwnNumber, ...] | None = None

    async def own_numbers(self) -> tuple[OwnNumber, ...]:
        """The phone numbers that the login's own extension may use; one request in the life of a process.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
        """
        if self._numbers is None:
            options = RequestOptions(Priority.PERSON, label="phone numbers")
            self._numbers = await self._requester.read(list_phone_numbers(), own_numbers, options)
        return self._numbers

    async def find(self, kind: SendKind, to: Sequence[str], sender: str = "") -> tuple[str, tuple[str, ...]]:
        """The number to send from and those of the recipients, as an `Outgoing` has them.

        `to` and `sender` are in any notation; an empty `sender` stands for the best own number.

        Raises:
            ValueError: A number cannot exist, or nothing can be sent from or to it; the text says why.
            PlatformError: The own numbers are needed, and the server failed or could not be reached.
        """
        if kind is SendKind.PAGE:
            known = {each.number: each.id for each in self._account.extensions if each.number}
            colleagues = each_once(extension_number(each) for each in to)
            # Only an administrator's login sees those of others.
            missing = [each for each in colleagues if each not in known] if len(known) > 1 else []
            if missing:
                raise ValueError(f"no colleague has the extension {missing[0]}")
            own_id = self._account.own_id
            return next((number for number, each in known.items() if each == own_id), ""), colleagues
        if kind is SendKind.FAX and all(each.strip().startswith("+") for each in to):
            return "", each_once(e164(each) for each in to)
        numbers = await self.own_numbers()
        recipients = each_once(e164(each, country_of(numbers)) for each in to)
        if kind is SendKind.FAX:
            return "", recipients
        feature = MMS_SENDER if kind is SendKind.MMS else SMS_SENDER
        return sender_among(numbers, feature, sender), recipients
