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
