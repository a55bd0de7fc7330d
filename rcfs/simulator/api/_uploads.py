"""Uploads of sounds: greetings of users and of the company, and prompts of the company's IVR menus.

U: the platform's codes for a file that is no sound, and whether it converts sounds. The simulator does not.

Source: createCustomUserGreeting and createCompanyGreeting of the official description; createIVRPrompt and
    deleteIVRPrompt of the official SDKs.
"""

import hashlib
from collections.abc import Sequence

from rcfs.simulator._backend import ACCOUNT_PATH, EXTENSION_PATH, HEAVY, MEDIUM, Call, Operation
from rcfs.simulator._conduct import Sent
from rcfs.simulator._multipart import Piece
from rcfs.simulator._wire import Answer, ApiError, bad_parameter, json_answer, not_found
from rcfs.simulator.account._greetings import SimRule
from rcfs.simulator.account._message_filter import flag
from rcfs.simulator.api._greetings import greeting_record, refuse_new_call_handling
from rcfs.simulator.api._prompts import PROMPT_PATH, PROMPTS_PATH, find_prompt, prompt_record
from rcfs.simulator.api._send_form import Form, read_form
from rcfs.simulator.media._content import BytesMedia

USER_TYPES = (
    *("Introductory", "Announcement", "ConnectingMessage", "ConnectingAudio", "Voicemail", "Unavailable"),
    *("HoldMusic", "TemplateGreeting"),
)
"""Types of greetings of users (description of createCustomUserGreeting)."""

COMPANY_TYPES = ("Company", "StartRecording", "StopRecording", "AutomaticRecording", "TemplateGreeting")
"""Types of greetings of the company (description of createCompanyGreeting)."""

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
"""Most bytes of a request (``x-request-max-body-size`` of the description)."""


def create_user_greeting(call: Call) -> Answer:
    """Replace a greeting of an answering rule; with ``apply=false`` add one that no rule plays."""
    owner = call.mailbox()
    refuse_new_call_handling(call)
    form, files = read_form(call)
    rule = _rule(call, owner.id, form)
    if not flag(call.query, "apply", default=True):
        rule = None
    elif rule is None:
        raise bad_parameter("answeringRuleId", "")
    return _create_greeting(call, owner.id, _kind(form, USER_TYPES), files, rule)


def create_company_greeting(call: Call) -> Answer:
    """Replace a greeting of a rule of the company, or add one that no rule plays."""
    call.check_account()
    form, files = read_form(call)
    return _create_greeting(call, None, _kind(form, COMPANY_TYPES), files, _rule(call, None, form))


def create_prompt(call: Call) -> Answer:
    """Add a prompt."""
    call.check_account()
    form, files = read_form(call)
    sound, file_name = _sound(call, files, "attachment")
    name = file_name or str(form.get("name", ""))
    prompt = call.backend.prompts.add(name, sound)
    _note(call, prompt.id, "", [], name, sound)
    return json_answer(prompt_record(call, prompt))


def delete_prompt(call: Call) -> Answer:
    """Delete a prompt for good."""
    call.backend.prompts.remove(find_prompt(call))
    return Answer(204)


def _create_greeting(
    call: Call, owner_id: int | None, kind: str, files: Sequence[Piece], rule: SimRule | None
) -> Answer:
    sound, _name = _sound(call, files, "binary")
    made = call.backend.greetings.record(owner_id, kind, sound, rule)
    _note(call, made.id, "" if owner_id is None else str(owner_id), [made.rule_id], kind, sound)
    return json_answer(greeting_record(call, made))


def _kind(form: Form, types: Sequence[str]) -> str:
    """The type of the greeting in a form.

    Raises:
        ApiError: 400, it is not one of `types`.
    """
    kind = str(form.get("type", ""))
    if kind not in types:
        raise bad_parameter("type", kind)
    return kind


def _rule(call: Call, owner_id: int | None, form: Form) -> SimRule | None:
    """The answering rule that a form names; None if it names none.

    Raises:
        ApiError: 404, no such rule exists.
    """
    named = form.get("answeringRule")
    wanted = form.get("answeringRuleId", named.get("id") if isinstance(named, dict) else None)
    if not wanted:
        return None
    for rule in call.backend.greetings.rules:
        if (rule.extension_id, rule.id) == (owner_id, wanted):
            return rule
    raise not_found("answeringRuleId")


def _sound(call: Call, files: Sequence[Piece], name: str) -> tuple[BytesMedia, str]:
    """The uploaded sound, and the name of its file.

    Raises:
        ApiError: 400, it is not exactly one file, or not a WAV or MP3; 413, the request is too large.
    """
    if len(call.body) > MAX_UPLOAD_BYTES:
        raise ApiError(413, "CMN-413", "Request entity too large")
    if len(files) != 1:
        raise bad_parameter(name, "")
    data = files[0].data
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return BytesMedia(data, "audio/wav"), files[0].file_name
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] >= b"\xe0"):
        return BytesMedia(data, "audio/mpeg"), files[0].file_name
    raise bad_parameter(name, files[0].content_type)


def _note(call: Call, made_id: int, sender: str, to: Sequence[str], what: object, sound: BytesMedia) -> None:
    """Note an upload; an equal one soon after is a violation."""
    now_s = call.backend.account_time()
    digest = hashlib.sha256(sound.data).hexdigest()
    sent = Sent(call.operation.id, str(made_id), sender, to, what, [digest], now_s, now_s)
    call.note(call.backend.sends.add(sent))


_GREETING = "/greeting"

OPERATIONS = (
    Operation("createCustomUserGreeting", "POST", EXTENSION_PATH + _GREETING, HEAVY, create_user_greeting),
    Operation("createCompanyGreeting", "POST", ACCOUNT_PATH + _GREETING, MEDIUM, create_company_greeting),
    Operation("createIVRPrompt", "POST", PROMPTS_PATH, HEAVY, create_prompt),
    Operation("deleteIVRPrompt", "DELETE", PROMPT_PATH, HEAVY, delete_prompt),
)
"""Operations of this module."""
