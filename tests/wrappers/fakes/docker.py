import json
import os
import sys

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
lacking = told("no-image")
if words[0] == "info":
    print(
        json.dumps({"ServerVersion": "28.0.0", "CgroupVersion": "2", "DriverStatus": [["Backing Filesystem", "extfs"]]})
    )
elif words[0] == "version":
    print("28.0.0")
elif words[:2] == ["container", "inspect"]:
    node = told("node")
    if node is None:
        sys.exit(f"Error response from daemon: No such container: {words[2]}")
    print(json.dumps([json.loads(node)]))
elif words[:2] == ["image", "inspect"]:
    references = words[4:]
    if lacking in references:
        sys.exit(f"Error response from daemon: No such image: {lacking}")
    print("\n".join(f"sha256:{reference.replace('/', '_')}" for reference in references))
elif words[0] == "compose" and "config" in words:
    names = (
        "bsetup bmariadb bproxysql bredis_1 bredis_2 bconsul bjaeger bpkimetal bminio bvitess".split()
        + (told("services") or "").split()
    )
    images = {"bsetup": "letsencrypt/boulder-tools:t", "bredis_1": "redis:7", "bredis_2": "redis:7"}
    services = {
        name: {
            "image": images.get(name, f"{name}:1"),
            "entrypoint": ["test/certs/generate.sh"] if name == "bsetup" else None,
        }
        for name in names
    }
    services["boulder"] = {
        "image": "letsencrypt/boulder-tools:t",
        "entrypoint": ["test/entrypoint.sh"],
        "environment": {"USE_VITESS": "false"},
    }
    print(json.dumps({"services": services}))
elif words[0] == "compose" and "pull" in words:
    sys.exit(f"manifest for {lacking} not found: manifest unknown")
elif words[:2] == ["image", "save"]:
    sys.stdout.write("a tar archive")
elif words[0] == "exec":
    sys.stdin.read()
