#!/bin/sh
# Runs a command where openCryptoki's software token is: in_opencryptoki.sh COMMAND...
# For root, within `unshare --mount --ipc --fork`, so that its daemon, its files and its shared memory are this
# run's alone and go with it. The token is "strongroom", its user PIN $OPENCRYPTOKI_PIN (4 to 8 characters).
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib/opencryptoki
mount -t tmpfs tmpfs /etc/opencryptoki
mkdir -p /run/opencryptoki /run/lock/opencryptoki/swtok /var/lib/opencryptoki/swtok/TOK_OBJ /var/log/opencryptoki
printf 'version opencryptoki-3.1\n\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n' > /etc/opencryptoki/opencryptoki.conf
chgrp -R pkcs11 /run/lock/opencryptoki /var/lib/opencryptoki
chmod -R 770 /run/lock/opencryptoki /var/lib/opencryptoki
pkcsslotd > /dev/null
daemon=$(cat /run/pkcsslotd.pid 2> /dev/null || pidof -s pkcsslotd)
trap 'kill "$daemon"' EXIT
# The daemon answers when its first client is served; it has no other sign of being ready.
tries=0
until pkcsconf -t -c 3 > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "pkcsslotd does not answer" >&2; exit 1; }
    sleep 0.1
done
printf 'strongroom\n' | pkcsconf -I -c 3 -S 87654321 > /dev/null
pkcsconf -P -c 3 -S 87654321 -n 76543210 > /dev/null
pkcsconf -u -c 3 -S 76543210 -n "$OPENCRYPTOKI_PIN" > /dev/null
"$@"
