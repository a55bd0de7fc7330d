"""Tries an object store as a doctor does: can it be reached and written, and do puts keep conditions?"""

import secrets

from rcfs.objects._store import ObjectStore, ObjectStoreError


def probe_objects(store: ObjectStore) -> str:
    """A sentence that says which feature is missing; empty if all work. Stores a small object and removes it.

    Raises:
        ObjectStoreError: It cannot be reached, read or written.
    """
    name = f"clock/probe-{secrets.token_hex(8)}"
    tag = store.create(name, b"1")
    try:
        found = store.get(name, 0, 10)
        if tag is None or found is None or found.data != b"1":
            raise ObjectStoreError(f"{store.place} lost an object that was just stored")
        if store.create(name, b"2") is not None:
            return "it ignores If-None-Match, so two machines may fetch the same content"
        if store.replace(name, b"2", found.tag) is None or store.replace(name, b"3", found.tag) is not None:
            return "it ignores If-Match, so two machines may take over the same claim"
        return ""
    finally:
        store.delete([name])
