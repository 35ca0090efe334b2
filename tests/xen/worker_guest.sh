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
/host/worker/vgpu-worker --listen 10.55.0.2:5555 --credentials /root/worker.psk --driver /softgpu/driver/libsoftgpu.so.1 &
worker=$!

# Of the programs of others, when dom0 asks: executors, children of vgpu-worker (also those nobody has waited for), its
# descriptors.
has() {
	echo "$(ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c '/cuda-executor$')" \
		"$(cat /proc/[0-9]*/status 2>/dev/null | awk -v "worker=$worker" '$1 == "PPid:" && $2 == worker' | wc -l)" \
		"$(ls /proc/$worker/fd | wc -l)"
}
done=
while kill -0 $worker; do
	step=$(xenstore-read data/step 2>/dev/null)
	if [ "$step" != "$done" ]; then
		echo "GUEST step $step has $(has)"
		echo "GUEST step $step done"
		done=$step
	fi
	sleep 2
done
echo "GUEST vgpu-worker ended"
poweroff -f
