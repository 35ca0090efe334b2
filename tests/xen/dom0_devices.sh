# SPDX-License-Identifier: Apache-2.0
# The checks of vgpu-xen, and of jobs, for dom0.sh, whose functions these are.

devices_check() {
	scene first_check || return
	scene two_check
	scene pvh_check
	scene destroyed_check
	scene processors_check
	scene reboot_check
	scene last_check
}

first_check() {
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
}

# The guest that stays until the last scene.
green_is_there() {
	xl domid green >/dev/null 2>&1 && return
	may_start green && guest_start green 2 stay && guest_said green 240 'GUEST done'
}

two_check() {
	may_start green && guest_start green 2 stay && guest_start blue 3 jobs "$(xl domid green)"
	guest_said green 240 'GUEST done' && guest_said blue 120 'GUEST done'
	at "two guests are done"
	computed green && computed blue
	verdict $? "two guests at once compute right"
	is_right green job && is_right blue job
	verdict $? "their jobs over XenStore too"
	logged mediator 'vm_id=2 pool=A .* job of' && logged mediator 'vm_id=3 pool=A .* job of'
	verdict $? "and the jobs are the guests'"
	for what in job-in-parts answer-in-parts job-too-long job-unknown job-nan job-mismatched jobs-in-a-row parts-too-many \
		part-missing job-afterwards no-other-path no-host-path; do
		is_right blue $what
		verdict $? "a guest's XenStore: $what"
	done
}

pvh_check() {
	green_is_there && domain_start white pvh store "$(xl domid green)"
	guest_said white 120 'GUEST done'
	at "the PVH guest is done"
	is_right white job job-in-parts answer-in-parts jobs-in-a-row no-other-path no-host-path
	verdict $? "a PVH guest's jobs over XenStore"
}

destroyed_check() {
	green_is_there && guest_start doomed 4 copy && guest_said doomed 120 copying
	verdict $? "a guest is in the middle of copies"
	runs cuda-executor
	verdict $? "an executor works for it"
	xl destroy doomed
	xenstore-write "/local/domain/$(xl domid green)/data/work" again
	until_true 30 grep -q 'is gone' "$(device_log doomed)"
	verdict $? "its destruction ends the device's process"
	until_true 30 logged mediator 'vm_id=4 channel=0: the executor ended'
	verdict $? "and its executor"
	guest_said green 120 'GUEST ended'
	[ "$(sed -n '/GUEST again/,$p' /tmp/green.log | grep -c 'GUEST .* right')" = 3 ]
	verdict $? "a guest that was there meanwhile goes on and computes right"
	# A domain one of whose pages is mapped or granted to somebody stays in Xen's list as a zombie.
	until_true 30 only_dom0
	verdict $? "nothing of the ended guests is left in Xen"
	! runs cuda-executor && ! runs vgpu-xen
	verdict $? "and no process for them"
}

processors_check() {
	guest_start twin 5 processors 0 vcpus=2 && guest_said twin 240 'GUEST done'
	at "the guest with two processors is done"
	is_right twin processors vector_add matrix_product at-once
	verdict $? "a guest with two processors computes right, by four programs at once"
}

# Xen makes another domain of it, with nothing in its part of XenStore.
reboot_check() {
	devices_before=$(devices_count)
	guest_start wheel 19 reboot 0 "on_reboot='restart'" && guest_said wheel 240 'GUEST reboots'
	first=$(sed -n 's/^wheel //p' "$domains" | tail -n 1)
	until_true 120 is_another wheel "$first" && domain_is wheel "$(xl domid wheel)" &&
		until_true 120 devices_are $((devices_before + 1))
	verdict $? "a guest reboots: another domain has its device, and the one that ended has none"
	xenstore-write "/local/domain/$(xl domid wheel)/data/work" compute
	guest_said wheel 240 'work compute' && guest_said wheel 120 'GUEST done'
	at "the guest that rebooted is done"
	computed wheel && grep -q 'GUEST lspci .*3D controller.*1af4:10f5' /tmp/wheel.log
	verdict $? "it computes right afterwards"
}
is_another() { # NAME DOMAIN
	domain=$(xl domid "$1") && [ "$domain" != "$2" ]
}
devices_count() {
	ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c '/vgpu-xen$'
}
devices_are() { # COUNT
	[ "$(devices_count)" = "$1" ]
}

last_check() {
	pool=B
	guest_start last 4 compute
	pool=A
	guest_said last 120 'GUEST done'
	at "the last guest is done"
	computed last
	verdict $? "another computes afterwards, as the same VM, with the GPU at a worker"
	logged worker 'vm_id=4 channel=0 pool=B .*: executor pid'
	verdict $? "the worker has run it"
	is_right last job && logged mediator 'vm_id=4 pool=B .* job of'
	verdict $? "its job over XenStore too"
	until_true 30 only_dom0
	# What Xen itself keeps of a domain's end is freed a little later.
	until_true 20 memory_is_back
	verdict $? "all of the guests' memory is Xen's again"
}
