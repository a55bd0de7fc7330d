"""The pool: further logins that fetch contents, of ``[[pool]]`` in config.toml and of `rcfs login --pool`."""

from collections.abc import Mapping, Sequence

import attrs

from rcfs.config._named import Saved
from rcfs.config._settings import LOGIN_VARIABLES, SPOKEN, Credentials, PoolEntry


def pool_of(
    tables: Sequence[Mapping[str, str]], saved: Saved, own: Credentials | None, server_url: str
) -> tuple[PoolEntry, ...]:
    """The logins of the pool: those of config.toml first.

    Args:
        tables: The ``[[pool]]`` tables.
        saved: The saved logins, which give what a table of the same name lacks.
        own: The mount's own login, which is no second one in the pool.
        server_url: The server of all.
    """
    named: dict[str, Mapping[str, str]] = {table["name"]: table for table in tables}
    seen = {} if own is None else {own.identity: "your own login"}
    entries = []
    for name in (*named, *(name for name in saved if name not in named)):
        entry = _entry(name, named.get(name, {}), name in saved, saved.get(name), server_url)
        if entry.credentials is not None:
            identity = entry.credentials.identity
            if identity in seen:
                same = f"it is the same user and app as {seen[identity]}, and counts once"
                entry = PoolEntry(name, None, same)
            seen.setdefault(identity, f"the login '{name}'")
        entries.append(entry)
    return tuple(entries)


def _entry(
    name: str, table: Mapping[str, str], is_saved: bool, saved: Credentials | None, server_url: str
) -> PoolEntry:
    if saved is not None and saved.server_url != server_url:
        return PoolEntry(name, None, f"it was saved for {saved.server_url}, and this is {server_url}")
    if saved is not None and saved.user and not table.get("jwt"):
        given = {field: table[field] for field in ("client_id", "client_secret") if table.get(field)}
        return PoolEntry(name, attrs.evolve(saved, **given))
    given = {field: table.get(field) or (getattr(saved, field) if saved else "") for field in LOGIN_VARIABLES}
    missing = [SPOKEN[field] for field, value in given.items() if not value]
    if missing:
        where = "the keyring cannot be read, so there is" if is_saved and saved is None else "there is"
        return PoolEntry(name, None, f"{where} no {', no '.join(missing)}; run `rcfs login --pool {name}`")
    return PoolEntry(name, Credentials(server_url=server_url, **given))
