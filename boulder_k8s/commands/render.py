"""`invoke render`: `docker compose config`."""

from __future__ import annotations

import sys

from ..cluster.kind import Cluster
from ..host import docker, tools
from ..host.lock import held
from ..host.progress import note, overdue
from ..host.settings import Settings
from ..manifests import checkout, staging
from .arguments import Options
from .stack import Stack


def render(settings: Settings, options: Options) -> None:
    """Prints the YAML that `up` applies for this checkout, including its Secrets (they hold the throwaway test PKI).
    Needs no cluster.

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
        sys.stdout.write(stack.render(secrets=not bare).text)
