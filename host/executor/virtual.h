/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual memory management: what sharing needs of it. Main thread. */
#ifndef EXECUTOR_VIRTUAL_H
#define EXECUTOR_VIRTUAL_H

#include <stdint.h>

#include "cuda_abi.h"

struct executor;
struct physical;

/*
 * Makes the wire id 'id', which is free, stand for memory that another process has exported as the descriptor, which
 * stays the caller's. It counts for this process too, with the bytes that the other one's executor has named; a mapping
 * of more than there is fails in the driver.
 */
CUresult physical_import(struct executor *executor, uint32_t id, int descriptor, uint64_t bytes,
			 CUmemAllocationProp *ret_properties);

/* After the wire id or a mapping of it has gone: the memory is free when nothing is left. */
void physical_settle(struct executor *executor, struct physical *physical);

#endif
