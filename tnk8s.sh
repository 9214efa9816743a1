#!/usr/bin/env bash
#
# Outer wrapper for invoking Boulder's test.sh with config-next in a local kind cluster: ./tn.sh on Kubernetes.
#

# shellcheck source=boulder_k8s/wrapper.sh
source "$(dirname "$(realpath -- "${BASH_SOURCE[0]}")")/boulder_k8s/wrapper.sh" test-next "$@"
