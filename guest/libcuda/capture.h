/* SPDX-License-Identifier: Apache-2.0 */
/* Stream capture: what has to be known of it where work is given to a stream. Any thread may call. */
#ifndef VGPU_CAPTURE_H
#define VGPU_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "call.h"

/* Captures that go on in this process. */
extern uint32_t captures_open;

/* What cuStreamGetCaptureInfo answers. */
CUresult capture_info(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *capture, bool per_thread_default);

/* The part of the next that asks the host. */
CUresult capture_refuse_open(uint32_t context, uint32_t stream);

/*
 * CUDA_SUCCESS if the stream is in no capture, else CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: for work that
 * needs the program's own memory or code while it runs. CUDA_ERROR_STREAM_CAPTURE_IMPLICIT: the default stream beside
 * a capture that excludes it, which is invalid then.
 */
static inline CUresult capture_refuse(uint32_t context, uint32_t stream)
{
	return __builtin_expect(__atomic_load_n(&captures_open, __ATOMIC_ACQUIRE) == 0, 1)
		       ? CUDA_SUCCESS
		       : capture_refuse_open(context, stream);
}

/* Waits for what has been posted, and takes its error; the next only while a stream is captured. */
CUresult capture_settle_open(uint32_t context, uint32_t stream);

static inline CUresult capture_settle(uint32_t context, uint32_t stream)
{
	return __builtin_expect(__atomic_load_n(&captures_open, __ATOMIC_ACQUIRE) == 0, 1)
		       ? CUDA_SUCCESS
		       : capture_settle_open(context, stream);
}

#endif
