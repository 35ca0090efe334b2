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

struct executor;

/* A node that has the guest call a function. */
CUDA_HOST_NODE_PARAMS host_function_node(uint64_t function);

/* Once, before any request. */
void host_functions_open(struct executor *executor);

#endif
