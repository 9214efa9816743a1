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

# The host has an address in each of them; the node hands on what comes for it (cluster/network.py).
ip -4 route | while read -r what via gateway _; do
  [ "$what $via" = "default via" ] || continue
  for host in 64.112.117.1 64.112.117.129; do ip route replace "$host/32" via "$gateway"; done
done

# Where names resolve to when the ACME client has an address that Boulder refuses (k8s/components/acme-client).
[ -z "${CLIENT_ADDRESS:-}" ] || ip address replace "$CLIENT_ADDRESS/25" dev publicnet

# writeback.py brings what is written to the copy into the checkout.
# A ConfigMap volume is a tree of symbolic links into its `..data`; git and Boulder must see plain files, and these alone.
umask 0 # permissions as the volume has them, which are the checkout's
for file in /config/* /config/.[!.]*; do
  [ ! -e "$file" ] || cp -rL "$file" /boulder-config/
done

# Directories' permissions, then owners, as the checkout has them: Compose mounts it. What is not in the checkout
# (--config-overlay) belongs to the owner of its directory.
cd /checkout
find . -type d -exec stat -c '%a %n' {} + | while read -r mode directory; do
  [ ! -d "/boulder-config/$directory" ] || chmod "$mode" "/boulder-config/$directory"
done
owner=$(stat -c %u:%g .)
chown -R "$owner" /boulder-config
find . -exec stat -c '%u:%g %n' {} + | while read -r other path; do
  [ "$other" = "$owner" ] || [ ! -e "/boulder-config/$path" ] || chown "$other" "/boulder-config/$path"
done
