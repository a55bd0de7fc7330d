"""Exports: asks the platform for message store reports and exports of team messaging, and follows them.

The fast lane fills the cache and the index from the archives of reports.
"""

from rcfs.exports._changes import ExportsChanged as ExportsChanged
from rcfs.exports._course import MOST_AT_ONCE as MOST_AT_ONCE
from rcfs.exports._exports import Exports as Exports
from rcfs.exports._fill import Arrived as Arrived
from rcfs.exports._fill import FastLane as FastLane
from rcfs.exports._fill import FillParts as FillParts
from rcfs.exports._json_records import RecordCutter as RecordCutter
from rcfs.exports._report import FillReport as FillReport
from rcfs.exports._status import left_s as left_s
from rcfs.exports._status import status_of as status_of
from rcfs.exports._unzip import DamagedArchiveError as DamagedArchiveError
from rcfs.exports._unzip import Ended as Ended
from rcfs.exports._unzip import ZipReader as ZipReader
from rcfs.exports._zip_records import Member as Member
