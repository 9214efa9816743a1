"""Pulls and builds images, with Docker Compose, and says in two lines why one cannot be had."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping

from ..host import docker, lab, process
from ..host.errors import Problem
from ..host.progress import interactive, note, step
from ..manifests import harness
from ..manifests.checkout import Checkout
from ..manifests.compose import Service
from ..manifests.written import source

# What goes away by itself: an overloaded registry, or a connection that was cut. Docker gives up at once if that meets
# an image's manifest; for a layer it tries five times, which takes it 50 s.
PASSING = re.compile(
    r"toomanyrequests|\b(429|500|502|503|504)\b|unexpected EOF|connection reset|connection refused|timeout", re.I
)
PAUSES = (2, 5)  # seconds before we try again
PATIENT = 30  # seconds: a pull that failed after more of them was tried again by Docker itself
QUIET = 10  # seconds between two lines about the progress, if nobody sees a spinner
AMOUNT = re.compile(r"^\s*(\S+) (Downloading|Extracting)\b.*?([\d.]+)([kMG]?B)/([\d.]+)([kMG]?B)\s*$")
AGAIN = re.compile(r"Retrying in (\d+) seconds?\s*$")
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


class Progress:
    """Adds up what Compose says about each layer. said: gets "123 of 456 MB". pace: seconds between two words."""

    def __init__(self, said: process.Said, pace: float = 0) -> None:
        self.said, self.pace, self.last = said, pace, time.monotonic()
        self.amounts: dict[tuple[str, str], tuple[float, float]] = {}

    def line(self, text: str) -> None:
        """Takes one line of `docker compose --progress plain`."""
        if found := AMOUNT.match(text):
            layer, verb, some, unit, all_of_it, whole = found.groups()
            self.amounts[verb, layer] = (float(some) * UNITS[unit], float(all_of_it) * UNITS[whole])
            words = [
                f"{what} {sum(some for some, _ in values) / 1e6:.0f} of {sum(all_ for _, all_ in values) / 1e6:.0f} MB"
                for what, key in (("downloaded", "Downloading"), ("unpacked", "Extracting"))
                if (values := [value for (verb, _), value in self.amounts.items() if verb == key])
            ]
        elif found := AGAIN.search(text):
            words = [f"the connection broke, Docker tries again in {found[1]} s"]
        else:
            return
        if time.monotonic() - self.last >= self.pace:
            self.last = time.monotonic()
            self.said(", ".join(words))


def services(missing: Mapping[str, Service], checkout: Checkout, config_next: bool, nothing: bool = False) -> None:
    """Pulls the images of services, by name, as `docker compose pull` does. Raises Problem naming one that cannot be
    pulled, what the registry said, and the file that asks for it. nothing: whether the engine has no image of the
    checkout's at all, as on a machine that reaches no image registry.
    """
    images = {service.image: service for _, service in sorted(missing.items(), reverse=True)}
    references = sorted(images)
    try:
        attempt(f"docker compose pull: {', '.join(references)}", list(images.values()))
    except process.Failed as error:
        image = culprit(error.output, list(images.values())).image
        names = sorted(name for name, service in missing.items() if service.image == image)
        file, text = source(checkout.path, config_next, names[0], "image")
        where = f"It is the image of {', '.join(names)} in {file}"
        if variables := re.findall(r"\$\{?(\w+)", str(text)):
            where += f", which takes {', '.join(variables)}"
        raise refused(f"Image {image}", where, error.output, lab.offered() if nothing else "") from error


def one(reference: str, what: str, where: str) -> None:
    """Pulls an image that no service has. what, where: what it is, and what asks for it, for people. Raises Problem with
    what the registry said.
    """
    try:
        attempt(f"docker pull {reference}", [Service("image", reference, {}, False, {})])
    except process.Failed as error:
        raise refused(f"The {what} {reference}", where, error.output) from error


def attempt(what: str, wanted: list[Service]) -> None:
    """Runs a pull with its progress, again if it fails for a reason that passes. Raises process.Failed."""
    command, document = ["docker", "compose", "--progress", "plain", "--file", "-", "pull"], written(wanted)
    for pause in (*PAUSES, None):
        begun = time.monotonic()
        try:
            with step(what) as said:
                process.follow(command, Progress(said, 0 if interactive() else QUIET).line, input=document)
            return
        except process.Failed as error:
            words = reason(error.output)
            if pause is None or not PASSING.search(words) or time.monotonic() - begun > PATIENT:
                raise
            note(f"{words}; trying again in {pause} s")
            time.sleep(pause)


def written(wanted: list[Service]) -> str:
    """Returns a Compose file that has the services' images and nothing else: if a service has a `build` section, Compose
    pulls all other images before it says that this one is not there, and then ends with 0.
    """
    images = {}
    for service in wanted:
        platform = service.document.get("platform")
        images[service.name] = {"image": service.image, **({"platform": platform} if platform else {})}
    return json.dumps({"name": "boulder-k8s", "services": images})


def reason(output: str) -> str:
    """Returns the last thing that Compose said, which is the registry's or the engine's own words."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1].removeprefix("Error response from daemon: ") if lines else "no reason given"


def culprit(output: str, missing: list[Service]) -> Service:
    """Returns the service whose image was refused: Compose says that of one, and then stops pulling the others."""
    for service in missing:
        subject = (
            rf"^\s*(Image )?({re.escape(service.name)}|{re.escape(service.image)})\s+Error\b(?!.*context canceled)"
        )
        if re.search(subject, output, re.M):
            return service
    here = docker.image_ids(sorted({service.image for service in missing}))
    absent = [service for service in missing if service.image not in here] or missing
    return next((service for service in absent if service.image in reason(output)), absent[0])


def refused(what: str, where: str, output: str, also: str = "") -> Problem:
    """Returns the Problem of an image that cannot be pulled. where: what asks for it. also: another way on."""
    words = reason(output)
    if re.search(r"not found|manifest unknown|invalid reference|denied|unauthorized", words):
        return Problem(f"{what} cannot be pulled: {words}.", f"{where}. Correct the name, the tag or the digest.{also}")
    advice = (
        "Wait, or `docker login`, then run the command again"
        if "toomanyrequests" in words
        else "Run the command again later"
    )
    return Problem(f"{what} cannot be pulled: {words}.", f"{where}. {advice}.{also}", check="internet")


def build(missing: Mapping[str, Service], checkout: Checkout, config_next: bool) -> None:
    """Builds the images of services, by name, as `docker compose build` does. Raises Problem naming those that are still
    missing.
    """
    references = sorted({service.image for service in missing.values()})
    script = harness.read(checkout.path, config_next)
    command = script.compose("--profile", "*", "build", *sorted(missing))
    try:
        with step(f"docker compose build: {', '.join(references)}"):
            process.run(command, env=script.environment(os.environ), cwd=checkout.path)
    except process.Failed as error:
        still = sorted(set(references) - set(docker.image_ids(references))) or references
        names = sorted(name for name, service in missing.items() if service.image in still)
        file, _ = source(checkout.path, config_next, names[0], "build")
        raise Problem(
            f"Image {', '.join(still)} cannot be built.",
            f"It is the build of {', '.join(names)} in {file}. Run `docker compose build {' '.join(names)}` in {checkout.path} to see why.",
            "\n".join(error.output.splitlines()[-10:]),
            check="internet",
        ) from error
