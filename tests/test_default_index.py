"""Which index is mirrored from when the spec names none: pip's, uv's, or the finder library's own default."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pymirror.default_index import find_default_upstream
from pymirror.errors import ConfigurationError, ExitCode
from tests.archives import make_sdist
from tests.conftest import Mirror
from tests.index import LocalIndex


def conf(*lines: str, section: str = "global") -> str:
    return "\n".join([f"[{section}]", *lines, ""])


def index_url(name: str) -> str:
    return f"https://{name}.example.com/simple"


@pytest.fixture
def variables(tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """An environment in which none of this machine's own files of pip counts."""
    if Path(sys.prefix, "pip.conf").exists():
        pytest.skip("this Python has a pip.conf of its own, which goes before the user's")
    return {"HOME": environ["HOME"], "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def write_user_conf(variables: dict[str, str], text: str, *, where: str = ".config/pip/pip.conf") -> Path:
    path = Path(variables["HOME"], where)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# ── where it comes from ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", [index_url("pip"), f"{index_url('pip')}/", f"  {index_url('pip')}  "])
def test_pip_index_url_is_taken(variables: dict[str, str], url: str) -> None:
    upstream = find_default_upstream(variables | {"PIP_INDEX_URL": url})

    assert upstream.url == "https://pip.example.com/simple/"
    assert upstream.name == "default"
    assert upstream.projects == ()


def test_a_credential_in_the_url_is_kept_apart(variables: dict[str, str]) -> None:
    upstream = find_default_upstream(variables | {"PIP_INDEX_URL": "https://me:p%40ss@example.com/simple"})

    assert upstream.url == "https://example.com/simple/"
    assert upstream.credentials == ("me", "p@ss")
    assert "p@ss" not in repr(upstream)


@pytest.mark.parametrize("where", [".config/pip/pip.conf", ".pip/pip.conf"])
@pytest.mark.parametrize("key", ["index-url", "index_url"])
def test_the_users_pip_conf_is_read(variables: dict[str, str], where: str, key: str) -> None:
    write_user_conf(variables, conf(f"{key} = {index_url('home')}", "timeout = 60"), where=where)

    assert find_default_upstream(variables).url == "https://home.example.com/simple/"


def test_xdg_config_home_is_heeded(variables: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "settings" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True)
    path.write_text(conf(f"index-url = {index_url('xdg')}"))

    upstream = find_default_upstream(variables | {"XDG_CONFIG_HOME": str(tmp_path / "settings")})

    assert upstream.url == "https://xdg.example.com/simple/"


def test_a_percent_sign_in_pip_conf_is_no_reference(variables: dict[str, str]) -> None:
    write_user_conf(variables, conf("index-url = https://me:50%25@example.com/simple"))

    assert find_default_upstream(variables).credentials == ("me", "50%")


@pytest.mark.parametrize("value", [index_url("uv"), f"company={index_url('uv')}"])
def test_uv_default_index_is_taken_with_and_without_a_name(value: str) -> None:
    upstream = find_default_upstream({"PIP_CONFIG_FILE": "/dev/null", "UV_DEFAULT_INDEX": value})

    assert upstream.url == "https://uv.example.com/simple/"


@pytest.mark.parametrize("prefix", ["", "company="])
def test_an_equals_sign_in_uv_default_index_may_be_the_urls(prefix: str) -> None:
    value = f"{prefix}https://me:dG9rZW4=@example.com/simple"

    upstream = find_default_upstream({"PIP_CONFIG_FILE": "/dev/null", "UV_DEFAULT_INDEX": value})

    assert upstream.credentials == ("me", "dG9rZW4=")


def test_the_finders_default_is_https(environ: dict[str, str]) -> None:
    upstream = find_default_upstream({"HOME": environ["HOME"], "PIP_CONFIG_FILE": "/dev/null"})

    assert upstream.url.startswith("https://")
    assert upstream.url.endswith("/")
    assert upstream.credentials is None


# ── which goes before which ─────────────────────────────────────────────────────────────────────────


def test_each_source_goes_before_the_next(variables: dict[str, str], tmp_path: Path) -> None:
    """``PIP_INDEX_URL``, ``PIP_CONFIG_FILE``, the user's file, the machine's file, ``UV_DEFAULT_INDEX``."""
    named = tmp_path / "named.conf"
    named.write_text(conf(f"index-url = {index_url('named')}"))
    shared = tmp_path / "xdg" / "pip" / "pip.conf"
    shared.parent.mkdir(parents=True)
    shared.write_text(conf(f"index-url = {index_url('shared')}"))
    user = write_user_conf(variables, conf(f"index-url = {index_url('user')}"))
    legacy = write_user_conf(variables, conf(f"index-url = {index_url('legacy')}"), where=".pip/pip.conf")
    variables |= {
        "PIP_INDEX_URL": index_url("variable"),
        "PIP_CONFIG_FILE": str(named),
        "UV_DEFAULT_INDEX": index_url("uv"),
    }

    found = [find_default_upstream(variables).url]
    del variables["PIP_INDEX_URL"]
    found.append(find_default_upstream(variables).url)
    del variables["PIP_CONFIG_FILE"]
    for path in (user, legacy):
        found.append(find_default_upstream(variables).url)
        path.unlink()
    if not _machine_has_an_index():
        found.append(find_default_upstream(variables).url)
        shared.unlink()
        found.append(find_default_upstream(variables).url)

    names = ["variable", "named", "user", "legacy", "shared", "uv"]
    assert found == [f"https://{name}.example.com/simple/" for name in names[: len(found)]]
    assert len(found) >= 4


def _machine_has_an_index() -> bool:
    path = Path("/etc/pip.conf")
    return path.exists() and "index" in path.read_text()


def test_no_file_of_pip_counts_when_pip_is_told_so(variables: dict[str, str]) -> None:
    write_user_conf(variables, conf(f"index-url = {index_url('user')}"))

    upstream = find_default_upstream(variables | {"PIP_CONFIG_FILE": "/dev/null", "UV_DEFAULT_INDEX": index_url("uv")})

    assert upstream.url == "https://uv.example.com/simple/"


def test_the_users_file_does_not_count_when_another_is_named(variables: dict[str, str], tmp_path: Path) -> None:
    write_user_conf(variables, conf(f"index-url = {index_url('user')}"))
    (tmp_path / "named.conf").write_text(conf("timeout = 60"))
    variables |= {"PIP_CONFIG_FILE": str(tmp_path / "named.conf"), "UV_DEFAULT_INDEX": index_url("uv")}

    assert find_default_upstream(variables).url != "https://user.example.com/simple/"


@pytest.mark.parametrize("text", ["", conf("timeout = 60"), conf(f"index-url = {index_url('x')}", section="install")])
def test_a_file_without_an_index_is_passed_over(variables: dict[str, str], text: str) -> None:
    write_user_conf(variables, text)
    write_user_conf(variables, conf(f"index-url = {index_url('legacy')}"), where=".pip/pip.conf")

    assert find_default_upstream(variables).url == "https://legacy.example.com/simple/"


# ── what cannot be used ─────────────────────────────────────────────────────────────────────────────

BAD_URLS = [
    "ftp://example.com/simple",
    "file:///srv/simple",
    "/srv/simple",
    "example.com/simple",
    "https://",
    "https://example.com:port/simple",
    "https://[::1/simple",
    "https://me:s3cret@example.com/simple?token=s3cret",
]


@pytest.mark.parametrize("url", BAD_URLS)
@pytest.mark.parametrize("source", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "pip.conf"])
def test_what_is_no_index_url_is_refused_and_not_repeated(variables: dict[str, str], source: str, url: str) -> None:
    if source == "pip.conf":
        write_user_conf(variables, conf(f"index-url = {url}"))
    elif source == "UV_DEFAULT_INDEX":
        variables |= {source: url, "PIP_CONFIG_FILE": "/dev/null"}
    else:
        variables[source] = url

    with pytest.raises(ConfigurationError) as caught:
        find_default_upstream(variables)

    assert source in str(caught.value)
    assert url not in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    "data", [b"index-url = https://example.com/s3cret\n", b"[global\n", b"[global]\ns3cret\n", b"\xff\xfe[global]\n"]
)
def test_a_pip_conf_that_cannot_be_read_is_named_and_not_quoted(variables: dict[str, str], data: bytes) -> None:
    path = write_user_conf(variables, "")
    path.write_bytes(data)

    with pytest.raises(ConfigurationError) as caught:
        find_default_upstream(variables)

    assert str(path) in str(caught.value)
    assert "s3cret" not in str(caught.value)


# ── in a run ────────────────────────────────────────────────────────────────────────────────────────


def test_sync_uses_the_index_that_pip_is_configured_for(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.spec.write_text("output: mirror\nprojects: [demo]\n")
    mirror.environ["PIP_INDEX_URL"] = index.url

    mirror.sync()

    assert mirror.filenames("demo") == ["demo-1.0.tar.gz"]


def test_the_default_index_has_what_no_upstream_claims(index: LocalIndex, mirror: Mirror) -> None:
    with LocalIndex() as internal:
        index.add(make_sdist("demo", "1.0"))
        internal.add(make_sdist("acme", "1.0"))
        mirror.spec.write_text(
            f"output: mirror\nupstreams: [{{url: '{internal.url}', projects: [acme*]}}]\nprojects: [acme, demo]\n"
        )
        mirror.environ["PIP_INDEX_URL"] = index.url

        mirror.sync()

        assert mirror.projects() == ["acme", "demo"]
        assert index.requests("acme") == []
        assert internal.requests("demo") == []


def test_a_default_index_that_cannot_be_used_ends_the_run_before_it_begins(mirror: Mirror) -> None:
    mirror.spec.write_text("output: mirror\nprojects: [demo]\n")
    mirror.environ["PIP_INDEX_URL"] = "https://me:s3cret@/simple"

    run = mirror.sync(code=2)

    assert "PIP_INDEX_URL is not the http(s) URL of an index" in run.err
    assert "s3cret" not in run.err
    assert not mirror.tree.exists()
