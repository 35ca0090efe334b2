# SPDX-License-Identifier: Apache-2.0
# The checks of a worker in another domain, for dom0.sh, whose functions these are, and those of dom0_grants.sh.

worker_start() {
	xl create /root/pv.cfg "name='gold'" "memory=384" "ramdisk='/root/worker.cpio.gz'" "vif=['script=/root/vif.sh']" \
		>/tmp/gold.xl 2>&1 || return 1
	xenstore-write "/local/domain/$(xl domid gold)/data/key" "$(sed 's/psk //' /root/worker.psk)"
}
worker_listens() {
	grep -q 'vgpu-worker .* listens' /tmp/guest-gold.log
}

worker_check() {
	worker_start
	guest_said gold 100 'GUEST type' && until_true 120 worker_listens
	verdict $? "worker: it listens in a domain of its own"
	mediator_again TERM --worker C=10.55.0.2:5555
	domain_start coral pv steps
	guest_said coral 100 'GUEST type'
	until_true 120 offer_of coral
	step coral compute
	step_is_right coral vector_add matrix_product
	verdict $? "worker: a guest computes right with the GPU in another domain"
	grep -q 'vm_id=13 channel=0 pool=C .*: executor pid' /tmp/guest-gold.log
	verdict $? "worker: that domain has run it"
	no_executor
	verdict $? "worker: and dom0 has not"
	copies coral && xl destroy gold && step coral lost && step_is_right coral lost
	verdict $? "worker: its domain is destroyed: the guest's process is told"
	xenstore-write "/local/domain/$(xl domid coral)/data/step" 0-off
	until_true 120 only_dom0 && until_true 120 memory_is_back
	verdict $? "worker: nothing of the two is left in Xen"
}
