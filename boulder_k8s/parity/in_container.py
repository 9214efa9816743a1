"""Prints what a program sees in the Boulder container, as JSON. probe.py runs it under Compose and under Kubernetes.

It uses the standard library only and is one file, because probe.py passes it as `python3 -c SOURCE NAMES`: so neither
side needs a mount for it. NAMES are the names that docker-compose.yml gives, comma-separated.

It collects facts about the container alone first. Then it starts Boulder and collects what depends on it. After that it
prints a line that begins with READY and lists the ports on which Boulder listens, and waits for the file
/tmp/parity-go-on, so that probe.py can try these ports from other containers meanwhile.
"""

from __future__ import annotations

import errno
import grp
import hashlib
import ipaddress
import json
import os
import re
import resource
import socket
import stat
import struct
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

READY = "boulder-k8s parity: ready "
REPORT = "boulder-k8s parity: report "
GO_ON = "/tmp/parity-go-on"
CONSUL = ("10.77.77.10", 53)
CRITICAL = "http://10.77.77.10:8500/v1/health/state/critical"
DYNAMIC = ipaddress.ip_network("10.77.77.128/25")  # docker-compose.yml, networks.bouldernet.ipam.config.ip_range
BOUND = [
    ("10.77.77.77", 9301),
    ("64.112.117.122", 80),
    ("64.112.117.122", 443),
    ("64.112.117.134", 80),
    ("64.112.117.134", 443),
]
TIMES_OUT = ("64.112.117.254", 80)  # public, and no container has it: Boulder's VA tests need it to time out
CLOSED = 1337  # the port that Boulder's own tests of ratelimits dial at 10.77.77.4; nothing listens there
# What else nobody listens on: the host's address in each of Compose's networks, and addresses that nothing has. Compose
# hands out 10.77.77.128 and the following ones, the first to the host, so that of these only the last is free.
HOST = ("10.77.77.128", "64.112.117.1", "64.112.117.129")
SERVICES = ("10.77.77.4", "10.77.77.5", "10.77.77.10")
OWN = ("10.77.77.77", "64.112.117.122", "64.112.117.134", "127.0.0.1", "localhost")
NOBODY = (
    *(f"10.77.77.{number}" for number in (1, 2, 3, 6, 9, 11, 50, 76, 78, 99, 127, 254)),
    "64.112.117.2",
    "64.112.117.100",
)
INTERNET = ("example.com", "www.example.com", "letsencrypt.org", "acme-v02.api.letsencrypt.org", "no-such-name.invalid")
PATIENCE = 8  # seconds: a network says after 3 s that an address is nobody's
# git's directory, a cache, and what every run makes again.
SKIPPED = {"/boulder/.git", "/boulder/.gocache", "/boulder/.boulder", "/boulder/bin", "/boulder/test/coverage"}
DIRECTORIES = (
    "/boulder",
    "/boulder/test",
    "/boulder/test/config",
    "/boulder/test/config-next",
    "/boulder/test/certs",
    "/boulder/test/secrets",
    "/boulder/.gocache",
    "/root/.cache/go-build",
    "/var/lib/softhsm/tokens",
    "/var/log",
    "/tmp",
    "/var/run/pkimetal",
    "/dev/shm",
    "/etc",
)
LIMITS = "AS CORE CPU DATA FSIZE MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO SIGPENDING STACK".split()
SYSCTLS = (
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ping_group_range",
    "net/ipv4/tcp_syn_retries",
    "net/ipv4/tcp_keepalive_time",
    "net/ipv4/tcp_tw_reuse",
    "net/core/somaxconn",
    "net/ipv6/conf/all/disable_ipv6",
    "net/ipv6/bindv6only",
    "kernel/shmmax",
    "kernel/msgmnb",
    "fs/mqueue/msg_max",
)


def outcome(action) -> str:
    """Returns what `action()` returns, as text, or the name of its OSError."""
    try:
        return str(action())
    except TimeoutError:
        return "times out"
    except socket.gaierror as error:
        return {value: name for name, value in vars(socket).items() if name.startswith("EAI_")}.get(
            error.errno, str(error.errno)
        )
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def connected(address: tuple[str, int], seconds: float = 3) -> str:
    """Returns whether a TCP connection to an address succeeds within `seconds`, as `outcome` tells it."""

    def attempt() -> str:
        socket.create_connection(address, seconds).close()
        return "answers"

    return outcome(attempt)


def bound(address: tuple[str, int]) -> str:
    """Returns whether a program can listen on an address, as `outcome` tells it."""

    def attempt() -> str:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        return "can be bound"

    return outcome(attempt)


def process() -> dict[str, str]:
    """Returns facts about this process: users, groups, limits of what it may do, terminals."""
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    umask = os.umask(0)
    os.umask(umask)
    facts = {
        "user": f"{os.getuid()}:{os.getgid()}",
        "effective user": f"{os.geteuid()}:{os.getegid()}",
        "groups": " ".join(sorted(grp.getgrgid(group).gr_name for group in os.getgroups())),
        "working directory": os.getcwd(),
        "umask": f"{umask:03o}",
        "nice": str(os.nice(0)),
        "processors": str(len(os.sched_getaffinity(0))),
        "signals ignored": status["SigIgn"].strip(),
    }
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        facts[f"{name} is a terminal"] = str(os.isatty(number))
    for key in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"):
        facts[key] = status.get(key, "unknown").strip()  # Linux counts the filters since 5.9
    return facts


def limits() -> dict[str, str]:
    """Returns the process's resource limits and those of its cgroup."""
    found = {}
    for name in LIMITS:
        values = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        found[name] = " ".join("unlimited" if value == resource.RLIM_INFINITY else str(value) for value in values)
    found["oom_score_adj"] = open("/proc/self/oom_score_adj").read().strip()
    for name in ("memory.max", "pids.max", "memory/memory.limit_in_bytes", "pids/pids.max"):
        try:
            found[f"cgroup {name}"] = open(f"/sys/fs/cgroup/{name}").read().strip()
        except OSError:
            continue
    return found


def addresses() -> dict[str, str]:
    """Returns the local IPv4 addresses, from the kernel's local table."""
    text = open("/proc/net/fib_trie").read().partition("Local:")[2]
    found = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", text)
    return dict.fromkeys(found, "local")


def hosts() -> dict[str, str]:
    """Returns the names in /etc/hosts, each with its addresses."""
    found: dict[str, str] = {}
    for line in open("/etc/hosts"):
        words = line.partition("#")[0].split()
        for name in words[1:]:
            found[name] = " ".join(sorted({*found.get(name, "").split(), words[0]}))
    return found


def resolver() -> dict[str, str]:
    """Returns the lines of /etc/resolv.conf, by their first word."""
    found: dict[str, str] = {}
    for line in open("/etc/resolv.conf"):
        words = line.partition("#")[0].split()
        if words:
            found[words[0]] = " ".join(words[1:])
    return found


def kind(path: str) -> str:
    """Returns type, mode, owner and content of one file; the content is a hash, or the target of a link. Raises
    OSError.
    """
    facts = os.lstat(path)
    who = f"{stat.filemode(facts.st_mode)} {facts.st_uid}:{facts.st_gid}"
    if stat.S_ISLNK(facts.st_mode):
        return f"{who} -> {os.readlink(path)}"
    if stat.S_ISREG(facts.st_mode):
        with open(path, "rb") as file:
            return f"{who} {hashlib.sha256(file.read()).hexdigest()[:16]}"
    return who


def files() -> dict[str, str]:
    """Returns every file of the mounted directories, each with what `kind` tells about it."""
    found = {}
    for root in ("/boulder", "/var/lib/softhsm/tokens", "/var/run/pkimetal", "/root/.cache/go-build"):
        found[root] = outcome(lambda root=root: kind(root))
        if root.endswith("go-build"):
            continue  # a cache: its content changes with every run
        for directory, names, entries in os.walk(root):
            # __pycache__: Python's compiled files exist only after a checkout's first run.
            names[:] = [n for n in names if n != "__pycache__" and os.path.join(directory, n) not in SKIPPED]
            for name in names + entries:
                path = os.path.join(directory, name)
                found[path] = outcome(lambda path=path: kind(path))
    # entrypoint.sh has just started rsyslogd, which may or may not have made its files yet.
    found["/var/log"] = " ".join(sorted({*os.listdir("/var/log")} - {"rsyslogd.log", "syslog"}))
    return found


def writable() -> dict[str, str]:
    """Returns for each of DIRECTORIES whether a file can be made in it, as `outcome` tells it."""

    def attempt(directory: str) -> str:
        path = f"{directory}/.parity-{os.getpid()}"
        with open(path, "x") as file:
            file.write("x")
        os.remove(path)
        return "can be written"

    return {directory: outcome(lambda directory=directory: attempt(directory)) for directory in DIRECTORIES}


def sysctls() -> dict[str, str]:
    """Returns the kernel parameters of SYSCTLS."""
    return {
        name.replace("/", "."): outcome(lambda name=name: " ".join(open(f"/proc/sys/{name}").read().split()))
        for name in SYSCTLS
    }


def listening() -> list[str]:
    """Returns the TCP sockets that other hosts can reach, as address:port, without ephemeral ports. * stands for any
    address.
    """
    found = set()
    for name in ("tcp", "tcp6"):
        for line in list(open(f"/proc/net/{name}"))[1:]:
            local, state = line.split()[1], line.split()[3]
            raw, port = local.split(":")
            if state != "0A" or int(port, 16) >= 32768:
                continue
            address = socket.inet_ntoa(struct.pack("<I", int(raw, 16))) if name == "tcp" else "*"
            if address != "127.0.0.1":
                found.add(f"{'*' if address == '0.0.0.0' else address}:{int(port, 16)}")
    return sorted(found)


def texts() -> str:
    """Returns the text of every file that mentions host names: the configuration, the database URLs and the tests'
    Python.
    """
    parts = []
    for root in (os.environ.get("BOULDER_CONFIG_DIR", "test/config"), "test/secrets"):
        for directory, _, entries in os.walk(root):
            parts += [open(os.path.join(directory, name), errors="replace").read() for name in sorted(entries)]
    parts += [
        open(f"test/{name}", errors="replace").read() for name in sorted(os.listdir("test")) if name.endswith(".py")
    ]
    return "\n".join(parts)


def srv_names(text: str) -> list[str]:
    """Returns the SRV names that Boulder's gRPC clients look up: "srvLookup": {"service": S, "domain": D}
    is _S._tcp.D.
    """
    pairs = re.findall(r'"service":\s*"([^"]+)",\s*"domain":\s*"([^"]+)"', text)
    return sorted({f"_{service}._tcp.{domain}" for service, domain in pairs})


def endpoints(text: str) -> list[tuple[str, int]]:
    """Returns the pairs name:port and address:port in a text."""
    pairs = re.findall(r"\b((?:[a-z][a-z0-9-]*)(?:\.[a-z][a-z0-9-]*)*):(\d{2,5})\b", text)
    pairs += re.findall(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3}):(\d{2,5})\b", text)
    return sorted({(name, int(port)) for name, port in pairs if int(port) < 65536})


def answers(name: str) -> str:
    """Returns the IPv4 addresses of a name, as `outcome` tells them.

    Compose gives a service without a fixed address any address of DYNAMIC, so DYNAMIC stands for all of these.
    """

    def attempt() -> str:
        found = {item[4][0] for item in socket.getaddrinfo(name, None, socket.AF_INET)}
        return " ".join(sorted({str(DYNAMIC) if ipaddress.ip_address(item) in DYNAMIC else item for item in found}))

    return outcome(attempt)


def srv(name: str) -> str:
    """Returns targets and ports of an SRV record. Asks Consul, as Boulder's dnsAuthority does, and over TCP, so that
    none is cut off.

    Raises OSError.
    """
    question = (
        b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack("!HH", 33, 1)
    )
    query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question
    with socket.create_connection(CONSUL, 3) as stream:
        stream.sendall(struct.pack("!H", len(query)) + query)
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
            part = stream.recv(4096)
            if not part:
                raise OSError(errno.ECONNRESET, "cut")
            data += part
    message = data[2:]
    found, offset = [], 12 + len(question)
    for _ in range(struct.unpack("!H", message[6:8])[0]):
        _, offset = name_at(message, offset)
        kind_, _, _, length = struct.unpack("!HHIH", message[offset : offset + 10])
        offset += 10
        if kind_ == 33:
            port = struct.unpack("!H", message[offset + 4 : offset + 6])[0]
            found.append(f"{name_at(message, offset + 6)[0]}:{port}")
        offset += length
    return " ".join(sorted(found)) or f"no answer (code {message[3] & 15})"


def name_at(message: bytes, offset: int) -> tuple[str, int]:
    """Returns the name at an offset of a DNS message, and the offset of what follows it."""
    labels, behind = [], 0
    while message[offset]:
        if message[offset] & 0xC0:
            behind = behind or offset + 2
            offset = struct.unpack("!H", message[offset : offset + 2])[0] & 0x3FFF
            continue
        labels.append(message[offset + 1 : offset + 1 + message[offset]].decode())
        offset += 1 + message[offset]
    return ".".join(labels), behind or offset + 1


def settled_srv(names: list[str], seconds: float = 60) -> dict[str, str]:
    """Returns the SRV answers after Consul's health checks have not changed for 10 s, or after `seconds`.

    Consul leaves out a service until its check has passed.
    """
    deadline, since, before = time.monotonic() + seconds, time.monotonic(), None
    while time.monotonic() < deadline and time.monotonic() - since < 10:  # its checks run every 2 s
        found = critical()
        if found != before:
            before, since = found, time.monotonic()
        time.sleep(0.5)
    return {name: outcome(lambda name=name: srv(name)) for name in names}


def critical() -> list[str]:
    """Returns the ids of the checks that fail in Consul, or the error if it does not answer."""
    try:
        with urllib.request.urlopen(CRITICAL, timeout=5) as answer:
            return sorted(item["CheckID"] for item in json.load(answer))
    except OSError as error:
        return [str(error)]


def quick(names: list[str]) -> dict[str, str]:
    """Returns for each name how long resolving takes: the median of nine, so that one late packet does not count."""
    found = {}
    for name in names:
        taken = []
        for _ in range(9):
            begun = time.monotonic()
            answers(name)
            taken.append(time.monotonic() - begun)
        found[name] = "in under 50 ms" if sorted(taken)[4] < 0.05 else f"in {sorted(taken)[4] * 1000:.0f} ms"
    return found


def timed(action, *arguments) -> tuple[str, float]:
    """Returns what `action(*arguments)` returns, and how many seconds that took."""
    begun = time.monotonic()
    return action(*arguments), time.monotonic() - begun


def timed_facts(name: str, attempts: dict[str, tuple]) -> dict[str, dict[str, str]]:
    """Returns two subjects, NAME and "seconds: NAME": what each attempt says, and how long it took.

    attempts: a fact -> an action and its arguments. All run at the same time, because most of them wait.
    """
    with ThreadPoolExecutor(32) as pool:
        futures = {fact: pool.submit(timed, *call) for fact, call in attempts.items()}
        found = {fact: future.result() for fact, future in futures.items()}
    return {
        name: {fact: said for fact, (said, _) in found.items()},
        f"seconds: {name}": {fact: f"{seconds:.3f}" for fact, (_, seconds) in found.items()},
    }


def nobody_listens(names: list[str]) -> dict[str, tuple]:
    """Returns the attempts to connect where nobody listens: a closed port of every name and of every address, and
    addresses that nothing has.
    """
    hosts_ = sorted({*names, *SERVICES, *OWN, *HOST, *NOBODY})
    return {f"{host}:{CLOSED}": (connected, (host, CLOSED), PATIENCE) for host in hosts_}


def start_boulder() -> str:
    """Starts Boulder with start.py. Returns "answers" after its directory answers, or why it does not."""
    with open("/tmp/parity-start.log", "wb") as log:
        child = subprocess.Popen([sys.executable, "start.py"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    for _ in range(6000):
        try:
            with urllib.request.urlopen("http://localhost:4001/directory", timeout=5):
                return "answers"
        except OSError:
            if child.poll() is not None:
                return f"start.py ended with {child.returncode}: {open('/tmp/parity-start.log', errors='replace').read()[-2000:]}"
            time.sleep(0.1)
    return "no directory after 600 s"


def main(names: list[str]) -> None:
    """Collects all facts and prints them, on a line that begins with REPORT. names: host names to look up."""
    report = {
        "environment": dict(os.environ),
        "process": process(),
        "limits": limits(),
        "addresses": addresses(),
        "bind": {f"{address}:{port}": bound((address, port)) for address, port in BOUND},
        "hosts": hosts(),
        "resolver": resolver(),
        "files": files(),
        "write": writable(),
        "sysctls": sysctls(),
    }
    text = texts()
    known = sorted({*names, *(name for name, _ in endpoints(text) if not name[0].isdigit())})
    report["boulder"] = {"start.py": start_boulder()}
    report["srv"] = settled_srv(srv_names(text))
    report["consul"] = dict.fromkeys(critical(), "critical")
    report |= timed_facts("names", {name: (answers, name) for name in sorted({*known, *INTERNET})})
    report["time to resolve"] = quick([name for name in known if report["names"][name][:1].isdigit()])
    where = [*endpoints(text), TIMES_OUT]
    report |= timed_facts("connect", {f"{name}:{port}": (connected, (name, port)) for name, port in where})
    report |= timed_facts("nobody listens", nobody_listens(names))
    report["listening"] = dict.fromkeys(listening(), "listens")
    print(READY + json.dumps(sorted(report["listening"])), flush=True)
    for _ in range(3000):
        if os.path.exists(GO_ON):
            break
        time.sleep(0.1)
    print(REPORT + json.dumps(report), flush=True)


if __name__ == "__main__":
    main([name for name in sys.argv[1].split(",") if name])
