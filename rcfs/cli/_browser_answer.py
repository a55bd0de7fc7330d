"""The end of a login in the browser: a web server on 127.0.0.1 that takes the answer and shows the result."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from string import Template
from urllib.parse import urlsplit

import attrs

from rcfs.errors import ConfigError

_HOST = "127.0.0.1"
"""Only programs of this machine can connect."""
_PEER_WITHIN_S = 10.0
"""Longest wait for a browser that has connected to send its request, in seconds."""
_END_WITHIN_S = 0.02
"""How often the server looks whether it should end, in seconds."""
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("Connection", "close"),
)
_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title - rcfs</title>
<style>
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1rem;
  color: #111; background: #fff; }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p role="status">$text</p>
</main>
</body>
</html>
""")


@attrs.frozen
class Page:
    """A page that the browser shows as the result."""

    title: str
    """Its heading."""
    text: str
    """One paragraph."""
    status: int = 200
    """Status of the answer."""
    is_last: bool = True
    """Whether the login has ended, well or not."""


def redirect_uri(port: int) -> str:
    """The redirect URI to register for `port`."""
    return f"http://{_HOST}:{port}/callback"


@attrs.frozen
class AnswerServer:
    """The running server."""

    _done: threading.Event

    def wait(self, within_s: float) -> bool:
        """Waits until the last page has been shown; False if that took longer than `within_s`."""
        return self._done.wait(within_s)


@contextmanager
def answer_server(port: int, judge: Callable[[str], Page]) -> Iterator[AnswerServer]:
    """A server for the redirect URI of `port`; `judge` gets the whole address, in a thread, one at a time.

    Raises:
        ConfigError: Another program uses the port.
    """
    done, turn, uri = threading.Event(), threading.Lock(), redirect_uri(port)

    class Handler(BaseHTTPRequestHandler):
        timeout = _PEER_WITHIN_S

        def do_GET(self) -> None:
            if urlsplit(self.path).path != urlsplit(uri).path:
                self._show(Page("Nothing here", "rcfs waits for the answer to a login.", 404, is_last=False))
                return
            with turn:
                if done.is_set():
                    self._show(Page("This login has ended", "You can close this page.", is_last=False))
                    return
                page = judge(uri + self.path.removeprefix(urlsplit(uri).path))
                try:
                    self._show(page)
                finally:
                    if page.is_last:
                        done.set()

        def _show(self, page: Page) -> None:
            body = _PAGE.substitute(title=escape(page.title), text=escape(page.text)).encode()
            self.send_response(page.status)
            for name, value in (*_HEADERS, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Logs nothing: the request line has the code."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            """Says nothing: the browser has gone."""

    try:
        server = Server((_HOST, port), Handler)
    except OSError as exc:
        raise ConfigError(
            f"port {port} of {_HOST} cannot be used ({exc.strerror}); end the program that uses it, or"
            " register another redirect URI for the app and give its port with --redirect-port"
        ) from exc
    with server:
        serve = partial(server.serve_forever, poll_interval=_END_WITHIN_S)
        threading.Thread(target=serve, name="login", daemon=True).start()
        try:
            yield AnswerServer(done)
        finally:
            server.shutdown()


def open_browser(url: str, environ: Mapping[str, str]) -> bool:
    """Asks the desktop to show `url`; False if there is no desktop. It returns at once.

    The browser lives on when rcfs ends, or is ended with Ctrl-C or with its terminal.
    """
    if not any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        return False  # webbrowser would start one in the terminal
    threading.Thread(target=_show, args=(url,), name="browser", daemon=True).start()
    return True


def _show(url: str) -> None:
    # In our session, the hangup of a terminal that ran only `rcfs login` ended Chromium before it could show
    # the result (measured 2026-11, BROWSER='chromium … %s'). Into our terminal it writes its warnings.
    subprocess.run(
        [sys.executable, "-I", "-m", "webbrowser", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=False,
    )
