"""Fax documents: a business letter as PDF with real text, or as scanned TIFF pages."""

import io
import re

import attrs
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import LETTER
from reportlab.pdfgen import canvas

from rcfs.simulator._dice import filler
from rcfs.simulator.media._content import MediaBases

_TIFF_PIXELS = (1728, 2156)
"""Width of a Group 3 fax line (ITU-T T.4) and the height of a US letter at 196 lines an inch."""
_TIFF_DPI = (204, 196)
"""Resolution of a fax in its "fine" mode (ITU-T T.4)."""


@attrs.frozen
class Letter:
    """The text of a fax."""

    banner: str
    """The line that the fax machine prints on top of each page: sender, time, message id."""
    sender: tuple[str, ...]
    """Letterhead: name, street, number."""
    recipient: tuple[str, ...]
    """Address lines."""
    date: str
    """Date as the letter writes it."""
    title: str
    """Subject line."""
    body: tuple[str, ...]
    """Lines of the text, at most 30, which is what fits below the heading; only WinAnsi characters, because
    the PDF's fonts know no others (ISO 32000-1, annex D)."""
    pages: int
    """Number of pages, at least 1; each after the first is an annex with the same text."""

    def page(self, number: int) -> list[str]:
        """Body lines of page `number`, counted from 1."""
        annex = (f"Annex {number - 1} to {self.title}", "") if number > 1 else ()
        return [*annex, *self.body]


@attrs.frozen
class PdfMedia:
    """A letter as PDF; its text is stored uncompressed, so that even ``grep`` finds it."""

    letter: Letter
    ballast_bytes: int = 0
    """Size of an invisible object that makes the fax as large as one of photographs."""
    content_type: str = "application/pdf"
    size_bytes: None = None

    def render(self, _bases: MediaBases) -> bytes:
        """The document."""
        letter = self.letter
        target = io.BytesIO()
        # invariant: no creation time and no random id, so the same letter gives the same bytes.
        sheet = canvas.Canvas(target, pagesize=LETTER, invariant=1, pageCompression=0)
        sheet.setTitle(letter.title)
        height = LETTER[1]
        for number in range(1, letter.pages + 1):
            sheet.setFont("Courier", 8)
            sheet.drawString(36, height - 24, f"{letter.banner}   p. {number}/{letter.pages}")
            text = sheet.beginText(72, height - 72)
            text.setFont("Helvetica", 11, 14)
            if number == 1:
                text.textLines([*letter.sender, "", *letter.recipient, "", letter.date, ""])
                text.setFont("Helvetica-Bold", 11, 14)
                text.textLine(letter.title)
                text.setFont("Helvetica", 11, 14)
            text.textLines(["", *letter.page(number)])
            sheet.drawText(text)
            sheet.showPage()
        sheet.save()
        pdf = target.getvalue()
        return _with_ballast(pdf, self.ballast_bytes, letter.banner) if self.ballast_bytes else pdf


def _with_ballast(pdf: bytes, size_bytes: int, key: str) -> bytes:
    """`pdf` with one more object, a stream of `size_bytes`, by an incremental update.

    Source: ISO 32000-1, 7.5.6: after the unchanged file come new objects, a cross-reference section for
        these, and
    a trailer that repeats the old one and points back to it.

    Raises:
        ValueError: `pdf` does not end with a trailer in reportlab's form.
    """
    found = re.search(rb"/Root (\d+ 0 R)\n/Size (\d+)\n>>\nstartxref\n(\d+)\n", pdf)
    if found is None:
        raise ValueError("the PDF does not end with the trailer that reportlab writes")
    root, number, previous = found[1], int(found[2]), int(found[3])
    head = b"%d 0 obj\n<< /Length %d >>\nstream\n" % (number, size_bytes)
    body = head + filler(size_bytes, "ballast", key) + b"\nendstream\nendobj\n"
    return b"".join(
        (
            pdf,
            body,
            b"xref\n%d 1\n%010d 00000 n \n" % (number, len(pdf)),
            b"trailer\n<< /Size %d /Root %s /Prev %d >>\n" % (number + 1, root, previous),
            b"startxref\n%d\n%%%%EOF\n" % (len(pdf) + len(body)),
        )
    )


@attrs.frozen
class TiffMedia:
    """A letter as the black and white pages that a fax machine scans (TIFF, Group 4)."""

    letter: Letter
    content_type: str = "image/tiff"
    size_bytes: None = None

    def render(self, _bases: MediaBases) -> bytes:
        """The document."""
        font = ImageFont.load_default(size=32)
        first, *others = (self._page(number, font) for number in range(1, self.letter.pages + 1))
        target = io.BytesIO()
        first.save(target, "TIFF", save_all=True, append_images=others, compression="group4", dpi=_TIFF_DPI)
        return target.getvalue()

    def _page(self, number: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> Image.Image:
        letter = self.letter
        image = Image.new("1", _TIFF_PIXELS, 1)
        draw = ImageDraw.Draw(image)
        draw.text((80, 30), f"{letter.banner}   p. {number}/{letter.pages}", font=font)
        heading = [*letter.sender, "", *letter.recipient, "", letter.date, "", letter.title, ""]
        lines = (heading if number == 1 else []) + letter.page(number)
        for at, line in enumerate(lines):
            draw.text((160, 120 + 38 * at), line, font=font)
        return image
