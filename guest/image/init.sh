#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# First program of a test guest.
export PATH=/bin:/sbin:/usr/bin HOME=/root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
ip link set lo up
ulimit -c 0
for module in $(cat /lib/modules/load); do
	insmod "/lib/modules/$module" || echo "init: $module does not load"
done
grep -q vgpu.driver=off /proc/cmdline || insmod /lib/modules/vgpu.ko || echo "init: vgpu.ko does not load"
echo "VGPU GUEST UP"
# Without an agent's connection, as under Xen: the program that the kernel's argument names.
run=$(sed -n 's/.*vgpu.run=\([^ ]*\).*/\1/p' /proc/cmdline)
[ -z "$run" ] || exec sh "$run"
exec /bin/agent
