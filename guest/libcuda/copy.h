/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between the program's memory and the device's. */
#ifndef VGPU_COPY_H
#define VGPU_COPY_H

#include "call.h"
#include "object.h"
#include "program_copy.h"
#include "vgpu_graph.h"

/* The contexts of a copy between devices, by their wire ids. */
struct copy_peers {
	uint32_t source;
	uint32_t destination;
};

/* Where a copy stands: its context and stream, and whether the call is to return only when it is done. */
struct copy_order {
	uint32_t context;
	uint32_t stream;
	bool waits;
	const struct copy_peers *peers; /* NULL: within a device */
};

/* What every copy begins with: an error of an earlier call, a missing context, or a bad stream end it. */
CUresult copy_begin(CUstream stream, bool per_thread_default, bool waits, struct copy_order *ret_order);

/* Must a synchronous copy or fill to or from the address have ended when it returns? The current context is usable. */
bool copy_is_synchronous(uint64_t address);

/* Is what is given as the program's memory the device's? The driver goes by the address (seen with driver 580). */
bool copy_host_is_device(uint64_t address);

/* Is it within memory that the executor has mapped? */
bool copy_host_is_shared(const void *host, size_t bytes);

/* Is it pinned memory that the executor does not share? */
bool copy_host_is_pinned(const void *host);

/*
 * Has a synchronous copy of memory that is not shared to the device been made when it returns? Always from pinned
 * memory; one of 64 KiB or less from pageable memory need not have been (API synchronization behavior); of longer ones
 * the last part may be on its way. An H200 with driver 580 has made all of those of 128 KiB, most of 256 KiB with
 * nothing before them, and none of 1 MiB.
 */
bool copy_is_made_at_return(const void *host, size_t bytes);

/* Does the copy return natively before it has read the source? Of memory that is not shared: of pinned memory alone. */
bool copy_source_is_prompt(const struct copy_order *order, const void *host);

/*
 * Waits until functions of the program that the copy follows in its stream have written what it is to read, where it
 * must: what is not shared is read here and now. An asynchronous copy of pageable memory reads it at once natively too.
 */
CUresult copy_source_await(const struct copy_order *order, const void *host);

/* A span that begins in known device memory must end there. CUDA_ERROR_NOT_FOUND: nothing is known of it. */
CUresult copy_device_span_check(uint64_t address, size_t bytes);

/* A box for a graph. */
struct copy_description {
	/*
	 * CU_GRAPH_NODE_TYPE_MEMCPY: the executor reaches both sides. VGPU_GRAPH_PROGRAM_COPY: it does not reach
	 * one. CU_GRAPH_NODE_TYPE_HOST: it is all within the program's memory.
	 */
	uint32_t type;
	struct vgpu_graph_memcpy wire;	   /* of the first two */
	struct program_copy *program_copy; /* the caller's, of the last two, else NULL */
};

/* With 'as_program' memory that the executor shares is to count as the program's. */
CUresult copy_shape_describe(const CUDA_MEMCPY3D *copy, bool as_program, struct copy_description *ret_description);

/*
 * For a copy that capture_refuse() has refused: it becomes a part of the graph, if its call is not to wait for it;
 * otherwise the result is the refusal.
 */
CUresult copy_capture(const struct copy_order *order, CUresult refusal, const CUDA_MEMCPY3D *copy);

/* cuMemcpy3D and what amounts to it. */
CUresult copy_shape(const CUDA_MEMCPY3D *copy, CUstream stream, bool per_thread_default, bool waits);
/* The same between devices. */
CUresult copy_shape_between(const CUDA_MEMCPY3D *copy, const struct copy_peers *peers, CUstream stream,
			    bool per_thread_default, bool waits);

#endif
