"""Voicemail recordings: speech-like sound as WAV, a row of tones as MP3."""

import io
import math
import struct
import wave
from functools import cache

import attrs

from rcfs.simulator._dice import Dice
from rcfs.simulator.media._content import MediaBases

SAMPLE_RATE = 8000
"""Frames per second of telephone audio (G.711)."""
WAV_HEADER_BYTES = 44
"""RIFF, ``fmt `` and ``data`` headers of a PCM file without other chunks, as :mod:`wave` writes it."""
MP3_SECONDS = 3
"""Length of the asset ``tones.mp3``: 42 frames of 72 ms, 3.024 s."""

_VOWELS = ((1.0, 0.6, 0.2), (0.5, 1.0, 0.1), (0.7, 0.2, 0.8), (1.0, 0.1, 0.05))
"""Weights of the first three harmonics: enough for a voice that changes its vowels."""
_ENVELOPE = (0.35, 0.8, 1.0, 0.7, 0.3)
"""Loudness of a syllable in each fifth of it: a soft start and end, to avoid clicks."""
_PEAK = {1: 90, 2: 20_000}
"""Amplitude by sample width in bytes: about two thirds of full scale."""


@attrs.frozen
class WavMedia:
    """PCM mono at 8 kHz with a voice that utters syllables of changing pitch and vowel."""

    key: str
    """Determines the voice and its syllables."""
    frames: int
    """Length in frames; even, so that 8-bit data needs no pad byte."""
    sample_bytes: int
    """Bytes per sample: 1 (unsigned) or 2 (signed)."""
    content_type: str = "audio/x-wav"
    """``audio/x-wav`` or ``audio/wav``."""

    @property
    def size_bytes(self) -> int:
        """Exact size."""
        return WAV_HEADER_BYTES + self.frames * self.sample_bytes

    def render(self, _bases: MediaBases) -> bytes:
        """The file."""
        target = io.BytesIO()
        with wave.open(target, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(self.sample_bytes)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(self._speech())
        return target.getvalue()

    def _speech(self) -> bytes:
        """All samples.

        A syllable repeats one cycle of its wave, so most of the work is copying bytes. A minute of speech
        takes milliseconds, not the second that computing each sample would take.
        """
        dice = Dice("voice", self.key)
        periods = [dice.between(36, 80) for _ in range(4)]  # 100 to 222 Hz: spoken pitch
        cycles = {
            (period, vowel): _cycles(period, vowel, self.sample_bytes)
            for period in periods
            for vowel in range(len(_VOWELS))
        }
        silence = (b"\x80" if self.sample_bytes == 1 else b"\0\0") * (SAMPLE_RATE // 20)
        wanted = self.frames * self.sample_bytes
        pieces: list[bytes] = []
        made = 0
        while made < wanted:
            period, vowel = dice.pick(periods), dice.below(len(_VOWELS))
            repeats = max(1, dice.between(1000, 2000) // len(_ENVELOPE) // period)  # 0.12 to 0.25 s
            syllable = b"".join(cycle * repeats for cycle in cycles[period, vowel])
            pause = silence * (6 if dice.chance(0.08) else dice.below(2))  # between sentences, words
            pieces += (syllable, pause)
            made += len(syllable) + len(pause)
        return b"".join(pieces)[:wanted]


@cache
def _cycles(period: int, vowel: int, sample_bytes: int) -> list[bytes]:
    """One cycle of `period` samples for each loudness of the envelope. There are a few hundred, 0.2 MB."""
    weights = _VOWELS[vowel]
    scale = _PEAK[sample_bytes] / sum(weights)
    shape = [
        scale
        * sum(
            weight * math.sin(2 * math.pi * (harmonic * at % period) / period)
            for harmonic, weight in enumerate(weights, 1)
        )
        for at in range(period)
    ]
    if sample_bytes == 1:
        return [bytes(128 + round(sample * loudness) for sample in shape) for loudness in _ENVELOPE]
    return [
        struct.pack(f"<{period}h", *(round(sample * loudness) for sample in shape)) for loudness in _ENVELOPE
    ]


@attrs.frozen
class Mp3Media:
    """The asset's tones, repeated, after a tag with the key.

    The asset was made by ffmpeg with ``-c:a libmp3lame -b:a 16k -ar 8000 -reservoir 0 -write_xing 0``.
    Without a bit reservoir, any sequence of its frames is a valid stream. The ID3v2 tag in front makes two
    recordings differ.
    """

    key: str
    """Text of the tag, ASCII."""
    repeats: int
    """Number of repetitions of the three seconds, at least 1."""
    content_type: str = "audio/mpeg"
    size_bytes: None = None

    def render(self, bases: MediaBases) -> bytes:
        """The file."""
        return id3_tag(self.key) + bases.asset("tones.mp3") * self.repeats


def id3_tag(title: str) -> bytes:
    """A tag for the start of an MP3, with `title` (ASCII).

    Source: ID3v2.3, 3.1 and 4.2: the size of the tag is four times seven bits, that of a frame four bytes;
        the first
    byte of a text frame names its encoding (0 is Latin-1).
    """
    text = b"\0" + title.encode("ascii")
    frame = b"TIT2" + struct.pack(">IH", len(text), 0) + text
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame
