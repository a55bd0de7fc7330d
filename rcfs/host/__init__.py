"""This machine: processes, the mount table, mount points, FUSE, the background, log files.

`rcfs.host.logs` and `rcfs.host.signals` are not re-exported here, because they load logging and trio.
"""

from rcfs.host._automount_guard import detached_at_death as detached_at_death
from rcfs.host._background import Outcome as Outcome
from rcfs.host._background import Parent as Parent
from rcfs.host._background import run_in_background as run_in_background
from rcfs.host._connection import connected_mount as connected_mount
from rcfs.host._connection import kernel_options as kernel_options
from rcfs.host._encoding import adapt_output as adapt_output
from rcfs.host._encoding import as_typed as as_typed
from rcfs.host._encoding import require_utf8 as require_utf8
from rcfs.host._fuse_system import FuseSystem as FuseSystem
from rcfs.host._fuse_system import unmount as unmount
from rcfs.host._logfiles import keep_crash as keep_crash
from rcfs.host._mountinfo import Mount as Mount
from rcfs.host._mountinfo import mount_at as mount_at
from rcfs.host._mountinfo import mount_below as mount_below
from rcfs.host._mountinfo import read_mounts as read_mounts
from rcfs.host._mountpoint import FSTYPE as FSTYPE
from rcfs.host._mountpoint import MountKind as MountKind
from rcfs.host._mountpoint import MountState as MountState
from rcfs.host._mountpoint import Probe as Probe
from rcfs.host._mountpoint import check_apart as check_apart
from rcfs.host._mountpoint import inspect_mountpoint as inspect_mountpoint
from rcfs.host._mountpoint import is_automount as is_automount
from rcfs.host._mountpoint import prepare_mountpoint as prepare_mountpoint
from rcfs.host._mountpoint import probe_path as probe_path
from rcfs.host._process_limits import allow_many_files as allow_many_files
from rcfs.host._process_limits import forbid_core_dumps as forbid_core_dumps
from rcfs.host._process_limits import share_heaps as share_heaps
from rcfs.host._process_limits import switch_threads_soon as switch_threads_soon
from rcfs.host._processes import ended_within as ended_within
from rcfs.host._processes import rcfs_command as rcfs_command
from rcfs.host._processes import run_limited as run_limited
from rcfs.host._processes import script_command as script_command
from rcfs.host._registry import MountRecord as MountRecord
from rcfs.host._registry import Registry as Registry
from rcfs.host._service_manager import ServiceManager as ServiceManager
from rcfs.host._system_files import SystemFiles as SystemFiles
from rcfs.host._systemd import UserUnits as UserUnits
from rcfs.host._unit_files import mount_unit as mount_unit
from rcfs.host._unit_files import pull_units as pull_units
from rcfs.host._unit_files import unit_name as unit_name
