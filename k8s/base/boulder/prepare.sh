#!/bin/sh
# Runs in the Boulder pod before Boulder: the addresses that its programs bind, and its configuration.
set -eu

# local=ADDRESS: on a network that Boulder shares with services. Other pods reach it through the Service of that address.
# bridge=NAME:ADDRESS/PREFIX: a network that Boulder is alone on, as a bridge without ports: its own address is local, every
# other address in it goes unanswered, as Boulder's VA tests need of 64.112.117.254. On `lo` it would answer; without the
# prefix it would be routed.
# host=ADDRESS: the host's in such a network; the node hands on what comes for it (cluster/network.py).
gateway=$(ip -4 route | while read -r what via address _; do
  if [ "$what $via" = "default via" ]; then echo "$address" && break; fi
done)
for argument; do
  value=${argument#*=}
  case $argument in
    local=*) ip address replace "$value/32" dev lo ;;
    bridge=*)
      name=${value%%:*}
      ip link show "$name" >/dev/null 2>&1 || ip link add "$name" type bridge
      ip address replace "${value#*:}" dev "$name"
      ip link set "$name" up
      ;;
    host=*) [ -z "$gateway" ] || ip route replace "$value/32" via "$gateway" ;;
  esac
done

# Where names resolve to when the ACME client has an address that Boulder refuses (k8s/components/acme-client).
[ -z "${CLIENT_ADDRESS:-}" ] || ip address replace "$CLIENT_ADDRESS/32" dev lo

# A row of `invoke matrix` has a checkout of its own, and needs no copy.
[ -d /boulder-config ] || exit 0

# writeback.py brings what is written to the copy into the checkout.
# A ConfigMap volume is a tree of symbolic links into its `..data`; git and Boulder must see plain files, and these alone.
umask 0 # permissions as the volume has them, which are the checkout's
for file in /config/* /config/.[!.]*; do
  [ ! -e "$file" ] || cp -rL "$file" /boulder-config/
done
# What no ConfigMap has room for, a digest and a path a line.
printf '%s' "${FROM_CHECKOUT:+$FROM_CHECKOUT
}" | while read -r _ path; do
  mkdir -p "/boulder-config/$(dirname "$path")"
  cp -L "/checkout/$path" "/boulder-config/$path"
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
