"""The start page: shows the account and the rate limits, and offers the admin interface to people.

It is one HTML file that loads nothing from other hosts; it polls the admin interface with fetch().
"""

import json
import shlex
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from rcfs.simulator._backend import Backend
from rcfs.simulator.faults._faults import Kind, all_kinds

SHOWN_EXTENSIONS = 12
"""Extensions that the page lists; an account may have thousands."""

BUTTON_SECONDS = 5.0
"""Duration of a fault that a button adds, in seconds: long enough to see it."""

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: the browser enforces that the page loads nothing from elsewhere."""


class StartPage:
    """The start page as ASGI application.

    Args:
        backend: The state of the simulator.
        operations: ``operationId`` of all operations.
    """

    def __init__(self, backend: Backend, operations: Iterable[str]) -> None:
        self._backend = backend
        self._operations = sorted(operations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response: Response = Response(status_code=405, headers={"Allow": "GET"})
        if Request(scope, receive).method == "GET":
            headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
            response = HTMLResponse(self._html(), headers=headers)
        await response(scope, receive, send)

    def _html(self) -> str:
        account, endpoints = self._backend.account, self._backend.endpoints
        template = files("rcfs.simulator").joinpath("assets/start.html").read_text(encoding="utf-8")
        more = len(account.extensions) - SHOWN_EXTENSIONS
        variables = {
            "RC_SERVER_URL": endpoints.platform_url,
            "RC_APP_CLIENT_ID": endpoints.client_id,
            "RC_APP_CLIENT_SECRET": endpoints.client_secret,
            "RC_USER_JWT": endpoints.jwt,
        }
        return Template(template).substitute(
            company=escape(account.name),
            account_id=account.account_id,
            seed=account.spec.seed,
            messages=account.spec.messages,
            months=account.spec.months,
            platform_url=escape(endpoints.platform_url),
            media_url=escape(endpoints.media_url),
            foreign_url=escape(endpoints.foreign_url),
            exports=escape("\n".join(f"export {k}={shlex.quote(v)}" for k, v in variables.items())),
            extensions=self._extensions(),
            more_extensions=f"and {more} more" if more > 0 else "",
            operations="".join(f"<option>{escape(name)}</option>" for name in self._operations),
            faults="\n".join(map(_fault_button, all_kinds())),
        )

    def _extensions(self) -> str:
        rows = []
        for extension in self._backend.account.extensions[:SHOWN_EXTENSIONS]:
            role = "logs in" if extension.id == self._backend.auth.owner else ""
            cells = (extension.number, extension.name, extension.type, role)
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells) + "</tr>")
        return "".join(rows)


def _fault_button(kind: Kind) -> str:
    """A button that adds a fault, with `BUTTON_SECONDS` for each required option."""
    fault = {"kind": kind.kind} | dict.fromkeys(kind.needed, BUTTON_SECONDS)
    options = ", ".join([*kind.needed, *kind.options])
    title = f"{kind.help} Options: {options}" if options else kind.help
    return (
        f'<button type="button" title="{escape(title)}" data-fault="{escape(json.dumps(fault))}">'
        f"{escape(kind.kind)}</button>"
    )
