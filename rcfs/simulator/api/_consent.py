"""The page on which a user authorizes an app: the platform's login form and consent page in one.

The simulated browser has one user, already logged in, so the page asks only for consent.
"""

from html import escape
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from rcfs.simulator._backend import Backend
from rcfs.simulator._params import Query, form_fields
from rcfs.simulator._wire import OAuthError
from rcfs.simulator.login._codes import AuthorizationRequest

BROWSER_COOKIE = "rcfs_simulator_login"
"""Cookie of a browser with a login; it ends with the browser's session."""

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto; padding: 0 1rem; }
button { font: inherit; padding: .4rem 1.2rem; margin-right: .5rem; }
code { overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")

_QUESTION = Template("""\
<p>The app <code>$client</code> asks to act for <strong>$user</strong> at the simulated account, with the
permissions <code>$scopes</code>.</p>
<p>The answer goes to <code>$redirect_uri</code>.</p>
<form method="post">
<button name="decision" value="allow" autofocus>Allow</button>
<button name="decision" value="deny">Deny</button>
</form>
""")


class ConsentPage:
    """The page as ASGI application: GET shows it, POST takes the decision and redirects to the app."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = self._response(
            request.method, Query(request.url.query), form_fields(await request.body()).get("decision", "")
        )
        await response(scope, receive, send)

    def _response(self, method: str, query: Query, decision: str) -> Response:
        if method not in ("GET", "POST"):
            return Response(status_code=405, headers={"Allow": "GET, POST"})
        try:
            asked = self._backend.auth.codes.check(query.fields())
        except OAuthError as error:
            return _page("This login cannot continue", f"<p>{escape(str(error))}</p>", status=400)
        if method == "GET":
            return _page("Let this app in?", self._question(asked))
        if decision != "allow":
            return _go(asked.answer_uri(error="access_denied"))
        codes = self._backend.auth.codes
        response = _go(asked.answer_uri(code=codes.issue(asked, self._backend.clock())))
        response.set_cookie(BROWSER_COOKIE, codes.browser, httponly=True, samesite="lax")
        return response

    def _question(self, asked: AuthorizationRequest) -> str:
        owner = self._backend.auth.owner
        names = (e.name for e in self._backend.account.extensions if e.id == owner)
        return _QUESTION.substitute(
            client=escape(asked.client),
            user=escape(next(names)),
            scopes=escape(" ".join(sorted(asked.scopes))),
            redirect_uri=escape(asked.redirect_uri),
        )


def _go(uri: str) -> Response:
    """Redirect the browser to `uri`, with 303, so that it uses GET."""
    return RedirectResponse(uri, status_code=303)


def _page(title: str, body: str, *, status: int = 200) -> Response:
    """A page whose body is the HTML in `body`."""
    # No other site may show the page in a frame and trick the user into a click on its button.
    headers = {"Content-Security-Policy": "frame-ancestors 'none'"}
    return HTMLResponse(_PAGE.substitute(title=title, body=body), status_code=status, headers=headers)
