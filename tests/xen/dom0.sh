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
argument() { # NAME: of the kernel's command line
	sed -n "s/.*vgpu.$1=\([^ ,]*\).*/\1/p" /proc/cmdline
}
# What a limit is multiplied by, for a machine that is slow or busy.
patience=$(argument patience)
scratch=/tmp
. /root/dom0_scenes.sh

xenstored --pid-file /run/xenstored.pid
until_true 20 xenstore-read /
xen-init-dom0
xenconsoled --pid-file=/run/xenconsoled.pid --log=guest --log-dir=/tmp
echo "tools are up after $(cut -d' ' -f1 /proc/uptime) s"

# Pool B's GPU is at a worker.
echo "psk $(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >/root/worker.psk
/host/worker/vgpu-worker --listen 127.0.0.1:5555 --credentials /root/worker.psk \
	--driver /softgpu/driver/libsoftgpu.so.1 >/tmp/worker.log 2>&1 &
starts=0
mediator_start() { # OPTION...
	starts=$((starts + 1))
	/host/mediator/mediator_phase3 --socket /var/vgpu/mediator.sock --log /tmp/mediator.log \
		--worker B=127.0.0.1:5555 --worker-credentials /root/worker.psk "$@" &
	mediator=$!
}
mediator_is_up() {
	[ "$(grep -c 'CUDA initialized' /tmp/mediator.log)" = $starts ]
}
mediator_check() {
	mediator_start
	until_true 60 mediator_is_up
	verdict $? "the mediator has a GPU in dom0"
}
scene mediator_check
vgpu-jobs --listen unix:/run/jobs --runner /bin/vgpu-job-runner --library /guest >/tmp/jobs.log 2>&1 &
vgpu-xen-jobs --jobs /run/jobs >/tmp/xen-jobs.log 2>&1 &

finish() {
	for log in /tmp/*.log /tmp/*.xl /var/log/xen/*; do
		echo "--- $log"
		tail -n 60 "$log"
	done
	scenes_end
	poweroff -f
}
# The console of a guest: with a device model of its own, or xenconsoled's.
log_of() { # NAME
	[ -e "/tmp/$1.log" ] && echo "/tmp/$1.log" || echo "/tmp/guest-$1.log"
}
# guest_said NAME SECONDS WHAT: its console has said it. One that has ended says nothing more.
guest_said() {
	seconds=$((patience * $2 + $(cut -d. -f1 /proc/uptime)))
	until grep -q "$3" "$(log_of "$1")" 2>/dev/null; do
		[ -z "$fault" ] && [ "$(cut -d. -f1 /proc/uptime)" -lt "$seconds" ] || return 1
		sleep 1
		xl domid "$1" >/dev/null 2>&1 && continue
		grep -q "$3" "$(log_of "$1")" 2>/dev/null && return
		echo "TAP # $1 ended before it said $3"
		fault_seen
		return 1
	done
}
# domain_start NAME hvm|pvh|pv WORK [OTHER [OPTION...]]: a guest; what it does, the domain that it tries to reach, and
# options of xl's.
domain_start() {
	name=$1 type=$2 work=$3 other=${4:-0}
	shift $(($# > 4 ? 4 : $#))
	[ "$type" != hvm ] || set -- "serial='file:/tmp/$name.log'" "$@"
	rm -f "/tmp/$name.log" "/tmp/guest-$name.log"
	xl create "/root/$type.cfg" "name='$name'" "$@" >"/tmp/$name.xl" 2>&1 || return 1
	domain=$(xl domid "$name") || return 1
	domain_is "$name" "$domain"
	xenstore-write "/local/domain/$domain/data/work" "$work" "/local/domain/$domain/data/other" "$other"
}
# guest_start NAME VM_ID WORK [OTHER [OPTION...]]: an HVM guest with the device; its pool is $pool
pool=A
guest_start() {
	grep -q "^$1 " /etc/vgpu/xen-guests || echo "$1 6 --vm-id $2 --pool $pool --channels 4" >>/etc/vgpu/xen-guests
	guest=$1
	shift 2
	domain_start "$guest" hvm "$@" && grep -q serving "$(device_log "$guest")"
}
# For a scene to be begun over.
guests_destroy() {
	xl list | awk 'NR > 2 { print $2 }' | while read -r domain; do
		xl destroy "$domain"
	done
	until_true 120 only_dom0
	until_true 120 no_executor
	until_true 120 mediator_is_up
}
device_log() { # NAME
	echo "/var/log/xen/qemu-dm-$1.log"
}
is_right() { # NAME WHAT...
	name=$1
	shift
	for what; do
		grep -q "GUEST $what right" "$(log_of "$name")" || return 1
	done
}
computed() { # NAME
	is_right "$1" vector_add matrix_product
}
no_executor() {
	! runs cuda-executor
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

. /root/dom0_devices.sh
. /root/dom0_grants.sh
. /root/dom0_worker.sh

touch /etc/vgpu/xen-guests
free_at_first=$(free_mib)
part=$(argument part)
# A part, or a scene alone.
case $part in
short)
	scene first_check
	grants_start
	scene grants_first_check
	;;
devices) devices_check ;;
grants)
	grants_start
	grants_check
	;;
worker)
	grants_start
	worker_check
	;;
*_check)
	grants_start
	scene "$part"
	;;
*)
	devices_check
	grants_start
	grants_check
	worker_check
	;;
esac
finish
