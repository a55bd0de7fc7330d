"""What is measured: the files, the commands, and how often. All numbers of the bench are here."""

from collections.abc import Mapping, Sequence

import attrs

from bench._material import NEEDLE, FileSet, Texts

COLD = "cold"
"""With an empty cache, on a mount that has just been made."""
AGAIN = "again"
"""The same command once more."""
REMOUNT = "remount"
"""The same after unmounting and mounting, what is cached being on the disk and not in memory."""
PHASES = (COLD, AGAIN, REMOUNT)


@attrs.frozen
class Case:
    """One command line, the same for all."""

    name: str
    """As in the tables."""
    script: str
    """For ``sh``, run at the root of the mount, with the variables of `Layout`."""
    expected: str
    """What it must print."""
    within_s: float = 60.0
    """Longest run in seconds."""
    verify: str = ""
    """A script that fails if what was read is wrong; run afterwards, neither timed nor counted."""
    size_bytes: int = 0
    """What it reads, for what has a throughput; 0 for the others."""
    weighs: bool = False
    """Whether the daemon's memory is of interest after it."""


@attrs.frozen
class Plan:
    """A whole run."""

    small: FileSet
    """Many small files, in folders."""
    media: FileSet
    """Files of a voicemail's size, in one folder."""
    large: FileSet
    """Few large files."""
    walks: Sequence[Texts]
    """Mailboxes to be walked through."""
    repeats: int
    """How often everything is done; the median counts."""
    slow_s: float
    """What takes longer is not repeated."""
    opened: int
    """Files whose first byte is waited for."""
    one_way_s: float
    """Latency of the long way, one way, in seconds."""
    walk_within_s: float
    """Longest command of a walk, in seconds."""
    whole_within_s: float
    """When nothing more is begun, in seconds since the beginning."""

    @property
    def sets(self) -> Sequence[FileSet]:
        """All files."""
        return (self.small, self.media, self.large)

    def cases(self) -> Sequence[Case]:
        """The commands that read files."""
        small, media, large = self.small, self.media, self.large
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
                within_s=300.0,
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
    """Everything; some twenty minutes."""
    return Plan(
        small=FileSet("small", 101, 2000, 10_000, 100),
        media=FileSet("media", 102, 500, 100_000, 500),
        large=FileSet("large", 103, 2, 50_000_000, 2),
        walks=(Texts(104, 10_000),),
        repeats=3,
        slow_s=4.0,
        opened=50,
        one_way_s=0.05,
        walk_within_s=60.0,
        whole_within_s=1100.0,
    )


def quick() -> Plan:
    """A tenth of it, done once; for those who change the bench."""
    return Plan(
        small=FileSet("small", 101, 100, 10_000, 20),
        media=FileSet("media", 102, 20, 100_000, 20),
        large=FileSet("large", 103, 2, 50_000_000, 2),
        walks=(Texts(104, 500),),
        repeats=1,
        slow_s=0.0,
        opened=10,
        one_way_s=0.05,
        walk_within_s=10.0,
        whole_within_s=110.0,
    )


@attrs.frozen
class ScalePlan:
    """How growth is measured."""

    sizes: Sequence[int] = (10_000, 100_000, 1_000_000)
    """Messages of the accounts."""
    mailboxes: int = 200
    """Mailboxes of each."""
    walked: int = 20_000
    """Messages that the commands whose times are compared walk through, at most: whole mailboxes, the
    smallest first."""
    asked: int = 20
    """How often a word is searched for; the median counts."""
    found: int = 100
    """So many of the newest messages with it."""
    within_s: float = 3600.0
    """Longest command in seconds."""

    @property
    def described(self) -> str:
        """What a reader needs to know to do the same."""
        return (
            f"the simulator's, {self.mailboxes} mailboxes, put into the index without HTTP; rates are those"
            f" of whole mailboxes of at most {self.walked:,} messages together, memory that after a walk"
            f" through everything; {self.mailboxes} syncs of five changes each, from nginx on loopback; the"
            f" newest {self.found} messages with a word, median of {self.asked} searches"
        )


@attrs.frozen
class Layout:
    """Where things are below the root of a mount."""

    is_rcfs: bool
    """In rcfs, where files are attachments of messages; else with the others."""

    def variables(self, plan: Plan) -> Mapping[str, str]:
        """The variables of the scripts of `Plan.cases`."""
        media = plan.media
        return {
            "SMALL": self.folder(plan.small),
            "SMALL_FILE": self.file(plan.small, 0),
            "MEDIA": f"{self.folder(media)}/{media.created(0):%Y-%m}" if self.is_rcfs else media.name,
            "EACH": "*/*.pdf" if self.is_rcfs else "*.pdf",
            "LARGE_FILE": self.file(plan.large, 0),
            **{f"WALK_{texts.count}": self.folder(texts) for texts in plan.walks},
        }

    def folder(self, files: FileSet | Texts) -> str:
        """The folder of all messages or files."""
        if not self.is_rcfs:
            return files.name
        kind = "SMS" if isinstance(files, Texts) else "Fax"
        return f"{files.extension_id} {files.name}/{kind}"

    def file(self, files: FileSet, index: int) -> str:
        """The file `index`."""
        if not self.is_rcfs:
            return files.peer_path(index)
        created = files.created(index)
        line = f"{created:%Y-%m-%dT%H.%M.%SZ} from {files.sender(index)}"
        message = f"{line} [{files.message_id(index)}]"
        return f"{self.folder(files)}/{created:%Y-%m}/{message}/fax {line}.pdf"
