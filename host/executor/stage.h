/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The staging buffer: one large argument (a module image) put together from
 * STAGE records, in order, and taken by the next call that needs it.
 *
 * The buffer grows with what has really arrived, never with what was promised.
 */
#ifndef EXECUTOR_STAGE_H
#define EXECUTOR_STAGE_H

#include <stddef.h>
#include <stdint.h>

#include "execute.h"

#define STAGE_BYTES_MAX (512ull << 20)

struct stage {
	uint8_t *bytes;
	size_t capacity;
	size_t used;
	size_t total;	 /* promised by the piece at offset 0 */
	CUresult result; /* the first failure since offset 0: the call that takes the bytes reports it */
};

/* STAGE. A piece out of order, out of the window or beyond the total breaks the protocol. */
CUresult stage_execute(struct executor *executor, const struct request *request);

/*
 * What was staged (stage->used bytes), if it is complete. It is the caller's, to be freed; one zero byte
 * follows it. CUDA_ERROR_INVALID_IMAGE if it is not complete.
 */
CUresult stage_take(struct stage *stage, uint8_t **ret_bytes);
/* Puts back what was taken, 'bytes' of it, for the next call to take. */
void stage_put_back(struct stage *stage, uint8_t *taken, size_t bytes);

#endif
