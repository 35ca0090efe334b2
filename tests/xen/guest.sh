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
		if [ "$step" != "$done" ]; then
			echo "GUEST step $step begins"
			"step_${step#*-}"
			echo "GUEST step $step done"
			done=$step
		fi
		usleep 200000
	done
}
step_compute() {
	right vector_add '*PASS vector_add*' vector_add 100000
	right matrix_product '*PASS matrix_product*' matrix_product
}

case $work in
steps) steps ;;
compute)
	compute
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
