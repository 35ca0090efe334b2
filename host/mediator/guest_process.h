/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which GPU NVML shows to a process in a VM. Nobody tells the mediator which of a VM's channels are of one process but
 * the guest itself, in its greeting; that is enough, for it matters within the VM alone.
 *
 *   the process has CUDA too     its GPU; where CUDA starts later, NVML's channel ends, and the library opens another
 *   other programs of the VM do  the GPU that most of them are on, so that nvidia-smi shows what goes on
 *   neither                      the GPU where a program would start
 *
 * Each is one GPU, for PyTorch counts CUDA's devices by NVML. All this only where programs see one GPU each, and that
 * is one of this host.
 */
#ifndef MEDIATOR_GUEST_PROCESS_H
#define MEDIATOR_GUEST_PROCESS_H

#include "vgpu_control.h"

struct channel;

/* The executor has been greeted and waits for the answer. May end other channels of the VM. */
void guest_process_take(struct channel *channel, const struct vgpu_control_guest_process *process);

#endif
