# shellcheck shell=bash disable=SC2154 # the variables are set in lab
# The node image and Compose's images, each under the exact name that the manifests and docker-compose.yml use.

exists() { docker image inspect "$1" >/dev/null 2>&1; }
recipe() { # recipe DIR: of what DIR's images are made, but for the programs
  (cd "$here/$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
}
made() { # made TAG DIR [STAGE]: whether the image is there, made by the recipe that DIR has today
  [ "$(docker image inspect --format '{{index .Config.Labels "lab.recipe"}}' "$1" 2>/dev/null)" = "$(recipe "$2")${3:+-$3}" ]
}
image() { # image TAG DIR [STAGE]
  if made "$@"; then return; fi
  say "image $1"
  internet real
  local context=$cache/context/$2
  [ -d "$context" ] || "context_$2"
  # The engine's own builder: Debian's packages bring no BuildKit.
  DOCKER_BUILDKIT=0 docker build --quiet --network host --tag "$1" --label "lab.recipe=$(recipe "$2")${3:+-$3}" \
    ${3:+--target "$3"} "$context" &>"$cache/build.log" || { tail -20 "$cache/build.log" >&2; return 1; }
}
context() { # context DIR FILE...: a fresh build context holding DIR's files and FILEs
  local to=$cache/context/$1; rm -rf "$to"; mkdir -p "$to"; cp -r "$here/$1/." "$to/"; shift
  cp -r "$@" "$to/"
}

debian() {
  exists lab/debian:$suite && return
  say "image lab/debian:$suite"
  debootstrap --variant=minbase --include=ca-certificates $suite "$cache/rootfs" "$(mirror)" >"$cache/debootstrap.log"
  tar -C "$cache/rootfs" -c . | docker import - lab/debian:$suite >/dev/null
  rm -rf "$cache/rootfs"
}

kind_module() { go mod download -json "sigs.k8s.io/kind@v$kind" | jq -er '.Dir // error(.Error)'; }
context_node() {
  context node "$bin"/{kubeadm,kubelet,kubectl,containerd,containerd-shim-runc-v2,ctr} "$bin/cni"
  cp -r "$(kind_module)/images/base/files" "$cache/context/node/files" && chmod -R u+w "$cache/context/node/files"
}
context_system() {
  context system "$bin"/{pause,etcd,coredns,kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy,local-path-provisioner} /bin/busybox
}
context_services() { context services "$bin"/{consul,minio,mc,jaeger} /bin/busybox; }
context_tools() {
  (cd "$cache" && GOTOOLCHAIN=go$gotip go version >/dev/null)
  context tools "$bin"/{minica,sql-migrate,protoc-gen-go,protoc-gen-go-grpc,typos,protoc}
  ! have golangci-lint || cp "$bin/golangci-lint" "$cache/context/tools/"
  cp -rL "$(go env GOROOT)" "$cache/context/tools/go"
  cp -r "$(go env GOMODCACHE)/golang.org/toolchain@v0.0.1-go$gotip.linux-amd64" "$cache/context/tools/gotip"
  chmod -R u+w "$cache/context/tools"
}

node_image() {
  local node=kindest/node:v$kubernetes
  exists "$node" && return
  local storage component provisioner helper images
  image lab/node-base node
  storage=$(kind_module)/pkg/build/nodeimage/const_storage.go
  provisioner=$(sed -n 's/^const storageProvisionerImage = "\(.*\)"/\1/p' "$storage")
  helper=$(sed -n 's/^const storageHelperImage = "\(.*\)"/\1/p' "$storage")
  image registry.k8s.io/pause:$pause system pause
  image registry.k8s.io/etcd:$etcd-0 system etcd
  image registry.k8s.io/coredns/coredns:v$coredns system coredns
  for component in apiserver controller-manager scheduler proxy; do
    image "registry.k8s.io/kube-$component:v$kubernetes" system "kube-$component"
  done
  image "$provisioner" system local-path-provisioner
  image "$helper" system busybox
  images=(registry.k8s.io/{"pause:$pause","etcd:$etcd-0","coredns/coredns:v$coredns"}
    registry.k8s.io/kube-{apiserver,controller-manager,scheduler,proxy}":v$kubernetes" "$provisioner" "$helper")

  say "image $node"
  # shellcheck disable=SC2016 # the backquotes are Go's
  sed -n '/^const defaultStorageManifest = `/,/^`/p' "$storage" | sed -e '1d;$d' \
    -e "s#\` + storageProvisionerImage + \`#$provisioner#" -e "s#\` + storageHelperImage + \`#$helper#" >"$cache/default-storage.yaml"
  docker rm -f lab-node-build >/dev/null 2>&1 || true
  docker run -d --privileged --name lab-node-build --entrypoint sleep lab/node-base infinity >/dev/null
  docker exec -d lab-node-build containerd
  until docker exec lab-node-build ctr version >/dev/null 2>&1; do sleep 0.5; done
  docker save "${images[@]}" | docker exec -i lab-node-build ctr -n k8s.io images import --no-unpack - >/dev/null
  docker cp -q "$cache/default-storage.yaml" lab-node-build:/kind/manifests/default-storage.yaml
  docker exec lab-node-build sh -c 'kill "$(pidof containerd)"; sleep 1'
  docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]' --change 'CMD []' lab-node-build "$node" >/dev/null
  docker rm -f lab-node-build >/dev/null
}

compose_images() { # "TAG DIR STAGE" of each image in docker-compose.yml that is wanted
  cat <<'END'
mariadb:10.11.13 services mariadb
redis:7.0.15 services redis
hashicorp/consul:1.22.6 services consul
minio/minio:RELEASE.2025-09-07T16-13-09Z services minio
proxysql/proxysql:2.7.2 services proxysql
ghcr.io/pkimetal/pkimetal:v1.41.0 services pkimetal
jaegertracing/all-in-one:1.76.0 services jaeger
letsencrypt/boulder-vtcomboserver:lab services vitess
END
  if wants lints || made letsencrypt/boulder-tools:lab tools lints; then
    echo letsencrypt/boulder-tools:lab tools lints
  else
    echo letsencrypt/boulder-tools:lab tools base
  fi
}

ready() { # whether nothing has to be built
  local tag directory stage
  exists kindest/node:v$kubernetes || return
  while read -r tag directory stage; do made "$tag" "$directory" "$stage" || return; done < <(compose_images)
}

images() {
  rm -rf "$cache/context"
  debian
  node_image
  local tag directory stage
  while read -r tag directory stage; do image "$tag" "$directory" "$stage" </dev/null; done < <(compose_images)
  rm -rf "$cache/context"
}
