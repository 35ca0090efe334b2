#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A guest of Xen that is the worker of others: it has a GPU (the software one), vgpu-worker and a network with dom0,
# which has put the key into its XenStore.
for tool in read write; do
	ln -s xenstore /bin/xenstore-$tool
done
insmod /lib/modules/xen-netfront.ko
until [ -e /sys/class/net/eth0 ]; do usleep 200000; done
ip addr add 10.55.0.2/24 dev eth0
ip link set eth0 up
until key=$(xenstore-read data/key 2>/dev/null); do usleep 200000; done
umask 077
echo "psk $key" >/root/worker.psk
echo "GUEST type $(cat /sys/hypervisor/type) work worker"
/host/worker/vgpu-worker --listen 10.55.0.2:5555 --credentials /root/worker.psk --driver /softgpu/driver/libsoftgpu.so.1
echo "GUEST vgpu-worker ended with $?"
poweroff -f
