"""`invoke render`: `docker compose config`."""

from __future__ import annotations

import sys

import yaml

from ..cluster.kind import Cluster
from ..host import docker, tools
from ..host.lock import held
from ..host.progress import note, overdue
from ..host.settings import Settings
from ..manifests import certificates, checkout, staging, working_tree
from ..manifests.overlay import Rendered
from . import deployment
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
        code = working_tree.digest(stack.checkout, working_tree.place(settings))
        marked = certificates.marked(deployment.coded(rendered.objects, code), stack.checkout)
        sys.stdout.write(text(rendered, marked, secrets))


def text(rendered: Rendered, marked: list[dict], secrets: bool) -> str:
    """Returns the rendered YAML as kustomize wrote it, but for the objects that get annotations of their own when they are applied.

    marked: all of them, with those annotations. secrets: else a comment is in place of each Secret that has something in it.
    """
    texts = rendered.text.split("\n---\n")
    for at, item in enumerate(marked):
        if item is not rendered.objects[at]:
            texts[at] = yaml.safe_dump(item, sort_keys=False).rstrip("\n")
        if not secrets and item["kind"] == "Secret" and item.get("data"):
            texts[at] = f"# Secret {item['metadata']['name']} ({', '.join(item['data'])}): --secrets prints it"
    return "\n---\n".join(texts).rstrip("\n") + "\n"
