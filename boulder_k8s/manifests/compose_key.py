"""What decides Compose's answer: every file, variable and directory that it reads when it resolves a checkout's files.

https://docs.docker.com/compose/how-tos/environment-variables/envvars/ and compose-go (cli/options.go, dotenv, loader).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import yaml

from ..host import docker_config, process
from ..host.files import identity
from . import harness

DEFAULTS = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
DECIDING = ("COMPOSE_", "DOCKER_")  # variables of these names tell Compose itself what to do
# Variables and keys that make Compose read files which only it finds.
FILES = ("COMPOSE_FILE", "COMPOSE_ENV_FILES")
ELSEWHERE = {"include", "extends", "env_file", "label_file"}
WORDS = re.compile("|".join(ELSEWHERE))
# A double-quoted string of YAML in which a variable's name is not written out.
ESCAPE = re.compile(r"\\(?:[xuU]|\r?$)", re.MULTILINE)
# An entry such as `- ${A}_B` of `environment`: a variable whose name only Compose puts together. `- $A` alone is one as well.
PART = r"(?:\w|\$\{[^}\n]*\}|\$\w+)*"
PUT_TOGETHER = re.compile(
    rf"(?:^[ \t]*-[ \t]|[\[,]|\benvironment[\"']?[ \t]*:)\s*[\"']?{PART}\$(?:\{{[^}}\n]*\}}|\w+){PART}[\"']?\s*(?:$|[,\]#])",
    re.MULTILINE,
)
# Where docker looks for its plugins: https://github.com/docker/cli/blob/master/cli-plugins/manager/manager_unix.go
PLUGINS = ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")


def of(checkout: Path, config_next: bool, environ: Mapping[str, str]) -> str:
    """Returns a hash of what Compose's answer for t.sh, or tn.sh, depends on; "" if that includes files that only Compose
    finds, or one that cannot be read: then Compose is asked each time.
    """
    script = harness.read(checkout, config_next)
    given = script.environment(environ)
    options = script.tests.options
    if any(name in given for name in FILES) or {word for word in options if word[:2] == "--"} - {"--file", "--profile"}:
        return ""
    # The first file's directory is the project's, where .env is. A name with :// is no file here, and - is stdin.
    if "/" in "".join(script.files[:1]) or any("://" in name or name == "-" for name in script.files):
        return ""
    try:
        contents = {str(path): content(path) for path in read_by_compose(checkout, script.files)}
    except OSError:
        return ""
    texts = {path: found.decode(errors="replace") for path, found in contents.items()}
    sums = sorted([path, hashlib.sha256(found).hexdigest()] for path, found in contents.items())
    named = script.files or DEFAULTS
    if not any(str(checkout / name) in texts for name in named) or any(map(reads_others, texts, texts.values())):
        return ""  # without a file here, Compose looks in the directories above
    where = process.working_directory(checkout, given)
    digest = hashlib.sha256(json.dumps([where, config_next, options, programs(given), sums]).encode())
    digest.update(json.dumps(sorted(mentioned({**given, "PWD": where}, texts.values()))).encode())
    return digest.hexdigest()


def content(path: Path) -> bytes:
    """Returns the content of a file. Raises OSError, also for a pipe: what is read from it is gone for Compose."""
    if not path.is_file():
        raise OSError(f"{path} is no file")
    return path.read_bytes()


def read_by_compose(checkout: Path, named: list[str]) -> list[Path]:
    """The Compose files and the environment file that are there, sorted."""
    found = {*checkout.glob("docker-compose*.y*ml"), *checkout.glob("compose*.y*ml"), checkout / ".env"}
    return sorted(path for path in {*found, *(checkout / name for name in named)} if path.exists())


def reads_others(name: str, text: str) -> bool:
    """Whether a Compose file, or .env, makes Compose read further files, or variables that it does not spell out. name: its path."""
    if name.endswith("/.env"):
        return any(variable in text for variable in FILES)
    if ESCAPE.search(text) or PUT_TOGETHER.search(text):
        return True
    if not WORDS.search(text) and "\\" not in text:  # YAML may spell a key with \u0069
        return False
    try:
        return bool(ELSEWHERE & set(keys(yaml.compose(text, yaml.SafeLoader))))
    except yaml.YAMLError:  # Compose has the last word
        return True


def keys(node: yaml.Node | None) -> Iterator[str]:
    """Every key of a YAML document, below aliases too."""
    seen, left = set(), [node]
    while left:
        node = left.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            left += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            left += node.value


def mentioned(environ: Mapping[str, str], texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The variables that tell Compose what to do, and those whose name occurs in a text, in whatever way it is mentioned there: $NAME,
    ${NAME:-...}, a list's NAME, a mapping's `NAME:`, `environment: NAME`. One too many only means one more question.
    """
    left, found = dict(environ), True
    everything = "\n".join(texts)
    while found:  # a value may be another variable's name: `environment: $NAME` of `configs`
        # ASCII, as for Compose: $NAMEé is NAME.
        found = {
            name for name in left if name in everything and re.search(rf"\b{re.escape(name)}\b", everything, re.ASCII)
        }
        found |= {name for name in left if name == "HOME" or name.startswith(DECIDING)}  # ~ is HOME
        yield from ((name, left[name]) for name in sorted(found))
        everything = "\n".join(left.pop(name) for name in found)


def programs(environ: Mapping[str, str]) -> list:
    """Which docker and which Compose answer: their files as they are now, and Docker's configuration, which names directories of plugins."""
    settings = docker_config.directory(environ)
    extra = docker_config.read(settings / "config.json").get("cliPluginsExtraDirs")
    candidates = [
        shutil.which("docker", path=environ.get("PATH")),
        *(f"{path}/docker/cli-plugins/docker-compose" for path in PLUGINS),
        f"{settings}/cli-plugins/docker-compose",
        *(f"{path}/docker-compose" for path in extra or () if isinstance(path, str)),
    ]
    found: list = [extra]
    for path in filter(None, candidates):
        with suppress(OSError):
            found.append(identity(path))
    return found
