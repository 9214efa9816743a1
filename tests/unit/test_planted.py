"""Secrets that only Compose knows (what it resolves is not remembered: files that it finds by itself), and those that a user types."""

from __future__ import annotations

import base64
import html
import itertools
import json
import random
import shlex
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml
from support.programs import Programs

from boulder_k8s.diagnose import bundle, doctor
from boulder_k8s.host import tools
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.tools import Tools
from boulder_k8s.run.directory import Run

# How a value looks; {} is what must not be seen.
SHAPES = (
    "{}", "{},b c", "a {} c", '"{}"', "it's {}", "{}$HOME", "{}=", "<{}>&", "\\{}\\n", "é{}", "{}\nsecond line", "#{}", "{}@", "{}:",
    "user:{}@tcp(db:3306)/boulder", "postgres://user:{}@db/boulder?sslmode=off", "redis://:{}@cache:6379", "https://{}@host/path",
    "Server=db;Pwd={};Timeout=3", '{{"clientSecret": "{}"}}', "Bearer {}", "--requirepass {}",
)  # fmt: skip
NAMES = ("PASSWORD", "password", "clientSecret", "SOMETHING", "lower", "X", "DSN", "my.name", "GREETING", "Db_Pass")
# How programs write a value into their output.
SPELLINGS = (
    str,
    repr,
    json.dumps,
    lambda value: json.dumps(json.dumps(value)),
    lambda value: (
        json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    lambda value: yaml.safe_dump({"a": value}, width=1000),
    shlex.quote,
    quote,
    lambda value: quote(value, safe=""),
    quote_plus,
    html.escape,
    lambda value: base64.b64encode(value.encode()).decode(),
    lambda value: base64.urlsafe_b64encode(b"x" + value.encode()).decode(),
    lambda value: base64.b64encode(f"me:{value}\n".encode()).decode(),
)


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as found:
        return {item.name.removeprefix("boulder-k8s/"): found.extractfile(item).read() for item in found}


class Planted:
    """Secrets that are like no other text; `made` has all."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.random = random.Random(16)

    def secret(self) -> str:
        self.made.append("".join(self.random.choices("abcdefghjkmnpqrstuvwxyz", k=10)))
        return self.made[-1]

    def value(self, shape: str) -> str:
        return shape.format(self.secret())

    def seen(self, data: bytes) -> list[str]:
        """The secrets that are in data, as they are or in base64."""
        coded = [
            (secret, base64.b64encode(bytes(by) + secret.encode())[4:-4]) for secret in self.made for by in range(3)
        ]
        return [secret for secret, code in coded if secret.encode() in data or code in data]


def test_the_bundle_shows_no_secret_of_any_shape_wherever_it_is_planted(
    settings: Settings, programs: Programs, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted, shapes, names = Planted(), itertools.cycle(SHAPES), itertools.cycle(NAMES)
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for arguments in (["init", "-q"], ["add", "docker-compose.yml"], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", checkout, *arguments], check=True)

    def environment(number: int) -> dict[str, str]:
        return {f"{next(names)}{index}": planted.value(next(shapes)) for index in range(number)}

    said = []  # values that a program may write to its output
    override = environment(100)
    said += override.values()
    command = ["serve", f"--requirepass={planted.secret()}", planted.value("a {} b")]
    said += command
    args, labels = environment(20), environment(20)
    said += [*args.values(), *labels.values()]
    (tmp_path / "secret-file").write_text(planted.value("{}\n"))
    resolved = {
        "services": {
            "boulder": {
                "image": "x:1",
                "environment": override | {"BOULDER_CONFIG_DIR": "test/config"},
                "command": command,
            },
            "client": {"build": {"args": args}, "labels": labels, "healthcheck": {"test": ["CMD", planted.secret()]}},
        },
        "secrets": {"a": {"file": str(tmp_path / "secret-file")}, "b": {"environment": "PLANTED"}},
        "configs": {"c": {"content": planted.value("key: {}\n")}},
        "volumes": {"nas": {"driver_opts": {"o": planted.value("username=me,password={}")}}},
    }
    monkeypatch.setenv("PLANTED", planted.secret())
    for name in ("GH_TOKEN", "dbPassword"):
        monkeypatch.setenv(name, planted.secret())
        said.append(planted.made[-1])
    monkeypatch.setenv("HTTPS_PROXY", planted.value("http://me:{}@proxy:3128"))
    (checkout / "docker-compose.override.yml").write_text(
        yaml.safe_dump({"services": {"x": {"environment": environment(10)}}})
    )
    (checkout / ".env").write_text(f"PLAIN={planted.secret()}\nexport QUOTED='{planted.value('a {} b')}'\n")
    login = {
        "auths": {
            "r": {"auth": base64.b64encode(planted.value("me:{}").encode()).decode(), "identitytoken": planted.secret()}
        }
    }
    login["proxies"] = {"default": {"httpProxy": planted.value("http://me:{}@proxy:1")}}
    (tmp_path / "docker-config").mkdir()
    (tmp_path / "docker-config/config.json").write_text(json.dumps(login))
    (tmp_path / "document").write_text(json.dumps(resolved))
    programs.answer("docker", "config --format json", f"cat {tmp_path}/document")

    earlier = environment(20)  # of a pod of an `up` before the override was changed
    passed = environment(20)  # docker compose run -e
    said += [*earlier.values(), *passed.values()]
    typed = [
        "env",
        f"TOKEN={planted.secret()}",
        "curl",
        "--password",
        planted.secret(),
        "-H",
        planted.value("Authorization: Bearer {}"),
    ]
    said.append(planted.made[-1])
    run = Run.create(settings, ["t"], {"arguments": ["run", *typed], "environment": passed, "checkout": str(checkout)})
    (run.path / "command.json").write_text(
        json.dumps({"commands": [["test/entrypoint.sh", *typed]], "terminal": False})
    )
    pod = {
        "kind": "Pod",
        "metadata": {"name": "boulder-x"},
        "spec": {
            "containers": [
                {
                    "name": "boulder",
                    "env": [{"name": name, "value": value} for name, value in (override | earlier).items()],
                }
                | {"args": command, "livenessProbe": {"exec": {"command": ["sh", "-c", planted.secret()]}}}
            ]
        },
    }
    pod["spec"]["containers"][0]["env"] += [{"name": "BOULDER_CONFIG_DIR", "value": "test/config"}]
    secret = planted.value("{}")
    objects = [
        pod,
        {"kind": "Secret", "data": {"k": base64.b64encode(secret.encode()).decode()}, "metadata": {"name": "s"}},
    ]
    said.append(secret)
    settings.state.mkdir(parents=True)
    settings.file("overlay").write_text(json.dumps({"key": "", "answer": {"text": "", "objects": objects}}))
    (run.path / "cluster").mkdir()
    (run.path / "cluster/objects.json").write_text(json.dumps([pod]))
    written = "".join(f"line {spell(value)} end\n" for value in said for spell in SPELLINGS)
    (run.path / "cluster/describe.txt").write_text(
        "".join(f"      {name}:  {value}\n" for name, value in (override | earlier).items())
    )
    for name in ("stdout", "stderr", "cluster/boulder-x.log"):
        (run.path / name).write_text(f"what a log says\n{written}")
    run.record["failure"] = f"Problem: it said {said[0]}"
    run.save()
    node = {
        "State": {"Running": True},
        "Mounts": [{"Type": "bind", "Source": str(settings.runs), "Destination": "/runs"}],
    }
    programs.answer("docker", "container inspect", f"echo '{json.dumps([node])}'")
    (tmp_path / "journal").write_text(written)
    programs.answer("docker", "exec", f"cat {tmp_path}/journal")
    monkeypatch.setattr(tools, "find", lambda settings: Tools(Path("/kind"), Path("/kubectl")))
    monkeypatch.setattr(doctor, "lines", lambda settings: [f"doctor says {value}" for value in said])
    monkeypatch.setattr(tools, "versions", lambda *_: {})
    monkeypatch.setattr(bundle.snapshot, "take", lambda *_: None)
    monkeypatch.setattr(bundle, "last_run", lambda *_, **__: {"directory": str(run.path)})

    assert len(set(planted.made)) >= 200
    bundle.pack(settings, run)
    bundle.bundle(settings, tmp_path / "asked.tar.gz")
    for path in (run.path / bundle.NAME, tmp_path / "asked.tar.gz"):
        found = members(path)
        assert {name: planted.seen(data) for name, data in found.items() if planted.seen(data)} == {}
        assert b"what a log says" in found["run/stdout"]
        assert b"test/config" in found["rendered.yaml"], "what is public stays"
        assert b"BOULDER_CONFIG_DIR" in found["run/cluster/objects.json"]
        assert b"curl" in found["run/run.json"]


def test_half_a_line_is_not_kept_of_a_large_file(tmp_path: Path) -> None:
    """Half a secret is one that nobody knows."""
    path = tmp_path / "stdout"
    path.write_bytes(b"a secret begins here\nthe end\n")
    assert bundle.tail(path, 20) == b"(21 bytes before this were left out)\nthe end\n"
