"""200 secrets of every shape, planted wherever a user may have one: a bundle shows none, and what it is for."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import shutil
import string
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from support.pods import FIXTURE
from support.programs import Programs

from boulder_k8s.diagnose import bundle
from boulder_k8s.diagnose.sieve import Sieve
from boulder_k8s.host import tools
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.host.tools import Tools
from boulder_k8s.run.directory import Run

NAMES = (
    "DB_PASSWORD db_password dbPassword clientSecret CLIENT_ID tenant some.key x-api-thing REDIS_URL dsn licence pin LICENSE_KEY "
    "apiToken bearer passphrase SIGNING_SEED account webhook MYSQL_PWD endpoint user version target name type image"
).split()
RANDOM = random.Random(16)


def characters(alphabet: str, number: int) -> str:
    return "".join(RANDOM.choice(alphabet) for _ in range(number))


def some() -> str:
    return characters(string.ascii_letters + string.digits, 12)


SHAPES: tuple[Callable[[], str], ...] = (
    some,
    lambda: characters("0123456789abcdef", 32),
    lambda: characters(string.ascii_lowercase, 14),
    lambda: f"{some()},{some()}",
    lambda: f"{some()} {some()} {some()}",
    lambda: f'{some()}"{some()}',
    lambda: f"{some()}'{some()}",
    lambda: f"{some()}\\{some()}",
    lambda: f"{some()}&<{some()}>?/+{some()}=",
    lambda: f"p@{some()}:{some()}#{some()}",
    lambda: f"grün-{some()}-ß",
    lambda: f"{some()}\n{some()}\n{some()}",
    lambda: base64.b64encode(RANDOM.randbytes(24)).decode(),
    lambda: f"$${some()}$x",
    lambda: characters(string.digits, 9),
    lambda: f"hunter{characters(string.digits, 2)}{characters(string.ascii_lowercase, 3)}",
)


def drawn(number: int) -> list[str]:
    """Secrets of every shape in turn."""
    return [SHAPES[at % len(SHAPES)]() for at in range(number)]


def spelled(value: str) -> Iterator[str]:
    """How programs write a value: as it is, and by the encoders of others than those who scrub."""
    yield value
    yield json.dumps(value)
    yield json.dumps({"nested": json.dumps({"deep": value})})
    yield quote(value, safe="")
    yield yaml.safe_dump({"key": value}, width=10_000)
    yield f"'{value}'"
    yield repr(value)
    for ahead in ("", "a", "us:"):
        yield base64.b64encode(f"{ahead}{value}".encode()).decode()
        yield base64.urlsafe_b64encode(f"{ahead}{value} and more".encode()).decode()


def cores(value: str) -> list[str]:
    """What of a secret must be nowhere: each of its lines, and each of its random parts."""
    return [part for part in re.split(r"[^A-Za-z0-9]+", value) if len(part) >= 8] or [value]


def decoded(text: str) -> Iterator[str]:
    """Yields what the base64 in a text says, read from each of four places."""
    for run in re.findall(r"[A-Za-z0-9+/_-]{8,}", text):
        for start in range(4):
            piece = run[start:].replace("-", "+").replace("_", "/")
            piece = piece[: len(piece) // 4 * 4]
            yield base64.b64decode(piece).decode("latin-1")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of the miniature Boulder."""
    path = tmp_path / "boulder"
    shutil.copytree(FIXTURE, path, symlinks=True)
    git = ["git", "-C", path, "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "public"]):
        subprocess.run([*git, *words], check=True)
    return path


@pytest.fixture
def project(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project with our manifests, whose cluster's node answers from its journal."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "k8s").symlink_to(ROOT / "k8s")
    shutil.copytree(ROOT / "k8s", root / "copied")
    (root / "k8s").unlink()
    (root / "copied").rename(root / "k8s")
    found = Settings(root, "unit", "node:test", ())
    node = {"State": {"Running": True}, "Mounts": [{"Source": str(found.runs), "Destination": "/runs", "Type": "bind"}]}
    programs.answer("docker", "container inspect", f"echo '{json.dumps([node])}'")
    monkeypatch.setattr(tools, "find", lambda settings: Tools(Path("/kind"), Path("/kubectl")))
    return found


def members(path: Path) -> dict[str, str]:
    with tarfile.open(path) as found:
        return {item.name.removeprefix("boulder-k8s/"): found.extractfile(item).read().decode() for item in found}


def pod(name: str, container: dict) -> dict:
    status = {
        "name": name,
        "restartCount": 2,
        "image": container["image"],
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2099-01-01T00:00:00Z"}},
    }
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-x",
            "annotations": {"reason": "of-the-user-4Qz8"},
            "labels": {"app.kubernetes.io/name": name},
        },
        "spec": {"containers": [{"name": name, **container}]},
        "status": {"phase": "Running", "podIP": "10.244.0.7", "containerStatuses": [status]},
    }


def test_a_bundle_shows_none_of_200_secrets_and_still_what_it_is_for(
    project: Settings, checkout: Path, tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted: dict[str, list[str]] = {}

    def plant(place: str, number: int) -> list[tuple[str, str]]:
        planted[place] = drawn(number)
        return [
            (NAMES[at] if at < len(NAMES) else f"{NAMES[at % len(NAMES)]}_{at}", value)
            for at, value in enumerate(planted[place])
        ]

    # What the user has given: none of it is committed.
    given = dict(plant("override", 40))
    listed = plant("override's list", 16)
    words, labels, tried = plant("command", 16), plant("labels", 8), plant("healthcheck", 6)
    env_file, compose_secret, mounted = plant("env_file", 8), plant("secrets", 4), plant("mounted file", 4)
    override = {
        "services": {
            "bconsul": {"environment": given, "labels": dict(labels), "env_file": ["mine.env"]},
            "bminio": {"environment": [f"{name}={value}" for name, value in listed]},
            "bredis_1": {
                "command": ["redis-server", *(f"--{name}={value}" for name, value in words)],
                "healthcheck": {"test": ["CMD", "redis-cli", *(value for _, value in tried)]},
                "volumes": ["./mine/:/mine/:ro"],
                "secrets": ["one"],
            },
        },
        "secrets": {"one": {"file": "./one.secret"}},
    }
    (checkout / "docker-compose.override.yml").write_text(yaml.safe_dump(override, width=60))
    lines = [(name, value) for name, value in env_file if "\n" not in value]
    planted["env_file"] = [value for _, value in lines]
    (checkout / "mine.env").write_text("".join(f"{name}={value}\n" for name, value in lines))
    (checkout / "one.secret").write_text("\n".join(value for _, value in compose_secret))
    (checkout / "mine").mkdir()
    (checkout / "mine/settings.json").write_text(json.dumps({"deep": [dict(mounted)]}))
    dotenv = [(name, value) for name, value in plant(".env", 16) if "\n" not in value]
    planted[".env"] = [value for _, value in dotenv]
    (checkout / ".env").write_text("# mine\n" + "".join(f"export {name}={value}\n" for name, value in dotenv))
    for name, value in (environment := plant("environment", 12)):
        monkeypatch.setenv(f"MINE_{name}", value)
    passed = dict(plant("-e", 12))
    docker = plant("docker config", 6)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()
    auths = {
        f"r{at}.example": {"auth": base64.b64encode(f"me:{value}".encode()).decode()}
        for at, (_, value) in enumerate(docker[:4])
    }
    proxy = f"http://me:{quote(docker[5][1], safe='')}@proxy.example:3128"
    config = {
        "auths": {**auths, "r9.example": {"identitytoken": docker[4][1]}},
        "proxies": {"default": {"httpProxy": proxy}},
    }
    (tmp_path / "docker/config.json").write_text(json.dumps(config))
    changed = {**dict(plant("changed configuration", 12)), "adminPassword": "swordfish"}
    planted["words"] = ["swordfish"]
    secret = plant("Secret", 12)
    resolved = plant("resolved by Compose alone", 8)
    project.file("compose").parent.mkdir(parents=True)
    document = {"services": {"boulder": {"environment": dict(resolved), "image": "letsencrypt/boulder-tools:x"}}}
    project.file("compose").write_text(json.dumps({"key": "", "answer": document}))
    cluster = plant("a cluster of before", 8)  # in no file any more
    known = [value for values in planted.values() for value in values]

    # What nobody has given, and what tells by its looks.
    loose = {
        "url": "dialing https://somebody:{}@host.example/path failed",
        "dsn": "sql: sa:{}@tcp(boulder-mariadb:3306)/boulder_sa?timeout=1s",
        "header": "> Authorization: Bearer {}",
        "basic": "Authorization: Basic {}",
        "json": '{{"level":"info","client_secret":"a {}, b","next":1}}',
        "quoted": "password='x, {} y' more",
        "env": "MY_API_TOKEN=one two {}",
        "yaml": "  refreshToken: one, {}",
        "go": "{{Name:DB_PASSWORD Value:{} ValueFrom:nil}}",
        "flag": "exec: redis-cli --password {} ping",
        "github": "pushed with ghp_{}0123456789",
        "jwt": "cookie eyJhbGciOi{}.eyJzdWIiOiIx{}.c2ln",
        "aws": "https://bucket.example/key?X-Amz-Signature={}&X-Amz-Date=1",
        "sql": "CREATE USER x IDENTIFIED BY '{}'",
        "curl": "+ curl -u me:{} https://host.example/",
        "inner": '"{{\\"password\\":\\"{}\\"}}"',
    }
    planted["loose"] = [some() for _ in loose]
    spoken = [text.format(value, value) for text, value in zip(loose.values(), planted["loose"], strict=True)]
    key = "\n".join(characters(string.ascii_letters, 64) for _ in range(5))
    planted["key"] = key.split()
    total = [value for values in planted.values() for value in values]
    assert len(total) >= 200, len(total)

    # Where they come to light.
    run = Run.create(
        project, ["t"], {"arguments": ["--unit", "-p", "./va"], "checkout": str(checkout), "environment": {}}
    )
    run.record |= {
        "environment": {"USE_VITESS": "true", **passed},
        "versions": {"kind": "0.33.0"},
        "revision": "abc1234",
    }
    run.record |= {"failure": f"Problem: the image wants {known[0]}", "images": {"redis:7.0.15": "sha256:77"}}
    run.save()
    said = ["=== RUN   TestPlanted", "--- FAIL: TestPlanted (0.00s)", "FAIL github.com/letsencrypt/boulder/va 0.1s"]
    said += [f"{at} says {text} here" for at, value in enumerate(known) for text in spelled(value)]
    (run.path / "stdout").write_text("\n".join([*said, *spoken]))
    (run.path / "stderr").write_text(f"-----BEGIN EC PRIVATE KEY-----\n{key}\n-----END EC PRIVATE KEY-----\n")
    (run.path / "exitcode").write_text("1\n")
    everything = {**given, **dict(listed), **passed, **dict(cluster)}
    command = ["env", *(f"{name}={value}" for name, value in everything.items()), "./test.sh", "--unit"]
    (run.path / "command.json").write_text(json.dumps({"commands": [command], "terminal": False}))
    (run.path / "var-log").mkdir()
    (run.path / "var-log/boulder.log").write_text("\n".join([*known, *spoken, "E123 va: timed out"]))
    public = [{"name": "MINIO_ROOT_PASSWORD", "value": "minioadmin"}, {"name": "FAKE_DNS", "value": "64.112.117.122"}]
    container = {
        "image": "minio/minio:RELEASE.2025",
        "env": [*public, *({"name": name, "value": value} for name, value in everything.items())],
        "args": ["redis-server", *(f"--{name}={value}" for name, value in [*words, *cluster])],
    }
    event = {"kind": "Event", "type": "Warning", "reason": "BackOff", "message": f"exec {known[40]} failed"}
    event |= {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "bminio-x"}}
    (run.path / "cluster").mkdir()
    (run.path / "cluster/objects.json").write_text(json.dumps([pod("bminio", container), event]))
    (run.path / "cluster/bminio-x.log").write_text("\n".join(f"bminio {value!r}" for value in known))
    described = "".join(f"      {name}:  {value}\n" for name, value in everything.items())
    (run.path / "cluster/describe.txt").write_text(
        "Name:  bminio-x\nContainers:\n  bminio:\n    Image:  minio/minio:RELEASE.2025\n    Args:\n"
        + "".join(f"      {word}\n" for word in container["args"])
        + "    Last State:  Terminated\n      Reason:  OOMKilled\n      Exit Code:  137\n    Environment:\n"
        + f"      MINIO_ROOT_PASSWORD:  minioadmin\n{described}    Mounts:\n      /boulder from checkout (rw)\n"
    )
    wfe = json.loads((checkout / "test/config/wfe2.json").read_text())
    same = (checkout / "test/config/sa.json").read_text()
    data = {"wfe2.json": json.dumps({**wfe, "planted": changed}), "sa.json": same}
    objects = [
        {"kind": "Secret", "data": {name: base64.b64encode(value.encode()).decode() for name, value in secret}},
        {"kind": "ConfigMap", "metadata": {"name": "boulder-config"}, "data": data},
        {"kind": "Deployment", "metadata": {"name": "bminio"}, "spec": {"template": pod("bminio", container)}},
    ]
    project.state.mkdir(parents=True)
    project.file("overlay").write_text(json.dumps({"key": "", "answer": {"text": "", "objects": objects}}))
    (tmp_path / "journal").write_text("kubelet starts\n" + "\n".join([*known, *spoken]))
    programs.answer("docker", "exec", f"cat {tmp_path / 'journal'}")

    bundle.pack(project, run)
    found = members(run.path / bundle.NAME)

    everywhere = "\n".join([*found, *found.values()])
    in_base64 = "\n".join(decoded(everywhere))
    shown = [
        (place, value, part, (everywhere if part in everywhere else in_base64).partition(part)[0][-90:])
        for place, values in planted.items()
        for value in values
        for part in cores(value)
        if part in everywhere or part in in_base64 or quote(value, safe="") in everywhere
    ]
    assert not shown, "\n".join(map(repr, shown))
    for name, fact in {
        "run/run.json": '"USE_VITESS": "true"',
        "run/stdout": "--- FAIL: TestPlanted (0.00s)",
        "run/command.json": "./test.sh",
        "run/var-log/boulder.log": "E123 va: timed out",
        "run/cluster/describe.txt": "MINIO_ROOT_PASSWORD:  minioadmin",
        "run/cluster/objects.json": '"value": "minioadmin"',
        "rendered.yaml": "value: 64.112.117.122",
        "node/journal.txt": "kubelet starts",
        "summary.txt": "version   kind: 0.33.0",
        "run/cluster/bminio-x.log": "bminio",
    }.items():
        assert fact in found[name], (name, found[name][:3000])
    assert "4Qz8" not in everywhere
    assert "bminio-x (bminio) ended with 137 (OOMKilled)" in found["summary.txt"]
    assert "FAIL github.com/letsencrypt/boulder/va 0.1s" in found["run/stdout"]
    assert "dialing https://somebody:(left out)@host.example/path failed" in found["run/stdout"]
    assert '"arguments": [\n  "--unit",\n  "-p",\n  "./va"\n ]' in found["run/run.json"]
    seen = json.loads(found["run/cluster/objects.json"])[0]
    assert seen["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    assert seen["spec"]["containers"][0]["image"] == "minio/minio:RELEASE.2025"
    assert len(seen["spec"]["containers"][0]["env"]) == len(container["env"])
    shown_data = next(item for item in yaml.safe_load_all(found["rendered.yaml"]) if item["kind"] == "ConfigMap")[
        "data"
    ]
    assert shown_data["wfe2.json"] == "(left out): not as committed" and "as committed" in shown_data["sa.json"]
    assert os.stat(run.path / bundle.NAME).st_mode & 0o777 == 0o600
    assert environment


def test_usual_words_and_public_values_stay_readable(project: Settings, checkout: Path, monkeypatch) -> None:
    """What the user has set to a common word is not removed from every sentence, and public values are not removed at all."""
    words = {"LOG_LEVEL": "debug", "RETRIES": "3", "PORT": "4001", "REGION": "west", "USE_TLS": "true"}
    override = {"services": {"bconsul": {"environment": words, "image": "hashicorp/consul:1.22.6"}}}
    (checkout / "docker-compose.override.yml").write_text(yaml.safe_dump(override))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    text = """time=noon level=debug msg="west of port 4001 we debug 3 things"
    MINIO_ROOT_PASSWORD: minioadmin
    MYSQL_ALLOW_EMPTY_PASSWORD=yes
    FAKE_DNS: 64.112.117.122
    bconsul uses hashicorp/consul:1.22.6 at http://10.77.77.10:8500/v1/status
    --- FAIL: TestTokenBucket (0.03s)
    secretName: bconsul-tls-12ab
    return the value of this kind, main.go says: a bridge there
    va_test.go:12: expected 4 tokens, got 3
    goroutine 12 [running]: main.main() /boulder/cmd/boulder/main.go:99 +0x1d
    sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
"""
    sieve = Sieve.of(project, {"checkout": str(checkout)})
    assert sieve.text(text) == text
    assert sieve.text("LOG_LEVEL=debug") == "LOG_LEVEL=(left out)"


def test_what_compose_said_about_another_checkout_withholds_nothing(
    project: Settings, checkout: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(checkout, other, symlinks=True)
    volumes = [{"type": "bind", "source": str(other), "target": "/boulder"}]
    kept = {"key": "k", "answer": {"services": {"boulder": {"volumes": volumes, "environment": {"A": "some-9Xq2"}}}}}
    project.file("compose-next").parent.mkdir(parents=True, exist_ok=True)
    project.file("compose-next").write_text(json.dumps(kept))
    assert Sieve.of(project, {"checkout": str(checkout)}).text("run/stdout of bpkimetal") == "run/stdout of bpkimetal"
    kept["answer"]["services"]["boulder"]["volumes"][0]["source"] = str(checkout)
    project.file("compose-next").write_text(json.dumps(kept))
    assert "9Xq2" not in Sieve.of(project, {"checkout": str(checkout)}).text("it says some-9Xq2")


def test_without_git_no_value_is_known_to_be_public(project: Settings, checkout: Path) -> None:
    (checkout / "docker-compose.yml").write_text("services: {boulder: {environment: {ONE: my-own-9Xq2-value}}}")
    shutil.rmtree(checkout / ".git")
    sieve = Sieve.of(project, {"checkout": str(checkout)})
    assert "9Xq2" not in sieve.text("it says my-own-9Xq2-value")


def test_what_another_user_keeps_to_himself_does_not_stop_a_bundle(
    project: Settings, checkout: Path, monkeypatch
) -> None:
    """As sudo leaves it: PATH names directories below /root, and Path.exists() raises for them before Python 3.14."""
    stat = os.stat

    def refused(path, *arguments, **named):
        if str(path).startswith("/closed/"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(PermissionError):
        os.stat("/closed/bin")
    (checkout / "compose.override.yml").write_text("services: {boulder: {env_file: /closed/bin/a.env}}")
    environ = {"TOOLS": "/closed/bin:/usr/bin", "BOULDER_CONFIG_OVERLAY": "/closed/x", "BOULDER_DIR": str(checkout)}
    for checked in ("/closed/boulder", str(checkout)):
        assert Sieve.of(project, {"checkout": checked}, environ).text("plain words") == "plain words"


def test_an_object_that_is_cut_short_is_left_out(project: Settings) -> None:
    sieve = Sieve.of(project, {})
    cut = b'[{"kind": "Pod", "spec": {"containers": [{"env": [{"name": "A", "value": "swordfish'
    assert sieve.present("cluster/objects.json", cut) == b"(left out): it cannot be understood\n"


def test_much_text_and_many_secrets_take_seconds(project: Settings) -> None:
    """A pack of 20 MB happens behind the wrapper, and yet: patterns that go back and forth would take hours."""
    sieve = Sieve.of(project, {})
    for value in drawn(200):
        sieve.scrubber.withhold("PASSWORD", value)
    line = b'I081500 boulder-wfe JSON={"Requester":1,"Token":"x"} ' + b"a" * 300 + b" key=value: http://a:b/c@d\n"
    begun = time.monotonic()
    sieve.scrubber(line * 5000)  # 2 MB
    sieve.scrubber(b"a" * 200_000 + b"\\" * 2000 + b'"' * 2000 + b"=" * 2000 + b"://" * 2000)
    assert time.monotonic() - begun < 30
