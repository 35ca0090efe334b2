#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a guest of Xen does after its start; its console is read by dom0, which has said in XenStore what to do.
for tool in read write; do
	ln -s xenstore /bin/xenstore-$tool
done
export VGPU_JOBS=xenstore
until work=$(xenstore-read data/work 2>/dev/null); do sleep 1; done
echo "GUEST type $(cat /sys/hypervisor/type) work $work"
echo "GUEST lspci $(lspci -nn | grep '\[0302\]')"

# right NAME WANTED COMMAND...: says it when the command prints what is wanted.
right() {
	name=$1 wanted=$2
	shift 2
	said=$("$@" 2>&1)
	case $said in
	$wanted) echo "GUEST $name right" ;;
	*) echo "GUEST $name WRONG: $(echo "$said" | head -c 300)" ;;
	esac
}
# ones N: 1,1,1,...
ones() {
	yes 1 | head -n "$1" | tr '\n' ',' | sed 's/,$//'
}
many() {
	for i in $(seq "$1"); do
		[ "$(vgpu-run vector_add "$i,2" 1,1)" = "{\"result\":[$((i + 1)),3]}" ] || echo "$i is wrong"
	done
}
# Past vgpu-run, as a hostile guest would: SUBMIT.
submit() {
	xenstore-write data/vgpu-job/submit "$1"
	for i in $(seq 50); do
		[ "$(xenstore-read data/vgpu-job/done | cut -d' ' -f1)" = "${1%% *}" ] && break
		usleep 100000
	done
	xenstore-read data/vgpu-job/answer/0
}

compute() {
	right vector_add '*PASS vector_add*' vector_add 100000
	right matrix_product '*PASS matrix_product*' matrix_product
	right job '{"result":\[5,7,9\]}' vgpu-run vector_add 1,2,3 4,5,6
}
at_once() {
	for i in 1 2 3 4; do
		matrix_product >/tmp/at-once-$i 2>&1 &
	done
	wait
	grep -L 'PASS matrix_product' /tmp/at-once-?
}
processors() {
	right processors 2 nproc
	right at-once '' at_once
}
jobs() {
	right job-in-parts '{"result":6000}' vgpu-run dot "$(ones 6000)" "$(ones 6000)"
	right answer-in-parts "{\"result\":\\[$(ones 3000 | sed 's/1/2/g')\\]}" vgpu-run vector_add "$(ones 3000)" "$(ones 3000)"
	right job-too-long '*Message too long*' vgpu-run dot "$(ones 20000)" "$(ones 20000)"
	right job-unknown '{"error":*' vgpu-run json '{"operation":"sorcery"}'
	right job-nan '{"error":*' vgpu-run vector_add NaN,1 1,1
	right job-mismatched '{"error":*' vgpu-run vector_add 1,2 1
	right jobs-in-a-row '' many 20
	right parts-too-many '{"error":"a request has at most*' submit "70000 100000"
	right part-missing '{"error":"a part of the request is not there*' submit "70001 3"
	right job-afterwards '{"result":\[5,7,9\]}' vgpu-run vector_add 1,2,3 4,5,6
	other=$(xenstore-read data/other)
	right no-other-path '*could not write path*' xenstore-write "/local/domain/$other/data/vgpu-job/submit" "1 0"
	right no-host-path '*could not write path*' xenstore-write /local/domain/0/data/vgpu-job/submit "1 0"
}

# What dom0 wants next, one after the other, of a guest that grants its memory.
steps() {
	insmod /lib/modules/xen-evtchn.ko
	insmod /lib/modules/xen-gntalloc.ko
	done=
	while :; do
		step=$(xenstore-read data/step 2>/dev/null)
		# A guest that was restored has none at first.
		if [ -n "$step" ] && [ "$step" != "$done" ]; then
			echo "GUEST step $step begins"
			"step_${step#*-}"
			echo "GUEST step $step done"
			done=$step
		fi
		sleep 1
	done
}
step_compute() {
	right vector_add '*PASS vector_add*' vector_add 100000
	right matrix_product '*PASS matrix_product*' matrix_product
}
step_copy() {
	copy_loop >/tmp/copied 2>&1 &
	copy=$!
	until grep -q . /tmp/copied; do usleep 200000; done
	right copy copying cat /tmp/copied
}
# For several channels at a time.
step_room() {
	echo 8192 >/sys/module/xen_gntalloc/parameters/limit
}
step_processors() {
	step_room
	processors
}
# While one process copies: gntalloc's default is one channel's memory.
step_limit() {
	right limit '*raise the parameter*' vector_add 1000
	echo 8192 >/sys/module/xen_gntalloc/parameters/limit
	right two-processes '*PASS vector_add*' vector_add 1000
}
step_kill() {
	kill -9 $copy
	wait $copy
}
# The copying process notices by itself.
step_lost() {
	wait $copy
	right lost '*DEVICE_UNAVAILABLE*' cat /tmp/copied
}
step_copies_on() {
	sleep 2
	kill -0 $copy && echo "GUEST copies-on right"
	kill -9 $copy
	wait $copy
}
step_user() {
	right no-rights '*Permission denied*' su user -c 'vector_add 1000'
	chgrp user /dev/xen/gntalloc /dev/xen/evtchn /dev/xen/xenbus
	chmod 660 /dev/xen/gntalloc /dev/xen/evtchn /dev/xen/xenbus
	right rights '*PASS vector_add*' su user -c 'vector_add 1000'
}
step_hostile() {
	for case in nonce table-pages; do
		right $case 'state 3 error 7: the first page*' hostile_grants $case
	done
	for case in pages instance; do
		right $case 'state 3 error 7: such a channel*' hostile_grants $case
	done
	right reference 'state 3 error 7: the first page*' hostile_grants reference
	right table-reference 'state 3 error 7: the table*' hostile_grants table-reference
	for case in references one-page; do
		right $case 'state 3 error 7: cannot map*' hostile_grants $case
	done
	right port 'state 3 error 7: the event channel*' hostile_grants port
	for case in alike again garbage removed; do
		right $case 'the host has ended it' hostile_grants $case
	done
	for port in 0 -1 abc 17a 99999999999999999999 018; do
		xenstore-write "data/vgpu-grants/channel/$port/request" "1 0 0 1024 8"
	done
	xenstore-write data/vgpu-grants/channel/77/request "$(yes x | head -n 1500 | tr -d '\n')"
	for port in 0 -1 abc 17a 99999999999999999999 018; do
		xenstore rm "data/vgpu-grants/channel/$port"
	done
}
free_kib() {
	sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo
}
# Ten channels of 4 MiB: the memory must come back, though the kernel frees it only when the host has let go.
step_repeat() {
	before=$(free_kib)
	right repeat '' repeat
	for i in $(seq 100); do
		[ "$(free_kib)" -lt $((before - 16384)) ] || break
		usleep 200000
	done
	[ "$(free_kib)" -ge $((before - 16384)) ] && echo "GUEST memory right"
}
repeat() {
	for i in $(seq 10); do
		vector_add 1000 | grep -q PASS || echo "$i failed"
	done
}
step_off() {
	poweroff -f
}

case $work in
steps) steps ;;
compute)
	compute
	echo "GUEST done"
	poweroff -f
	;;
reboot)
	compute
	echo "GUEST reboots"
	reboot -f
	;;
processors)
	compute
	processors
	echo "GUEST done"
	poweroff -f
	;;
stay)
	compute
	echo "GUEST done"
	until [ "$(xenstore-read data/work)" = again ]; do sleep 1; done
	echo "GUEST again"
	compute
	echo "GUEST ended"
	poweroff -f
	;;
jobs)
	compute
	jobs
	echo "GUEST done"
	poweroff -f
	;;
store)
	right job '{"result":\[5,7,9\]}' vgpu-run vector_add 1,2,3 4,5,6
	jobs
	echo "GUEST done"
	poweroff -f
	;;
copy)
	copy_loop
	echo "GUEST copy_loop ended with $?"
	;;
esac
