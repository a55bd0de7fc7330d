"""Writes a status as the JSON object of ``status.json``, and reads one of any version of rcfs."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from rcfs.status._values import Status
from rcfs.status._watch_values import KEY


def to_json(value: object) -> Any:
    """`value`, a status or a part of it, as a JSON value."""
    kind = type(value)
    if attrs.has(kind):
        return {_key(field): to_json(getattr(value, field.name)) for field in attrs.fields(kind)}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {name: to_json(item) for name, item in value.items()}
    return value


def status_from_json(document: Mapping[str, Any]) -> Status:
    """The status in `document`; a part that is missing or malformed is None.

    Unknown members are ignored, since the document may come from a later version of rcfs.
    """
    hints = get_type_hints(Status)
    found = {}
    for field in attrs.fields(Status):
        try:
            found[field.name] = _read(hints[field.name], document.get(_key(field)))
        except (KeyError, TypeError):
            continue
    return Status(**found)


def _key(field: "attrs.Attribute[Any]") -> str:
    key = field.metadata.get(KEY, field.name)
    return str(key)


def _read(hint: Any, value: Any) -> Any:
    """`value` as a value of the type `hint`.

    Raises:
        KeyError: A field of an object is missing that has no default.
        TypeError: `value` is of another type.
    """
    if get_origin(hint) is UnionType:
        (wanted,) = (each for each in get_args(hint) if each is not NoneType)
        return None if value is None else _read(wanted, value)
    if get_origin(hint) is tuple:
        return tuple(_read(get_args(hint)[0], item) for item in _checked(list, value))
    if get_origin(hint) is Mapping:
        return {str(name): _read(get_args(hint)[1], item) for name, item in _checked(dict, value).items()}
    if attrs.has(hint):
        found, hints = _checked(dict, value), get_type_hints(hint)
        # A field with a default was added by a later version than the first.
        fields = [each for each in attrs.fields(hint) if each.default is attrs.NOTHING or _key(each) in found]
        return hint(**{field.name: _read(hints[field.name], found[_key(field)]) for field in fields})
    return _checked((int, float) if hint is float else hint, value)


def _checked(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{value!r} is not {kind}")
    return value
