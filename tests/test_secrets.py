"""No secret is told: by no verb at -v, in no report, state, page or snapshot, and in no process list."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, LocalIndex
from tests.test_provenance import make_provenance

USER, PASSWORD = "robot", "pa55/wörd"
SIGNATURE = "X-Signature=5ec12e7"
TOKEN = "t0ken-of-a-link"
SECRETS = (PASSWORD, quote(PASSWORD, safe=""), "pa55", "5ec12e7", TOKEN)
WHEEL = "demo-1.0-py3-none-any.whl"


@pytest.fixture
def leaky(index: LocalIndex, mirror: Mirror) -> Mirror:
    """An index behind a password that signs its links, and redirects with a token; files of it are broken."""
    index.credential = f"{USER}:{PASSWORD}"
    wheel = index.add(make_wheel("demo", "1.0"))
    wheel.provenance = make_provenance(wheel.hashes["sha256"])
    wheel.url = f"{index.origin}{wheel.path}?{SIGNATURE}"
    index.fail_always(f"{wheel.path}?{SIGNATURE}", Answer(200, wheel.data))
    broken = index.add(make_wheel("demo", "2.0"))
    broken.url = f"{index.origin}{broken.path}?{SIGNATURE}"
    index.fail_always(f"{broken.path}?{SIGNATURE}", Answer(503))
    index.add(make_sdist("other", "1.0"))
    with_token = index.url.replace("http://", f"http://{TOKEN}:{TOKEN}@")
    index.fail_always("/simple/other/", Answer(302, b"", {"Location": f"{with_token}moved/?{SIGNATURE}"}))
    page = Answer(200, index.detail_json("other"), {"Content-Type": JSON_TYPE})
    index.fail_always(f"/simple/moved/?{SIGNATURE}", page)
    index.add(make_sdist("signed", "1.0"))
    index.fail_always("/simple/signed/", Answer(302, b"", {"Location": f"{index.url}seen/?{SIGNATURE}"}))
    page = Answer(200, index.detail_json("signed"), {"Content-Type": JSON_TYPE})
    index.fail_always(f"/simple/seen/?{SIGNATURE}", page)
    index.fail_always("/simple/lost/", Answer(302, b"", {"Location": f"https://{TOKEN}@127.0.0.1:1/?{SIGNATURE}"}))
    index.fail_always("/simple/odd/", Answer(302, b"", {"Location": f"ftp://{TOKEN}@127.0.0.1:1/?{SIGNATURE}"}))
    url = index.url.replace("http://", "http://${INDEX_USER}:${INDEX_PASSWORD}@")
    mirror.environ |= {"INDEX_USER": USER, "INDEX_PASSWORD": quote(PASSWORD, safe="")}
    mirror.write_spec(url, "flat: true\nprojects: [demo, other, signed, lost, odd]", network="retries: 1, timeout: 2 s")
    return mirror


def _assert_untold(mirror: Mirror, *texts: str) -> None:
    for secret in SECRETS:
        for text in texts:
            assert secret not in text
        for path in mirror.folder.rglob("*"):
            if path.is_file() and path != mirror.spec:
                assert secret.encode() not in path.read_bytes(), path


def test_no_verb_tells_a_secret(index: LocalIndex, leaky: Mirror) -> None:
    texts = []
    for arguments in (
        ("plan", "-v", "--files"),
        ("plan", "--json"),
        ("sync", "-v"),
        ("sync", "--json"),
        ("why", "demo", "-v"),
        ("why", "demo==2.0", "--json"),
        ("why", "--size"),
        ("check", "-v", "--no-uv"),
        ("verify", "-v"),
        ("prune", "-v", "--dry-run"),
        ("config", "nginx"),
    ):
        run = leaky.run(*arguments, code=None)
        assert run.code in (0, 1, 5), run.err
        texts += [run.out, run.err]
    leaky.find(WHEEL).unlink()
    (leaky.tree / "flat" / WHEEL).unlink()
    repaired = leaky.run("verify", "--repair", "-v", "--json")

    assert len(repaired.json["mended"]) == 2
    assert leaky.projects() == ["demo", "other", "signed"]
    assert any("HTTP 503" in text for text in texts)
    _assert_untold(leaky, repaired.out, repaired.err, *texts)


def test_what_a_broken_off_run_leaves_tells_no_secret(index: LocalIndex, leaky: Mirror) -> None:
    index.tells_sizes = False  # so that it does not stay in memory until it is whole
    entry = index.entries[0]
    body = Answer(200, entry.data, {"ETag": '"1"'}, cut=10)
    index.fail(f"{entry.path}?{SIGNATURE}", body, body, body, body)

    run = leaky.sync("-v", code=1)

    assert list(leaky.tree.glob(".pymirror/partial/*.json"))
    _assert_untold(leaky, run.out, run.err)


_HOOK = """
import sys

def _note(event, arguments):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        with open({log!r}, "a", encoding="utf-8") as log:
            log.write(repr((event, arguments)) + "\\n")

sys.addaudithook(_note)
"""


@pytest.fixture
def watched(leaky: Mirror) -> tuple[Mirror, Path]:
    """The mirror, and a file with what each process was started with."""
    folder = leaky.folder / "hook"
    folder.mkdir()
    log = leaky.folder / "started.log"
    (folder / "sitecustomize.py").write_text(_HOOK.format(log=str(log)))
    leaky.environ["PYTHONPATH"] = str(folder)
    return leaky, log


def test_no_process_is_started_with_a_secret(index: LocalIndex, watched: tuple[Mirror, Path]) -> None:
    """Neither the ones that format descriptions nor uv: not in their arguments, and uv not in its variables either."""
    mirror, log = watched
    metadata = "Metadata-Version: 2.1\nName: third\nVersion: 1.0\nDescription-Content-Type: text/x-rst\n\nWords\n"
    index.add(make_wheel("third", "1.0", metadata=metadata))
    mirror.spec.write_text(mirror.spec.read_text().replace("odd]", "odd, third]"))
    done = subprocess.run(
        [sys.executable, "-m", "pymirror", "sync", "-v", "--check"],
        cwd=mirror.folder,
        env=mirror.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    started = log.read_text(encoding="utf-8")
    assert "description_worker" in started
    assert "pip', 'compile'" in started
    _assert_untold(mirror, done.stdout, done.stderr, started)


@pytest.mark.parametrize("kind", ["http_proxy", "all_proxy"])
def test_a_password_of_a_proxy_is_told_to_nobody(index: LocalIndex, mirror: Mirror, kind: str) -> None:
    mirror.environ[kind] = f"http://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:1"
    mirror.write_spec(index, "projects: [demo]", network="retries: 1, timeout: 2 s")

    run = mirror.sync("-v", code=1)

    assert index.requests() == []
    _assert_untold(mirror, run.out, run.err)


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX"])
def test_a_password_of_the_default_index_is_told_to_nobody(index: LocalIndex, mirror: Mirror, variable: str) -> None:
    user = f"{USER}:{quote(PASSWORD, safe='')}"
    mirror.environ[variable] = index.url.replace("http://", f"http://{user}@")
    mirror.spec.write_text("output: mirror\nnetwork: {retries: 0}\nprojects: [demo]\n")
    index.credential = f"{USER}:{PASSWORD}"
    index.add(make_wheel("demo", "1.0"))

    run = mirror.sync("-v", "--json")
    lockfile = mirror.run("config", "lockfile", "--url", "http://m.example.com/", code=None)
    mirror.environ[variable] = f"http://{user}@packages.example.com/simple/"
    refused = mirror.sync("-v", code=2)

    assert mirror.filenames("demo") == [WHEEL]
    assert "http://packages.example.com/simple/: http, which everyone on the way can read" in refused.err
    assert "allow-http: true" in refused.err
    _assert_untold(mirror, run.out, run.err, lockfile.out, lockfile.err, refused.err)


def test_init_writes_no_password_into_the_spec(mirror: Mirror) -> None:
    user = f"{USER}:{quote(PASSWORD, safe='')}"
    (mirror.folder / "in.txt").write_text(
        f"--index-url https://{user}@packages.example.com/simple/\n--extra-index-url https://{user}@x.example.com/\n"
        f"six\nodd @ https://{user}@x.example.com/odd-1.0.zip\n"
    )

    run = mirror.run("init", "in.txt", code=None)

    (mirror.folder / "in.txt").unlink()
    texts = [run.out, run.err, mirror.spec.read_text() if mirror.spec.exists() else ""]
    assert all(secret not in text for secret in SECRETS for text in texts)


def test_a_report_in_json_is_still_whole_when_secrets_are_left_out(leaky: Mirror) -> None:
    failures = json.loads(leaky.sync("--json", code=1).out)["failures"]

    assert sorted(failure["what"] for failure in failures) == ["demo-2.0-py3-none-any.whl", "lost", "odd"]
