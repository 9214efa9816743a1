"""`invoke render`: `docker compose config`."""

from __future__ import annotations

import sys

from ..cluster.kind import Cluster
from ..host import docker, tools
from ..host.lock import held
from ..host.progress import note, overdue
from ..host.settings import Settings
from ..manifests import checkout, staging
from ..manifests.overlay import Rendered
from .arguments import Options
from .stack import Stack


def render(settings: Settings, options: Options, secrets: bool = False) -> None:
    """Prints the YAML that `up` applies for this checkout. Needs no cluster.

    secrets: with the content of its Secrets, which are the keys of the test PKI; people paste what this prints.

    If generate.sh has not run yet, the Secrets are empty, and a note says so. Raises Problem if the manifests do not fit
    the checkout, or if a configuration file is too large or cannot be read.
    """
    cluster = Cluster(settings, tools.find(settings))
    found = checkout.of_command(settings, options.environ)
    with overdue("asking Docker and Compose"):
        stack = Stack.of(settings, cluster, found, options)
        stack.apply_overrides()
        stack.image_ids = docker.image_ids(sorted({service.image for service in stack.services.values()}))
    if bare := staging.needs_generate(stack.checkout):
        note("the Secrets are empty: test/certs/generate.sh has not run yet")
    with held(settings, "invoke render"):
        rendered = stack.render(secrets=not bare)
        sys.stdout.write(rendered.text if secrets else without_secrets(rendered))


def without_secrets(rendered: Rendered) -> str:
    """Returns the rendered YAML with a comment in place of each Secret that has something in it. The rest is as kustomize wrote it."""
    texts = rendered.text.split("\n---\n")
    for at, item in enumerate(rendered.objects):
        if item["kind"] == "Secret" and item.get("data"):
            texts[at] = f"# Secret {item['metadata']['name']} ({', '.join(item['data'])}): --secrets prints it"
    return "\n---\n".join(texts).rstrip("\n") + "\n"
