/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of a channel, as a thread of the test: answers requests in an
 * order of its own, serves the windows from a piece of memory that stands for
 * the device, and misbehaves when told to.
 *
 * Requests it knows beside UPLOAD, UPLOAD_INLINE, DOWNLOAD and DOWNLOAD_INLINE:
 */
#ifndef FAKE_EXECUTOR_H
#define FAKE_EXECUTOR_H

#include <stdbool.h>

#include "channel.h"

enum fake_opcode {
	FAKE_ECHO = 100, /* the reply is the payload; the result its first word */
	FAKE_DIE,	 /* the executor is gone */
	FAKE_GARBAGE,	 /* a reply that nobody asked for */
	FAKE_COUNT,	 /* posted: counted only */
	FAKE_FAIL,	 /* posted: leaves CUDA_ERROR_INVALID_VALUE behind */
	FAKE_TOTAL,	 /* the reply is how many FAKE_COUNT came */
	FAKE_PRINT,	 /* posted: a kernel prints the payload */
};

#define FAKE_DEVICE_BASE  0x2aaaa0000000ull
#define FAKE_DEVICE_BYTES (64u << 20)

struct fake_executor;

/* A channel of 'bytes' with an executor behind it; lazy: it sleeps at once instead of looking again first. */
struct fake_executor *fake_executor_start(size_t bytes, bool lazy);
struct transport *fake_executor_transport(struct fake_executor *fake);
const uint8_t *fake_executor_device(struct fake_executor *fake);
void fake_executor_stop(struct fake_executor *fake);

#endif
