"""Call recordings of any length; every part of one can be made without the rest.

A recording is a short head, then blocks of equal size. The recording's key and a block's number determine the
block, so reading a part of an hour of telephone audio costs only the memory of that part.
"""

import struct

import attrs

from rcfs.simulator._dice import stable_int
from rcfs.simulator.media._audio import SAMPLE_RATE, WAV_HEADER_BYTES, WavMedia, id3_tag
from rcfs.simulator.media._content import MediaBases

WAV = "audio/x-wav"
"""Content type of a recording in uncompressed PCM: 16 kB a second."""
MP3 = "audio/mpeg"
"""Content type of a recording in MP3: 2 kB a second."""

_PHRASES = 16
"""Number of different seconds of speech: two recordings differ within their first seconds."""
_SAMPLE_BYTES = 2
_MP3_FRAME_BYTES = 144
"""Size of each frame of the asset ``tones.mp3``: 72 ms at 16 kbit/s."""
_MP3_FRAMES_PER_1000_S = 13_889
"""Frames in 1000 seconds: one frame has 576 samples at 8 kHz, which is 0.072 s."""


@attrs.frozen
class CallAudio:
    """The content of one recording; equal values have equal bytes. Any thread may read."""

    key: str
    """Makes the bytes differ from those of all other recordings; ASCII."""
    duration_s: int
    """Length in seconds, at least 1; an MP3 is up to 0.1 s off."""
    content_type: str
    """`WAV` or `MP3`."""
    _bases: MediaBases = attrs.field(eq=False, repr=False)

    @property
    def size_bytes(self) -> int:
        """Exact size."""
        return len(self._head()) + self._blocks() * self._block_bytes()

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``[start, stop)``, fewer where the content ends earlier; ``0 <= start <= stop``."""
        head, size = self._head(), self._block_bytes()
        stop = min(stop, self.size_bytes)
        first, last = max(0, start - len(head)) // size, max(0, stop - len(head) + size - 1) // size
        made = b"".join(self._block(number) for number in range(first, last))
        begin = len(head) + first * size
        return head[start:stop] + made[max(0, start - begin) : max(0, stop - begin)]

    def _block_bytes(self) -> int:
        return SAMPLE_RATE * _SAMPLE_BYTES if self.content_type == WAV else _MP3_FRAME_BYTES

    def _blocks(self) -> int:
        if self.content_type == WAV:
            return self.duration_s
        return max(1, self.duration_s * _MP3_FRAMES_PER_1000_S // 1000)

    def _head(self) -> bytes:
        """The headers of a WAV of one channel, or the tag of an MP3.

        Source: WAVE_FORMAT_PCM of "Multimedia Programming Interface and Data Specifications 1.0".
        """
        if self.content_type == MP3:
            return id3_tag(self.key)
        data_bytes = self.duration_s * SAMPLE_RATE * _SAMPLE_BYTES
        riff = struct.pack("<4sI4s", b"RIFF", WAV_HEADER_BYTES - 8 + data_bytes, b"WAVE")
        rates = struct.pack("<HHII", 1, 1, SAMPLE_RATE, SAMPLE_RATE * _SAMPLE_BYTES)
        shape = rates + struct.pack("<HH", _SAMPLE_BYTES, 8 * _SAMPLE_BYTES)
        return (
            riff + struct.pack("<4sI", b"fmt ", len(shape)) + shape + struct.pack("<4sI", b"data", data_bytes)
        )

    def _block(self, number: int) -> bytes:
        if self.content_type == WAV:
            return self._phrase(stable_int(16, self.key, number) % _PHRASES)
        frames = self._bases.asset("tones.mp3")
        # Without a bit reservoir, as in this asset, frames can be in any order.
        start = stable_int(16, self.key, number) % (len(frames) // _MP3_FRAME_BYTES) * _MP3_FRAME_BYTES
        return frames[start : start + _MP3_FRAME_BYTES]

    def _phrase(self, number: int) -> bytes:
        """One of the seconds of speech, without headers."""
        phrase = WavMedia(f"phrase/{number}", SAMPLE_RATE, _SAMPLE_BYTES)
        return self._bases.base(phrase.key, lambda: phrase.render(self._bases)[WAV_HEADER_BYTES:])
