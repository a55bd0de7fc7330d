"""Recordings of calls: their records and contents."""

from rcfs.simulator._backend import ACCOUNT_PATH, HEAVY, Call, Operation
from rcfs.simulator._wire import Answer, ApiError, Whole, json_answer, not_found
from rcfs.simulator.account._call_values import SimRecording
from rcfs.simulator.api._calls import call_writer
from rcfs.simulator.api._content import disposition

RECORDING_PATH = ACCOUNT_PATH + "/recording/{recording_id}"


def read_recording(call: Call) -> Answer:
    """The record of a recording, which has no size."""
    return json_answer(call_writer(call).recording(_find(call)))


def read_recording_content(call: Call) -> Whole:
    """The content of a recording."""
    found = _find(call)
    return Whole({"Content-Type": found.audio.content_type} | disposition(call, None), found.audio)


def _find(call: Call) -> SimRecording:
    """The recording that the path names.

    Raises:
        ApiError: 404, no such recording exists now; 403 CMN-419, this login may not read it.
    """
    call.check_account()
    text = call.path["recording_id"]
    if not (text.isascii() and text.isdecimal()):
        raise not_found("recordingId")
    found = call.backend.calls.recording(int(text), call.backend.account_time())
    if found is None:
        raise not_found("recordingId")
    call.check_open(found.extension_id)
    if not call.user.is_admin and call.user.id != found.extension_id:
        raise ApiError(403, "CMN-419", "User needs access to the extension of this recording")
    return found


OPERATIONS = (
    Operation("readCallRecording", "GET", RECORDING_PATH, HEAVY, read_recording),
    Operation(
        "readCallRecordingContent",
        "GET",
        RECORDING_PATH + "/content",
        HEAVY,
        read_recording_content,
        gives_content=True,
    ),
)
"""Operations of this module."""
