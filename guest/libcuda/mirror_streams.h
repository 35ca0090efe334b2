/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of the library's own, one in each context that has mirrored memory. Guarded by mirror.c's lock. */
#ifndef VGPU_MIRROR_STREAMS_H
#define VGPU_MIRROR_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

/* It waits for none of the program's streams. */
struct mirror_stream {
	struct mirror_stream *next;
	uint32_t context;
	uint32_t id;
	bool is_busy; /* something was sent up in it that was not waited for */
};

/* The context's, made on first use. */
CUresult mirror_streams_find(uint32_t context, struct mirror_stream **ret_stream);

/* All that was sent up is there. */
CUresult mirror_streams_await(void);

/* The context has ended. */
void mirror_streams_forget(uint32_t context);

/* Waits for any stream; what posted calls failed of is left to the program's. Needs no lock. */
CUresult mirror_stream_await(uint32_t context, uint32_t stream);

#endif
