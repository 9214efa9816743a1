#!/bin/sh
# As the published image of MinIO: `minio` itself may be left out of the command.
case "${1:-}" in
  "" | minio) ;;
  *) command -v "$1" >/dev/null || set -- minio "$@" ;;
esac
exec "$@"
