# The root of a node with iscsi-tools, in its own mount namespace: $1 is its mount point, $2 the array's folder, $3 the program that serves as the
# node's iscsiadm. It has no shell and no other programs, as on Talos. It lives until its standard input closes.
set -e
root=$1
mount --make-rprivate /
mount -t tmpfs -o mode=755 node "$root"
mount --make-shared "$root"
mkdir -p "$root"/dev/disk/by-path "$root"/proc "$root"/run/iscsi "$root"/etc/iscsi "$root"/var/lib/iscsi/nodes "$root"/lab/array \
  "$root"/usr/local/sbin "$root"/var/lib/kubelet/plugins "$root"/var/lib/kubelet/plugins_registry "$root"/var/lib/kubelet/pods "$root"/tmp
mknod -m 666 "$root"/dev/null c 1 3
mknod -m 666 "$root"/dev/zero c 1 5
mknod -m 444 "$root"/dev/urandom c 1 9
mknod -m 660 "$root"/dev/loop-control c 10 237
mount --bind /proc "$root"/proc
mount --bind "$2" "$root"/lab/array
cp "$3" "$root"/usr/local/sbin/iscsiadm
echo "InitiatorName=iqn.2017-11.dev.talos:lab" >"$root"/etc/iscsi/initiatorname.iscsi
# The kubelet's directory is a shared mount, so that containers see its mounts and it sees theirs.
mount --bind "$root"/var/lib/kubelet "$root"/var/lib/kubelet
mount --make-rshared "$root"/var/lib/kubelet
echo ready
exec cat >/dev/null
