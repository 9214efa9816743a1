"""What the flags that several tasks have mean: `invoke --help TASK` shows it."""

NEXT = "test/config-next, as ./tn.sh; without it test/config, as ./t.sh"
SERVICE = "as docker-compose.yml names it"
TIMEOUT = "seconds for the services to get ready: BOULDER_K8S_TIMEOUT, else 600"
JSON = "print it as JSON"
CLIENTS = {  # docs/acme-clients.md
    "fake_dns": "address that every name resolves to for validation, or host-gateway: this host's as pods reach it",
    "add_host": "NAME:ADDRESS for the pod's /etc/hosts; may be given more than once",
    "config_overlay": "directory whose files take the place of those in test/config",
}
INSIDE = {
    "env": "NAME=VALUE, or NAME for this shell's value; may be given more than once",
    "workdir": "directory of the container",
    "user": "name or number of a user of the container",
    "no_tty": "no terminal, even if this is one",
}
RUN = {
    "entrypoint": "in place of test/entrypoint.sh, words as for a shell",
    "service_ports": "Boulder's ports answer on the host",
}
LOGS = {
    "services": "as docker-compose.yml names them, separated by commas: --services bconsul,bredis_1; all when there is none",
    "no_color": "no colours",
    "no_log_prefix": "without the name of the service before each line",
    "follow": "go on until Ctrl-C, whatever restarts or appears",
    "timestamps": "with the time of each line",
    "tail": "begin with that many lines of each container, or all",
    "since": "begin there: 10m, 1h30m, or 2026-01-31T12:00:00",
    "previous": "of the containers' runs before their last restart",
}
PARITY = {
    "part": "static, probe or results; several separated by commas; all when there is none",
    "args": "test.sh's arguments for the part results, in one string",
    "next": NEXT,
    "json": JSON,
    "reruns": "how often tests that differ are run again on both sides",
    "output": "directory for report.json, report.md, junit.xml and the logs",
}
RERUN = {
    "failed": "only the stage, packages and tests that failed",
    "run": "another run than the last: its directory in .runs, such as 20260131T120000Z-t-unit",
    "timeout": TIMEOUT,
}
REVISIONS = {
    "since": "only those since a date: 2026-01-31, or '14 days ago'",
    "limit": "only that many, the newest ones; 0: all",
    "json": JSON,
}
UP = {
    "next": NEXT,
    "timeout": TIMEOUT,
    "fresh": "service that gets empty databases first; may be given more than once: up --fresh bmariadb",
    "watch": "go on, and start Boulder again whenever the checkout's code changes; Ctrl-C ends that",
    "offline": "pull, build, clone and download nothing; BOULDER_K8S_OFFLINE=true says so to every command",
    "anew": "start Boulder again even if nothing has changed",
    "attach": "then print the logs, or with --attach=bconsul,boulder theirs, until Ctrl-C, which stops all that was to start: `docker compose up` without -d",
    "no_color": "no colours in them",
    "no_log_prefix": "without the name of the service before each line",
    "timestamps": "with the time of each line",
    **CLIENTS,
}
MATRIX = {
    "rows": "only rows of the checkout's workflow that this fits, such as integration or 'tn-*'; may be given more than once",
    "row": "test.sh's arguments in one string, with t or tn before them: --row 'tn --unit -p ./va'; may be given more than once",
    "render": "print the YAML that is applied, and run nothing",
    "timeout": "seconds after which a row that has not ended is ended; 0: never",
    "context": "another cluster than this project's own: a context of the kubeconfig",
    "kubeconfig": "KUBECONFIG, else ~/.kube/config; needs --context",
    "namespace": "one that is there already; without it the matrix makes one, and removes it",
    "queue": "Kueue's LocalQueue in which the rows wait",
    "cpu": "processors that the scheduler keeps free for a row",
    "memory": "memory that the scheduler keeps free for a row",
    "cache": "PersistentVolumeClaim of --namespace for the Go build cache that rows share",
    "detach": "end as soon as the rows are on the cluster",
    "attach": "follow a matrix that was detached, by its name",
    "clean": "remove what commands that were killed have left on the cluster",
}
RENDER = {"next": NEXT, "secrets": "also print the Secrets: the test PKI's keys", **CLIENTS}
