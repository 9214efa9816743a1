# shellcheck shell=bash
# tk8s.sh, tnk8s.sh and ck8s.sh source this with a verb of boulder_k8s/__main__.py and the user's arguments; it becomes Python.
# If it returns, it is not whole, and they say so.

here=${BASH_SOURCE[0]%/boulder_k8s/*}

# A signal is 128 + its number from the first line on; it waits for the command that runs, some milliseconds.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 131' QUIT
trap 'exit 143' TERM

case ${BASH_SOURCE[1]} in
  */*) BOULDER_K8S_WRAPPER=${BASH_SOURCE[1]%/*} ;; # in a checkout it is a link
  *) BOULDER_K8S_WRAPPER=. ;;
esac
export BOULDER_K8S_WRAPPER

# Through the link .venv, so that this run keeps its environment if another command makes a new one.
venv=$(cd -P -- "$here/.venv" 2>/dev/null && pwd -P)
start=$here/boulder_k8s/start.py

# Until Python catches signals, SIGINT makes it print a traceback: it gets stderr as descriptor 9 and takes it from there.
{ : >&2; } 2>/dev/null || exec 2>/dev/null # a stderr that is closed
shopt -s execfail                          # a Python that is gone now is no verdict, such as 127

# What becomes the wrapper has shown before that it works: a Python that ends with 0 would look like tests that passed.
if [ -n "$venv" ] && [ "$("$venv/bin/python" -I -S "$start" 2>/dev/null)" = "$venv/bin/python" ]; then
  exec "$venv/bin/python" -I -S "$start" --stderr __main__ "$@" 9>&2 2>/dev/null
fi
# The first call sets up .venv; so does the first one after requirements.txt, this machine's Python or the project's
# place has changed.
if [ "$(python3 -I -S -c 'print("works", 6 * 7)' 2>/dev/null)" = "works 42" ]; then
  if [ "$(python3 -I -S "$here/boulder_k8s/bootstrap.py" --whole 2>/dev/null)" = whole ]; then
    exec python3 -I -S "$here/boulder_k8s/bootstrap.py" --then __main__ "$@" 9>&2 2>/dev/null
  fi
else
  echo "boulder-k8s: python3 is not on PATH, or does not work." >&2
  echo "boulder-k8s: Install Python 3.11 or newer, and let \`python3\` be it (\`python3 --version\` shows it)." >&2
  exit 2
fi
