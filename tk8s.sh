#!/usr/bin/env -S bash -p
#
# Outer wrapper for invoking Boulder's test.sh in a local kind cluster: ./t.sh on Kubernetes.
#

# bash -p does not read what could end this script before its first line: BASH_ENV, SHELLOPTS, exported functions, CDPATH.
case $- in *p*) ;; *) exec bash -p "$0" "$@" ;; esac

if here=$(realpath -- "${BASH_SOURCE[0]}"); then
  here=${here%/*}
  # shellcheck source=boulder_k8s/wrapper.sh
  source "$here/boulder_k8s/wrapper.sh" test "$@"
fi
echo "boulder-k8s: this copy of boulder-k8s is not whole${here:+ ($here)}." >&2
echo "boulder-k8s: Look at \`git status\` there, and at PATH: bash and realpath are needed." >&2
exit 2
