"""`invoke images`: which there are, and `images save FILE`, `load FILE`, `pin`, `pull` and `build`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ..airgap import pins, transfer
from ..host import docker
from ..host.errors import Problem, not_here
from ..host.progress import console, line, overdue
from ..host.settings import Settings
from ..manifests import checkout, compose, harness, selection
from .test import become_compose

ACTIONS = "images, images save FILE, images load FILE, images pin, images pull and images build"


def images(settings: Settings, action: str, words: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> None:
    """Carries out an action; lists the images if it is empty. words: of save and load, the file, relative to the current directory; of
    pull and build, Compose's arguments. Raises Problem if there is no such action.
    """
    if not action:
        show(settings, environ)
    elif action == "pin":
        pins.pin(settings)
    elif action in ("pull", "build"):
        hand_over(settings, [action, *words], environ)
    elif action in ("save", "load") and len(words) == 1:
        {"save": transfer.save, "load": transfer.load}[action](settings, Path(words[0]).resolve())
    else:
        raise Problem(f"There is no images {' '.join([action, *words])}.", f"There are {ACTIONS}.")


def hand_over(settings: Settings, words: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Becomes `docker compose WORDS` in the checkout: the images are the engine's, and the next `up` brings those that have changed to the
    node. Raises Problem offline, or if Docker is not there.
    """
    if settings.offline:
        raise not_here("What Compose fetches is")
    found = checkout.of_command(settings, environ)
    become_compose(settings, harness.read(found.path, False).compose(*words)[2:], environ)


def show(settings: Settings, environ: Mapping[str, str]) -> None:
    """Prints the image of each service, with the engine's id. Raises Problem if the Compose file is refused."""
    found = checkout.of_command(settings, environ)
    with overdue("asking Docker and Compose"):
        document = compose.remembered(found.path, False, settings.file("compose"), environ)
        services = compose.services(selection.followed(document, found.path, False))
        ids = docker.image_ids(sorted({service.image for service in services.values()}))
    rows = [("service", "image", "id")]
    for name, service in sorted(services.items()):
        rows.append((name, service.image, ids.get(service.image, "").removeprefix("sha256:")[:12] or "not here yet"))
    widths = [max(len(row[number]) for row in rows) for number in range(2)]
    for row in rows:
        console().print(line(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}"))
