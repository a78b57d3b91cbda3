"""A Hugging Face Hub on 127.0.0.1, as far as a download needs one: https://huggingface.co/docs/hub/api.

FakeHub(files)  a server of repositories, each a dict of files; `asked` is what was asked of it
hub.env(home)   the environment in which llama2py asks it, and nothing else
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secret"


@dataclass
class Repository:
    """gated: only for who has the token. sizes: what is claimed, where that is not so."""

    files: dict[str, bytes]
    gated: bool = False
    sizes: dict[str, int] = field(default_factory=dict)


class FakeHub:
    """breaks: how many downloads of more than 1000 bytes end in the middle. fails: the status of all answers, or 0."""

    def __init__(self, **repositories: dict[str, bytes] | Repository) -> None:
        self.repositories = {
            name.replace("__", "/"): found if isinstance(found, Repository) else Repository(found)
            for name, found in repositories.items()
        }
        self.breaks = 0
        self.fails = 0
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, range
        hub = self

        class Handler(_Handler):
            served = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def env(self, home: Path, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.upper().startswith(("HF_", "HUGGING"))}
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            kept.pop(name, None)
            kept.pop(name.upper(), None)
        return kept | {"HF_HOME": str(home), "HF_ENDPOINT": self.endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"} | more

    def downloads(self) -> list[str]:
        return [path.split("/", 5)[-1] for method, path, _ in self.asked if method == "GET" and "/resolve/" in path]


class _Handler(BaseHTTPRequestHandler):
    served: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(self.path.partition("?")[0])
        self.served.asked.append((self.command, path, self.headers.get("Range")))
        if self.served.fails:
            return self._send(self.served.fails, b"", {})
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        match = api or file
        repository = self.served.repositories.get(match[1]) if match else None
        if match is None or repository is None:
            return self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        revision = (match[3] if api else match[2]) or "main"
        if revision not in ("main", COMMIT):
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if api and match[2] != "tree":
            return self._send_json(self._info(match[1], repository))
        if repository.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, b"{}", {"X-Error-Code": "GatedRepo"})
        if api:
            entries = [self._entry(name, data) for name, data in repository.files.items()]
            return self._send_json(entries)
        data = repository.files.get(match[3])
        if data is None:
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        return self._send_file(data, body)

    def _info(self, name: str, repository: Repository) -> dict[str, Any]:
        return {
            "id": name,
            "modelId": name,
            "sha": COMMIT,
            "private": False,
            "gated": "manual" if repository.gated else False,
            "tags": [],
            "downloads": 0,
            "siblings": [
                {"rfilename": file, "size": repository.sizes.get(file, len(data)), "blobId": _digest(data)}
                for file, data in repository.files.items()
            ],
        }

    def _entry(self, name: str, data: bytes) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(data), "oid": _digest(data)}

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send_file(self, data: bytes, body: bool) -> None:
        headers = {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        first = int(begin[1]) if begin else 0
        if begin:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        breaks = body and self.served.breaks > 0 and len(data) > 1000
        if breaks:
            self.served.breaks -= 1
        self._send(206 if begin else 200, data[first:], headers, half=breaks)

    def _send(self, status: int, data: bytes, headers: dict[str, str], half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[: len(data) // 2] if half else data)
        self.close_connection = self.close_connection or half


def _digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
