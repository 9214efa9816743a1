"""Finds out whether a checkout's docker-compose.yml is still the one for which the manifests were written.

Image tags, environment and extra_hosts cannot differ, because overlay.py takes them from it. If anything else differs,
we refuse it if tests depend on it; otherwise we print a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..host.errors import Problem
from ..host.names import BOULDER, SETUP
from ..host.progress import note
from . import compare, differences, written
from .differences import Difference
from .harness import Harness

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

# The key of Compose that an aspect of compare.py is about, where it is not called so.
KEYS = {"service": "", "mount": "volumes", "port": "ports"} | dict.fromkeys(("address", "alias", "network"), "networks")


def goes_on(environ: Mapping[str, str]) -> bool:
    """Returns whether the user wants to go on without what the manifests do not follow."""
    return environ.get(VARIABLE) == "note"


def check(
    document: dict,
    objects: list[dict],
    environ: Mapping[str, str],
    say: Callable[[str], None] = note,
    source: Callable[[str, str], str] = lambda service, key: written.USUAL,
) -> None:
    """Tells `say` each difference that is not intended. Raises Problem if tests depend on one of them.

    document: the resolved Compose file. objects: the rendered run overlay. source: returns the file that gives a service a key.
    """
    found = [item for item in compare.compare(document, objects) if not asked_for(item)]
    drift, _ = differences.partition(found, differences.read_intended())
    refused = [] if goes_on(environ) else [item for item in drift if is_refused(item)]
    for item in drift:
        if is_port(item) and item.subject == BOULDER:
            port = item.aspect.removeprefix("port ")
            say(f"{source(BOULDER, 'ports')} publishes port {port}; BOULDER_PORTS={published(document)} does so here")
        elif item not in refused:
            say(f"{file_of(item, source)} has what the manifests do not follow: {described(item)}")
    if refused:
        files = " and ".join(sorted({file_of(item, source) for item in refused}))
        raise Problem(
            f"{files} is not the one that the manifests are written for: {', '.join(short(item) for item in refused)}.",
            f"Update boulder-k8s, or add it under k8s/base/ (CONTRIBUTING.md); ./t.sh runs this checkout meanwhile, {VARIABLE}=note goes on nevertheless.",
            "\n".join(described(item) for item in refused),
        )


def file_of(item: Difference, source: Callable[[str, str], str]) -> str:
    """Returns the file that says what differs. source: as `check` has it."""
    first, _, rest = item.aspect.partition(" ")
    if item.compose == differences.ABSENT:  # what no file says
        return written.USUAL
    return source(item.subject, rest if first == "key" else KEYS.get(first, first))


def is_refused(item: Difference) -> bool:
    """Returns whether tests depend on a difference."""
    return item.aspect.split()[0] in REFUSED


def check_script(script: Harness, document: dict, environ: Mapping[str, str]) -> None:
    """Prints what we do not follow of t.sh or tn.sh. Raises Problem if the script does something that tests depend on and we cannot do.

    document: the Compose file as compose.document gives it.
    """
    refused = refused_of_script(script, document)
    for text in [*script.notes, *(refused if goes_on(environ) else ())]:
        note(text)
    if refused and not goes_on(environ):
        raise Problem(
            f"{refused[0]}; that has no counterpart here.",
            f"Run ./{script.script} itself for this checkout; {VARIABLE}=note goes on without it.",
            "\n".join(refused[1:]),
        )


def refused_of_script(script: Harness, document: dict) -> list[str]:
    """Returns what a script does and we cannot, a line each. document: as for check_script."""
    absent = [step for step in script.before[:1] if step.where and not {SETUP, step.service} & {*document["services"]}]
    missing = [f"{step.where} runs the service {step.service}, which the Compose file does not have" for step in absent]
    return [*script.refused, *missing]


def is_port(item: Difference) -> bool:
    """Returns whether a difference is a published port, which BOULDER_PORTS decides and not the checkout."""
    return item.aspect.startswith("port ")


def asked_for(item: Difference) -> bool:
    """Returns whether a difference is a port that the user added with BOULDER_PORTS."""
    return is_port(item) and item.compose == differences.ABSENT


def published(document: dict) -> str:
    """Returns Boulder's ports that the Compose file publishes, as BOULDER_PORTS has them."""
    given = document["services"][BOULDER].get("ports") or []
    return ",".join(
        str(target) if str(port["published"]) == str(target) else f"{port['published']}:{target}"
        for port in given
        if port.get("published") and (target := port["target"])
    )


def short(item: Difference) -> str:
    """Returns what a difference is about."""
    return f"{item.subject} ({item.aspect})"


def described(item: Difference) -> str:
    """Returns a difference in a line, with both values."""
    return f"{item.subject}, {item.aspect}: {item.compose} there, {item.kubernetes} in k8s/base"
