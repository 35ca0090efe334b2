#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# In the guest: runs the scripts of /scripts by the Python of the disk, which is the host's own. The
# kernel's arguments: vgpu.python, the interpreter, and vgpu.library, where else it finds libraries.
argument() { sed -n "s/.* vgpu.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }

mkdir -p /disk
mount -t ext4 -o ro /dev/vda /disk || { echo "RESULT disk 1"; poweroff -f; }
mount -t tmpfs -o mode=1777 tmp /disk/tmp
mount --bind /dev /disk/dev
mount -t proc proc /disk/proc
mount -t sysfs sys /disk/sys
mkdir /disk/tmp/vgpu
cp /lib/libcuda.so.1 /lib/libnvidia-ml.so.1 /scripts/*.py /disk/tmp/vgpu/
for script in $(cd /scripts && ls ./*_*.py); do
	echo "SCRIPT $script"
	chroot /disk /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 PYTHONUNBUFFERED=1 \
		LD_LIBRARY_PATH="/tmp/vgpu:$(argument library)" \
		"$(argument python)" "/tmp/vgpu/$script" 2>&1
	echo "RESULT $script $?"
done
poweroff -f
