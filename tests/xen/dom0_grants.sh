# SPDX-License-Identifier: Apache-2.0
# The checks of channels over grants, for dom0.sh, whose functions these are.

# step NAME STEP: lets the guest do it, and waits until it says that it has.
steps=0
step() {
	steps=$((steps + 1))
	xenstore-write "/local/domain/$(xl domid "$1")/data/step" "$steps-$2"
	guest_said "$1" 200 "GUEST step $steps-$2 done"
}
# Since the last step's beginning the guest has said that it was right, for each of WHAT.
step_is_right() { # NAME WHAT...
	name=$1
	shift
	for what; do
		tr -d '\r' <"$(log_of "$name")" | sed -n "/GUEST step $steps-.* begins/,\$p" | grep -q "GUEST $what right" ||
			return 1
	done
}
# A process of the guest copies from now on.
copies() { # NAME
	step "$1" copy
	step_is_right "$1" copy
}
nodes_are() { # NAME COUNT: below vgpu-grants/channel
	[ "$(xenstore-list "/local/domain/$(xl domid "$1")/data/vgpu-grants/channel" 2>/dev/null | wc -l)" = "$2" ]
}
backend_of() { # NAME: the process
	pid=$(ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n 's|.*/proc/\([0-9]*\)/exe -> .*/vgpu-xen-grants$|\1|p' |
		while read -r process; do
			tr '\0' ' ' <"/proc/$process/cmdline" | grep -q " $(xl domid "$1") \$" && echo "$process"
		done)
	[ -n "$pid" ]
}
# How many grants of all guests are mapped, as Xen lists them ("xl debug-keys g").
grants_count() {
	messages_read
	xl debug-keys g
	usleep 300000
	xl dmesg | grep -c '(XEN) \[0x'
}
grants_are() { # OPERATOR COUNT
	[ "$(grants_count)" "$1" "$2" ]
}
mediator_descriptors() {
	ls "/proc/$mediator/fd" | wc -l
}
descriptors_are_back() {
	[ "$(mediator_descriptors)" -le "$descriptors_at_first" ]
}
# Nothing of a process of the guest is left: executor, nodes, descriptors.
process_is_gone() { # NAME
	no_executor && nodes_are "$1" 0 && descriptors_are_back && grants_are -le "$grants_at_first"
}
mediator_again() { # SIGNAL OPTION...
	signal=$1
	shift
	kill "-$signal" "$mediator"
	wait "$mediator"
	mediator_start "$@"
	until_true 120 mediator_is_up
}
offer_of() { # NAME
	xenstore-read "/local/domain/$(xl domid "$1")/data/vgpu-grants/offer"
}

grants_start() {
	cat >>/etc/vgpu/xen-guests <<-LIST
		ivory grants --vm-id 11 --channels 4
		ebony grants --vm-id 12
		amber grants --vm-id 11 --pool B
		coral grants --vm-id 13 --pool C
		onyx grants --vm-id 14
		slate grants --vm-id 17
		pearl grants --vm-id 18 --pool C
		twins grants --vm-id 15
	LIST
	vgpu-xen-grants >/tmp/xen-grants.log 2>&1 &
}
grants_check() {
	tail -F /tmp/guest-ivory.log 2>/dev/null | sed 's/^/ivory: /' &
	scene grants_first_check || return
	scene grants_guests_check
	scene grants_process_check
	scene grants_backend_check
	scene grants_mediator_check
	scene grants_end_check
	scene grants_processors_check
	scene grants_saved_check
	scene grants_hvm_check
	scene grants_afterwards_check
}

offered() { # NAME: it runs, and is offered channels
	guest_said "$1" 100 'GUEST type' && until_true 120 offer_of "$1"
}
# The guest that stays until it is destroyed.
ivory_is_there() {
	! xl domid ivory >/dev/null 2>&1 || return 0
	may_start ivory && domain_start ivory pvh steps && offered ivory || return
	descriptors_at_first=$(mediator_descriptors)
	grants_at_first=$(grants_count)
	echo "grants at first: $grants_at_first, descriptors $descriptors_at_first"
}

grants_first_check() {
	ivory_is_there
	verdict $? "grants: a PVH guest's backend comes with the guest"
	step ivory compute
	step_is_right ivory vector_add matrix_product
	right=$?
	verdict $right "grants: a PVH guest computes right"
	return $right
}

# A second guest, paravirtual, at the same time.
grants_guests_check() {
	ivory_is_there && domain_start ebony pv steps && offered ebony
	copies ivory && step ebony compute && step_is_right ebony vector_add matrix_product
	verdict $? "grants: a PV guest computes right, while the other one copies"
	xenstore-write "/local/domain/$(xl domid ebony)/data/step" 0-off
	step ivory kill
}

# Processes of the guest, the first with one that copies under way.
grants_process_check() {
	ivory_is_there && copies ivory
	step ivory limit
	step_is_right ivory limit two-processes
	verdict $? "grants: two processes at once, and the limit of gntalloc is named"
	grants_are -ge 1024
	verdict $? "grants: Xen lists a channel's memory as mapped"
	step ivory kill
	until_true 120 process_is_gone ivory
	verdict $? "grants: of a process that was killed nothing is left"
	step ivory user
	step_is_right ivory no-rights rights
	verdict $? "grants: who may is decided by the rights of Xen's devices"
	step ivory hostile
	step_is_right ivory nonce table-pages pages instance reference table-reference references port one-page alike again \
		garbage removed
	verdict $? "grants: requests and pages of a hostile guest are refused"
	until_true 120 process_is_gone ivory
	verdict $? "grants: and nothing of them is left"
	step ivory repeat
	step_is_right ivory repeat memory
	verdict $? "grants: ten programs one after the other, and the guest's memory is back"
}

# Ends on the host's side, while the guest copies.
grants_backend_check() {
	ivory_is_there && copies ivory && backend_of ivory && kill -9 "$pid"
	step ivory lost && step_is_right ivory lost
	verdict $? "grants: a backend that is killed: the guest's process is told"
	until_true 120 offer_of ivory && until_true 120 no_executor
	step ivory compute
	step_is_right ivory vector_add matrix_product
	verdict $? "grants: the backend is started again, and the guest computes right"
}
grants_mediator_check() {
	ivory_is_there && copies ivory && mediator_again KILL --keep 60
	step ivory lost && step_is_right ivory lost
	verdict $? "grants: a mediator that is killed: the guest's process is told"
	until_true 120 offer_of ivory
	descriptors_at_first=$(mediator_descriptors)
	copies ivory && mediator_again KILL --keep 60 && step ivory copies_on && step_is_right ivory copies-on
	verdict $? "grants: a mediator that keeps and is killed: the guest's process goes on"
	until_true 120 process_is_gone ivory
	verdict $? "grants: and nothing is left of it when it ends"
}

# The guest is destroyed in the middle of copies.
grants_end_check() {
	ivory_is_there && copies ivory && runs cuda-executor
	verdict $? "grants: an executor works for a guest"
	xl destroy ivory
	until_true 120 no_executor
	verdict $? "grants: the guest is destroyed: its executor ends"
	until_true 120 only_dom0 && grants_are = 0
	verdict $? "grants: nothing of the guests is left in Xen"
}

grants_processors_check() {
	domain_start twins pvh steps 0 vcpus=2 && offered twins
	step twins processors
	step_is_right twins processors at-once
	verdict $? "grants: a guest with two processors computes right, by four programs at once"
	xenstore-write "/local/domain/$(xl domid twins)/data/step" 0-off
	until_true 120 only_dom0 && grants_are = 0
}

# A guest that comes back is another domain, with none of the grants that it had. Not with a program that runs meanwhile:
# Linux does not let go of its event channel then (docs/limitations.md).
grants_saved_check() {
	domain_start slate pv steps 0 memory=192 && offered slate && step slate compute && xl save slate /tmp/slate.saved
	until_true 120 only_dom0 && grants_are = 0
	verdict $? "grants: a guest is saved, and nothing of it is left in Xen"
	xl restore /tmp/slate.saved >/tmp/slate-restored.xl 2>&1 && until_true 120 offer_of slate
	step slate compute
	step_is_right slate vector_add matrix_product
	verdict $? "grants: it is restored, and computes right"
	rm -f /tmp/slate.saved
	xenstore-write "/local/domain/$(xl domid slate)/data/step" 0-off
	until_true 120 only_dom0 && grants_are = 0
}

grants_afterwards_check() {
	domain_start amber pvh steps && offered amber
	step amber compute
	step_is_right amber vector_add matrix_product
	verdict $? "grants: another guest computes right afterwards, as the same VM, with the GPU at a worker"
	xenstore-write "/local/domain/$(xl domid amber)/data/step" 0-off
	until_true 120 only_dom0
	until_true 120 memory_is_back
	verdict $? "grants: all of the guests' memory is Xen's again"
	! runs cuda-executor && until_true 120 one_backend
	verdict $? "grants: and no process is left for them"
}
one_backend() {
	[ "$(ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c '/vgpu-xen-grants$')" = 1 ]
}

# An HVM guest without the device.
grants_hvm_check() {
	domain_start onyx hvm steps && offered onyx
	step onyx compute
	step_is_right onyx vector_add matrix_product
	verdict $? "grants: an HVM guest computes right"
	copies onyx && step onyx kill
	until_true 120 no_executor && nodes_are onyx 0
	verdict $? "grants: of a process of it that was killed nothing is left"
	copies onyx && runs cuda-executor && xl destroy onyx
	until_true 120 no_executor && until_true 120 only_dom0 && grants_are = 0
	verdict $? "grants: it is destroyed, and nothing of it is left in Xen"
}
