#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# First program of dom0 in the test of Xen: starts Xen's tools and the mediator, runs guests, prints TAP lines that
# begin with "TAP ".
export PATH=/bin:/usr/lib/xen-4.17/bin LD_LIBRARY_PATH=/lib
/bin/busybox mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /run/xen /run/xenstored /run/lock /var/vgpu
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
ip link set lo up
for module in $(cat /lib/modules/load); do
	insmod "/lib/modules/$module" || echo "init: $module does not load"
done
mount -t xenfs xenfs /proc/xen
number=0
verdict() { # STATUS NAME
	number=$((number + 1))
	[ "$1" = 0 ] && echo "TAP ok $number - $2" || echo "TAP not ok $number - $2"
}
# until SECONDS COMMAND...
until_true() {
	left=$(($1 * 5))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ $left -gt 0 ] || return 1
		left=$((left - 1))
		usleep 200000
	done
}

xenstored --pid-file /run/xenstored.pid
until_true 20 xenstore-read /
xen-init-dom0
xenconsoled --pid-file=/run/xenconsoled.pid
echo "tools are up after $(cut -d' ' -f1 /proc/uptime) s"

/host/mediator/mediator_phase3 --socket /var/vgpu/mediator.sock --log /tmp/mediator.log &
until_true 60 grep -q 'CUDA initialized' /tmp/mediator.log
verdict $? "the mediator has a GPU in dom0"

# guest_start NAME VM_ID WORK: paused, gets the device, runs.
guest_start() {
	xl create -p /root/hvm.cfg "name='$1'" "serial='file:/tmp/$1.log'" \
		"extra='console=ttyS0 earlyprintk=ttyS0 rdinit=/init vgpu.run=/root/run.sh vgpu.work=$3'" >/tmp/$1.xl 2>&1 || {
		cat /tmp/$1.xl
		return 1
	}
	vgpu-xen ${DEBUG:+--trace} --vm-id "$2" --channels 4 "$(xl domid "$1")" 6 >/tmp/$1.device 2>&1 &
	until_true 60 grep -q serving /tmp/$1.device && xl unpause "$1"
}
computed() { # NAME
	grep -q 'GUEST vector_add right' /tmp/$1.log && grep -q 'GUEST matrix_product right' /tmp/$1.log
}

guest_start red 1 compute
verdict $? "a guest starts with the device"
if [ "$DEBUG" ]; then
until_true 150 grep -q 'GUEST done' /tmp/red.log; cat /proc/uptime
sleep 3
for log in /tmp/*.log /tmp/*.device /var/log/xen/*; do
	echo "--- $log"
	cat "$log"
done
poweroff -f
fi
until_true 120 grep -q 'GUEST done' /tmp/red.log
grep -q 'GUEST lspci .*3D controller.*1af4:10f5' /tmp/red.log
verdict $? "the guest's lspci shows a 3D controller"
computed red
verdict $? "one guest computes right"
until_true 30 grep -q 'is gone' /tmp/red.device
verdict $? "the device ends with its guest"

guest_start green 2 compute && guest_start blue 3 compute
until_true 240 grep -q 'GUEST done' /tmp/green.log && until_true 120 grep -q 'GUEST done' /tmp/blue.log
computed green && computed blue
verdict $? "two guests at once compute right"

guest_start doomed 4 copy
until_true 120 grep -q copying /tmp/doomed.log
verdict $? "a guest is in the middle of copies"
pgrep cuda-executor >/dev/null
verdict $? "an executor works for it"
xl destroy doomed
until_true 20 grep -q 'is gone' /tmp/doomed.device && ! until_true 3 pgrep cuda-executor
verdict $? "its destruction ends the device's process and the executor"
guest_start last 4 compute
until_true 120 grep -q 'GUEST done' /tmp/last.log
computed last
verdict $? "another guest computes afterwards, as the same VM"

for log in /tmp/*.log /tmp/*.device /var/log/xen/*; do
	echo "--- $log"
	tail -n 40 "$log"
done
echo "TAP 1..$number"
poweroff -f
