"""The server of all programs: nginx, whose access log gives the number of requests."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from bench._material import ACCOUNT_ID, Material
from bench._processes import running, wait_listening

_QUIET_S = 0.15
"""After so long without a request, background fetches have ended."""
_QUIET_WITHIN_S = 10.0
_LIMIT = 1_000_000
"""Requests a minute that the platform allows; more than any program sends, so that none waits."""

_CONFIG = """\
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    # One line per request, written at the end of the answer.
    log_format requests '$server_name $request_method $status $uri';
    access_log {folder}/access.log requests;
    client_body_temp_path {folder}/temp;
    proxy_temp_path {folder}/temp;
    default_type application/octet-stream;
    map $uri $group {{
        ~/content/ medium;
        ~/(recording/|call-log) heavy;
        ~/oauth/ auth;
        default light;
    }}
    types {{ text/html html; application/json json; }}
    sendfile on;
    tcp_nodelay on;
    # A redirect to the same place must not lead past a proxy.
    absolute_redirect off;
    # By default nginx closes a connection after 1,000 requests, earlier than real servers.
    keepalive_requests 1000000;
    keepalive_timeout 300s;
{servers}
}}
"""
_SERVER = """\
    server {{
        listen 127.0.0.1:{port};
        server_name {name};
        location / {{ root {root}/files; autoindex on; autoindex_format {index}; autoindex_exact_size on; }}
        location /restapi/ {{
            default_type application/json;
            add_header X-Rate-Limit-Group $group;
            add_header X-Rate-Limit-Limit {limit};
            add_header X-Rate-Limit-Remaining {remaining};
            add_header X-Rate-Limit-Window 60;
            location = /restapi/oauth/token {{
                return 200 '{{"access_token": "t", "token_type": "bearer", "expires_in": 3600}}';
            }}
            location = /restapi/oauth/revoke {{ return 200; }}
            location = /restapi/v1.0/account/~ {{ alias {records}/account.json; }}
            location = /restapi/v1.0/account/~/extension/~ {{ alias {records}/own.json; }}
            location ~ ^/restapi/v1.0/account/(~|{account})/extension$ {{
                root {records};
                try_files /extensions-$arg_page.json /extensions-1.json =404;
            }}
            location ~ ^/restapi/v1.0/account/(~|{account})/extension/(?<owner>[0-9]+)/message-store$ {{
                root {records};
                try_files /messages-$owner-$arg_page.json =404;
            }}
            location ~ /extension/(?<owner>[0-9]+)/message-sync$ {{
                root {records};
                try_files /sync-$owner.json /sync.json =404;
            }}
            location ~ ^/restapi/v1.0/account/(~|{account})/call-log$ {{
                root {records};
                try_files /calls-$arg_page.json =404;
            }}
            location ~ ^/restapi/v1.0/account/(~|{account})/call-log-sync$ {{
                root {records};
                try_files /sync.json =404;
            }}
            location ~ /recording/(?<content>[0-9]+)/content$ {{
                root {root}/content;
                default_type audio/mpeg;
                try_files /$content =404;
            }}
            location ~ /message-store/[0-9]+/content/(?<content>[0-9]+)$ {{
                root {root}/content;
                default_type application/pdf;
                try_files /$content =404;
            }}
        }}
    }}
"""


@attrs.frozen
class Origin:
    """One address of the server."""

    name: str
    """Its name in the access log."""
    url: str
    """The URL that programs get, such as ``http://127.0.0.1:40001``; it may be that of a proxy."""
    port: int
    """The port of nginx itself."""
    index: str = "html"
    """The format of its folder listings: ``html`` or ``json``."""


@attrs.define(eq=False)
class AccessLog:
    """The requests so far."""

    path: Path
    """nginx's log; a line per request."""
    _read: int = 0

    def wait_quiet(self) -> None:
        """Returns after a moment without requests, or after some seconds."""
        deadline = time.monotonic() + _QUIET_WITHIN_S
        size, since = -1, 0.0
        while time.monotonic() < deadline:
            now_size = self.path.stat().st_size
            if now_size != size:
                size, since = now_size, time.monotonic()
            elif time.monotonic() - since >= _QUIET_S:
                return
            time.sleep(_QUIET_S / 5)

    def take(self) -> list[str]:
        """The lines since the last call; waits for a moment without requests first."""
        self.wait_quiet()
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        return data.decode("utf-8", "replace").splitlines()


def config(folder: Path, material: Material, origins: Sequence[Origin]) -> str:
    """Nginx's configuration."""
    servers = "".join(
        _SERVER.format(
            port=origin.port,
            name=origin.name,
            index=origin.index,
            root=material.folder,
            records=material.folder / origin.name,
            account=ACCOUNT_ID,
            limit=_LIMIT,
            remaining=_LIMIT - 1,
        )
        for origin in origins
    )
    return _CONFIG.format(folder=folder, servers=servers)


@contextmanager
def nginx(folder: Path, material: Material, origins: Sequence[Origin]) -> Iterator[AccessLog]:
    """Runs nginx during the block, which serves `material` at `origins`; its files are in `folder`.

    Raises:
        RuntimeError: It did not start; the message is its output.
    """
    folder.mkdir()
    path = folder / "nginx.conf"
    path.write_text(config(folder, material, origins), encoding="utf-8")
    said = folder / "error.log"
    with running(["nginx", "-p", str(folder), "-e", str(said), "-c", str(path)], log=said) as process:
        for origin in origins:
            wait_listening(origin.port, process, said)
        yield AccessLog(folder / "access.log")


def version() -> str:
    """Version of nginx, such as ``nginx 1.22.1``."""
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return said.partition(":")[2].strip().replace("/", " ")
