# SPDX-License-Identifier: Apache-2.0
# The checks of a worker in another domain, for dom0.sh, whose functions these are, and those of dom0_grants.sh.

worker_check() {
	scene worker_first_check || return
	scene worker_two_check
	scene worker_destroyed_check
	scene worker_end_check
	scene worker_device_check
	scene worker_both_check
}

worker_listens() {
	grep -q 'vgpu-worker .* listens' /tmp/guest-gold.log
}
worker_is_watched() {
	logged mediator 'WORKER. 10.55.0.2:5555: it has 1 GPUs'
}
# What its domain has at the moment: executors, vgpu-worker's children, that one's descriptors.
worker_counts() {
	step gold count && counts=$(sed -n "s/GUEST step $steps-count has \([0-9 ]*\).*/\1/p" /tmp/guest-gold.log)
}
worker_is_as_at_first() {
	worker_counts && [ "$counts" = "$worker_at_first" ]
}
relays_count() {
	ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c '/vgpu-relay$'
}
dom0_is_as_at_first() {
	descriptors_are_back && [ "$(relays_count)" = "$relays_at_first" ] && grants_are -le "$grants_at_first"
}
# What it has itself, with no guest beside, is what is left at the end.
gold_is_there() {
	! xl domid gold >/dev/null 2>&1 || return 0
	domain_start gold pv worker 0 "memory=384" "ramdisk='/root/worker.cpio.gz'" "vif=['script=/root/vif.sh']" || return
	xenstore-write "/local/domain/$(xl domid gold)/data/key" "$(sed 's/psk //' /root/worker.psk)"
	guest_said gold 100 'GUEST type' && until_true 120 worker_listens || return
	mediator_again TERM --worker C=10.55.0.2:5555
	until_true 120 worker_is_watched && worker_counts || return
	worker_at_first=$counts
	descriptors_at_first=$(mediator_descriptors)
	relays_at_first=$(relays_count)
	grants_at_first=$(grants_count)
	echo "at first: worker $worker_at_first, mediator $descriptors_at_first, relays $relays_at_first, grants $grants_at_first"
}
# Two guests with channels over grants.
guest_is_there() { # NAME pvh|pv
	gold_is_there || return
	xl domid "$1" >/dev/null 2>&1 && return
	may_start "$1" && domain_start "$1" "$2" steps && offered "$1" && step "$1" room
}
two_are_there() {
	guest_is_there coral pvh && guest_is_there pearl pv
}
only_gold() {
	[ "$(xl list | wc -l)" = 3 ]
}
worker_ran() { # VM_ID
	grep -q "vm_id=$1 channel=0 pool=C .*: executor pid" /tmp/guest-gold.log
}

worker_first_check() {
	gold_is_there
	verdict $? "worker: it listens in a domain of its own"
	guest_is_there coral pvh
	step coral compute
	step_is_right coral vector_add matrix_product
	right=$?
	verdict $right "worker: a PVH guest computes right with the GPU in another domain"
	worker_ran 13
	verdict $? "worker: that domain has run it"
	no_executor
	verdict $? "worker: and dom0 has not"
	return $right
}

worker_two_check() {
	two_are_there && copies pearl && step coral compute && step_is_right coral vector_add matrix_product
	verdict $? "worker: a guest computes right, while another one copies"
	copies coral && worker_counts && [ "${counts%% *}" = $((${worker_at_first%% *} + 2)) ]
	verdict $? "worker: that domain has two executors, when both copy"
	worker_ran 13 && worker_ran 18 && no_executor
	verdict $? "worker: one for each guest, and dom0 none"
	step coral kill
	step pearl kill
}

# One after the other, in the middle of copies.
worker_destroyed_check() {
	two_are_there && copies coral && copies pearl && xl destroy coral
	domain_forget coral
	step pearl copies_on && step_is_right pearl copies-on
	verdict $? "worker: a guest is destroyed, and the other one goes on"
	copies pearl && xl destroy pearl
	domain_forget pearl
	until_true 120 only_gold && until_true 120 worker_is_as_at_first
	verdict $? "worker: both are destroyed: no process and no descriptor is left of them at the worker"
	until_true 120 dom0_is_as_at_first
	verdict $? "worker: nor a descriptor of the mediator, a relay or a grant in dom0"
}

worker_end_check() {
	guest_is_there pearl pv && copies pearl && xl destroy gold && step pearl lost && step_is_right pearl lost
	verdict $? "worker: its domain is destroyed: the guest's process is told"
	xenstore-write "/local/domain/$(xl domid pearl)/data/step" 0-off
	until_true 120 only_dom0 && until_true 120 memory_is_back
	verdict $? "worker: nothing of the two is left in Xen"
}

# An HVM guest with the device.
worker_device_check() {
	gold_is_there
	pool=C
	guest_start rose 16 jobs && guest_said rose 240 'GUEST done'
	pool=A
	grep -q 'GUEST lspci .*3D controller.*1af4:10f5' /tmp/rose.log && computed rose && worker_ran 16
	verdict $? "worker: an HVM guest with the device computes right"
	is_right rose job job-in-parts answer-in-parts jobs-in-a-row job-afterwards && logged mediator 'vm_id=16 pool=C .* job of'
	verdict $? "worker: its jobs over XenStore too"
	no_executor
	verdict $? "worker: and dom0 has run none of them"
}

# A guest with the device and one with channels over grants.
worker_both_check() {
	guest_is_there coral pvh
	pool=C
	guest_start briar 20 copy && guest_said briar 240 copying
	copying=$?
	pool=A
	[ $copying = 0 ] && step coral compute && step_is_right coral vector_add matrix_product
	verdict $? "worker: a PVH guest computes right, while an HVM guest with the device copies"
	copies coral && worker_counts && [ "${counts%% *}" = $((${worker_at_first%% *} + 2)) ] && worker_ran 20 && no_executor
	verdict $? "worker: that domain has an executor for each, and dom0 none"
	xl destroy briar
	domain_forget briar
	step coral copies_on && step_is_right coral copies-on
	verdict $? "worker: the HVM guest is destroyed, and the other one goes on"
	xenstore-write "/local/domain/$(xl domid coral)/data/step" 0-off
	until_true 120 only_gold && until_true 120 worker_is_as_at_first
	verdict $? "worker: nothing of the two is left at the worker"
}
