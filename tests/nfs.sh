#!/usr/bin/env bash
# tests/test_sharing.py over NFS 4.2 on loopback, two mounts that share no cache, in a kernel of its own:
# Debian's user-mode-linux, so that it needs nothing of this machine's kernel. As root, on x86.
#   tests/nfs.sh [FOLDER OF SOURCES]
# What it shows is in docs/sweeps.md.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
sources=$(realpath "${1:-src}")
folder=$(mktemp -d /tmp/pare-nfs.XXXX)
trap 'rm -rf "$folder"' EXIT

apt-get update -qq
printf '#!/bin/sh\nexit 101\n' >"$folder/policy-rc.d" # the server is for the other kernel only
chmod +x "$folder/policy-rc.d"
[[ -e /usr/sbin/policy-rc.d ]] || { cp "$folder/policy-rc.d" /usr/sbin/; remove=/usr/sbin/policy-rc.d; }
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends user-mode-linux nfs-kernel-server kmod >/dev/null
rm -f "${remove:-}"

truncate --size=500M "$folder/disk"
mkfs.ext4 -q "$folder/disk"
cat >"$folder/init" <<INIT
#!/bin/bash
exec >"$folder/out" 2>&1
export PATH=$PATH PYTHONPATH=$sources PARE_SHARED=/mnt/a:/mnt/b TMPDIR=/mnt/tmp HOME=/mnt/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
for place in /run /mnt /var/lib/nfs; do mount -t tmpfs tmp \$place; done
mkdir -p /mnt/{export,a,b,tmp} /var/lib/nfs/{v4recovery,rpc_pipefs} /run/modules/lib/modules
touch /var/lib/nfs/{etab,rmtab}
ip link set lo up
ln -s /usr/lib/uml/modules/\$(uname -r) /run/modules/lib/modules/
for module in ext4 nfsd nfsv4; do modprobe --dirname /run/modules \$module; done
mount -o iversion /dev/ubda /mnt/export
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs rpc /var/lib/nfs/rpc_pipefs
hostname uml
exportfs -o rw,no_root_squash,insecure,fsid=0,no_subtree_check '*:/mnt/export'
rpc.nfsd -N 3 4 2>/dev/null
rpc.mountd -N 3 2>/dev/null
for side in a b; do mount -t nfs4 -o nosharecache,vers=4.2 127.0.0.1:/ /mnt/\$side; done
uname -sr
grep -oE ' /mnt/(a nfs4|b nfs4|export) .*' /proc/mounts
cd "$here"
for round in 1 2 3 4 5 6; do
  .venv/bin/python -m pytest -q --noconftest -p no:cacheprovider -p no:xdist tests/test_sharing.py || echo "exit code \$?"
done
echo done
halt -f
INIT
chmod +x "$folder/init"
linux.uml mem=1G ubd0="$folder/disk" root=/dev/root rootfstype=hostfs rootflags=/ rw init="$folder/init" con=null con0=null,fd:1 quiet \
  </dev/null >"$folder/console" 2>&1
cat "$folder/out"
grep -q '^done$' "$folder/out" && ! grep -q '^exit code' "$folder/out"
