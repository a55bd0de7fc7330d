"""The conditions of a filter as the manifest of a copy has them, and back."""

from collections.abc import Mapping

import attrs
import msgspec

from rcfs.model import FILTER_TYPES, INBOUND, OUTBOUND, Filter, iso_time
from rcfs.pull._facts import Condition, PullNote


def conditions_of(wanted: Filter) -> dict[str, Condition]:
    """The conditions of a filter that are set, as JSON has them."""
    defaults = attrs.asdict(Filter())
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in attrs.asdict(wanted).items()
        if value != defaults[name]
    }


def filter_of(conditions: Mapping[str, object]) -> Filter | None:
    """The filter with these conditions; None if they are not those of a filter of this version."""
    if not conditions.keys() <= attrs.fields_dict(Filter).keys():
        return None
    try:
        wanted = msgspec.convert(dict(conditions), Filter)
        for moment_s in (wanted.since_s, wanted.until_s):
            iso_time(moment_s or 0.0)  # only times that a date can show
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError):
        return None
    is_known = wanted.types <= set(FILTER_TYPES) and wanted.direction in ("", INBOUND, OUTBOUND)
    return wanted if is_known and wanted.kinds else None


def covers(note: PullNote, paths: tuple[str, ...], wanted: Filter) -> bool:
    """Whether a pull was to copy all that is `wanted` at `paths`; the empty path is the whole account."""
    asked = filter_of(note.wanted)
    if asked is None or ("" not in note.paths and not set(paths) <= set(note.paths)):
        return False
    narrower = attrs.evolve(asked, types=wanted.types, since_s=wanted.since_s, until_s=wanted.until_s)
    return (
        wanted == narrower
        and (not asked.types or bool(wanted.types and wanted.types <= asked.types))
        and (asked.since_s is None or (wanted.since_s is not None and wanted.since_s >= asked.since_s))
        and (asked.until_s is None or (wanted.until_s is not None and wanted.until_s <= asked.until_s))
    )
