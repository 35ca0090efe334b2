#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a guest of Xen does after its start; its console is read by dom0. The kernel's argument vgpu.work says which.
work=$(sed 's/.*vgpu.work=\([a-z]*\).*/\1/' /proc/cmdline)
echo "GUEST type $(cat /sys/hypervisor/type) work $work"
echo "GUEST lspci $(lspci -nn | grep '\[0302\]')"
case $work in
compute)
	vector_add 100000 && echo "GUEST vector_add right"
	matrix_product && echo "GUEST matrix_product right"
	echo "GUEST done"
	poweroff -f
	;;
copy)
	copy_loop
	echo "GUEST copy_loop ended with $?"
	;;
esac
