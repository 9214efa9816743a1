import json
import os
import shlex
import sys

import yaml

STATE = os.environ["FAKE_STATE"]
words = sys.argv[1:]
with open(f"{STATE}/docker.calls", "a") as file:
    file.write(json.dumps(words) + "\n")


def told(name):
    try:
        with open(f"{STATE}/{name}") as file:
            return file.read()
    except FileNotFoundError:
        return None


if told("docker-down") is not None and words[0] != "compose":
    sys.exit("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
if told("docker-closed") is not None and words[0] != "compose":
    sys.exit("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock")


def resolved(more):
    """What Compose resolves of the miniature's file, as far as boulder-k8s reads it; `more`: services that it has not."""
    with open("docker-compose.yml") as file:
        document = yaml.safe_load(file.read().replace("${BOULDER_TOOLS_TAG:-latest}", "t"))
    if "docker-compose.next.yml" in words:
        with open("docker-compose.next.yml") as file:
            change = yaml.safe_load(file)["services"]["boulder"]["environment"]
        document["services"]["boulder"]["environment"].update(change)
    for service in document["services"].values():
        for key in ("entrypoint", "command"):
            if isinstance(service.get(key), str):
                service[key] = shlex.split(service[key])
        environment = service.get("environment", {})
        service["environment"] = {
            key: json.dumps(value) if isinstance(value, bool) else str(value) for key, value in environment.items()
        }
        if isinstance(service.get("networks"), list):
            service["networks"] = dict.fromkeys(service["networks"])
        if isinstance(service.get("depends_on"), list):
            service["depends_on"] = {name: {"condition": "service_started"} for name in service["depends_on"]}
        if "dns" in service:
            service["dns"] = [service["dns"]]
        service["ports"] = [
            {"target": int(port.split(":")[1]), "published": port.split(":")[0]} for port in service.get("ports", [])
        ]
        service["volumes"] = [mount(*volume.split(":")[:2]) for volume in service.get("volumes", [])]
    for name in more:
        document["services"][name] = {"image": f"{name}:1", "network_mode": "host"}
        document["services"]["boulder"]["depends_on"][name] = {"condition": "service_started"}
    return document


def mount(source, target):
    kind, where = ("bind", os.path.realpath(source)) if source.startswith(".") else ("volume", source)
    return {"type": kind, "source": where, "target": os.path.normpath(target)}


lacking = told("no-image")
if words[0] == "info":
    engine = {"ServerVersion": "28.0.0", "CgroupVersion": "2", "DriverStatus": [["Backing Filesystem", "extfs"]]}
    print(told("podman") or json.dumps({**engine, **json.loads(told("docker-info") or "{}")}))
elif words[0] == "create":
    mounted = words[words.index("--mount") + 1].split('"')[1].removeprefix("source=")
    if told("blind") is not None and mounted.startswith(told("blind")):
        sys.exit(f'invalid mount config for type "bind": bind source path does not exist: {mounted}')
    sys.exit("Error response from daemon: No such image: boulder-k8s.invalid/none:none")
elif words[0] == "version":
    print("28.0.0")
elif words[:2] == ["container", "inspect"]:
    node = told("node")
    if node is None:
        sys.exit(f"Error response from daemon: No such container: {words[2]}")
    print(json.dumps([json.loads(node)]))
elif words[:2] == ["image", "inspect"]:
    references = words[4:]
    if lacking == "*" or lacking in references:
        sys.exit(f"Error response from daemon: No such image: {lacking}")
    for reference in references:
        known = {"Id": f"sha256:{reference.replace('/', '_')}", "RootFS": {"Layers": []}, "RepoDigests": []}
        known["Platform"] = "linux/amd64/"
        print(json.dumps(known) if words[3] == "{{json .}}" else known["Platform" if ".Os" in words[3] else "Id"])
elif words[0] == "compose" and "config" in words:
    print(json.dumps(resolved((told("services") or "").split())))
elif words[:2] == ["volume", "inspect"]:
    if told("volume") is None:
        sys.exit(f"Error response from daemon: get {words[2]}: no such volume")
    print(json.dumps([{"Mountpoint": "/volumes/x", "CreatedAt": "now"}]))
elif words[:2] == ["volume", "create"]:
    with open(f"{STATE}/volume", "w") as file:
        file.write(words[-1])
elif words[:2] == ["volume", "rm"]:
    os.remove(f"{STATE}/volume")
elif words[0] == "compose" and "pull" in words:
    sys.exit(f"manifest for {lacking} not found: manifest unknown")
elif words[:2] == ["image", "save"]:
    sys.stdout.write("a tar archive")
elif words[0] == "run" and words[-1] == "/proc/self/limits":
    print('{"process": {}}')
    print("Max open files            1024                 524288               files     ")
elif words[0] == "exec" and words[2:] == ["containerd", "config", "dump"]:
    print("[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'overlayfs'")
elif words[0] == "exec":
    sys.stdin.read()
