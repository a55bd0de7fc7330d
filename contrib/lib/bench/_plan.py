"""The plan of the bench: files, commands and repetitions. All its numbers are here."""

from collections.abc import Mapping, Sequence

import attrs

from bench._material import NEEDLE, FileSet, Recordings, Texts

COLD = "cold"
"""With an empty cache, on a mount that has just been made."""
AGAIN = "again"
"""The same command again."""
REMOUNT = "remount"
"""The same after a remount, with the cache on the disk and not in memory."""
PHASES = (COLD, AGAIN, REMOUNT)


@attrs.frozen
class Case:
    """One command line, the same for all peers."""

    name: str
    """Its name in the tables."""
    script: str
    """A script for ``sh``, which runs at the root of the mount with the variables of `Layout`."""
    expected: str
    """Its expected output."""
    within_s: float = 60.0
    """Longest run in seconds."""
    verify: str = ""
    """A script that fails if wrong bytes were read; it runs afterwards, and is neither timed nor counted."""
    size_bytes: int = 0
    """Bytes that it reads, if its throughput is of interest; else 0."""
    weighs: bool = False
    """Whether the daemon's memory is of interest after it."""


@attrs.frozen
class Plan:
    """A whole run."""

    small: FileSet
    """Many small files, in folders."""
    media: FileSet
    """Files of the size of a voicemail, in one folder."""
    large: FileSet
    """A few large files."""
    recording: Recordings
    """A few large recordings of calls."""
    recordings: Recordings
    """Recordings of ordinary length, in one folder."""
    walks: Sequence[Texts]
    """Mailboxes to walk through."""
    repeats: int
    """Number of repetitions; the median counts."""
    slow_s: float
    """Commands that take longer are not repeated."""
    opened: int
    """Files whose first byte is timed."""
    one_way_s: float
    """One-way latency of the far server, in seconds."""
    walk_within_s: float
    """Longest command of a walk, in seconds."""
    peer_within_s: float
    """Time after which no further measurement starts, in seconds since the beginning, for each program."""

    @property
    def sets(self) -> Sequence[FileSet]:
        """All files."""
        return (self.small, self.media, self.large)

    def cases(self) -> Sequence[Case]:
        """The commands that read files."""
        small, media, large = self.small, self.media, self.large
        recording, recordings = self.recording, self.recordings
        return (
            Case(
                "cat of a small file",
                'cat "$SMALL_FILE" | wc -c',
                str(small.size_bytes),
            ),
            Case(
                f"head and tail of {large.size_bytes / 1e6:.0f} MB",
                'head -c 4096 "$LARGE_FILE" | wc -c; tail -c 4096 "$LARGE_FILE" | wc -c',
                "4096\n4096",
            ),
            Case(
                f"cat of {large.size_bytes / 1e6:.0f} MB",
                'cat "$LARGE_FILE" > /dev/null',
                "",
                verify='cmp "$LARGE_FILE" "$TRUTH"',
                size_bytes=large.size_bytes,
            ),
            Case(
                f"file * over {media.count:,}",
                'cd "$MEDIA" && file -b -- $EACH | grep -c PDF',
                str(media.count),
                within_s=120.0,
            ),
            Case(
                f"ls -lR of {small.count:,}",
                "ls -lR \"$SMALL\" | grep -c '\\.pdf$'",
                str(small.count),
            ),
            Case(
                f"grep -r over {small.count:,}",
                f'grep -rl {NEEDLE} "$SMALL" | wc -l',
                str(small.count),
            ),
            Case(
                f"tail of a recording of {recording.size_bytes / 1e6:.0f} MB",
                'tail -c 4096 "$RECORDING" | wc -c',
                "4096",
            ),
            Case(
                f"cat of a recording of {recording.size_bytes / 1e6:.0f} MB",
                'cat "$RECORDING" > /dev/null',
                "",
                verify='cmp "$RECORDING" "$RECORDING_TRUTH"',
                size_bytes=recording.size_bytes,
            ),
            Case(
                f"cp of {recordings.count:,} recordings",
                'to=$(mktemp -d) && cp -r "$RECORDINGS/." "$to" && ls "$to" | wc -l && rm -r "$to"',
                str(recordings.count),
                within_s=120.0,
                # In the order of their names, which is that of the calls.
                verify='test "$(cat "$RECORDINGS"/* | cksum)" = "$(cat "$RECORDINGS_TRUTH"/* | cksum)"',
            ),
        )

    def walk_cases(self, texts: Texts, entries: int, hits: int) -> Sequence[Case]:
        """The commands that walk through a mailbox of `entries` files and directories."""
        count, walk = f"{texts.count:,}", f'"$WALK_{texts.count}"'
        return tuple(
            Case(name, script, str(lines), within_s=self.walk_within_s, weighs=True)
            for name, script, lines in (
                (f"find, {count} messages", f"find {walk} | wc -l", entries),
                (f"ls -lR, {count} messages", f"ls -lR {walk} | grep -c '^[d-]r'", entries - 1),
                (f"grep -r, {count} messages", f"grep -rl {NEEDLE} {walk} | wc -l", hits),
            )
        )


def full() -> Plan:
    """The whole bench, about twenty-five minutes."""
    return Plan(
        small=FileSet("small", 101, 2000, 10_000, 100),
        media=FileSet("media", 102, 500, 100_000, 500),
        large=FileSet("large", 103, 2, 50_000_000, 2),
        recording=Recordings("recording", 105, 2, 50_000_000, 2),
        recordings=Recordings("recordings", 106, 200, 250_000, 200),
        walks=(Texts(104, 10_000),),
        repeats=3,
        slow_s=4.0,
        opened=50,
        one_way_s=0.05,
        walk_within_s=60.0,
        peer_within_s=360.0,
    )


def quick() -> Plan:
    """A tenth of it, without repetitions; for changes to the bench itself."""
    return Plan(
        small=FileSet("small", 101, 100, 10_000, 20),
        media=FileSet("media", 102, 20, 100_000, 20),
        large=FileSet("large", 103, 2, 50_000_000, 2),
        recording=Recordings("recording", 105, 2, 50_000_000, 2),
        recordings=Recordings("recordings", 106, 20, 250_000, 20),
        walks=(Texts(104, 500),),
        repeats=1,
        slow_s=0.0,
        opened=10,
        one_way_s=0.05,
        walk_within_s=10.0,
        peer_within_s=45.0,
    )


@attrs.frozen
class ScalePlan:
    """The plan of the measurement of growth."""

    sizes: Sequence[int] = (10_000, 100_000, 1_000_000)
    """Number of messages of each account."""
    mailboxes: int = 200
    """Number of mailboxes of each account."""
    walked: int = 20_000
    """Messages in the mailboxes that the timed commands walk through, at most: whole mailboxes, the smallest
    ones first."""
    asked: int = 20
    """Number of searches for a word; the median counts."""
    found: int = 100
    """Number of messages that a search returns, the newest ones."""
    within_s: float = 3600.0
    """Longest command in seconds."""

    @property
    def described(self) -> str:
        """The plan for the conditions, so that a reader can repeat it."""
        return (
            f"the simulator's, {self.mailboxes} mailboxes, put into the index without HTTP; rates are those"
            f" of whole mailboxes of at most {self.walked:,} messages together, memory that after a walk"
            f" through everything; {self.mailboxes} syncs of five changes each, from nginx on loopback; the"
            f" newest {self.found} messages with a word, median of {self.asked} searches"
        )


@attrs.frozen
class Layout:
    """Paths below the root of a mount."""

    is_rcfs: bool
    """Whether it is that of rcfs, where files are attachments of messages."""

    def variables(self, plan: Plan) -> Mapping[str, str]:
        """The variables of the scripts of `Plan.cases`."""
        media = plan.media
        return {
            "SMALL": self.folder(plan.small),
            "SMALL_FILE": self.file(plan.small, 0),
            "MEDIA": f"{self.folder(media)}/{media.created(0):%Y-%m}",
            "EACH": "*/*.pdf",
            "LARGE_FILE": self.file(plan.large, 0),
            "RECORDING": self.recording(plan.recording, 0),
            "RECORDINGS": self.recording(plan.recordings, 0).rpartition("/")[0],
            **{f"WALK_{texts.count}": self.folder(texts) for texts in plan.walks},
        }

    def folder(self, files: FileSet | Texts) -> str:
        """Path of the folder with all messages or files."""
        if not self.is_rcfs:
            return files.name
        kind = "SMS" if isinstance(files, Texts) else "Fax"
        return f"{files.extension_id} {files.name}/{kind}"

    def file(self, files: FileSet, index: int) -> str:
        """Path of the file `index`."""
        return f"{self.folder(files)}/{files.path(index)}"

    def recording(self, files: Recordings, index: int) -> str:
        """Path of the recording `index`."""
        if not self.is_rcfs:
            return files.peer_path(index)
        month = f"{files.created(index):%Y-%m}"
        return f"{files.extension_id} {files.name}/Recordings/{month}/{files.file_name(index)}"
