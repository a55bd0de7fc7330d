"""A server that answers any bytes: what it can make of the memory of whoever asks it.

The client runs in a process of its own, whose peak of memory is measured; all cases in one, for the start
costs more than they do.
"""

import json
import subprocess
import sys
import textwrap

import pytest

MOST_BYTES = 160 << 20
"""Number of bytes by which the process may grow: those of 16 MiB of JSON with a million values."""

CLIENT = textwrap.dedent("""
    import gzip, itertools, json, resource, zlib
    import trio
    from rcfs.errors import PlatformError, ServerError
    from rcfs.platform import AllowedHosts, Client, Request, token_from
    from rcfs.platform import _client

    _client.HEADERS_WITHIN_S = 2.0
    BLOCK = bytes(1 << 20)

    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    ZEROS = b"".join([*(packer.compress(BLOCK) for _ in range(256)), packer.flush()])

    def bomb(codings):
        data = ZEROS
        for _ in range(codings - 1):
            data = gzip.compress(data)
        return [b"HTTP/1.1 200 OK\\r\\nContent-Encoding: " + b", ".join([b"gzip"] * codings) + b"\\r\\n\\r\\n" + data]

    OK, BAD = b"HTTP/1.1 200 OK\\r\\n\\r\\n", b"HTTP/1.1 400 Bad Request\\r\\n\\r\\n"
    CHUNKED = b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    endless = lambda head, piece: itertools.chain([head], itertools.repeat(piece * (65536 // len(piece))))
    CASES = {
        "gzip": (lambda: bomb(1), "body"),
        "gzip of gzip": (lambda: bomb(2), "body"),
        "gzip of gzip of gzip": (lambda: bomb(3), "body"),
        "gzip of gzip, error": (lambda: [bomb(2)[0].replace(b"200 OK", b"400 Bad")], "beginning"),
        "gzip of gzip, token": (lambda: bomb(2), "token"),
        "gzip, token": (lambda: bomb(1), "token"),
        "empty objects": (lambda: [OK + b"[", *[b"{}," * 21_000] * 1_000, b"1]"], "json"),
        "empty objects, small": (lambda: [OK + b"[", *[b"{}," * 5_000] * 1_000, b"1]"], "json"),
        "small texts": (lambda: [OK + b"[", *[b'"ab",' * 3_000] * 1_000, b"1]"], "json"),
        "open brackets": (lambda: [OK, *[b"[" * 15_000] * 1_000], "json"),
        "endless JSON": (lambda: endless(OK, b" "), "json"),
        "endless error": (lambda: endless(BAD, b"x"), "beginning"),
        "endless token": (lambda: endless(OK, b" "), "token"),
        "endless refusal of a token": (lambda: endless(BAD, b" "), "token"),
        "endless redirect": (lambda: endless(OK.replace(b"200 OK", b"302 Go\\r\\nLocation: /x"), b"x"), "drop"),
        "endless status line": (lambda: endless(b"HTTP/1.1 200 ", b"x"), "body"),
        "endless header": (lambda: endless(b"HTTP/1.1 200 OK\\r\\na: ", b"x"), "body"),
        "endless headers": (lambda: endless(b"HTTP/1.1 200 OK\\r\\n", b"a: b\\r\\n"), "body"),
        "many headers": (lambda: [b"HTTP/1.1 200 OK\\r\\n" + b"a:b\\r\\n" * 15_000 + b"\\r\\n"], "drop"),
        "endless 1xx": (lambda: endless(b"", b"HTTP/1.1 100 Continue\\r\\n\\r\\n"), "body"),
        "tiny chunks": (lambda: [CHUNKED, *[b"1\\r\\n \\r\\n" * 200] * 50, b"1\\r\\n1\\r\\n0\\r\\n\\r\\n"], "json"),
        "endless chunk extension": (lambda: endless(CHUNKED + b"1;a=", b"x"), "body"),
        "endless trailers": (lambda: endless(CHUNKED + b"1\\r\\n1\\r\\n0\\r\\n", b"a: b\\r\\n"), "body"),
    }

    async def main():
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        now = []

        async def serve(stream):
            try:
                await stream.receive_some(65536)
                for data in now[0]:
                    await stream.send_all(data)
            except trio.BrokenResourceError:
                pass

        async def ask(kind):
            client = Client(AllowedHosts(url), user_agent="rcfs/test")
            try:
                if kind == "token":
                    async with client.send(Request("t", "auth", "/t", method="POST"), basic=("a", "b")) as answer:
                        await token_from(answer, 0.0)
                async with client.send(Request("x", "light", "/x"), "token") as answer:
                    if kind == "beginning":
                        return f"{len(await answer.beginning(65536))} bytes"
                    if kind == "json":
                        return str(await trio.to_thread.run_sync(json.loads, await answer.body()))
                    if kind == "drop":
                        return "dropped"
                    return f"{len(await answer.body())} bytes"
            except PlatformError as exc:
                return type(exc).__name__
            finally:
                await client.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            for name, (frames, kind) in CASES.items():
                now[:] = [frames()]
                await trio.sleep(0.01)
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                with trio.fail_after(60):
                    told = await ask(kind)
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                print(json.dumps([name, told, grown * 1024]), flush=True)
            nursery.cancel_scope.cancel()

    trio.run(main)
""")  # noqa: E501 - one case on a line

EXPECTED = {
    "gzip": "ServerError",
    "gzip of gzip": "ServerError",
    "gzip of gzip of gzip": "ServerError",
    "gzip of gzip, error": "0 bytes",
    "gzip of gzip, token": "ServerError",
    "gzip, token": "ServerError",
    "empty objects": "ServerError",
    "empty objects, small": "ServerError",
    "small texts": "ServerError",
    "open brackets": "ServerError",
    "endless JSON": "ServerError",
    "endless error": "65536 bytes",
    "endless token": "ServerError",
    "endless refusal of a token": "ServerError",
    "endless redirect": "dropped",
    "endless status line": "TransportError",
    "endless header": "TransportError",
    "endless headers": "TransportError",
    "many headers": "dropped",
    "endless 1xx": "TransportError",
    "tiny chunks": "1",
    "endless chunk extension": "TransportError",
    "endless trailers": "TransportError",
}


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[str, int]]:
    """The result of each case, and the number of bytes by which the peak of memory grew."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT], capture_output=True, text=True, timeout=150, check=False
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (rows[-1:], done.stderr[-2000:])
    return {name: (outcome, grown) for name, outcome, grown in rows}


@pytest.mark.parametrize("name", EXPECTED)
def test_no_answer_fills_the_memory(told: dict[str, tuple[str, int]], name: str) -> None:
    outcome, grown = told[name]
    assert outcome == EXPECTED[name]
    assert grown < MOST_BYTES, f"{grown >> 20} MiB"
