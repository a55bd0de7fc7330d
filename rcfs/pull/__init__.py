"""Pulling: fetches everything below some paths of the tree into the cache, or copies it to a directory.

`Walk` is pure and finds the entries; `Copy` is synchronous and works in threads; `Pull` runs in the trio
thread and directs both. However large the account is, a pull keeps only sums in memory; its steps are on
the disk. An audit reads the manifest of a copy with `open_manifest` and `entries`.
"""

from rcfs.pull._conditions import conditions_of as conditions_of
from rcfs.pull._conditions import covers as covers
from rcfs.pull._conditions import filter_of as filter_of
from rcfs.pull._copy import Copy as Copy
from rcfs.pull._days import TYPICAL_BYTES as TYPICAL_BYTES
from rcfs.pull._days import Days as Days
from rcfs.pull._disk import open_regular as open_regular
from rcfs.pull._division import Shard as Shard
from rcfs.pull._division import parse_shard as parse_shard
from rcfs.pull._facts import KINDS as KINDS
from rcfs.pull._facts import NO_MONTH as NO_MONTH
from rcfs.pull._facts import Fact as Fact
from rcfs.pull._facts import Had as Had
from rcfs.pull._facts import HadRow as HadRow
from rcfs.pull._facts import PullNote as PullNote
from rcfs.pull._facts import is_record_key as is_record_key
from rcfs.pull._facts import kind_of_message as kind_of_message
from rcfs.pull._facts import month_of_time as month_of_time
from rcfs.pull._facts import record_key as record_key
from rcfs.pull._joint import PartList as PartList
from rcfs.pull._keeping_up import KeepingUp as KeepingUp
from rcfs.pull._manifest import FileEntry as FileEntry
from rcfs.pull._manifest import UnknownEntry as UnknownEntry
from rcfs.pull._manifest import entries as entries
from rcfs.pull._manifest_file import open_manifest as open_manifest
from rcfs.pull._needs import BESIDES as BESIDES
from rcfs.pull._needs import OwnerDirectory as OwnerDirectory
from rcfs.pull._needs import Parts as Parts
from rcfs.pull._needs import matches as matches
from rcfs.pull._needs import needs_of as needs_of
from rcfs.pull._needs import owner_of_directory as owner_of_directory
from rcfs.pull._needs import owner_paths as owner_paths
from rcfs.pull._notes import NOTES_SCHEMA as NOTES_SCHEMA
from rcfs.pull._notes import Notes as Notes
from rcfs.pull._periods import MOST_PERIOD_BYTES as MOST_PERIOD_BYTES
from rcfs.pull._periods import Known as Known
from rcfs.pull._periods import Period as Period
from rcfs.pull._periods import Scope as Scope
from rcfs.pull._periods import choose_periods as choose_periods
from rcfs.pull._pull import Pull as Pull
from rcfs.pull._scratch import decoded as decoded
from rcfs.pull._scratch import encoded as encoded
from rcfs.pull._scratch import open_scratch as open_scratch
from rcfs.pull._seen import Seen as Seen
from rcfs.pull._survey import Failure as Failure
from rcfs.pull._survey import Survey as Survey
from rcfs.pull._todo import FETCHES as FETCHES
from rcfs.pull._todo import Kind as Kind
from rcfs.pull._transfer import Progress as Progress
from rcfs.pull._walk import Item as Item
from rcfs.pull._walk import Walk as Walk
from rcfs.pull._way import Via as Via
from rcfs.pull._way import Way as Way
from rcfs.pull._way import choose_way as choose_way
