#!/bin/sh
# The relay in a container: made at the first start from ADDR, QUOTA and PASS, then started. With arguments it is
# xftp-server itself: `podman exec RELAY xftp-server status`, `podman run … IMAGE check --repair`.
set -eu
umask 077

[ $# -gt 0 ] && exec xftp-server "$@"

if [ ! -e "${XFTP_SERVER_CFG_PATH:-/etc/opt/simplex-xftp}/file-server.ini" ]; then
  : "${ADDR:?must be the host name or the address of the relay}"
  : "${QUOTA:?must be the room for its chunks, such as 100gb}"
  xftp-server init -p "${XFTP_FILES_PATH:-/srv/xftp}"
fi
exec xftp-server start
