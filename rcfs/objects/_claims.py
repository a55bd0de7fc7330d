"""Claims over all machines: one of them fetches a content, the others wait for its object.

A claim stands in the object store where the content will be. Puts under a condition make sure that one
machine gets it, and the content replaces it. A machine that dies leaves its claim behind; another machine
takes it over when it was not renewed for `CLAIM_EXPIRY_S`. The store's clock alone counts.

Claims only save requests: where a store ignores conditions, or clocks jump, two machines may fetch the same
content.
"""

import enum
import secrets
import threading
from collections.abc import Callable
from typing import Final, Protocol

import attrs

from rcfs.objects._format import claim_is_of, is_claim, write_claim
from rcfs.objects._store import Found, ObjectStore, ObjectStoreError

CLAIM_EXPIRY_S: Final = 20.0
"""Age from which a claim may be taken over, in seconds. S3 tells whole seconds, and a renewal may be late."""
RENEW_S: Final = 5.0
"""Time between two renewals of a claim, in seconds: most fetches end before the first."""
_CLOCK_AGE_S: Final = 600.0
"""How long a comparison of the clocks is used, in seconds."""
_BEGINNING_BYTES: Final = 256
"""Bytes that show whether an object is a claim, and whose."""


class Verdict(enum.Enum):
    """Why a content cannot be claimed."""

    HELD = "another machine fetches it"
    STORED = "its object is there"


@attrs.frozen
class Granted:
    """A claim of this process."""

    name: str
    """Name of the object."""
    tag: str
    """Tag of the claim in the store."""
    took_over: bool = False
    """Whether another machine had claimed the content before, and has not renewed its claim."""


class SharedClaims(Protocol):
    """Claims that all machines see; methods block, and any thread may call them.

    Every method raises `ObjectStoreError` when the claims cannot be reached.
    """

    def take(self, name: str, wrong_tag: str) -> Granted | Verdict:
        """Claims a content, before a request is sent for it.

        `STORED` means that another machine has stored it meanwhile: a caller that looked before looks again.

        Args:
            name: The name of its object.
            wrong_tag: Tag of an object of that name that counts as missing; empty for none.
        """

    def is_held(self, name: str, found: Found | None) -> bool:
        """Whether another machine has a claim in force; `found` is what a look has just found."""

    def renew(self, claim: Granted) -> Granted | None:
        """The claim after it was renewed; None if another machine has taken it over."""

    def give_back(self, claim: Granted) -> None:
        """Releases a claim without a content; does nothing if it is not this process's any more."""


class ObjectClaims:
    """Claims in the object store itself."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back."""
        self._store = store
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._comparing = threading.Lock()
        self._turn = 0
        self._offset_s = 0.0
        """The store's clock minus ours."""
        self._compared_s: float | None = None
        """When the clocks were compared, by ours; None before the first time."""

    def take(self, name: str, wrong_tag: str) -> Granted | Verdict:
        """See `SharedClaims.take`."""
        if not wrong_tag:
            tag = self._store.create(name, self._body())
            if tag is not None:
                return Granted(name, tag)
        found = self._store.get(name, 0, _BEGINNING_BYTES)
        if found is None:
            # It has just been given back, or the wrong object was removed.
            tag = self._store.create(name, self._body())
            return Verdict.HELD if tag is None else Granted(name, tag)
        if claim_is_of(found.data, self._holder):
            return Granted(name, found.tag)  # The answer to an earlier put was lost.
        if self.is_held(name, found):
            return Verdict.HELD
        if not is_claim(found.data) and found.tag != wrong_tag:
            return Verdict.STORED
        tag = self._store.replace(name, self._body(), found.tag)
        return Verdict.HELD if tag is None else Granted(name, tag, is_claim(found.data))

    def is_held(self, _name: str, found: Found | None) -> bool:
        """See `SharedClaims.is_held`."""
        if found is None or not is_claim(found.data):
            return False
        return self._store_time_s() - found.modified_s < CLAIM_EXPIRY_S

    def renew(self, claim: Granted) -> Granted | None:
        """See `SharedClaims.renew`."""
        tag = self._store.replace(claim.name, self._body(), claim.tag)
        return None if tag is None else attrs.evolve(claim, tag=tag)

    def give_back(self, claim: Granted) -> None:
        """See `SharedClaims.give_back`."""
        found = self._store.get(claim.name, 0, _BEGINNING_BYTES)
        # Nothing deletes under a condition. Another machine could only have come in between if the claim had
        # expired, and then it costs a request.
        if found is not None and claim_is_of(found.data, self._holder):
            self._store.delete([claim.name])

    def _body(self) -> bytes:
        with self._lock:
            self._turn += 1
            return write_claim(self._holder, self._turn)

    def _store_time_s(self) -> float:
        """The time by the store's clock, in seconds since 1970 UTC."""
        with self._comparing:
            now_s = self._clock()
            if self._compared_s is None or now_s - self._compared_s > _CLOCK_AGE_S:
                name = f"clock/{self._holder}"
                self._store.put(name, [b"rcfs"], 4)
                found = self._store.get(name, 0, 4)
                self._store.delete([name])
                if found is None:
                    raise ObjectStoreError(f"{self._store.place} lost an object that it had just stored")
                self._offset_s, self._compared_s = found.modified_s - now_s, now_s
            return now_s + self._offset_s
