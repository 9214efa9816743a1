"""The test certificates: which of those that the checkout's configuration names generate.sh does not make, and which pods have read others
than the checkout has now.
"""

from __future__ import annotations

import hashlib
import re
import shlex

from ..host.names import BOULDER, CHECKOUT_MOUNT, WORKLOAD_KINDS
from ..host.progress import note
from .checkout import Checkout
from .staging import PKI

CERTIFICATES = "test/certs"
CERTIFICATES_MARK = "boulder-k8s/certificates"  # annotation: which ones a pod has read


def unmade(checkout: Checkout, config_next: bool) -> list[str]:
    """Returns the certificates that Boulder's configuration names and that generate.sh will not make: it skips a directory that is
    there, also if it has learned of a new service since (letsencrypt/boulder#7640).
    """
    if not (checkout.path / PKI).is_dir():
        return []
    directory = checkout.path / "test" / ("config-next" if config_next else "config")
    named: set[str] = set()
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        named |= set(re.findall(rf"{PKI}/[\w./-]+\.pem", path.read_text(errors="replace")))
    return sorted(name for name in named if not (checkout.path / name).exists())


def tell_unmade(checkout: Checkout, config_next: bool) -> None:
    """Names them on stderr, and what makes them. Some tests do without, so nothing is refused."""
    if missing := unmade(checkout, config_next):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        note(
            f"the checkout has no {missing[0]}{more}, which its configuration names, and generate.sh skips a {PKI} that is there"
        )
        note(f"To have it made: `sudo rm -r {shlex.quote(str(checkout.path / PKI))}`, then the same command.")


def marked(objects: list[dict], checkout: Checkout) -> list[dict]:
    """Returns objects; those workloads that read the test certificates in the checkout itself get an annotation that changes with
    them, since they keep them in memory. (What reads them from a Secret starts anew by the Secret's hash.)
    """
    if not any(map(reads_certificates, objects)):
        return objects
    found = hashlib.sha256()
    for path in sorted((checkout.path / CERTIFICATES).rglob("*")):
        if path.is_file() and not path.relative_to(checkout.path / CERTIFICATES).parts[0].startswith("."):
            about = path.stat()  # root's keys cannot be read
            found.update(f"{path.relative_to(checkout.path)} {about.st_size} {about.st_mtime_ns}\n".encode())
    return [
        with_annotation(item, CERTIFICATES_MARK, found.hexdigest()[:16]) if reads_certificates(item) else item
        for item in objects
    ]


def reads_certificates(item: dict) -> bool:
    """Returns whether an object is Boulder, or another lasting workload that mounts certificates of the checkout."""
    if item["kind"] not in WORKLOAD_KINDS or item["kind"] == "Job":
        return False
    there = [
        volume.get("hostPath", {}).get("path", "") for volume in item["spec"]["template"]["spec"].get("volumes", [])
    ]
    mounts = any(f"{path}/".startswith(f"{CHECKOUT_MOUNT}/{CERTIFICATES}/") for path in there)
    return mounts or item["metadata"]["name"] == BOULDER


def with_annotation(item: dict, name: str, value: str) -> dict:
    """Returns a workload whose pods have a further annotation: if it is another one, they are made anew."""
    template = item["spec"]["template"]
    metadata = template.get("metadata", {})
    metadata = {**metadata, "annotations": {**metadata.get("annotations", {}), name: value}}
    return {**item, "spec": {**item["spec"], "template": {**template, "metadata": metadata}}}
