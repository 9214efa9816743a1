import http.client
import json
import os
import sys
import time

STATE = os.environ["FAKE_STATE"]
words = sys.argv[1:]
with open(f"{STATE}/kind.calls", "a") as file:
    file.write(json.dumps(words) + "\n")


def option(name):
    return next((word.split("=", 1)[1] for word in words if word.startswith(f"--{name}=")), None)


def reset():
    """The API server's cluster is another one now."""
    server = http.client.HTTPConnection(told_url().removeprefix("http://"), timeout=10)
    server.request("POST", "/fake/reset")
    server.getresponse().read()


def told_url():
    with open(f"{STATE}/api-url") as file:
        return file.read()


if words[0] == "version":
    version = open(f"{STATE}/kind-version").read() if os.path.exists(f"{STATE}/kind-version") else "0.33.0"
    print(f"kind v{version} go1.26.0 linux/amd64")
elif words[:2] == ["create", "cluster"]:
    if os.path.exists(f"{STATE}/slow"):
        print("creating", flush=True)
        time.sleep(1000)
    mounts = []
    ports = {}
    for line in open(option("config")):
        if "containerPath:" in line:
            mounts[-1]["Destination"] = line.split(": ")[1].strip()
        if "hostPath:" in line:
            mounts.append({"Type": "bind", "Source": line.split(": ")[1].strip()})
        if "hostPort:" in line:
            port = line.split(": ")[1].strip()
        if "containerPort:" in line:
            ports[line.split(": ")[1].strip() + "/tcp"] = [{"HostPort": port}]
    with open(f"{STATE}/node", "w") as file:
        json.dump(
            {
                "Id": "node-1",
                "State": {"Running": True},
                "Mounts": mounts,
                "HostConfig": {"PortBindings": ports},
                "NetworkSettings": {"Networks": {"kind": {"Gateway": "172.18.0.1", "IPAddress": "172.18.0.2"}}},
            },
            file,
        )
    reset()
    context = f"kind-{option('name')}"
    with open(option("kubeconfig"), "w") as file:
        cluster = {"name": context, "cluster": {"server": told_url()}}
        user = {"name": context, "user": {}}
        both = {"name": context, "context": {"cluster": context, "user": context}}
        json.dump({"clusters": [cluster], "users": [user], "contexts": [both]}, file)
elif words[:2] == ["delete", "cluster"] and os.path.exists(f"{STATE}/node"):
    os.remove(f"{STATE}/node")
    reset()
