"""A real S3 server (moto's) in a process of its own, and a server that answers S3 requests wrongly."""

import socket
import socketserver
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUCKET = "contents"
_SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server on this machine, with an empty bucket."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
        bucket(endpoint, "PUT")
        try:
            yield endpoint
        finally:
            process.terminate()


def bucket(endpoint: str, method: str, name: str = BUCKET) -> None:
    """Create (PUT) or delete a bucket."""
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method=method)):
        pass


def write_options(path: Path, endpoint: str) -> Path:
    """A file of options for rcfs, with the keys of the server."""
    path.write_text(
        f'aws_endpoint = "{endpoint}"\naws_access_key_id = "AKIA1"\naws_secret_access_key = "s3cret"\n'
        'aws_region = "us-east-1"\n'
    )
    path.chmod(0o600)
    return path


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        # The whole request: closing a socket with unread bytes would reset the connection.
        length = 0
        while line := self.rfile.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        self.rfile.read(length)
        if self.server.reply is None:
            self.server.released.wait()
        elif self.server.reply:
            self.request.sendall(self.server.reply)
        else:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    reply: bytes | None = None
    released: threading.Event


@contextmanager
def bad_server(reply: bytes | None) -> Iterator[str]:
    """The endpoint of a server that sends `reply` to every request.

    It resets the connection if that is empty, and answers nothing before the end if it is None.
    """
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.reply, server.released = reply, threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
