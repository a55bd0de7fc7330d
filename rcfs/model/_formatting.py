"""Sizes and durations for people."""

import math

_SIZE_UNITS = ("KiB", "MiB", "GiB", "TiB")


def format_size(size_bytes: int) -> str:
    """`size_bytes` in the binary unit that leaves three digits at most, such as ``1.5 GiB``."""
    value, unit = float(size_bytes), "B"
    for larger in _SIZE_UNITS:
        if value < 1000:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def format_duration(duration_s: float, *, up: bool = False) -> str:
    """`duration_s` in its two largest units, such as ``45 s``, ``3 min 45 s``, ``2 h 10 min``, ``1 d 1 h``.

    It is rounded to seconds, or `up` to the next second, for waits that must not end later than shown.
    """
    seconds = max(0, math.ceil(duration_s) if up else round(duration_s))
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    units = [(days, "d"), (hour, "h"), (minute, "min"), (second, "s")]
    first = next((index for index, (number, _) in enumerate(units) if number), len(units) - 1)
    return " ".join(f"{number} {unit}" for number, unit in units[first : first + 2] if number) or "0 s"
