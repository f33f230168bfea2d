# Builds a container's root and starts its process there. Runs in its own mount and process namespaces, which start as the node's: $1 is the node's root, $2
# an empty folder for the container's root, $3 the binary, $4 its path in the container, $5 "readonly" or "writable", $6 the capabilities for setpriv, $7 the
# file that lists the mounts, one per line: from, to, ro or rw, propagation.
set -e
node=$1 root=$2 binary=$3 entry=$4 writable=$5 capabilities=$6 mounts=$7
shift 7
mount -t tmpfs -o mode=755 container "$root"
mount --make-private "$root"
mkdir -p "$root"/proc "$root"/dev "$root"/tmp "$root"/usr/local/bin "$root"/usr/local/sbin "$root"/usr/share "$root"/var "$root"/run
# The image's programs come from this machine.
for folder in /usr/bin /usr/sbin /usr/lib /usr/lib64 /usr/libexec; do
  [ -d "$folder" ] || continue
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
  mount --make-private "$root$folder"
  mount -o remount,bind,ro "$root$folder"
done
mkdir -p "$root"/etc
for file in passwd group hosts nsswitch.conf ld.so.cache mke2fs.conf; do
  if [ -f "/etc/$file" ]; then cp "/etc/$file" "$root/etc/$file"; fi
done
for link in bin sbin lib lib64; do
  if [ -h "/$link" ]; then ln -s "usr/$link" "$root/$link"; fi
done
mount -t proc proc "$root"/proc
mount -t tmpfs -o mode=755 dev "$root"/dev
mknod -m 666 "$root"/dev/null c 1 3
mknod -m 666 "$root"/dev/zero c 1 5
mknod -m 444 "$root"/dev/random c 1 8
mknod -m 444 "$root"/dev/urandom c 1 9
mkdir -p "$root$(dirname "$entry")"
cp "$binary" "$root$entry"
cp -r "$root"/../image/. "$root" # the image's other files
while read -r from to mode propagation; do
  from=$node$from to=$root$to
  if [ -d "$from" ]; then mkdir -p "$to"; else
    mkdir -p "$(dirname "$to")"
    [ -e "$to" ] || : >"$to"
  fi
  mount --rbind "$from" "$to"
  mount --make-r"$propagation" "$to"
  if [ "$mode" = ro ]; then mount -o remount,bind,ro "$to"; fi
done <"$mounts"
if [ "$writable" = readonly ]; then mount -o remount,ro "$root"; fi
exec chroot "$root" /usr/bin/setpriv $capabilities "$entry" "$@"
