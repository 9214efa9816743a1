#!/bin/sh
# Runs in the Boulder pod before Boulder: the addresses that its programs bind, and its configuration.
set -eu

# Compose's bouldernet address. Other pods reach it through the Service of the same address.
ip address replace 10.77.77.77/32 dev lo

# Compose's two public networks, as bridges without ports: their own address is local, every other address in them goes
# unanswered, as Boulder's VA tests need of 64.112.117.254. On `lo` it would answer; without the /25 it would be routed.
bridge() { # bridge NAME ADDRESS
  ip link show "$1" >/dev/null 2>&1 || ip link add "$1" type bridge
  ip address replace "$2" dev "$1"
  ip link set "$1" up
}
bridge publicnet 64.112.117.122/25
bridge publicnet2 64.112.117.134/25

# Where names resolve to when the ACME client has an address that Boulder refuses (k8s/components/acme-client).
[ -z "${CLIENT_ADDRESS:-}" ] || ip address replace "$CLIENT_ADDRESS/25" dev publicnet

# A ConfigMap volume is a tree of symbolic links into its `..data`; git and Boulder must see plain files, and these alone.
for file in /config/* /config/.[!.]*; do
  [ ! -e "$file" ] || cp -rL "$file" /boulder-config/
done
chmod 0755 /boulder-config # as a checkout has it; an emptyDir is open to all
