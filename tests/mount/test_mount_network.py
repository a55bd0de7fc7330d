"""A mount whose server is reached over TLS, and through a proxy: what is wrong is said."""

import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from tests.fakes import secure, simulated
from tests.mount.conftest import COMMAND_S, Mounted, eventually, run

pytestmark = pytest.mark.mount


@contextmanager
def network(
    authority: secure.Authority, server: simulated.Simulated
) -> Iterator[tuple[str, secure.Proxying]]:
    """An https origin of `server`, called localhost, and a proxy; both in a thread."""
    ready = threading.Event()
    told: list[tuple[str, secure.Proxying, trio.lowlevel.TrioToken]] = []
    scope = trio.CancelScope()

    async def serve() -> None:
        with scope:
            await serve_within()

    async def serve_within() -> None:
        async with AsyncExitStack() as stack:
            tls = authority.context("localhost")
            port = await stack.enter_async_context(
                secure.tls_front(tls, urlsplit(server.platform_url).port or 0)
            )
            proxy = await stack.enter_async_context(secure.proxy())
            told.append((f"https://localhost:{port}", proxy, trio.lowlevel.current_trio_token()))
            ready.set()
            await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert ready.wait(COMMAND_S)
    origin, proxy, token = told[0]
    try:
        yield origin, proxy
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join(COMMAND_S)


def test_the_way_to_the_server(tmp_path: Path) -> None:
    for name in ("ours", "others", "home"):
        (tmp_path / name).mkdir()
    authority, stranger = secure.Authority(tmp_path / "ours"), secure.Authority(tmp_path / "others")
    with (
        simulated.start("--messages=30", "--limit=auth=100") as server,
        network(authority, server) as (origin, proxy),
    ):
        mount = Mounted(tmp_path / "home", server, "--limit=auth=100")
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
            mount.environment.pop(name, None)
        mount.environment["RC_SERVER_URL"] = origin
        trusted = tmp_path / "trusted.pem"
        trusted.write_bytes(stranger.file.read_bytes())
        mount.environment["SSL_CERT_FILE"] = str(trusted)

        def refused(code: int, *words: str) -> None:
            done = mount.rcfs("mount", *mount.options, str(mount.path), check=False)
            assert done.returncode == code, done.stderr
            assert len(done.stderr.splitlines()) == 1
            assert all(word in done.stderr for word in words), done.stderr

        def status() -> str:
            return mount.rcfs("status", f"--state-dir={mount.state}").stdout

        def findings() -> str:
            return mount.rcfs("doctor", *mount.options, check=False).stdout

        refused(7, "is not signed by an authority that this machine trusts")
        assert "SSL_CERT_FILE" in findings()
        trusted.write_bytes(authority.file.read_bytes())
        mount.environment["HTTPS_PROXY"] = "ftp://jane:secret@proxy"
        refused(2, "HTTPS_PROXY: ")
        assert "HTTPS_PROXY: " in findings()
        mount.environment["HTTPS_PROXY"] = f"http://jane:secret@127.0.0.1:{proxy.port}"
        proxy.login = ("john", "secret")
        refused(7, "refuses the login", "jane:…@127.0.0.1")
        assert server.journal() == [], "nothing was sent"
        proxy.login = ("jane", "secret")
        shown = findings()
        assert f" through http://jane:…@127.0.0.1:{proxy.port} (HTTPS_PROXY)" in shown
        assert "secret" not in shown
        try:
            mount.mount()
            assert next(mount.path.glob("101 */SMS/*/*/text.txt")).read_text()
            assert set(proxy.asked) == {origin.removeprefix("https://")}
            mount.umount()

            # Known messages are there, even if the environment is wrong.
            mount.environment["HTTPS_PROXY"] = "ftp://jane:secret@proxy"
            mount.mount()
            assert next(mount.path.glob("101 */SMS/*/*/text.txt")).read_text()
            shown = status()
            assert "(unreachable): HTTPS_PROXY: " in shown
            assert "secret" not in shown
            mount.umount()

            # A server that is not trusted is told of.
            del mount.environment["HTTPS_PROXY"]
            trusted.write_bytes(stranger.file.read_bytes())
            mount.mount()
            eventually(lambda: "is not signed by an authority" in status())
            mount.umount()
        finally:
            if mount.is_mounted:
                run(["fusermount3", "-u", "-z", str(mount.path)])
