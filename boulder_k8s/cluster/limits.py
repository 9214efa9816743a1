"""The limits of a pod's processes, which are to be those that Docker gives a container on this machine.

containerd starts every container of a pod from a base specification, a file in the node image. kind's leaves the limits
out, so that they are those of containerd in the node: `infinity`. Ours says what Docker gives. containerd reads the file
when it starts: https://github.com/containerd/containerd/blob/main/docs/cri/config.md, `base_runtime_spec`.
"""

from __future__ import annotations

import json

from ..host import process
from ..host.errors import Problem

BASE_SPECIFICATION = "/etc/containerd/cri-base.json"  # as kind's images/base/files/etc/containerd/config.toml names it
UNLIMITED = 2**64 - 1  # RLIM_INFINITY of <sys/resource.h>
# The kernel's names (fs/proc/base.c, lnames), and those of the OCI's specification (config.md, rlimits).
NAMES = {
    "Max cpu time": "RLIMIT_CPU",
    "Max file size": "RLIMIT_FSIZE",
    "Max data size": "RLIMIT_DATA",
    "Max stack size": "RLIMIT_STACK",
    "Max core file size": "RLIMIT_CORE",
    "Max resident set": "RLIMIT_RSS",
    "Max processes": "RLIMIT_NPROC",
    "Max open files": "RLIMIT_NOFILE",
    "Max locked memory": "RLIMIT_MEMLOCK",
    "Max address space": "RLIMIT_AS",
    "Max file locks": "RLIMIT_LOCKS",
    "Max pending signals": "RLIMIT_SIGPENDING",
    "Max msgqueue size": "RLIMIT_MSGQUEUE",
    "Max nice priority": "RLIMIT_NICE",
    "Max realtime priority": "RLIMIT_RTPRIO",
    "Max realtime timeout": "RLIMIT_RTTIME",
}


def base_specification(node_image: str) -> dict:
    """Returns the node image's base specification with the limits of a container that Docker has just started.

    node_image: as the engine knows it. Raises Problem if Docker cannot start it, or if it is no node image of kind's.
    """
    run = ["docker", "run", "--rm", "--network=none", "--entrypoint=cat", node_image]
    try:
        text = process.run([*run, BASE_SPECIFICATION, "/proc/self/limits"], timeout=300)
        specification, end = json.JSONDecoder().raw_decode(text)
        specification["process"]["rlimits"] = rlimits(text[end:])
    except (process.Failed, ValueError, KeyError) as error:
        raise Problem(
            f"The node image {node_image} does not show {BASE_SPECIFICATION}, which every node image of kind's has.",
            f"Run `{' '.join(run)} {BASE_SPECIFICATION}` to see why; leave KIND_NODE_IMAGE unset for the usual image.",
            getattr(error, "output", ""),
        ) from error
    return specification


def rlimits(table: str) -> list[dict]:
    """Returns the limits as an OCI specification has them. table: /proc/PID/limits.

    Leaves out a limit that a newer kernel may have. Raises ValueError if the table has none that is known.
    """
    found = []
    for line in table.splitlines():
        if name := NAMES.get(line[:25].rstrip()):
            soft, hard = (UNLIMITED if word == "unlimited" else int(word) for word in line[25:].split()[:2])
            found.append({"type": name, "hard": hard, "soft": soft})
    if not found:
        raise ValueError("no limits")
    return found
