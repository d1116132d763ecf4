#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: systemd-pid1.sh SHARE SCRIPT
# Boots the real systemd as PID 1 of fresh namespaces, over an overlay of this machine's root, and
# runs one script there as a unit. Nothing that it does reaches the machine: files go to the
# overlay, and processes and control groups end with it.
#
# SHARE is bound to /hk inside; SCRIPT is a path below it. If SHARE/root exists, it is copied over
# the root first: the files of `make install DESTDIR=SHARE/root`, and units. The script's output is
# shown at the end, and its exit status is returned; 77 with a reason where systemd cannot be
# booted. HAK_BOOT_LIMIT: seconds until all processes are killed (100). HAK_UNIFIED=yes: control
# groups of version 2 only, whatever the machine has.
set -u
skip()
{
	echo "SKIP: $*"
	exit 77
}
top=/sys/fs/cgroup
name=hakmem-test-$$
if [ "${3:-}" != inner ]; then
	share=$(realpath "$1") || exit 1
	[ "$(id -u)" = 0 ] || skip "needs root"
	for command in unshare pivot_root mount ip realpath /lib/systemd/systemd dbus-daemon; do
		command -v $command >/dev/null || skip "$command is not installed"
	done
	# The hierarchies of control groups: all of version 1 with version 2 beside them, or version
	# 2 only. The folder of the latter is killed and removed as a whole.
	hierarchies= unified=
	if [ "$(stat -f -c %T $top)" = cgroup2fs ]; then
		hierarchies=. unified=.
	else
		for h in systemd unified memory pids cpu cpuacct blkio devices freezer; do
			[ -d $top/$h ] && hierarchies="$hierarchies $h"
		done
		[ -d $top/unified ] && unified=unified
	fi
	[ -n "$unified" ] || skip "no control groups of version 2 below $top"
	remove()
	{
		[ -e $top/$unified/$1/cgroup.kill ] && echo 1 >$top/$unified/$1/cgroup.kill
		for h in $hierarchies; do
			for _ in $(seq 50); do
				[ -d $top/$h/$1 ] || break
				find $top/$h/$1 -depth -type d -exec rmdir {} + 2>/dev/null
				[ -d $top/$h/$1 ] && sleep .1
			done
		done
	}
	trap 'remove $name' EXIT
	trap 'exit 143' TERM INT HUP
	for h in $hierarchies; do
		mkdir $top/$h/$name 2>/dev/null || skip "cannot make a control group below $top/$h"
	done
	[ -e $top/$unified/$name/cgroup.kill ] || skip "needs cgroup.kill (Linux 5.14)"
	unshare -C -m -p -i -u -n -f true 2>/dev/null || skip "cannot make namespaces"
	: >"$share/out.log"
	(
		for h in $hierarchies; do echo $BASHPID >$top/$h/$name/cgroup.procs; done
		exec unshare -C -m -p -i -u -n -f --kill-child --propagation private \
			/bin/bash "$0" "$share" "$2" inner
	) >"$share/boot.log" 2>&1 &
	worker=$!
	(
		sleep "${HAK_BOOT_LIMIT:-100}" &
		nap=$!
		trap 'kill $nap; exit' TERM
		wait $nap
		echo "longer than ${HAK_BOOT_LIMIT:-100} s" >>"$share/out.log"
		echo 1 >$top/$unified/$name/cgroup.kill
	) >/dev/null 2>&1 &
	timer=$!
	wait $worker
	status=$?
	kill $timer 2>/dev/null
	cat "$share/out.log"
	[ $status = 0 ] || [ $status = 77 ] || tail -n 40 "$share/boot.log"
	exit $status
fi

# -- PID 1 of the new namespaces ---------------------------------------------------------------
set -e
share=$1
hostname hakmem-test
base=$(mktemp -d)
mount -t tmpfs -o size=512m,mode=755 none "$base"
mkdir "$base"/{upper,work,root}
root=$base/root
mount -t overlay none -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
[ ! -d "$share/root" ] || cp -a "$share/root/." "$root/"
cat >"$root/etc/systemd/system/hakmem-test.service" <<UNIT
[Unit]
After=basic.target dbus.service
Wants=dbus.service
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
Environment=LC_ALL=C.UTF-8 HAK_TMP=/hk
ExecStart=/bin/bash /hk/$2
StandardOutput=append:/hk/out.log
StandardError=append:/hk/out.log
TimeoutStartSec=infinity
UNIT
: >"$root/etc/machine-id"
: >"$root/etc/fstab"
mount -t proc proc "$root/proc"
# Otherwise systemd-sysctl would write the machine's own.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mkdir "$root"/dev/{pts,shm,hugepages,mqueue}
for node in null zero full random urandom tty kmsg; do
	[ -e /dev/$node ] || continue
	touch "$root/dev/$node"
	mount --bind /dev/$node "$root/dev/$node"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
if [ "${HAK_UNIFIED:-}" = yes ] || [ "$(stat -f -c %T $top)" = cgroup2fs ]; then
	mount -t cgroup2 cgroup2 "$root$top"
else
	mount -t tmpfs -o mode=755 tmpfs "$root$top"
	mkdir "$root$top"/{systemd,unified}
	mount -t cgroup2 cgroup2 "$root$top/unified"
	mount -t cgroup -o none,name=systemd,xattr cgroup "$root$top/systemd"
	for h in memory pids cpu cpuacct blkio devices freezer; do
		[ -d $top/$h ] || continue
		mkdir "$root$top/$h"
		mount -t cgroup -o $h cgroup "$root$top/$h"
	done
fi
[ ! -d /sys/kernel/tracing ] || mount -t tracefs tracefs "$root/sys/kernel/tracing" || true
mkdir -p "$root/hk" "$root/run/old"
mount --bind "$share" "$root/hk"
cd "$root"
pivot_root . run/old
umount -l /run/old
ip link set lo up || true
exec env -i container=hakmem PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	LANG=C.UTF-8 /lib/systemd/systemd --system --unit=hakmem-test.service \
	--log-target=console --log-level=warning --show-status=0 </dev/null
