# SPDX-License-Identifier: Apache-2.0
# The checks of a worker in another domain, for dom0.sh, whose functions these are, and those of dom0_grants.sh.

worker_check() {
	scene worker_first_check || return
	scene worker_two_check
	scene worker_destroyed_check
	scene worker_end_check
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
# A PVH guest with channels over grants.
coral_is_there() {
	gold_is_there || return
	xl domid coral >/dev/null 2>&1 && return
	may_start coral && domain_start coral pvh steps && offered coral && step coral room
}
# An HVM guest with the device.
rose_starts() { # WORK
	pool=C
	guest_start rose 16 "$1"
	started=$?
	pool=A
	return $started
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
	coral_is_there
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

# Both have programs at the worker at once, for the PVH guest's copies until it is killed.
worker_two_check() {
	coral_is_there && rose_starts later && guest_said rose 240 'GUEST type' && copies coral &&
		xenstore-write "/local/domain/$(xl domid rose)/data/work" again && guest_said rose 240 'GUEST done'
	grep -q 'GUEST lspci .*3D controller.*1af4:10f5' /tmp/rose.log && computed rose
	verdict $? "worker: an HVM guest with the device computes right, while the other one copies"
	step coral copies_on && step_is_right coral copies-on && step coral compute && step_is_right coral vector_add matrix_product
	verdict $? "worker: and that one goes on, and computes right afterwards"
	is_right rose job job-in-parts answer-in-parts jobs-in-a-row job-afterwards
	verdict $? "worker: the HVM guest's jobs over XenStore"
	logged mediator 'vm_id=16 pool=C .* job of'
	verdict $? "worker: and the jobs are the guest's"
	worker_ran 13 && worker_ran 16 && no_executor
	verdict $? "worker: that domain has run both, and dom0 none"
}

worker_destroyed_check() {
	coral_is_there && rose_starts copy && guest_said rose 240 copying && copies coral && worker_counts &&
		[ "${counts%% *}" -ge $((${worker_at_first%% *} + 2)) ]
	verdict $? "worker: two guests are in the middle of copies"
	xl destroy rose
	step coral copies_on && step_is_right coral copies-on
	verdict $? "worker: one is destroyed, and the other one goes on"
	copies coral && xl destroy coral
	until_true 120 only_gold && until_true 120 worker_is_as_at_first
	verdict $? "worker: both are destroyed: no process and no descriptor is left of them at the worker"
	until_true 120 dom0_is_as_at_first
	verdict $? "worker: nor a descriptor of the mediator, a relay or a grant in dom0"
}

worker_end_check() {
	coral_is_there && copies coral && xl destroy gold && step coral lost && step_is_right coral lost
	verdict $? "worker: its domain is destroyed: the guest's process is told"
	xenstore-write "/local/domain/$(xl domid coral)/data/step" 0-off
	until_true 120 only_dom0 && until_true 120 memory_is_back
	verdict $? "worker: nothing of the two is left in Xen"
}
