"""What may appear in a bundle: what everybody can read anyway, and the facts of Kubernetes. Everything else is left out.

Public is what this project's manifests say, and what is committed in the checkout. What its user has on top of that
(an override file, .env, variables, changed configuration) is not.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..host import git, process
from ..host.names import RUN_DIRECTORY
from ..manifests.history import DECIDING
from ..manifests.staging import CONFIG_MAPS
from .leaves import documents, parts, strings, word

LEFT_OUT = "(left out)"
COMMITTED = ("test/config", "test/config-next", "sa/db", *CONFIG_MAPS.values())
PLAIN = {
    "",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "null",
    "none",
    "localhost",
    LEFT_OUT,
}  # values that tell nothing
SHAPES = re.compile(r"\d{1,3}(\.\d{1,3}){3}|\d{4}-\d\d-\d\dT[\d:.]+Z|[0-9.]+(m|s|Ki|Mi|Gi)?|xterm")
# Keys of Kubernetes' objects whose strings are facts: what Kubernetes itself, or this project, writes there.
FACTS = set(
    """
    apiVersion kind name namespace uid resourceVersion creationTimestamp deletionTimestamp generateName nodeName image imageID
    containerID hostIP podIP ip phase type status reason message restartPolicy imagePullPolicy dnsPolicy protocol mountPath subPath
    path key medium sizeLimit cpu memory serviceAccountName serviceAccount schedulerName qosClass clusterIP clusterIPs ipFamilies
    ipFamilyPolicy fieldPath component host reportingComponent reportingInstance action effect operator node claimName labels
    matchLabels selector hostnames nameservers searches port targetPort updateStrategy podManagementPolicy topologyKey
    terminationMessagePath terminationMessagePolicy preemptionPolicy priorityClassName lastTransitionTime startTime serviceName
    accessModes storageClassName concurrencyPolicy policyTypes propagationPolicy mountPropagation recursiveReadOnly scheme level
    add drop secretName hostname boulder-k8s/request boulder-k8s/standby boulder-k8s/image-id boulder-k8s/source
    app.kubernetes.io/name app.kubernetes.io/part-of boulder-k8s/template
    """.split()
)


@dataclass(frozen=True)
class Public:
    """pairs: environment variables, with their values. leaves: every other string. texts: the files' contents."""

    pairs: frozenset[tuple[str, str]]
    leaves: frozenset[str]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, root: Path, checkouts: Iterable[Path]) -> Public:
        """Returns what is public of this project (root) and of checkouts."""
        own = [path.read_text(errors="replace") for path in sorted((root / "k8s").rglob("*")) if path.is_file()]
        texts = [*own, *(text for checkout in checkouts for text in committed(checkout).values())]
        pairs: set[tuple[str, str]] = set()
        leaves: set[str] = set()
        for text in texts:
            for document in documents(text):
                pairs |= set(variables(document))
                leaves |= {part for leaf in strings(document) for part in parts(leaf)}
        return cls(frozenset(pairs), frozenset(leaves), tuple(texts))

    @cached_property
    def digests(self) -> set[str]:
        """The SHA-256 of every text."""
        return {hashlib.sha256(text.encode()).hexdigest() for text in self.texts}

    @cached_property
    def everything(self) -> str:
        """All texts in one."""
        return "\n".join(self.texts)

    def has(self, name: str, value: str) -> bool:
        """Returns whether a variable may appear with this value."""
        return is_plain(value) or (name, value) in self.pairs

    def knows(self, value: str) -> bool:
        """Returns whether a value is exactly one that is public, of whatever variable or key."""
        return value in self.leaves or value in self.values

    @cached_property
    def values(self) -> set[str]:
        """The values of pairs."""
        return {value for _, value in self.pairs}

    def says(self, text: str) -> bool:
        """Returns whether a text stands somewhere in what is public."""
        return text in self.everything


def committed(checkout: Path) -> dict[str, str]:
    """Returns the files that decide what Compose runs, and Boulder's configuration, as the checkout's last commit has them."""
    try:
        if git.run(checkout, "rev-parse", "--show-prefix", timeout=30).strip():
            return {}  # the checkout lies in somebody else's repository
        names = git.run(checkout, "ls-tree", "-z", "--name-only", "HEAD", timeout=30).split("\0")
        top = [name for name in names if any(Path(name).match(pattern) for pattern in DECIDING)]
        there = git.run(checkout, "ls-tree", "-z", "--name-only", "HEAD", "--", *COMMITTED, timeout=30).split("\0")
        words = ("archive", "--format=tar", "HEAD", "--", *top, *(name for name in there if name))
        with git.started(checkout, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            data = child.stdout.read()
        with tarfile.open(fileobj=io.BytesIO(data)) as found:
            files = {item.name: found.extractfile(item).read() for item in found if item.isreg()}
        return {name: content.decode(errors="replace") for name, content in files.items()}
    except (OSError, process.Failed, subprocess.TimeoutExpired, tarfile.TarError):
        return {}  # no git, no commit: nothing is known to be public


def variables(document: Any) -> Iterator[tuple[str, str]]:
    """Yields every environment variable below a document, as Compose and Kubernetes write them, with its value."""
    if isinstance(document, dict):
        given = document.get("environment")
        if isinstance(given, dict):
            yield from ((str(name), usual(word(value))) for name, value in given.items() if value is not None)
        elif isinstance(given, list):
            yield from ((name, usual(value)) for name, _, value in (str(item).partition("=") for item in given))
        if set(document) == {"name", "value"}:
            yield str(document["name"]), word(document["value"])
        for value in document.values():
            yield from variables(value)
    elif isinstance(document, list):
        for value in document:
            yield from variables(value)


def usual(text: str) -> str:
    """Returns the value that Compose takes for ${NAME:-VALUE} if nobody sets the variable; another text as it is."""
    found = re.fullmatch(r"\$\{\w+:?-([^${}]*)\}", text)
    return found[1] if found else text


def is_plain(value: str) -> bool:
    """Returns whether a value is one that cannot be secret: a yes or no, a small number, an address, a time."""
    if value.isdigit():
        return len(value) <= 3
    return value.lower() in PLAIN or bool(SHAPES.fullmatch(value))


def published(document: Any, public: Public, withhold: Callable[[str, str], None], key: str = "") -> Any:
    """Returns an object of Kubernetes with LEFT_OUT in place of every string that may not appear.

    withhold: gets the name and the value of each. key: where the document stands.
    """
    if isinstance(document, dict):
        if {"name", "value"} <= set(document) and isinstance(document["value"], str):
            name, value = str(document["name"]), document["value"]
            if not public.has(name, value):
                withhold(name, value)
                document = {**document, "value": LEFT_OUT}
            return document
        if document.get("kind") == "ConfigMap":
            return {**document, **contents(document, public)}
        if key == "annotations":
            return {
                name: value if name in FACTS and "/" in name else published(value, public, withhold, "an annotation")
                for name, value in document.items()
            }
        inherited = key if key in ("labels", "matchLabels", "selector") else ""
        return {name: published(value, public, withhold, inherited or name) for name, value in document.items()}
    if isinstance(document, list):
        return [published(value, public, withhold, key) for value in document]
    if not isinstance(document, str) or key in FACTS or is_plain(document) or document in public.leaves:
        return document
    if document.startswith(f"{RUN_DIRECTORY}/") or document in (RUN_DIRECTORY, "python3", "-B", "standby"):
        return document  # runner.pod
    withhold(key, document)
    return LEFT_OUT


def contents(item: dict, public: Public) -> dict:
    """Returns the data of a ConfigMap with a digest in place of each value that is as committed, LEFT_OUT for any other."""
    found = {}
    for part in ("data", "binaryData"):
        if part in item:
            texts = {key: text if part == "data" else unpacked(text) for key, text in item[part].items()}
            sums = {key: hashlib.sha256(text.encode()).hexdigest() for key, text in texts.items()}
            found[part] = {
                key: f"sha256:{digest}, as committed" if digest in public.digests else f"{LEFT_OUT}: not as committed"
                for key, digest in sums.items()
            }
    return found


def unpacked(encoded: str) -> str:
    """Returns what binaryData holds, in the way in which `committed` reads files."""
    return base64.b64decode(encoded).decode(errors="replace")


def environment(given: dict[str, Any], public: Public, withhold: Callable[[str, str], None]) -> dict[str, Any]:
    """Returns variables by their names, with LEFT_OUT in place of values that may not appear."""
    return {item["name"]: item["value"] for item in published(as_list(given), public, withhold)}


def as_list(given: dict[str, Any]) -> list[dict]:
    """Returns variables as Kubernetes lists them."""
    return [{"name": name, "value": word(value)} for name, value in given.items()]
