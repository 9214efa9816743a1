import glob
import json
import os
import struct
import subprocess
import sys
import time

STATE = os.environ["FAKE_STATE"]
words = sys.argv[1:]
with open(f"{STATE}/kubectl.calls", "a") as file:
    file.write(json.dumps(words) + "\n")
with open(f"{STATE}/kubectl.kuberc", "a") as file:
    file.write(os.environ.get("KUBERC", "on") + "\n")


def told(name):
    try:
        with open(f"{STATE}/{name}") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def workloads():
    names = "bmariadb bproxysql bredis-1 bredis-2 bconsul bjaeger bpkimetal bminio bvitess".split()
    status = {"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1, "replicas": 1}
    return {
        "items": [
            {
                "kind": "Deployment",
                "metadata": {"name": name, "generation": 1},
                "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": name, "image": name}]}}},
                "status": status,
            }
            for name in names
        ]
    }


if words[0] == "kustomize":
    sys.exit(subprocess.run([f"{STATE}/kubectl-real", *words]).returncode)
if words[0] == "version":
    print("Client Version: v1.37.1")
    sys.exit()


def run_directory():
    with open(f"{STATE}/pod.json") as file:
        volumes = json.load(file)["spec"]["volumes"]
    path = next(volume["hostPath"]["path"] for volume in volumes if volume["name"] == "run")
    return path.replace("/runs", told("runs"))


verb = [word for word in words if not word.startswith("--")]
if verb[:2] == ["get", "configmap"]:
    print(json.dumps({"data": {"Corefile": ".:53 {\n}\n"}}))
elif verb[:2] in (["get", "deployments,statefulsets,pods"], ["get", "deployments,statefulsets,pods,services"]):
    print(json.dumps(workloads()))
elif verb[:2] == ["get", "pods"] and "--watch" in words:
    status = {"phase": "Running", "containerStatuses": [{"name": "boulder", "state": {"running": {}}}]}
    print(
        json.dumps(
            {"type": "ADDED", "object": {"kind": "Pod", "metadata": {"name": "boulder-tests"}, "status": status}}
        ),
        flush=True,
    )
    time.sleep(1000)
elif verb[:2] in (["get", "pods"], ["get", "pods,events"]):
    print(json.dumps({"items": []}))
elif verb[:2] == ["get", "pod"]:
    print(json.dumps({"metadata": {}, "status": {"phase": "Running"}}))
elif verb[:2] == ["get", "deployment"]:
    sys.exit('Error from server (NotFound): deployments.apps "boulder" not found')
elif verb[:1] == ["create"]:
    with open(f"{STATE}/pod.json", "w") as file:
        file.write(document := sys.stdin.read())
    print(json.dumps({"metadata": {**json.loads(document)["metadata"], "uid": "uid-1"}}))
    open(f"{run_directory()}/started", "w").close()  # the supervisor's word
elif verb[:1] == ["exec"]:
    # The tests end while the stream brings what they said.
    run = run_directory()
    for number, name in ((1, "stdout"), (2, "stderr")):
        data = told(name).encode()
        with open(f"{run}/{name}", "wb") as file:
            file.write(data)
        sys.stdout.buffer.write(struct.pack(">BI", number, len(data)) + data)
    sys.stdout.buffer.flush()
    if told("exit-code"):
        with open(f"{run}/exitcode", "w") as file:
            file.write(told("exit-code"))
    else:
        while not glob.glob(f"{run}/signals/*"):
            time.sleep(0.05)
        with open(f"{run}/exitcode", "w") as file:
            file.write("1")
    sys.exit(int(told("exec-code") or 0))
