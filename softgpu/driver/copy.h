/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies and fills of one to three dimensions, ordered in a stream.
 *
 * Every device range is checked when the call is made (INVALID_VALUE) and again
 * when the stream gets there, since memory freed by another stream meanwhile is
 * an illegal address as it is on the real GPU.
 */
#ifndef SOFTGPU_DRIVER_COPY_H
#define SOFTGPU_DRIVER_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

enum copy_space {
	COPY_HOST,    /* any host address */
	COPY_DEVICE,  /* device memory, or pinned host memory by its device address, which is the same */
	COPY_UNIFIED, /* to be told by the address */
};

struct copy_end {
	enum copy_space space;
	uint64_t address;     /* of the first byte to copy */
	uint64_t row_bytes;   /* from one row to the next; unused when there is one row */
	uint64_t slice_bytes; /* from one slice to the next; unused when there is one slice */
};

struct copy {
	struct copy_end source;
	struct copy_end destination;
	uint64_t width_bytes;
	uint64_t rows;
	uint64_t slices;
};

/*
 * When the call returns, by the CUDA driver API's "API synchronization behavior":
 * a synchronous call that touches host memory when all is done, one between
 * device addresses at once; an asynchronous call at once, except that pageable
 * memory has been read, or written, by then.
 */
CUresult copy_submit(CUstream stream, const struct copy *copy, bool asynchronous);

/* Waits for the work of a context. */
CUresult copy_context_wait(CUcontext handle);

/* cuMemcpy3D. */
CUresult copy_3d(CUstream stream, const CUDA_MEMCPY3D *copy, bool asynchronous);

/* Fills rows of 'width' elements of 1, 2 or 4 bytes.  Returns at once unless the memory is host memory. */
struct fill {
	uint64_t address;
	uint64_t row_bytes; /* unused when there is one row */
	uint64_t width;
	uint64_t rows;
	uint32_t value;
	unsigned element_bytes;
};
CUresult fill_submit(CUstream stream, const struct fill *fill, bool asynchronous);

/* For nodes of graphs, which name their memory and are not empty.  The work is the caller's. */
struct work;
CUresult copy_work_make(const struct copy *copy, struct work **ret_work);
CUresult copy_3d_work_make(const CUDA_MEMCPY3D *copy, struct work **ret_work);
CUresult fill_work_make(const struct fill *fill, struct work **ret_work);

/* What would make such nodes; arrays are told as the memory that they are. */
void copy_work_describe(const struct work *work, CUDA_MEMCPY3D *ret_copy);
void fill_work_describe(const struct work *work, CUDA_MEMSET_NODE_PARAMS *ret_fill);

#endif
