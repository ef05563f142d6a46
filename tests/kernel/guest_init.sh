#!/bin/sh
# What a guest kernel runs first: an overlay over the host's files, the usual mounts, the job; then it switches off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
new=/mnt/new

off() {
    sync
    echo o >/proc/sysrq-trigger
    sleep 60
}

fail() {
    echo "guest: $*"
    off
}

mount -t proc proc /proc
read -r cmdline </proc/cmdline
for word in $cmdline; do
    case $word in
    damond_guest=*) kind=${word#*=} ;;
    damond_job=*) job=${word#*=} ;;
    damond_seconds=*) seconds=${word#*=} ;;
    esac
done

mount -t tmpfs tmpfs /mnt && mkdir -p /mnt/upper /mnt/work $new || fail "no tmpfs"
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay $new || fail "no overlay"
mount -t proc proc $new/proc
mount -t sysfs sysfs $new/sys
mount -t tracefs tracefs $new/sys/kernel/tracing
mount -t cgroup2 cgroup2 $new/sys/fs/cgroup
mount -t devtmpfs dev $new/dev
mkdir -p $new/dev/pts $new/dev/shm "$new$job"
mount -t devpts devpts $new/dev/pts
for fresh in dev/shm run; do mount -t tmpfs tmpfs $new/$fresh; done
# A host's temporary directory may be a mount of its own: the job's directory must be there whatever it is.
mkdir -p "$new$job"
case $kind in
uml) mount -t hostfs -o "$job" none "$new$job" ;;
*) mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none job "$new$job" ;;
esac || fail "no way to the job"
ip link set lo up 2>/dev/null || ifconfig lo up

(
    sleep "$seconds"
    touch "$new$job/timeout"
    off
) &
chroot $new /bin/sh "$job/run" </dev/null >"$new$job/out" 2>"$new$job/err"
echo $? >"$new$job/rc"
off
