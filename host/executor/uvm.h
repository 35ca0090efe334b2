/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps kernels from the executor's memory where NVIDIA's modules would let them reach all of it (HMM).
 *
 * libcuda gives each process's address space to nvidia-uvm by one ioctl, whose flags can say that this one is to have
 * no pageable access. libcuda has no switch for that; but the ioctl() that it calls is the program's, if the program
 * has one. So the executor has one, which adds the flags. It is no promise: whether kernels reach the executor's memory
 * is asked afterwards (driver_reaches_host()), as where the module has no such flags or the hardware goes without it.
 *
 * The numbers are those of NVIDIA's open modules (kernel-open/nvidia-uvm: uvm_ioctl.h, uvm_linux_ioctl.h, uvm_types.h;
 * nvstatuscodes.h).
 */
#ifndef EXECUTOR_UVM_H
#define EXECUTOR_UVM_H

#include <stdint.h>

#define UVM_INITIALIZE 0x30000001ul

#define UVM_FLAG_DISABLE_HMM		 0x1ull
#define UVM_FLAG_DISABLE_PAGEABLE_ACCESS 0x4ull /* from 610 on; an older module refuses flags that it does not know */

#define UVM_STATUS_BUSY 0x3u /* NV_ERR_BUSY_RETRY: another thread does it at the moment */

/* Its argument. */
struct uvm_initialize {
	uint64_t flags;
	uint32_t status; /* 0: done */
};

/* Makes the call by 'call' (as ioctl(2)) with the flags that it takes, and with none of ours if it takes none. */
int uvm_initialize(int (*call)(int file, unsigned long request, void *argument), int file,
		   struct uvm_initialize *argument);

#endif
