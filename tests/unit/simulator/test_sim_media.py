"""The media of the simulated account: playable, viewable, readable, and as large as promised."""

import io
import shutil
import subprocess
import wave
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rcfs.simulator.media._audio import Mp3Media, WavMedia
from rcfs.simulator.media._content import Media, MediaBases, Mp4Media, SimContent, TextMedia
from rcfs.simulator.media._fax import Letter, PdfMedia, TiffMedia
from rcfs.simulator.media._image import SMALLEST_BYTES, VARIANTS, GifMedia, JpegMedia, dimensions

LETTER = Letter(
    banner="From +12125557464  2026-11-03 17:27 UTC  fax 5209304004",
    sender=("Cedar & Sons", "Fax +12125557464"),
    recipient=("Larkspur & Partners", "Zoë O'Neil"),
    date="2026-11-03",
    title="Invoice 4711",
    body=tuple(f"{line} x Desk lamp at 12.50" for line in range(30)),
    pages=3,
)

SIZED: list[Media] = [
    TextMedia("Grüße 👋"),
    TextMedia(""),
    WavMedia("a", 8000, 1),
    WavMedia("a", 8002, 2),
    JpegMedia("a", 0, SMALLEST_BYTES),
    GifMedia("a", 0, SMALLEST_BYTES),
    Mp4Media("a", SMALLEST_BYTES),
]
MEASURED: list[Media] = [Mp3Media("a", 2), PdfMedia(LETTER), TiffMedia(LETTER), PdfMedia(LETTER, 70_000)]


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="module")
def bases() -> MediaBases:
    return MediaBases()


@pytest.mark.parametrize("media", SIZED, ids=lambda media: media.content_type)
def test_a_size_from_the_recipe_is_the_size_of_the_bytes(media: Media, bases: MediaBases) -> None:
    assert media.size_bytes == len(media.render(bases))


@pytest.mark.parametrize("media", SIZED + MEASURED, ids=lambda media: media.content_type)
def test_equal_recipes_make_equal_bytes_even_from_other_bases(media: Media, bases: MediaBases) -> None:
    assert media.render(bases) == media.render(MediaBases())


@pytest.mark.parametrize("media", SIZED + MEASURED, ids=lambda media: media.content_type)
def test_ranges_are_slices_of_the_whole(media: Media, bases: MediaBases) -> None:
    whole = media.render(bases)
    size = SimContent(media, bases).size_bytes
    assert size == len(whole)
    cuts = [0, 1, 44, size // 2, size - 1, size, size + 5]
    for start, stop in pairwise(sorted({max(0, cut) for cut in cuts})):
        assert SimContent(media, bases).read(start, stop) == whole[start:stop]
    assert b"".join(SimContent(media, bases).pieces()) == whole


@given(size=st.integers(SMALLEST_BYTES, 5 * SMALLEST_BYTES), variant=st.integers(0, VARIANTS - 1))
@settings(max_examples=25, deadline=None)
def test_a_picture_of_any_size_opens(size: int, variant: int, bases: MediaBases) -> None:
    for media in (JpegMedia("k", variant, size), GifMedia("k", variant, size)):
        data = media.render(bases)
        assert len(data) == size
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.format == media.content_type.partition("/")[2].upper()


@pytest.mark.parametrize("over", [0, 1, 2, 3, 4, 5])
def test_a_jpeg_comment_never_leaves_less_than_a_segment(over: int, bases: MediaBases) -> None:
    bare = len(bases.base("jpeg 0", lambda: pytest.fail("made by an earlier test of this module")))
    size = bare + 65_537 + over
    with Image.open(io.BytesIO(JpegMedia("k", 0, size).render(bases))) as image:
        image.load()
        assert image.size == dimensions(0)


def test_every_landscape_leaves_room_for_its_comment(bases: MediaBases) -> None:
    for variant in range(VARIANTS):
        JpegMedia("k", variant, SMALLEST_BYTES).render(bases)
        GifMedia("k", variant, SMALLEST_BYTES).render(bases)
        assert len(bases.base(f"jpeg {variant}", bytes)) * 2 <= SMALLEST_BYTES
        assert len(bases.base(f"gif {variant}", bytes)) * 2 <= SMALLEST_BYTES


def test_pictures_of_one_landscape_differ(bases: MediaBases) -> None:
    made = {
        kind(key, 0, SMALLEST_BYTES).render(bases) for kind in (JpegMedia, GifMedia) for key in ("a", "b")
    }
    assert len(made) == 4


def test_a_gif_moves(bases: MediaBases) -> None:
    with Image.open(io.BytesIO(GifMedia("k", 0, SMALLEST_BYTES).render(bases))) as image:
        assert getattr(image, "n_frames", 1) == 3


@pytest.mark.parametrize("sample_bytes", [1, 2])
def test_a_wav_is_audible_telephone_audio(sample_bytes: int, bases: MediaBases) -> None:
    data = WavMedia("k", 40_000, sample_bytes).render(bases)
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, sample_bytes, 8000)
        assert file.getnframes() == 40_000
        samples = file.readframes(40_000)
    if sample_bytes == 1:
        levels = [sample - 128 for sample in samples]
        full = 128
    else:
        levels = memoryview(samples).cast("h").tolist()
        full = 32_768
    loudness = (sum(level * level for level in levels) / len(levels)) ** 0.5 / full
    assert 0.05 < loudness < 0.7  # neither silence nor clipping
    crossings = sum((a < 0) != (b < 0) for a, b in pairwise(levels)) / 5
    assert 100 < crossings < 1500  # a voice, where white noise crosses zero some 4,000 times a second


def test_voices_differ(bases: MediaBases) -> None:
    assert WavMedia("a", 8000, 2).render(bases) != WavMedia("b", 8000, 2).render(bases)


def test_a_pdf_is_readable_by_grep_and_names_its_pages(bases: MediaBases) -> None:
    data = PdfMedia(LETTER).render(bases)
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")
    assert b"fax 5209304004   p. 3/3" in data


@pytest.mark.parametrize("ballast", [0, 300_000])
def test_pdftotext_finds_the_text(ballast: int, bases: MediaBases, tmp_path: Path) -> None:
    program = tool("pdftotext")
    path = tmp_path / "fax.pdf"
    path.write_bytes(PdfMedia(LETTER, ballast).render(bases))
    done = subprocess.run([program, path, "-"], capture_output=True, check=True, text=True)
    assert done.stderr == ""  # a broken cross-reference table would be repaired with a complaint
    assert "Zoë O'Neil" in done.stdout
    assert "Invoice 4711" in done.stdout
    assert done.stdout.count("fax 5209304004") == 3


def test_ballast_is_an_update_of_the_unchanged_document(bases: MediaBases) -> None:
    bare, heavy = PdfMedia(LETTER).render(bases), PdfMedia(LETTER, 70_000).render(bases)
    assert heavy.startswith(bare)
    assert 70_000 < len(heavy) - len(bare) < 70_400
    xref = int(heavy.rstrip().rsplit(b"\n", 2)[1])
    assert heavy[xref : xref + 5] == b"xref\n"
    entry = int(heavy[xref:].split(b"\n")[2][:10])
    assert heavy[entry : entry + 20].partition(b" ")[2].startswith(b"0 obj\n")


def test_a_tiff_has_black_and_white_pages(bases: MediaBases) -> None:
    with Image.open(io.BytesIO(TiffMedia(LETTER).render(bases))) as image:
        assert (image.format, image.mode, getattr(image, "n_frames", 1)) == ("TIFF", "1", 3)
        black = image.histogram()[0] / (image.width * image.height)
    assert 0.005 < black < 0.3


@pytest.mark.parametrize(
    ("media", "length_s"),
    [(Mp4Media("k", 50_000), 2.0), (Mp3Media("k", 3), 9.07), (WavMedia("k", 20_000, 1), 2.5)],
    ids=["mp4", "mp3", "wav"],
)
def test_ffprobe_accepts(media: Media, length_s: float, bases: MediaBases, tmp_path: Path) -> None:
    program = tool("ffprobe")
    path = tmp_path / "media"
    path.write_bytes(media.render(bases))
    argv = [program, "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
    done = subprocess.run(argv, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    assert float(done.stdout) == pytest.approx(length_s, abs=0.02)


def test_clips_and_tones_differ_by_key(bases: MediaBases) -> None:
    assert Mp4Media("a", 20_000).render(bases) != Mp4Media("b", 20_000).render(bases)
    assert Mp3Media("a", 1).render(bases) != Mp3Media("b", 1).render(bases)
