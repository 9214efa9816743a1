"""`invoke parity`: its parts, one after the other, and the report about them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from ..cluster.kind import Cluster
from ..host import docker, tools
from ..host.errors import Problem
from ..host.progress import note, shown
from ..host.settings import Settings
from ..manifests import addresses, compare, compose, differences, overlay, selection, staging
from ..manifests import checkout as checkouts
from ..manifests.checkout import Checkout
from ..manifests.overlay import RenderOptions
from ..run.directory import Run
from . import probe, results
from .orchestrators import Compose, Kubernetes, environment
from .report import Part, Report

PARTS = ("static", "probe", "results")
RERUNS = 1


@dataclass(frozen=True)
class ParityOptions:
    """What is compared, and how.

    parts: of PARTS. arguments: test.sh's, for the part `results`. reruns: how often tests that differ are run again on both sides.
    output: a directory for report.json, report.md, junit.xml and the logs; None: a new one below .runs/.
    """

    parts: Sequence[str] = PARTS
    arguments: Sequence[str] = ("--integration", "--verbose")
    config_next: bool = False
    as_json: bool = False
    reruns: int = RERUNS
    output: Path | None = None


def parity(settings: Settings, options: ParityOptions, environ: Mapping[str, str] = os.environ) -> int:
    """Compares the checkout's Compose stack with this project's cluster and prints a report; returns its exit code.

    0, or 1 if anything differs that is neither intended nor flaky. Raises Problem if a part cannot be compared.
    """
    parts, config_next = options.parts, options.config_next
    if unknown := sorted(set(parts) - set(PARTS)):
        raise Problem(f"There is no part {', '.join(unknown)}.", f"The parts are {', '.join(PARTS)}.")
    cluster = Cluster(settings, tools.find(settings))
    checkout = checkouts.of_command(settings, environ)
    both = environment(environ, checkout)
    sides = (
        Compose(checkout, config_next, both),
        Kubernetes(settings, cluster, checkout, config_next, both),
    )
    needs_containers = bool(set(parts) - {"static"})
    container = sides[0].script.container  # t.sh's own name for it, so that the two cannot run at the same time
    if needs_containers and docker.inspect_container(container):
        raise Problem(
            f"A container {container} is there: ./t.sh runs.",
            f"Wait until it ends, or remove it: docker rm --force {container}.",
        )
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        return compared(settings, options, cluster, checkout, sides, options.output)
    run = Run.create(settings, ["parity"], {"arguments": ["parity", *parts]})
    with run.recorded():
        run.record["exit_code"] = compared(settings, options, cluster, checkout, sides, run.path)
    return run.record["exit_code"]


def compared(
    settings: Settings,
    options: ParityOptions,
    cluster: Cluster,
    checkout: Checkout,
    sides: tuple[Compose, Kubernetes],
    directory: Path,
) -> int:
    """Compares part by part, writes the report into a directory and prints it; returns the exit code. Raises Problem if a part
    cannot be compared.
    """
    parts, config_next = options.parts, options.config_next
    report = Report(checkout.revision(), "config-next" if config_next else "config")
    document = compose.document(checkout.path, config_next)
    unknown = selection.converted(compose.services(document))
    names = {name for service in unknown for name in (service.name, *addresses.aliases(service))}
    intended = differences.about(differences.read_intended(), sorted(names))
    if "static" in parts:
        report.parts.append(static_part(settings, checkout, document, config_next, cluster.tools.kubectl, intended))
    with sides[0].left_as_found() if set(parts) - {"static"} else nullcontext():
        if "probe" in parts:
            report.parts.append(probe_part(sides, document, directory, intended))
        if "results" in parts:
            report.parts.append(results_part(sides, options.arguments, options.reruns, directory, intended))
    for name, text in (
        ("report.json", report.as_json()),
        ("report.md", report.as_markdown()),
        ("junit.xml", report.as_junit()),
    ):
        (directory / name).write_text(text, errors="backslashreplace")  # arguments need not be UTF-8
    print(report.as_json() if options.as_json else report.as_text(), end="" if options.as_json else "\n")
    note(f"the report and its logs are in {shown(directory)}")
    return report.exit_code


def static_part(
    settings: Settings, checkout: Checkout, document: dict, config_next: bool, kubectl: Path, intended: list
) -> Part:
    """Compares the Compose file with the rendered manifests. Raises Problem if they cannot be rendered."""
    followed = selection.followed(document, checkout.path, config_next)
    rendered = overlay.render(
        settings,
        RenderOptions.of(
            checkout,
            followed,
            kubectl,
            settings.state / "parity-overlay",
            config_next=config_next,
            secrets=not staging.needs_generate(checkout),
        ),
    )
    found = compare.compare(document, rendered.objects)
    unlisted, listed = differences.partition(found, intended)
    return Part(
        "static", compare.count_facts(document), unlisted, listed, notes=unused_notes("static", listed, intended)
    )


def probe_part(sides: Iterable, document: dict, directory: Path, intended: list) -> Part:
    """Compares what a program in Boulder's container sees on both sides. Raises Problem if a side cannot be probed."""
    services = sorted(document["services"])
    names = sorted(names_of(document))
    one, other = (probe.take(side, services, names, directory) for side in sides)
    unlisted, listed = differences.partition(probe.compare(one, other), intended)
    mute = sorted(subject for subject in one if "container" in one[subject])
    notes = [f"nothing is known {subject}: {one[subject]['container']}" for subject in mute]
    notes += unused_notes("probe", listed, intended)
    return Part("probe", probe.count_facts(one), unlisted, listed, notes=notes)


def unused_notes(part: str, listed: list, intended: list) -> list[str]:
    """Returns a note for each entry of intended.yaml that covers nothing that was found.

    Not for the results: they depend on test.sh's arguments.
    """
    found = differences.unused(part, listed, intended)
    return [f"intended.yaml's entry {differences.title(entry)!r} covers nothing here; remove it?" for entry in found]


def names_of(document: dict) -> set[str]:
    """Every name that the Compose file gives to something on its networks."""
    found = set()
    for name, service in document["services"].items():
        if service.get("network_mode") == "none" or service.get("profiles"):
            continue
        found.add(name)
        for network in (service.get("networks") or {}).values():
            found |= set((network or {}).get("aliases") or ())
        found |= {host for host, _ in compose.extra_hosts(service)}
    return found


def results_part(sides: Sequence, arguments: Sequence[str], reruns: int, directory: Path, intended: list) -> Part:
    """Compares what the same tests say on both sides; those that differ run again, `reruns` times."""
    rounds = []
    found: list = []
    notes = [f"test.sh {' '.join(arguments)}"]
    started = directory / "start"
    started.mkdir(exist_ok=True)
    for side in sides:  # both have their dependencies up before anything is timed
        results.take(side, ["--help"], started)
    for number in range(1 + reruns):
        place = directory / f"round-{number + 1}"
        place.mkdir(exist_ok=True)
        outcomes = [results.take(side, arguments, place) for side in sides]
        rounds.append(results.compare(*outcomes))
        for side, outcome in zip(sides, outcomes, strict=True):
            notes.append(
                f"{side.name}, run {number + 1}: exit code {outcome.exit_code}, {outcome.seconds:.0f} s, {outcome.count('passed')} passed, "
                f"{outcome.count('failed')} failed, {outcome.count('skipped')} skipped, {outcome.count('no tests')} without tests"
                + (f", {outcome.cached} FROM GO'S CACHE: add --unit-without-cache" if outcome.cached else "")
            )
        if number == 0:
            found = outcomes
        if not differences.partition(rounds[0], intended)[0]:
            break
    unsteady = results.flaky(rounds[0], rounds[1:])
    steady = [item for item in rounds[0] if item not in unsteady]
    unlisted, listed = differences.partition(steady, intended)
    compared = sum(
        len({*kinds[0]} | {*kinds[1]}) for kinds in ([side.tests for side in found], [side.markers for side in found])
    )
    compared += 1 + len({*found[0].times} & {*found[1].times})  # the exit code; what both sides tell the seconds of
    return Part("results", compared, unlisted, listed, unsteady, notes)
