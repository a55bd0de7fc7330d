"""`rcfs login` with a browser: a real server on 127.0.0.1, and httpx in place of the browser."""

import json
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest
from click.testing import Result

from rcfs.cli import _browser_answer, _browser_login, _credentials
from rcfs.cli._browser_answer import open_browser
from rcfs.config import ACCOUNTS, Settings, load_settings
from rcfs.errors import GrantError
from rcfs.platform import BrowserLogin, Token
from rcfs.store import SharedSession

Run = Callable[..., Result]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@attrs.define
class Browser:
    """Answers as a browser whose user allows everything, unless `answers` are other ones."""

    answers: list[Mapping[str, str]] = attrs.field(factory=lambda: [{"code": "the-code"}])
    """Parameters of the redirect URI; the state is added if it is missing."""
    _pages: list[httpx.Response] = attrs.field(factory=list)
    asked: dict[str, str] = attrs.field(factory=dict)
    token: Token | Exception = attrs.field(factory=lambda: Token("access", 0, 0, "refresh-1", 0, (), "77"))
    """The answer of the server to a code."""
    codes: list[str] = attrs.field(factory=list)

    @property
    def pages(self) -> list[httpx.Response]:
        """The pages that it has shown; it has ended."""
        for thread in threading.enumerate():
            if thread.name == "browser":
                thread.join(60)
        return self._pages

    def open(self, url: str) -> None:
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        for answer in self.answers:
            params = {"state": self.asked["state"], **answer}
            self._pages.append(httpx.get(self.asked["redirect_uri"], params=params, trust_env=False))

    async def token_for(self, _app: object, _flow: BrowserLogin, code: str, _within_s: float) -> Token:
        self.codes.append(code)
        if isinstance(self.token, Exception):
            raise self.token
        return self.token


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    found = Browser()
    monkeypatch.setenv("BROWSER", "a browser")
    monkeypatch.setattr(_browser_answer, "_show", found.open)
    monkeypatch.setattr(_browser_login, "token_for", found.token_for)
    yield found
    assert found.pages is not None  # no thread is left


def settings(**options: Any) -> Settings:
    return load_settings(options, {}, Path("/nonexistent/config.toml"), warn=pytest.fail)


def test_a_login_with_a_browser_is_saved_without_a_secret(
    run: Run, browser: Browser, vault: Any, port: int, state_dir: Path
) -> None:
    result = run("login", "--client-id", "the-app", "--redirect-port", str(port))
    assert (result.exit_code, result.stdout) == (0, "Logged in. Saved the credentials in the keyring.\n")
    assert json.loads(vault.saved["rcfs", "credentials"]) == {
        "server_url": "https://platform.ringcentral.com",
        "client_id": "the-app",
        "client_secret": "",
        "jwt": "",
        "user": "77",
    }
    (grant,) = (state_dir / "sessions").glob("*.grant")
    assert json.loads(grant.read_text()) == {"refresh": "refresh-1"}
    assert stat.S_IMODE(grant.stat().st_mode) == 0o600
    own = settings().require_credentials()
    assert (grant.stem, own.user) == (own.identity, "77")
    (page,) = browser.pages
    assert (page.status_code, browser.codes) == (200, ["the-code"])
    assert "<h1>rcfs is logged in</h1>" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert browser.asked["code_challenge_method"] == "S256"
    assert browser.asked["redirect_uri"] == f"http://127.0.0.1:{port}/callback"
    assert "refresh-1" not in result.output + page.text


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"error": "access_denied"}, "the access was refused in the browser; log in again"),
        ({"error": "odd", "error_description": "a\x1b[31m<b>"}, "RingCentral did not log you in: a"),
        ({}, "RingCentral did not log you in: no code came"),
    ],
)
def test_a_refused_login_says_why(
    run: Run, browser: Browser, vault: Any, port: int, answer: Mapping[str, str], message: str
) -> None:
    browser.answers = [answer]
    result = run("login", "--client-id", "the-app", "--redirect-port", str(port))
    assert result.exit_code == 3
    assert message in result.stderr
    assert "\x1b" not in result.stderr
    (page,) = browser.pages
    assert page.status_code == 403
    assert ">The access was" in page.text or ">RingCentral did not" in page.text
    assert "<b>" not in page.text
    assert (vault.saved, browser.codes) == ({}, [])


def test_a_code_that_the_server_refuses(run: Run, browser: Browser, vault: Any, port: int) -> None:
    browser.token = GrantError("login: HTTP 400 OAU-210", code="OAU-210")
    result = run("login", "--client-id", "the-app", "--redirect-port", str(port))
    assert (result.exit_code, browser.pages[0].status_code) == (3, 403)
    assert "OAU-210" in result.stderr
    assert "OAU-210" in browser.pages[0].text


def test_an_app_without_refresh_tokens_is_refused(run: Run, browser: Browser, vault: Any, port: int) -> None:
    browser.token = Token("access", 0, 0, "", 0, (), "77")
    result = run("login", "--client-id", "the-app", "--redirect-port", str(port))
    assert result.exit_code == 3
    assert "the app gets no refresh token" in result.stderr
    assert vault.saved == {}


def test_answers_with_another_state_are_ignored(run: Run, browser: Browser, vault: Any, port: int) -> None:
    browser.answers = [{"code": "forged", "state": "of somebody else"}, {"code": "the-code"}]
    result = run("login", "--client-id", "the-app", "--redirect-port", str(port))
    assert result.exit_code == 0
    assert [page.status_code for page in browser.pages] == [400, 200]
    assert browser.codes == ["the-code"]


def test_the_browser_belongs_neither_to_the_terminal_nor_to_the_session_of_rcfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "browser.py").write_text(
        "import os, sys\n"
        "files = {os.readlink(f'/proc/self/fd/{number}') for number in range(3)}\n"
        "with open(sys.argv[1], 'w') as seen:\n"
        "    print(os.getsid(0), *files, file=seen)\n"
    )
    monkeypatch.setenv("BROWSER", f"{sys.executable} {tmp_path / 'browser.py'} %s")
    assert open_browser(str(tmp_path / "seen"), os.environ)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "browser"]
    thread.join(60)
    session, *files = (tmp_path / "seen").read_text().split()
    assert int(session) != os.getsid(0)
    assert files == ["/dev/null"]


def test_nobody_answers(
    run: Run, browser: Browser, vault: Any, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.answers = []
    monkeypatch.setattr(_browser_login, "_LOGIN_WITHIN_S", 0.01)
    result = run("login", "--client-id", "the-app", "--redirect-port", str(port))
    assert result.exit_code == 3
    assert f"register http://127.0.0.1:{port}/callback" in result.stderr


def test_a_port_that_is_in_use(run: Run, browser: Browser, vault: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        used = other.getsockname()[1]
        result = run("login", "--client-id", "the-app", "--redirect-port", str(used))
    assert result.exit_code == 2
    assert f"port {used} of 127.0.0.1 cannot be used" in result.stderr


def test_the_address_of_the_answer_can_be_pasted(
    run: Run, browser: Browser, vault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rcfs.platform._browser.secrets.token_urlsafe", lambda _bytes: "random")
    monkeypatch.setattr(_browser_login, "is_interactive", lambda: True)
    answer = "http://127.0.0.1:8477/callback?code=the-code&state="
    typed = f"https://example.com/\n{answer}wrong\n{answer}ran\n{answer}a%ff\n {answer}random \n"
    result = run("login", "--client-id", "the-app", "--no-browser", typed=typed)
    assert result.exit_code == 0
    assert "must begin with http://127.0.0.1:8477/callback?" in result.stderr
    assert result.stderr.count("belongs to another login") == 2
    assert "the end of the address is missing" in result.stderr
    assert (browser.codes, browser.pages) == (["the-code"], [])


def test_a_second_login_needs_no_typing(
    run: Run, browser: Browser, vault: Any, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_credentials, "is_interactive", lambda: True)
    typed = "https://other.example\nthe-app\nthe-secret\n"
    for answers, secret in ((typed, "the-secret"), ("\n\n\n", "the-secret"), ("\n\nnew\n", "new")):
        result = run("login", "--redirect-port", str(port), typed=answers)
        assert result.exit_code == 0
        own = settings().require_credentials()
        assert (own.server_url, own.client_id) == ("https://other.example", "the-app")
        assert (own.client_secret, own.user) == (secret, "77")
        assert "the-secret" not in result.output


def test_accounts_have_names(run: Run, browser: Browser, vault: Any, port: int, state_dir: Path) -> None:
    for account, user in (("work", "77"), ("home", "78")):
        browser.token = Token("access", 0, 0, f"refresh-{user}", 0, (), user)
        login = ["login", "--account", account, "--client-id", "the-app", "--redirect-port", str(port)]
        assert run(*login).exit_code == 0
    assert settings().credentials is None
    assert settings(account="work").require_credentials().user == "77"
    assert settings(account="home").credentials_place == "the keyring"
    grants = list((state_dir / "sessions").glob("*.grant"))
    assert len(grants) == 2
    for grant in grants:
        grant.unlink()  # the logout would ask the server to end the login
    assert run("logout", "--account", "nosuch", "--keep").exit_code == 2
    assert run("logout", "--account", "work", "--keep").exit_code == 0
    assert list(ACCOUNTS.places(pytest.fail)) == ["home"]
    result = run("pull", "--account", "work", "--dry-run")
    assert result.exit_code == 2
    assert "of the account 'work'; run `rcfs login --account work`" in result.stderr


def test_a_login_into_a_file_asks_no_keyring(
    run: Run, browser: Browser, vault: Any, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "_check", lambda: pytest.fail("it was asked, and may be locked"))
    login = ["login", "--file", "--client-id", "the-app", "--redirect-port", str(port)]
    for more in ([], ["--account", "work"], ["--pool", "second"]):
        assert run(*login, *more).exit_code == 0
    assert settings().require_credentials().user == "77"
    (further,) = settings().pool
    assert further.problem.startswith("it is the same user and app as your own login")


def test_forgetting_keeps_what_the_login_needs(
    run: Run, browser: Browser, vault: Any, port: int, state_dir: Path
) -> None:
    assert run("login", "--client-id", "the-app", "--redirect-port", str(port)).exit_code == 0
    assert run("forget", "--yes").exit_code == 0
    assert [path.suffix for path in (state_dir / "sessions").iterdir()] == [".grant"]


def test_a_login_waits_for_a_mount_that_renews_the_old_one(
    run: Run, browser: Browser, vault: Any, port: int, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = ["login", "--client-id", "the-app", "--redirect-port", str(port)]
    assert run(*login).exit_code == 0
    session = SharedSession(state_dir / "sessions", settings().require_credentials().identity, "boot")
    lock = session.try_lock()
    assert lock is not None

    waits = []

    def renewed(seconds: float) -> None:
        waits.append(seconds)
        session.keep_grant("refresh-of-the-mount")
        SharedSession.unlock(lock)

    monkeypatch.setattr("rcfs.cli._credential_places.time.sleep", renewed)
    assert run(*login).exit_code == 0
    assert (len(waits), session.grant()) == (1, "refresh-1")
    session.leave()
