#!/usr/bin/env bash
#
# Outer wrapper for invoking Boulder's test.sh with config-next in a local kind cluster: ./tn.sh on Kubernetes.
#

set -o errexit

here=$(dirname "$(realpath -- "${BASH_SOURCE[0]}")")
BOULDER_K8S_WRAPPER=$(dirname -- "${BASH_SOURCE[0]}")
export BOULDER_K8S_WRAPPER

# The first call sets up .venv; so does the first one after requirements.txt or this machine's Python has changed.
python=$here/.venv/bin/python
[ "$here/.venv/complete" -nt "$here/requirements.txt" ] && [ -x "$python" ] &&
  [ "$(<"$here/.venv/complete")" = "$(readlink -f -- "$python")" ] ||
  python3 "$here/boulder_k8s/bootstrap.py" </dev/null >&2

export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m boulder_k8s test-next "$@"
