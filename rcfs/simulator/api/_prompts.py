"""Recorded prompts of the company's IVR menus.

Source: operations listIVRPrompts, readIVRPrompt and readIVRPromptContent, and the schemas IVRPrompts and
    PromptInfo of the official SDKs. Their documentation states the usage plan groups and the rights: a scope
    for all three, and the user permission ReadCompanyGreetings for all but the content.
"""

from typing import Any

from rcfs.simulator._backend import ACCOUNT_PATH, HEAVY, MEDIUM, Call, Operation
from rcfs.simulator._params import make_page
from rcfs.simulator._wire import Answer, Whole, json_answer, not_found
from rcfs.simulator.account._prompts import SimPrompt
from rcfs.simulator.account._records import account_uri
from rcfs.simulator.api._content import disposition

PROMPTS_PATH = ACCOUNT_PATH + "/ivr-prompts"
PROMPT_PATH = PROMPTS_PATH + "/{prompt_id}"


def list_prompts(call: Call) -> Answer:
    """A page of the company's prompts."""
    call.check_account()
    base = account_uri(call.backend.endpoints.platform_url, call.backend.account.account_id)
    page = make_page(call.backend.prompts.prompts, call.query, f"{base}/ivr-prompts", {})
    records = [prompt_record(call, prompt) for prompt in page.items]
    return json_answer(
        {"uri": page.uri, "records": records, "paging": page.paging, "navigation": page.navigation}
    )


def read_prompt(call: Call) -> Answer:
    """One prompt."""
    return json_answer(prompt_record(call, find_prompt(call)))


def read_prompt_content(call: Call) -> Whole:
    """The content of a prompt."""
    content = call.backend.prompts.content(find_prompt(call))
    return Whole({"Content-Type": content.content_type} | disposition(call, None), content)


def find_prompt(call: Call) -> SimPrompt:
    """The prompt that the path names.

    Raises:
        ApiError: 404, no such prompt exists.
    """
    call.check_account()
    found = call.backend.prompts.find(call.path["prompt_id"])
    if found is None:
        raise not_found("promptId")
    return found


def prompt_record(call: Call, prompt: SimPrompt) -> dict[str, Any]:
    """The record of a prompt."""
    endpoints, account_id = call.backend.endpoints, call.backend.account.account_id
    record: dict[str, Any] = {
        "uri": f"{account_uri(endpoints.platform_url, account_id)}/ivr-prompts/{prompt.id}",
        "id": str(prompt.id),
        "contentType": prompt.media.content_type,
        "contentUri": f"{account_uri(endpoints.media_url, account_id)}/ivr-prompts/{prompt.id}/content",
    }
    return record if prompt.name is None else record | {"filename": prompt.name}


OPERATIONS = (
    Operation("listIVRPrompts", "GET", PROMPTS_PATH, MEDIUM, list_prompts),
    Operation("readIVRPrompt", "GET", PROMPT_PATH, MEDIUM, read_prompt),
    Operation(
        "readIVRPromptContent",
        "GET",
        PROMPT_PATH + "/content",
        HEAVY,
        read_prompt_content,
        gives_content=True,
    ),
)
"""Operations of this module."""
