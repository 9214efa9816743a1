# shellcheck shell=bash disable=SC2154 # the variables are set in lab
# The Docker engine, as people have it, and the names that its containers can look up.

# URI of the machine's own Debian mirror, whatever file names it.
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -1; }

# Debian forky's docker.io and docker-compose need only bookworm's libc; bookworm's own are too old for
# `start_interval` in a Compose healthcheck. Go is there, too.
forky_deb() { # forky_deb PACKAGE: downloads PACKAGE's .deb of the forky suite and prints its path
  local state=$cache/apt-forky
  mkdir -p "$state/lists/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) forky main" >"$state/sources.list"
  local options=(-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::Lists=$state/lists"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
  [ -e "$state/updated" ] || { apt-get -qq "${options[@]}" update && touch "$state/updated"; } >&2
  (cd "$state" && apt-get -qq "${options[@]}" -o APT::Sandbox::User=root download "$1/forky" >&2)
  ls "$state/$1"_*.deb
}

engine() {
  mkdir -p "$cache"
  [ -e /etc/debian_version ] || refuse "The lab installs Debian packages, and this machine is not Debian's." \
    "Install Docker as its documentation says; the lab is for Debian alone."
  if ! [ -x /usr/sbin/dockerd ] || ! /usr/bin/docker compose version >/dev/null 2>&1; then
    say "installing the Docker engine and Compose"
    apt-get -qq update
    local sysusers=() # docker.io's package makes the group docker with it
    type systemd-sysusers >/dev/null 2>&1 || sysusers=(systemd-standalone-sysusers)
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends busybox-static ca-certificates containerd \
      debootstrap gcc git iproute2 iptables jq kmod libc6-dev procps python3-pip python3-venv runc "${sysusers[@]}" >/dev/null
    local package debs=()
    for package in tini-static docker-cli docker.io docker-compose; do debs+=("$(forky_deb $package)"); done
    dpkg --force-depends --remove tini >/dev/null 2>&1 || true # bookworm's tini and forky's tini-static exclude each other
    dpkg -i "${debs[@]}" >/dev/null
  fi
  if ! type go >/dev/null 2>&1 && ! [ -x /usr/lib/go-1.26/bin/go ]; then
    say "installing Go"
    dpkg -i "$(forky_deb golang-1.26-src)" "$(forky_deb golang-1.26-go)" >/dev/null
  fi
  type go >/dev/null 2>&1 || export PATH=/usr/lib/go-1.26/bin:$PATH
  ln -sfn sid /usr/share/debootstrap/scripts/forky
  if ! docker info >/dev/null 2>&1; then
    say "starting the Docker engine"
    local hard
    hard=$(ulimit -Hn)
    if [ "$hard" = unlimited ] || [ "$hard" -gt 524288 ]; then hard=524288; fi # as Docker 29 under systemd gives them
    rm -f /var/run/docker.pid
    nohup setsid /usr/sbin/dockerd --add-runtime "lab=$here/runc-lab" --default-runtime lab --dns "$resolver" \
      --default-ulimit "nofile=1024:$hard" >"$cache/dockerd.log" 2>&1 </dev/null &
    for _ in $(seq 60); do docker info >/dev/null 2>&1 && break; sleep 0.5; done
    docker info >/dev/null || { tail -5 "$cache/dockerd.log" >&2; return 1; }
  fi
  ! have coredns || internet "$(cat "$cache/internet/state" 2>/dev/null || echo real)"
}

# --- the internet that containers see ---------------------------------------------------------------
# RFC 5737's second test network, on this machine's own loopback.
resolver=198.51.100.53 web=198.51.100.80

internet() { # internet real|answering|silent: what the resolver says that the engine gives to containers
  local state=${1:-} at=$cache/internet log=$cache/internet/coredns.log
  [ -f "$here/internet/$state.corefile" ] || refuse "\`lab internet $state\`: there is no such internet." "Use real, answering or silent."
  if ! [ -w "$at/Corefile" ]; then
    as_root "internet $state"
    mkdir -p "$at/web"
    touch "$at/Corefile" "$at/state"
    chgrp docker "$at/Corefile" "$at/state" && chmod g+w "$at/Corefile" "$at/state" # who may use Docker may change it
  fi
  local before
  before=$(grep -c 'Reloading complete' "$log" 2>/dev/null) || true
  if cmp -s "$here/internet/$state.corefile" "$at/Corefile"; then before=-1; fi
  cp "$here/internet/$state.corefile" "$at/Corefile"
  echo "$state" >"$at/state"
  if ! pgrep -fx "$bin/coredns -conf $at/Corefile" >/dev/null; then
    as_root "internet $state"
    local address port
    for address in $resolver $web; do ip address replace $address/32 dev lo; done
    nohup setsid "$bin/coredns" -conf "$at/Corefile" >"$log" 2>&1 </dev/null &
    for port in 80 443; do
      nohup setsid python3 -m http.server --bind $web --directory "$at/web" $port >/dev/null 2>&1 </dev/null &
    done
    for _ in $(seq 50); do grep -q CoreDNS- "$log" && break; sleep 0.1; done
  else
    for _ in $(seq 100); do [ "$(grep -c 'Reloading complete' "$log")" = "$((before))" ] || break; sleep 0.1; done
  fi
}
