"""Answering rules and their greetings."""

from collections.abc import Sequence
from typing import Any

from rcfs.simulator._backend import ACCOUNT_PATH, EXTENSION_PATH, HEAVY, LIGHT, MEDIUM, Call, Operation
from rcfs.simulator._params import make_page
from rcfs.simulator._wire import Answer, ApiError, Whole, json_answer, not_found
from rcfs.simulator.account._greetings import PRESET_PATH, CustomGreeting, Preset, SimRule
from rcfs.simulator.account._message_filter import flag
from rcfs.simulator.account._records import account_uri
from rcfs.simulator.api._content import disposition
from rcfs.simulator.api._unplayed import refuse_unplayed

DICTIONARY_PATH = "/restapi/v1.0/dictionary/greeting"

RULE_TYPES = ("BusinessHours", "AfterHours", "Custom")

PRESET_TYPES = (
    *("Introductory", "Announcement", "ConnectingMessage", "ConnectingAudio", "Voicemail", "Unavailable"),
    *("HoldMusic", "Company"),
)
"""Values of ``type`` (parameter of listStandardGreetings)."""

USAGE_TYPES = (
    *("UserExtensionAnsweringRule", "ExtensionAnsweringRule", "DepartmentExtensionAnsweringRule"),
    *("CompanyAnsweringRule", "CompanyAfterHoursAnsweringRule", "VoicemailExtensionAnsweringRule"),
    *("AnnouncementExtensionAnsweringRule", "SharedLinesGroupAnsweringRule"),
)
"""Values of ``usageType`` (parameter of listStandardGreetings)."""


def list_company_rules(call: Call) -> Answer:
    """A page of the company's rules, without their greetings."""
    call.check_account()
    return _list_rules(call, None, "/answering-rule", detailed=False)


def read_company_rule(call: Call) -> Answer:
    """One rule of the company, with its greetings."""
    call.check_account()
    return json_answer(_rule_record(call, _find_rule(call, None), detailed=True))


def list_user_rules(call: Call) -> Answer:
    """A page of an extension's rules; with greetings in the Detailed view."""
    extension_id = _user_with_rules(call)
    refuse_unplayed(call)
    detailed = call.query.choices("view", ("Simple", "Detailed")) == {"Detailed"}
    return _list_rules(call, extension_id, f"/extension/{extension_id}/answering-rule", detailed=detailed)


def read_user_rule(call: Call) -> Answer:
    """One rule of an extension, with its greetings."""
    extension_id = _user_with_rules(call)
    refuse_unplayed(call)
    flag(call.query, "showInactiveNumbers")  # only checked: no simulated rule forwards calls to numbers
    return json_answer(_rule_record(call, _find_rule(call, extension_id), detailed=True))


def read_custom_greeting(call: Call) -> Answer:
    """A recorded greeting of a user."""
    return json_answer(greeting_record(call, _find_custom(call, call.mailbox().id)))


def read_user_content(call: Call) -> Whole:
    """The content of a recorded greeting of a user."""
    return _content(call, _find_custom(call, call.mailbox().id))


def read_company_content(call: Call) -> Whole:
    """The content of a greeting of the company."""
    call.check_account()
    return _content(call, _find_custom(call, None))


def list_presets(call: Call) -> Answer:
    """A page of the dictionary of presets."""
    types = call.query.choices("type", PRESET_TYPES)
    usages = call.query.choices("usageType", USAGE_TYPES)
    wanted = [
        preset
        for preset in call.backend.greetings.presets
        if (not types or preset.type in types) and (not usages or preset.usage in usages)
    ]
    page = make_page(wanted, call.query, call.backend.endpoints.platform_url + DICTIONARY_PATH, {})
    records = [_preset_record(call, preset) for preset in page.items]
    return json_answer(
        {"uri": page.uri, "records": records, "paging": page.paging, "navigation": page.navigation}
    )


def read_preset(call: Call) -> Answer:
    """One preset."""
    return json_answer(_preset_record(call, _find_preset(call)))


def read_preset_content(call: Call) -> Whole:
    """The content of a preset."""
    return _content(call, _find_preset(call))


def _user_with_rules(call: Call) -> int:
    """The extension whose rules the call asks for.

    Raises:
        ApiError: 403 CMN-419, this login may not read them; CMN-468, the account has new call handling.
    """
    extension = call.mailbox()
    refuse_new_call_handling(call)
    return extension.id


def refuse_new_call_handling(call: Call) -> None:
    """Refuse rules of users where their place was taken by the new call handling.

    Raises:
        ApiError: 403 CMN-468.
    """
    if call.backend.new_call_handling:
        words = "This API is not available for accounts with new call handling"
        raise ApiError(403, "CMN-468", words)


def greeting_record(call: Call, found: CustomGreeting) -> dict[str, Any]:
    """The record of a recorded greeting."""
    record: dict[str, Any] = {
        "uri": _greeting_uri(call, found, call.backend.endpoints.platform_url),
        "id": str(found.id),
        "type": found.type,
        "contentType": found.media.content_type,
        "contentUri": _greeting_uri(call, found, call.backend.endpoints.media_url) + "/content",
    }
    if found.rule_id:
        rule = f"{_owner_uri(call, found.extension_id)}/answering-rule/{found.rule_id}"
        record["answeringRule"] = {"uri": rule, "id": found.rule_id}
    return record


def _list_rules(call: Call, extension_id: int | None, path: str, *, detailed: bool) -> Answer:
    query, backend = call.query, call.backend
    types = query.choices("type", RULE_TYPES)
    enabled_only = flag(query, "enabledOnly")
    wanted: Sequence[SimRule] = [
        rule
        for rule in backend.greetings.rules
        if rule.extension_id == extension_id
        and (not types or rule.type in types)
        and (rule.enabled or not enabled_only)
    ]
    base = account_uri(backend.endpoints.platform_url, backend.account.account_id)
    page = make_page(wanted, query, base + path, {})
    records = [_rule_record(call, rule, detailed=detailed) for rule in page.items]
    return json_answer(
        {"uri": page.uri, "records": records, "paging": page.paging, "navigation": page.navigation}
    )


def _find_rule(call: Call, extension_id: int | None) -> SimRule:
    for rule in call.backend.greetings.rules:
        if (rule.extension_id, rule.id) == (extension_id, call.path["rule_id"]):
            return rule
    raise not_found("ruleId")


def _find_custom(call: Call, extension_id: int | None) -> CustomGreeting:
    for found in call.backend.greetings.customs():
        if (found.extension_id, str(found.id)) == (extension_id, call.path["greeting_id"]):
            return found
    raise not_found("greetingId")


def _find_preset(call: Call) -> Preset:
    for preset in call.backend.greetings.presets:
        if str(preset.id) == call.path["greeting_id"]:
            return preset
    raise not_found("greetingId")


def _content(call: Call, greeting: Preset | CustomGreeting) -> Whole:
    """The content of a greeting.

    Raises:
        ApiError: 404, the greeting is silence.
    """
    content = call.backend.greetings.content(greeting)
    if content is None:
        raise not_found("greetingId")
    return Whole({"Content-Type": content.content_type} | disposition(call, None), content)


def _rule_record(call: Call, rule: SimRule, *, detailed: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "uri": f"{_owner_uri(call, rule.extension_id)}/answering-rule/{rule.id}",
        "id": rule.id,
        "type": rule.type,
        "name": rule.name,
        "enabled": rule.enabled,
    }
    if rule.called_number:
        record["calledNumbers"] = [{"phoneNumber": rule.called_number}]
    if not detailed:
        return record
    record["callHandlingAction"] = "Operator" if rule.extension_id is None else "ForwardCalls"
    if rule.type in ("BusinessHours", "AfterHours"):
        record["schedule"] = {"ref": rule.type}
    record["greetings"] = [_greeting_of_rule(call, greeting) for greeting in rule.greetings]
    return record


def _greeting_of_rule(call: Call, greeting: Preset | CustomGreeting) -> dict[str, Any]:
    if isinstance(greeting, CustomGreeting):
        uri = _greeting_uri(call, greeting, call.backend.endpoints.platform_url)
        return {"type": greeting.type, "custom": {"uri": uri, "id": str(greeting.id)}}
    preset = {"uri": _preset_uri(call, greeting), "id": str(greeting.id), "name": greeting.name}
    return {"type": greeting.type, "preset": preset}


def _preset_record(call: Call, preset: Preset) -> dict[str, Any]:
    record = {
        "uri": _preset_uri(call, preset),
        "id": str(preset.id),
        "name": preset.name,
        "type": preset.type,
        "usageType": preset.usage,
        "category": preset.category,
    }
    if preset.text:
        record["text"] = preset.text
    if preset.category != "None":
        path = PRESET_PATH.format(greeting_id=preset.id)
        record["contentUri"] = call.backend.endpoints.media_url + path
    return record


def _preset_uri(call: Call, preset: Preset) -> str:
    return f"{call.backend.endpoints.platform_url}{DICTIONARY_PATH}/{preset.id}"


def _owner_uri(call: Call, extension_id: int | None) -> str:
    uri = account_uri(call.backend.endpoints.platform_url, call.backend.account.account_id)
    return uri if extension_id is None else f"{uri}/extension/{extension_id}"


def _greeting_uri(call: Call, greeting: CustomGreeting, origin: str) -> str:
    uri = account_uri(origin, call.backend.account.account_id)
    place = "" if greeting.extension_id is None else f"/extension/{greeting.extension_id}"
    return f"{uri}{place}/greeting/{greeting.id}"


_RULES, _RULE = "/answering-rule", "/answering-rule/{rule_id}"
_GREETING, _CONTENT = "/greeting/{greeting_id}", "/greeting/{greeting_id}/content"

OPERATIONS = (
    Operation("listCompanyAnsweringRules", "GET", ACCOUNT_PATH + _RULES, MEDIUM, list_company_rules),
    Operation("readCompanyAnsweringRule", "GET", ACCOUNT_PATH + _RULE, LIGHT, read_company_rule),
    Operation("listAnsweringRules", "GET", EXTENSION_PATH + _RULES, MEDIUM, list_user_rules),
    Operation("readAnsweringRule", "GET", EXTENSION_PATH + _RULE, LIGHT, read_user_rule),
    Operation("readCustomGreeting", "GET", EXTENSION_PATH + _GREETING, MEDIUM, read_custom_greeting),
    Operation(
        "readGreetingContent", "GET", EXTENSION_PATH + _CONTENT, HEAVY, read_user_content, gives_content=True
    ),
    Operation(
        "readAccountGreetingContent",
        "GET",
        ACCOUNT_PATH + _CONTENT,
        HEAVY,
        read_company_content,
        gives_content=True,
    ),
    Operation("listStandardGreetings", "GET", DICTIONARY_PATH, MEDIUM, list_presets),
    Operation("readStandardGreeting", "GET", DICTIONARY_PATH + "/{greeting_id}", MEDIUM, read_preset),
    Operation("presetContent", "GET", PRESET_PATH, MEDIUM, read_preset_content, gives_content=True),
)
"""Operations of this module. The API does not describe ``presetContent``; the name is our own."""
