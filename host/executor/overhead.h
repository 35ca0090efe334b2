/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory that the driver takes beside what the program allocates: for contexts and for modules (code,
 * variables). It is charged to the tenant's limit like the rest.
 *
 * How much it is, is measured: what the driver says that this process has of the device, before and after the call.
 * That figure is the process's own, so others may allocate meanwhile, and the executor's one thread does nothing else.
 * It comes from NVML, which lists processes; where it does not know ours (a container with process ids of its own),
 * nothing is charged. The software GPU's memory is the process's own anyway. What streams free during the calls is not
 * seen, nor what a driver loads at other moments than these.
 */
#ifndef EXECUTOR_OVERHEAD_H
#define EXECUTOR_OVERHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "execute.h"

struct context;

struct overhead_mark {
	CUdevice device;
	bool is_known;
	uint64_t bytes;
};

/* Before a context is made on the device. May leave another context current. */
void overhead_context_begin(struct executor *executor, CUdevice device, struct overhead_mark *ret_mark);
/* After it was; it is current. OUT_OF_MEMORY: it is more than the tenant may have, and nothing was charged. */
CUresult overhead_context_end(struct executor *executor, struct context *context, const struct overhead_mark *mark);

/* Around the load of a module or library in the current context; the same. */
void overhead_module_begin(struct executor *executor, struct overhead_mark *ret_mark);
CUresult overhead_module_end(struct executor *executor, const struct overhead_mark *mark);
/* After one was unloaded, since overhead_module_begin(). */
void overhead_module_gone(struct executor *executor, const struct overhead_mark *mark);

/*
 * Around the first launch of a function, and other calls with which the driver may load code and variables of a module
 * that it has not loaded with it (lazy loading), or take more for stacks. That cannot be undone, so it is charged in
 * any case; once it has brought the tenant above its limit there is OUT_OF_MEMORY before the call. Without a limit
 * nothing is measured.
 */
CUresult overhead_use_begin(struct executor *executor, struct overhead_mark *ret_mark);
void overhead_use_end(struct executor *executor, const struct overhead_mark *mark);
/* Is it one of those other calls? A guest asks for what a function is before it first uses it, in a graph too. */
bool overhead_opcode_loads(uint16_t opcode);

/* All modules of the context have gone; the context has gone too. */
void overhead_forget_modules(struct executor *executor, struct context *context);
void overhead_forget_context(struct executor *executor, struct context *context);

#endif
