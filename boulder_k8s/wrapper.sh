# shellcheck shell=bash
# tk8s.sh and tnk8s.sh source this with a verb of `python -m boulder_k8s` and the user's arguments; it becomes Python.

set -o errexit

here=$(dirname "$(realpath -- "${BASH_SOURCE[1]}")")
BOULDER_K8S_WRAPPER=$(dirname -- "${BASH_SOURCE[1]}") # in a checkout it is a link
export BOULDER_K8S_WRAPPER

# The first call sets up .venv; so does the first one after requirements.txt or this machine's Python has changed.
python=$here/.venv/bin/python
[ "$here/.venv/complete" -nt "$here/requirements.txt" ] && [ -x "$python" ] &&
  [ "$(<"$here/.venv/complete")" = "$(readlink -f -- "$python")" ] ||
  python3 "$here/boulder_k8s/bootstrap.py" </dev/null >&2

export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m boulder_k8s "$@"
