#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# First program of the initial file system: the host's disk is its root.
export PATH=/bin:/sbin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in $(cat /lib/modules/load); do
	insmod "/lib/modules/$module" || echo "switch.sh: $module does not load"
done
mkdir /root/disk
mount -t ext4 /dev/vda /root/disk || exec sh
for place in dev sys proc; do
	mount -o move "/$place" "/root/disk/$place"
done
exec switch_root /root/disk /usr/lib/systemd/systemd
