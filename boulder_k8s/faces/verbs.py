"""What people type after `docker compose`: every verb, its flags, and what each is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """A flag or verb without a counterpart here. advice: what to do, for people."""

    advice: str


@dataclass(frozen=True)
class Noted:
    """A flag that is taken and changes nothing here, which is said. why: for people."""

    why: str


@dataclass(frozen=True)
class On:
    """A flag that is on anyway. off: what it is if somebody turns it off: --tty=false."""

    off: str | Refused


# What a flag is here: a flag of invoke's, which gets its value; SAME if it is so anyway; or one of the classes above.
Meaning = str | Refused | Noted | On
SAME = ""


@dataclass(frozen=True)
class Verb:
    """A verb of Compose's. task: invoke's, and its first words. flags: by their names, separated by spaces; one that ends with = has a value.
    takes: "services", "command" (a service, then words that are not ours), "words" (they are Compose's), or "" for nothing.
    """

    task: str
    takes: str = "services"
    flags: Mapping[str, Meaning] | None = None


IN_SHELL = Refused("End the command with & in a shell of yours: `... &`.")
ONE = Refused("Each service has one container here: leave it out.")
OUT = Refused("Leave it out: there is nothing like it here.")
ENV = {
    "-e= --env=": "--env",
    "-w= --workdir=": "--workdir",
    "-u= --user=": "--user",
    "-T --no-TTY --no-tty": "--no-tty",
}
TERMINAL = {"-i --interactive": On(Refused("Give it nothing to read: `... < /dev/null`.")), "-t --tty": On("--no-tty")}
LOOKS = {"--no-color": "--no-color", "--no-log-prefix": "--no-log-prefix"}
GRACE: dict[str, Meaning] = {"-t= --timeout=": Noted("each service has a time of its own to end in.")}
# What every verb takes.
ALWAYS: dict[str, Meaning] = {
    "--dry-run": Refused("`config` prints what `up` would apply."),
    "-h --help": "--help",
}
RESOLVED = Refused("`docker compose config` itself prints that; here it is the YAML that `up` applies.")

VERBS: dict[str, Verb] = {
    "build": Verb("images build", "words"),
    "config": Verb(
        "render",
        "",
        {
            "-q --quiet --services --images --volumes --profiles --hash= --environment --no-interpolate --format= --resolve-image-digests": RESOLVED,
            "--lock-image-digests --models --networks --no-consistency --no-env-resolution --no-normalize --no-path-resolution --variables": RESOLVED,
            "-o= --output=": Refused("Send its output to a file: `config > FILE`."),
        },
    ),
    "down": Verb(
        "down",
        "",
        {
            "-v --volumes": SAME,
            "--remove-orphans": SAME,
            "--rmi=": Refused(
                "The images stay in Docker: `docker image rm` removes one, `invoke down --images` the node's copies."
            ),
            "-t= --timeout=": SAME,  # the node ends at once
        },
    ),
    "exec": Verb(
        "exec",
        "command",
        {**ENV, **TERMINAL, "-d --detach": IN_SHELL, "--privileged": OUT, "--index=": ONE},
    ),
    "images": Verb("images", "", {"--format=": OUT, "-q --quiet": OUT}),
    "kill": Verb(
        "stop",
        "services",
        {"-s= --signal=": Refused("Send it with `exec SERVICE kill -HUP 1`."), "--remove-orphans": SAME},
    ),
    "link": Verb("link", ""),  # not Compose's: what makes it ./ck8s.sh
    "logs": Verb(
        "logs",
        "services",
        {
            "-f --follow": "--follow",
            "-t --timestamps": "--timestamps",
            "-n= --tail=": "--tail",
            "--since=": "--since",
            "--until=": Refused("Use --since, and | head."),
            "--index=": ONE,
            **LOOKS,
        },
    ),
    "port": Verb("port", "services", {"--index=": ONE, "--protocol=": "--protocol"}),
    "ps": Verb(
        "status",
        "services",
        {
            "-a --all": SAME,
            "--no-trunc": SAME,
            "--orphans": SAME,
            "--format=": "--format",
            "--services --filter= --status=": Refused("`ps --format json` has every service with its state."),
            "-q --quiet": Refused("Use `invoke kubectl get pods -o name`."),
        },
    ),
    "pull": Verb("images pull", "words"),
    "restart": Verb("restart", "services", {"--no-deps": SAME, **GRACE}),
    "rm": Verb("rm", "services", {"-f --force": "--force", "-s --stop": "--stop", "-v --volumes": SAME}),
    "run": Verb(
        "run",
        "command",
        {
            "--rm": SAME,
            "--name= -l= --label=": Noted("`exec boulder` and `logs boulder` reach what runs."),
            "--use-aliases --quiet-build --quiet-pull --remove-orphans": SAME,
            "-q --quiet": Refused("Send its output away: `run ... > /dev/null`."),
            "--env-from-file=": Refused("Write each variable: -e NAME=VALUE, or -e NAME for one of this shell."),
            "-P --service-ports": "--service-ports",
            "--entrypoint=": "--entrypoint",
            "-d --detach": "--detach",
            "-p= --publish=": Refused(
                "BOULDER_PORTS has the ports of the host, `invoke down` first (README, Settings)."
            ),
            "-v= --volume=": Refused("The checkout is /boulder there: put the files into it."),
            "--build --pull=": Refused("Do that first: `build`, or `pull`."),
            "--no-deps": Refused("Leave it out: what runs already is left alone."),
            "--cap-add= --cap-drop=": OUT,
            **ENV,
            **TERMINAL,
        },
    ),
    "start": Verb("start", "services", {"--wait": SAME, "--wait-timeout=": OUT}),
    "stop": Verb("stop", "services", GRACE),
    "top": Verb("top"),
    "up": Verb(
        "up",
        "services",
        {
            "-d --detach --wait": "--detach",
            "--wait-timeout=": "--timeout",
            "--force-recreate": "--anew",
            "--always-recreate-deps": Refused("`restart` starts every service again."),
            "--no-recreate": Refused("`start` starts what was stopped, and leaves alone what runs."),
            "--no-build": Refused("`invoke up --offline` builds, pulls and downloads nothing."),
            "--timestamps": "--timestamps",
            "--build --pull=": Refused("Do that first: `build`, or `pull`."),
            "--remove-orphans --quiet-pull --quiet-build -y --yes": SAME,
            "--no-deps": Refused("Leave it out: what runs already is left alone."),
            "--no-start --scale= --abort-on-container-exit --abort-on-container-failure --exit-code-from=": OUT,
            "--attach= --no-attach= --attach-dependencies": Refused(
                "`up -d`, then `logs -f SERVICE` shows what these services say."
            ),
            "--menu": OUT,
            "-w --watch": "--watch",
            "-V --renew-anon-volumes": Refused("`rm -sfv SERVICE` empties one, then `up`."),
            **GRACE,
            **LOOKS,
        },
    ),
    "watch": Verb("up --watch", "services", {"--no-up --prune --quiet": OUT}),
}

# Verbs of Compose's that have no counterpart, and what to do.
WITHOUT = {
    "attach": "`logs -f SERVICE` shows what it says.",
    "commit": "Change the image's Dockerfile, then `build`.",
    "cp": "The checkout is /boulder in Boulder's container; else `exec SERVICE cat FILE > FILE`.",
    "create": "`up` makes everything and starts it.",
    "events": "`invoke kubectl get events --watch` shows the cluster's.",
    "export": "`exec SERVICE tar c DIRECTORY > FILE` packs a directory.",
    "ls": "`kind get clusters` lists them; KIND_CLUSTER names ours.",
    "pause": "`docker pause CLUSTER-control-plane` pauses the whole cluster; `up` continues it.",
    "push": "`docker push` does it.",
    "scale": "Each service has one container, as in Boulder's Compose file.",
    "stats": "`top` shows the processes, `docker stats CLUSTER-control-plane` what all take together.",
    "unpause": "`docker unpause CLUSTER-control-plane` continues the cluster, and so does `up`.",
    "version": "`invoke doctor` shows the versions.",
    "volumes": "Databases lie in the cluster: `rm -sfv SERVICE` empties one, `down` all.",
    "wait": "`logs -f SERVICE` ends when the cluster does; `status` shows what has ended.",
}

GLOBAL: dict[str, Meaning] = {
    "-f= --file=": "--file",
    "--project-directory=": "--project-directory",
    "--profile= --ansi= --progress= --parallel= --compatibility --verbose --all-resources": SAME,
    "-p= --project-name=": Refused("KIND_CLUSTER=NAME names the cluster."),
    "--env-file=": Refused("Set the variables in this shell; the checkout's .env is read."),
    "--dry-run": ALWAYS["--dry-run"],
    "-v --version": Refused("`invoke doctor` shows the versions."),
}
