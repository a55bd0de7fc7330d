"""A login with a browser: opens the page of RingCentral, takes the answer, and gets the first tokens."""

import os
import sys

import attrs
import click
import trio

from rcfs.assembly.connecting import token_for
from rcfs.cli._browser_answer import Page, answer_server, open_browser, redirect_uri
from rcfs.cli._output import error_line, is_interactive, tell
from rcfs.config import Credentials
from rcfs.errors import AuthError, RcfsError, ServerError, sole_cause
from rcfs.platform import BrowserLogin, OtherLoginError

_LOGIN_WITHIN_S = 600.0
"""Longest wait for the user to log in, in seconds: a password and a second factor, not a forgotten window."""
_TOKEN_WITHIN_S = 60.0
"""Longest wait for the tokens, in seconds: the code lives about as long."""


@attrs.frozen
class LoggedIn:
    """A login with a browser that the server has accepted."""

    credentials: Credentials
    """The credentials to save."""
    refresh: str = attrs.field(repr=False)
    """The first refresh token, for one use."""


def log_in(app: Credentials, port: int, *, opens: bool) -> LoggedIn:
    """Logs in the user of a browser with `app`, whose JWT and user are ignored.

    If it `opens` no browser, the user carries the address there and the answer back.

    Raises:
        AuthError: The user or the server refused the login, or nobody answered in time.
        ConfigError: The port cannot be used.
        PlatformError: The server failed or could not be reached.
    """
    flow = BrowserLogin(app.client_id, redirect_uri(port))
    url = flow.url(app.server_url)
    if opens:
        return _by_server(app, flow, port, url)
    tell(f"open this address in a browser, on any machine:\n{url}")
    tell(
        f"At the end the browser goes to {flow.redirect_uri}, which it may not be able to show. Copy the"
        " whole address from its address bar within a minute."
    )
    return _redeemed(app, flow, _pasted(flow))


def _by_server(app: Credentials, flow: BrowserLogin, port: int, url: str) -> LoggedIn:
    results: list[LoggedIn | RcfsError] = []

    def judge(answer_url: str) -> Page:
        try:
            results.append(_redeemed(app, flow, flow.code(answer_url)))
        except OtherLoginError as exc:
            return Page("Not the answer that rcfs waits for", _sentence(str(exc)), 400, is_last=False)
        except RcfsError as exc:
            results.append(exc)
            text = f"{_sentence(error_line(exc))} You can close this page."
            return Page("rcfs is not logged in", text, 403)
        return Page("rcfs is logged in", "You can close this page and return to rcfs.")

    with answer_server(port, judge) as server:
        opened = open_browser(url, os.environ)
        how = "log in, in the browser that opens now, or at" if opened else "log in at"
        tell(f"{how} this address:\n{url}")
        if not opened:
            tell("if the browser is on another machine, press Ctrl-C and run this again with --no-browser")
        if not server.wait(_LOGIN_WITHIN_S):
            raise AuthError(
                f"no answer came from the browser within {_LOGIN_WITHIN_S / 60:.0f} minutes; if its page"
                f" named the redirect URI, register {flow.redirect_uri} for the app in the developer console"
            )
    (result,) = results
    if isinstance(result, RcfsError):
        raise result
    return result


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:]}."


def _redeemed(app: Credentials, flow: BrowserLogin, code: str) -> LoggedIn:
    try:
        token = trio.run(token_for, app, flow, code, _TOKEN_WITHIN_S)
    except BaseExceptionGroup as group:
        raise sole_cause(group) from group
    if not token.refresh:
        raise AuthError(
            "the app gets no refresh token, so the login would end within the hour; allow it in the"
            " developer console, or log in with --jwt"
        )
    if not token.user:
        raise ServerError("login: the answer names no user; check the server's URL")
    return LoggedIn(attrs.evolve(app, jwt="", user=token.user), token.refresh)


def _pasted(flow: BrowserLogin) -> str:
    """The code in the address that the user pastes.

    Raises:
        UsageError: stdin is no terminal, and has no such line.
        AuthError: The user or the server refused the login.
    """

    def parse(text: str) -> str:
        try:
            return flow.code(text)
        except OtherLoginError as exc:
            raise click.BadParameter(str(exc)) from exc

    if is_interactive():
        code: str = click.prompt("The address", value_proc=parse, err=True)
        return code
    try:
        return parse(sys.stdin.readline())
    except click.BadParameter as exc:
        raise click.UsageError(f"the address on stdin: {exc.message}") from exc
