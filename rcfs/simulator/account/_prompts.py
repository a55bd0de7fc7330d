"""The recorded prompts of the company's IVR menus, with names that a stranger may have chosen.

Every account has the same 18 names; the seed determines the sounds. The names are those of uploaded files, so
nothing keeps them from leaving a directory, from repeating, or from being longer than a file name can be.
"""

import attrs

from rcfs.simulator._dice import Dice
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.media._audio import SAMPLE_RATE, Mp3Media, WavMedia
from rcfs.simulator.media._content import Media, MediaBases, SimContent

_FIRST_ID = 5_000_004
"""Smallest id of a prompt."""
_STEP = 1000
"""Distance between two ids."""

PROMPT_NAMES: tuple[str | None, ...] = (
    "Welcome.mp3",
    "After hours.wav",
    "Holiday greeting (2026).mp3",
    # Two prompts of the same name, and one that differs only by case.
    "Main menu.wav",
    "Main menu.wav",
    "MAIN MENU.WAV",
    # Names that leave the directory, or mean something to a file system or a shell.
    "../../etc/passwd",
    "Sales/Support.mp3",
    "C:\\Prompts\\menu.wav",
    "CON",
    "..",
    ".hidden.mp3",
    "-rf *; $(reboot) `id`.mp3",
    # Names that a terminal would not show as they are.
    "line one\nline two\r\t\x1b[31m.mp3",
    "exe\u202e3pm.gnitteerg\u2066\u200b.wav",
    # 300 bytes in UTF-8: the first 255 end within a character.
    "ß" * 148 + ".mp3",
    # No name at all, in both ways.
    "",
    None,
)
"""Field ``filename`` of each prompt; None for a record without it."""


@attrs.frozen
class SimPrompt:
    """A recorded prompt of the company."""

    id: int
    """Unique within the account."""
    name: str | None
    """Name of the uploaded file; None for a record without a name."""
    media: Media
    """Its content."""


class PromptBook:
    """All prompts of `account`. Clients may add and delete some."""

    def __init__(self, account: SimAccount) -> None:
        self._seed = account.spec.seed
        self._bases = MediaBases()
        self.prompts = tuple(map(self._prompt, range(len(PROMPT_NAMES)), PROMPT_NAMES))
        """All prompts, by ascending id."""
        self._made = len(PROMPT_NAMES)

    def find(self, prompt_id: str) -> SimPrompt | None:
        """The prompt with this decimal id; None if it does not exist."""
        return next((prompt for prompt in self.prompts if str(prompt.id) == prompt_id), None)

    def add(self, name: str, media: Media) -> SimPrompt:
        """A new prompt."""
        prompt = SimPrompt(_FIRST_ID + self._made * _STEP, name, media)
        self._made += 1
        self.prompts = (*self.prompts, prompt)
        return prompt

    def remove(self, prompt: SimPrompt) -> None:
        """Delete `prompt`."""
        self.prompts = tuple(other for other in self.prompts if other is not prompt)

    def content(self, prompt: SimPrompt) -> SimContent:
        """The audio of a prompt."""
        return SimContent(prompt.media, self._bases)

    def _prompt(self, place: int, name: str | None) -> SimPrompt:
        prompt_id = _FIRST_ID + place * _STEP
        key, dice = f"prompt {self._seed} {prompt_id}", Dice(self._seed, "prompt", prompt_id)
        is_wav = (name or "").lower().endswith(".wav")
        media = (
            WavMedia(key, dice.between(3, 12) * SAMPLE_RATE, 1, "audio/wav")
            if is_wav
            else Mp3Media(key, dice.between(1, 6))
        )
        return SimPrompt(prompt_id, name, media)
