#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# First program of dom0 in the test of Xen: starts Xen's tools and the mediator, runs guests, prints TAP lines that
# begin with "TAP ".
export PATH=/bin:/usr/lib/xen-4.17/bin LD_LIBRARY_PATH=/lib
/bin/busybox mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /etc/vgpu /dev/pts /dev/shm /run/xen /run/xenstored /run/lock /var/vgpu
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
argument() { # NAME: of the kernel's command line
	sed -n "s/.*vgpu.$1=\([^ ,]*\).*/\1/p" /proc/cmdline
}
# What a limit is multiplied by, for a machine that is slow or busy.
patience=$(argument patience)
# until SECONDS COMMAND...
until_true() {
	left=$((patience * $1 * 5))
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
xenconsoled --pid-file=/run/xenconsoled.pid --log=guest --log-dir=/tmp
echo "tools are up after $(cut -d' ' -f1 /proc/uptime) s"

# Pool B's GPU is at a worker.
echo "psk $(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >/root/worker.psk
/host/worker/vgpu-worker --listen 127.0.0.1:5555 --credentials /root/worker.psk \
	--driver /softgpu/driver/libsoftgpu.so.1 >/tmp/worker.log 2>&1 &
mediator_start() { # OPTION...
	/host/mediator/mediator_phase3 --socket /var/vgpu/mediator.sock --log /tmp/mediator.log \
		--worker B=127.0.0.1:5555 --worker-credentials /root/worker.psk "$@" &
	mediator=$!
}
mediator_start
until_true 60 grep -q 'CUDA initialized' /tmp/mediator.log
verdict $? "the mediator has a GPU in dom0"
vgpu-jobs --listen unix:/run/jobs --runner /bin/vgpu-job-runner --library /guest >/tmp/jobs.log 2>&1 &
vgpu-xen-jobs --jobs /run/jobs >/tmp/xen-jobs.log 2>&1 &

finish() {
	for log in /tmp/*.log /tmp/*.xl /var/log/xen/*; do
		echo "--- $log"
		tail -n 60 "$log"
	done
	echo "TAP 1..$number"
	poweroff -f
}
# guest_said NAME SECONDS WHAT: its console has said it, of an HVM guest or another. One that has ended says nothing more.
guest_said() {
	log=/tmp/$1.log
	[ -e "$log" ] || log=/tmp/guest-$1.log
	seconds=$((patience * $2 + $(cut -d. -f1 /proc/uptime)))
	until grep -q "$3" "$log" 2>/dev/null; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$seconds" ] || return 1
		sleep 1
		xl domid "$1" >/dev/null 2>&1 && continue
		grep -q "$3" "$log" 2>/dev/null && return
		echo "TAP # $1 ended before it said $3"
		return 1
	done
}
# guest_start NAME VM_ID WORK [OTHER]; its pool is $pool
pool=A
guest_start() {
	echo "$1 6 --vm-id $2 --pool $pool --channels 4" >>/etc/vgpu/xen-guests
	xl create /root/hvm.cfg "name='$1'" "serial='file:/tmp/$1.log'" >/tmp/$1.xl 2>&1 || return 1
	domain=$(xl domid "$1")
	xenstore-write "/local/domain/$domain/data/work" "$3" "/local/domain/$domain/data/other" "${4:-0}"
	grep -q serving "$(device_log "$1")"
}
# other_start NAME pv|pvh WORK [OTHER]: a guest without a device.
other_start() {
	xl create "/root/$2.cfg" "name='$1'" >/tmp/$1.xl 2>&1 || return 1
	domain=$(xl domid "$1")
	xenstore-write "/local/domain/$domain/data/work" "$3" "/local/domain/$domain/data/other" "${4:-0}"
}
device_log() { # NAME
	echo "/var/log/xen/qemu-dm-$1.log"
}
is_right() { # NAME WHAT...
	name=$1
	shift
	for what; do
		grep -q "GUEST $what right" /tmp/$name.log || return 1
	done
}
computed() { # NAME
	is_right "$1" vector_add matrix_product
}
runs() { # PROGRAM
	ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q "/$1\$"
}
only_dom0() {
	[ "$(xl list | wc -l)" = 2 ]
}
free_mib() {
	xl info | sed -n 's/^free_memory *: //p'
}
memory_is_back() {
	[ "$(free_mib)" -ge "$((free_at_first - 1))" ]
}
at() {
	echo "at $(cut -d' ' -f1 /proc/uptime) s: $*"
}

# The checks of vgpu-xen, and of jobs.
devices_check() {
	guest_start red 1 compute
	started=$?
	verdict $started "a guest starts with the device"
	[ $started = 0 ] || return
	guest_said red 150 'GUEST done'
	at "the first guest is done"
	grep -q 'GUEST lspci .*3D controller.*1af4:10f5' /tmp/red.log
	verdict $? "the guest's lspci shows a 3D controller"
	computed red
	right=$?
	verdict $right "one guest computes right"
	[ $right = 0 ] || return
	until_true 30 grep -q 'is gone' "$(device_log red)"
	verdict $? "the device ends with its guest"

	guest_start green 2 stay && guest_start blue 3 jobs "$(xl domid green)"
	guest_said green 240 'GUEST done' && guest_said blue 120 'GUEST done'
	at "two guests are done"
	computed green && computed blue
	verdict $? "two guests at once compute right"
	is_right green job && is_right blue job
	verdict $? "their jobs over XenStore too"
	grep -q 'vm_id=2 pool=A .* job of' /tmp/mediator.log && grep -q 'vm_id=3 pool=A .* job of' /tmp/mediator.log
	verdict $? "and the jobs are the guests'"
	for what in job-in-parts answer-in-parts job-too-long job-unknown job-nan job-mismatched jobs-in-a-row parts-too-many \
		part-missing job-afterwards no-other-path no-host-path; do
		is_right blue $what
		verdict $? "a guest's XenStore: $what"
	done

	other_start white pvh store "$(xl domid green)"
	guest_said white 120 'GUEST done'
	at "the PVH guest is done"
	tr -d '\r' </tmp/guest-white.log >/tmp/white.log
	is_right white job job-in-parts answer-in-parts jobs-in-a-row no-other-path no-host-path
	verdict $? "a PVH guest's jobs over XenStore"

	guest_start doomed 4 copy
	guest_said doomed 120 copying
	verdict $? "a guest is in the middle of copies"
	runs cuda-executor
	verdict $? "an executor works for it"
	xl destroy doomed
	xenstore-write "/local/domain/$(xl domid green)/data/work" again
	until_true 30 grep -q 'is gone' "$(device_log doomed)"
	verdict $? "its destruction ends the device's process"
	until_true 30 grep -q 'vm_id=4 channel=0: the executor ended' /tmp/mediator.log
	verdict $? "and its executor"
	guest_said green 120 'GUEST ended'
	[ "$(sed -n '/GUEST again/,$p' /tmp/green.log | grep -c 'GUEST .* right')" = 3 ]
	verdict $? "a guest that was there meanwhile goes on and computes right"
	# A domain one of whose pages is mapped or granted to somebody stays in Xen's list as a zombie.
	until_true 30 only_dom0
	verdict $? "nothing of the ended guests is left in Xen"
	! runs cuda-executor && ! runs vgpu-xen
	verdict $? "and no process for them"
	pool=B
	guest_start last 4 compute
	guest_said last 120 'GUEST done'
	at "the last guest is done"
	computed last
	verdict $? "another computes afterwards, as the same VM, with the GPU at a worker"
	grep -q 'vm_id=4 channel=0 pool=B .*: executor pid' /tmp/worker.log
	verdict $? "the worker has run it"
	until_true 30 only_dom0
	# What Xen itself keeps of a domain's end is freed a little later.
	until_true 20 memory_is_back
	verdict $? "all of the guests' memory is Xen's again"
}
. /root/dom0_grants.sh
. /root/dom0_worker.sh

free_at_first=$(free_mib)
part=$(argument part)
[ "$part" != devices ] && [ "$part" != all ] || devices_check
[ "$part" = devices ] || grants_start
[ "$part" != grants ] && [ "$part" != all ] || grants_check
[ "$part" != worker ] && [ "$part" != all ] || worker_check
finish
