/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known to be at rest, so that nobody needs to ask the host.
 *
 * Whether a context is known to be at rest: it has been waited for, and since then the process has sent nothing that
 * may bring work to any. Then what natively waits for the device has nothing to wait for, and can be posted. Only the
 * context that was waited for last is known. Any thread may call.
 */
#ifndef VGPU_REST_H
#define VGPU_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

/* Before the context is waited for: what rest_note() is to be told. */
uint64_t rest_begin(void);

/* The wait has succeeded. */
void rest_note(uint32_t context, uint64_t begun);

bool rest_is_known(uint32_t context);

/*
 * Whether a stream is known to have nothing before its end but copies, which end by themselves: it has been waited for,
 * and since then the process has sent nothing else to any. Of one stream too, that was waited for last, by its wire id,
 * or the context's whose legacy default stream it is.
 */

/* Waits for the stream, where that is not known. A copy that comes next in it then holds nothing for long. */
CUresult rest_stream_await(uint32_t context, uint32_t stream);

/* channel_commit() of a copy in the stream. */
void rest_commit_copy(uint32_t context, uint32_t stream);

#endif
