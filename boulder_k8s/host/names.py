"""Names that code, YAML and tests share."""

NAMESPACE = "boulder"
BOULDER = "boulder"  # the Compose service, its Deployment and its container
TESTS = "boulder-tests"  # t.sh's `--name boulder_tests`
SETUP = "bsetup"  # the Compose service that runs generate.sh

NAME = "app.kubernetes.io/name"  # the label that Services and workloads select by
PART_OF = "app.kubernetes.io/part-of=boulder"  # selects every object of k8s/base
REPLICAS = "boulder-k8s/replicas"  # annotation of the Deployment boulder: what it had before a run scaled it down
STOPPED = "boulder-k8s/stopped"  # annotation of a workload: what it had before the user stopped it (`invoke stop`)
CODE = (
    "boulder-k8s/code"  # annotation of Boulder's pods: the code that they were started from (manifests/working_tree.py)
)
RESTARTED = "boulder-k8s/restarted"  # annotation of a workload's pods: when `invoke restart` made them anew
TEMPLATE = "boulder-k8s/template"  # annotation of a Job: what it was made from, which nobody can change
WORKLOAD_KINDS = ("Deployment", "StatefulSet", "Job")

# On the node; k8s/base and k8s/cluster name the same paths.
CHECKOUT_MOUNT = "/boulder"
RUNS_MOUNT = "/runs"
STATIC_PODS_MOUNT = "/static-pods"
CONTAINERD_UNIT_MOUNT = "/etc/systemd/system/containerd.service.d/boulder-k8s.conf"
RUN_DIRECTORY = "/run/boulder-k8s"  # in the pod
CHECKOUT_BELOW = "/run/boulder-checkout"  # in the tests' pod: the checkout without the copy of its configuration
