"""MMS pictures: a few drawn landscapes, each copy padded to its size and made different from all others.

The padding is legal and invisible: comment segments in JPEG, a comment extension in GIF. So the recipe alone
determines the exact size, which the records of MMS files contain.
"""

import io
import struct

import attrs
from PIL import Image, ImageDraw

from rcfs.simulator._dice import Dice, filler
from rcfs.simulator.media._content import MediaBases

VARIANTS = 12
"""Number of landscapes; more would cost time and not be noticed."""
SMALLEST_BYTES = 16_000
"""Smallest size of a picture: twice that of the largest landscape, which leaves room for a comment."""

_SEGMENT_BYTES = 0xFFFF + 2
"""Longest JPEG segment: two bytes of marker, and the maximum of its 16-bit length."""
_BLOCK_BYTES = 256
"""Longest GIF sub-block: a length byte, and its maximum of 255 bytes."""


def dimensions(variant: int) -> tuple[int, int]:
    """Width and height in pixels of landscape `variant`; every third is in portrait format."""
    return (360, 480) if variant % 3 == 2 else (480, 360)


@attrs.frozen
class JpegMedia:
    """A landscape as JPEG."""

    key: str
    """Makes these bytes differ from those of all others."""
    variant: int
    """Number of the landscape, below `VARIANTS`."""
    size_bytes: int
    """Exact size, at least `SMALLEST_BYTES`."""
    content_type: str = "image/jpeg"

    def render(self, bases: MediaBases) -> bytes:
        """The picture.

        The comments follow the APP0 segment, which must be the first (JFIF 1.02; ITU-T T.81, B.2.4.5).
        """
        picture = bases.base(f"jpeg {self.variant}", lambda: _jpeg(self.variant))
        after_app0 = 4 + int.from_bytes(picture[4:6], "big")
        comments = _jpeg_comments(filler(self.size_bytes - len(picture), self.key))
        return picture[:after_app0] + comments + picture[after_app0:]


@attrs.frozen
class GifMedia:
    """A landscape with a moving sun as GIF."""

    key: str
    """Makes these bytes differ from those of all others."""
    variant: int
    """Number of the landscape, below `VARIANTS`."""
    size_bytes: int
    """Exact size, at least `SMALLEST_BYTES`."""
    content_type: str = "image/gif"

    def render(self, bases: MediaBases) -> bytes:
        """The picture; the comment comes before the trailer (GIF89a, 24)."""
        picture = bases.base(f"gif {self.variant}", lambda: _gif(self.variant))
        return picture[:-1] + _gif_comment(filler(self.size_bytes - len(picture), self.key)) + picture[-1:]


def _jpeg_comments(noise: bytes) -> bytes:
    """Comment segments that take exactly ``len(noise)`` bytes, which is at least 4."""
    segments = []
    at = 0
    while at < len(noise):
        take = min(len(noise) - at, _SEGMENT_BYTES)
        if 0 < len(noise) - at - take < 4:  # too little for the head of another segment
            take -= 4
        segments.append(b"\xff\xfe" + struct.pack(">H", take - 2) + noise[at + 4 : at + take])
        at += take
    return b"".join(segments)


def _gif_comment(noise: bytes) -> bytes:
    """A comment extension that takes exactly ``len(noise)`` bytes, which is at least 5."""
    end = len(noise) - 1
    blocks = [b"\x21\xfe"]
    at = 2
    while at < end:
        take = min(end - at, _BLOCK_BYTES)
        if end - at - take == 1:  # a block needs a byte after its length
            take -= 1
        blocks.append(bytes([take - 1]) + noise[at + 1 : at + take])
        at += take
    return b"".join(blocks) + b"\0"


def _landscape(variant: int, sun: float) -> Image.Image:
    """A sky, a sun at `sun` (0 at the left, 1 at the right), hills and a house."""
    dice = Dice("landscape", variant)
    width, height = dimensions(variant)
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    top, bottom = (tuple(dice.between(60, 250) for _ in "rgb") for _ in range(2))
    for y in range(height):
        share = y / height
        colour = tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
        draw.line((0, y, width, y), fill=colour)
    x = round(width * (0.15 + 0.7 * sun))
    draw.ellipse((x - 30, 40, x + 30, 100), fill=(255, 235, 120))
    for hill in range(3):
        left, radius = dice.between(-100, width - 100), dice.between(160, 320)
        y = height * (5 + hill) // 8
        green = (dice.between(20, 90), dice.between(100, 180) - 25 * hill, dice.between(30, 90))
        draw.ellipse((left, y, left + 2 * radius, y + 2 * radius), fill=green)
    x, y = dice.between(40, width - 120), height * 3 // 4
    draw.rectangle((x, y, x + 80, y + 50), fill=(225, 205, 180))
    draw.polygon(((x - 10, y), (x + 40, y - 40), (x + 90, y)), fill=(150, 60, 50))
    draw.rectangle((x + 30, y + 18, x + 48, y + 50), fill=(90, 60, 40))
    return image


def _jpeg(variant: int) -> bytes:
    target = io.BytesIO()
    _landscape(variant, 0.5).save(target, "JPEG", quality=72)
    return target.getvalue()


def _gif(variant: int) -> bytes:
    # Half the size and 32 colours keep three frames of a gradient below SMALLEST_BYTES.
    frames = []
    for sun in (0.2, 0.5, 0.8):
        image = _landscape(variant, sun)
        frames.append(image.resize((image.width // 2, image.height // 2)).quantize(32))
    target = io.BytesIO()
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:], duration=400, loop=0)
    return target.getvalue()
