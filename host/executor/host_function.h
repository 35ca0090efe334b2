/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host functions in streams.  The driver calls ours on a thread of its own, which
 * has the guest call the program's and blocks until that has returned, so the
 * stream's later work waits as it should.
 *
 * Nothing of this needs the main thread, which may be inside the driver and
 * waiting for the function (it frees memory that the stream uses, or the stream
 * has no room): the thread calls by words in the channel's header
 * (vgpu_channel.h) and looks there for the answer.  A guest that does not answer
 * holds up itself; its end is the end of this process.
 */
#ifndef EXECUTOR_HOST_FUNCTION_H
#define EXECUTOR_HOST_FUNCTION_H

#include <stdint.h>

#include "cuda_abi.h"
#include "vgpu_channel.h"

struct executor;

/*
 * From a thread of the driver's: fetches a copy's bytes from the guest, or delivers them to it, a piece at a time, or
 * (END) tells it that a function will not be called any more.
 */
void host_function_copy(uint64_t function, enum vgpu_function_use use, uint8_t *memory, uint64_t bytes);

/* For user objects of the driver: a function that has the guest call the one that its argument is the name of. */
void host_function_run(void *function);

/* The graph has come to have a node with the function: the guest is told when no graph has it any more. */
void host_function_own(struct executor *executor, CUgraph graph, uint64_t function);

/* A node that has the guest call a function. */
CUDA_HOST_NODE_PARAMS host_function_node(uint64_t function);

/* Once, before any request. */
void host_functions_open(struct executor *executor);

#endif
