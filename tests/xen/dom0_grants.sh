# SPDX-License-Identifier: Apache-2.0
# The checks of channels over grants, for dom0.sh, whose functions these are.

# step NAME STEP SECONDS: lets the guest do it, and waits until it says that it has.
steps=0
step() {
	steps=$((steps + 1))
	xenstore-write "/local/domain/$(xl domid "$1")/data/step" "$steps-$2"
	guest_said "$1" "$3" "GUEST step $steps-$2 done"
}
# Since the last step's beginning the guest has said that it was right, for each of WHAT.
step_is_right() { # NAME WHAT...
	name=$1
	shift
	for what; do
		tr -d '\r' </tmp/guest-$name.log | sed -n "/GUEST step $steps-.* begins/,\$p" | grep -q "GUEST $what right" ||
			return 1
	done
}
no_executor() {
	! runs cuda-executor
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
grants_check() {
	vgpu-xen-grants >/tmp/xen-grants.log 2>&1 &
	cat >>/etc/vgpu/xen-guests <<-LIST
		ivory grants --vm-id 11 --channels 4
		ebony grants --vm-id 12
		amber grants --vm-id 11
	LIST
	other_start ivory pvh steps
	guest_said ivory 150 'GUEST type'
	until_true 30 grep -q 'connected to the mediator as vm_id=11' /tmp/xen-grants.log
	verdict $? "grants: a PVH guest's backend comes with the guest"
	step ivory compute 120
	step_is_right ivory vector_add matrix_product
	right=$?
	verdict $right "grants: a PVH guest computes right"
	[ $right = 0 ] || return
}
