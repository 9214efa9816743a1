"""Finds out whether a checkout's docker-compose.yml is still the one for which the manifests were written.

Image tags, environment and extra_hosts cannot differ, because overlay.py takes them from it. If anything else differs,
we refuse it if tests depend on it; otherwise we print a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..host.errors import Problem
from ..host.progress import note
from . import compare, differences
from .differences import Difference

VARIABLE = "BOULDER_K8S_DRIFT"  # "note": prints a note in place of refusing
# Without these a service does not start, or Boulder does not find it. Aspects of compare.py, by their first word.
REFUSED = {
    "service",
    "entrypoint",
    "command",
    "mount",
    "address",
    "alias",
    "network",
    "network_mode",
    "user",
    "working_dir",
}


def goes_on(environ: Mapping[str, str]) -> bool:
    """Returns whether the user wants to go on without what the manifests do not follow."""
    return environ.get(VARIABLE) == "note"


def check(document: dict, objects: list[dict], environ: Mapping[str, str], say: Callable[[str], None] = note) -> None:
    """Tells `say` each difference that is not intended. Raises Problem if tests depend on one of them.

    document: the resolved Compose file. objects: the rendered run overlay.
    """
    found = [item for item in compare.compare(document, objects) if not asked_for(item)]
    drift, _ = differences.partition(found, differences.read_intended())
    depended = set() if goes_on(environ) else REFUSED
    refused = [item for item in drift if item.aspect.split()[0] in depended]
    for item in drift:
        if item not in refused:
            say(f"docker-compose.yml has what the manifests do not follow: {described(item)}")
    if refused:
        raise Problem(
            f"docker-compose.yml is not the one that the manifests are written for: {', '.join(short(item) for item in refused)}.",
            f"Update boulder-k8s, or add it under k8s/base/ (CONTRIBUTING.md); ./t.sh runs this checkout meanwhile, {VARIABLE}=note goes on nevertheless.",
            "\n".join(described(item) for item in refused),
        )


def asked_for(item: Difference) -> bool:
    """Returns whether a difference is a port that the user added with BOULDER_PORTS."""
    return item.aspect.startswith("port ") and item.compose == differences.ABSENT


def short(item: Difference) -> str:
    """Returns what a difference is about."""
    return f"{item.subject} ({item.aspect})"


def described(item: Difference) -> str:
    """Returns a difference in a line, with both values."""
    return f"{item.subject}, {item.aspect}: {item.compose} there, {item.kubernetes} in k8s/base"
