"""Draws the requests as bars on a logarithmic scale, in SVG."""

import math
from collections.abc import Sequence
from html import escape

from bench._plan import COLD, REMOUNT
from bench._results import Results

_COLOURS = ("#0b7a75", "#d95f02", "#f0a35e", "#7570b3", "#8c8c8c")
"""Colours of the peers in order, which differ for colour-blind readers and in print."""
_BAR, _GAP, _LABEL, _PANEL, _TOP = 11, 12, 170, 300, 58
"""Height of a bar, space between commands, widths of the names and of a panel, height of the head: pixels."""
_ROOM = 56
"""Pixels to the right of the longest bar, for its number."""


def picture(results: Results) -> str:
    """An SVG with the requests of each command, cold and after a remount."""
    cases, peers = results.cases, results.peers
    most = max([cell.median_requests or 0 for cell in results.cells], default=0)
    group = _BAR * len(peers) + _GAP
    width, height = _LABEL + 2 * _PANEL, _TOP + group * len(cases) + 8
    size = f'width="{width}" height="{height}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}'
    parts = [f'{svg} font-family="sans-serif">', f'<rect {size} fill="white"/>', *_legend(peers)]
    for panel, (phase, title) in enumerate(((COLD, "Requests, cold"), (REMOUNT, "Requests after a remount"))):
        left = _LABEL + panel * _PANEL
        parts.append(_text(left, 44, title, weight="bold"))
        for row, case in enumerate(cases):
            top = _TOP + row * group
            if panel == 0:
                parts.append(_text(_LABEL - 8, top + group / 2 - 2, case, anchor="end"))
            for place, peer in enumerate(peers):
                requests = results.cell(case, phase, peer).median_requests
                parts += _bar(left, top + place * _BAR, requests, most, _COLOURS[place % len(_COLOURS)])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(peers: Sequence[str]) -> list[str]:
    parts = []
    for place, peer in enumerate(peers):
        left = _LABEL + place * 110
        colour = _COLOURS[place % len(_COLOURS)]
        parts.append(f'<rect x="{left}" y="10" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(left + 15, 19, peer))
    return parts


def _bar(left: float, top: float, requests: int | None, most: int, colour: str) -> list[str]:
    """A bar with its number, as long as the logarithm of 1 + requests, so that 0 and 1 differ."""
    share = math.log(1 + (requests or 0)) / math.log(1 + max(most, 1))
    width = share * (_PANEL - _ROOM)
    number = "no figure" if requests is None else f"{requests:,}"
    return [
        f'<rect x="{left}" y="{top:.0f}" width="{width:.1f}" height="{_BAR - 2}" fill="{colour}"/>',
        _text(left + width + 4, top + _BAR - 3, number, size=9),
    ]


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 11
) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}"'
        f' fill="#222">{escape(text)}</text>'
    )
