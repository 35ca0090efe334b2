/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile guest attacks: an executor with an object of each kind, and the requests that there are. */
#ifndef TEST_EXECUTOR_VICTIM_H
#define TEST_EXECUTOR_VICTIM_H

#include "peer.h"

#define VICTIM_REQUEST_BYTES_MAX 512

struct victim_shape {
	const char *name;
	uint16_t opcode;
	uint16_t bytes; /* of the fixed part */
	bool takes_descriptor;
};

/* The protocol's own requests first, HELLO before all others, then the calls. */
extern const struct victim_shape victim_shapes[];
extern const size_t victim_shape_count;
extern const size_t victim_own_shape_count;

struct victim {
	uint32_t context;
	uint64_t device_address; /* of 64 KiB */
};

/* Starts an executor and makes its objects, so that corrupt requests get further than the first check. */
void victim_make(struct peer *peer, struct victim *ret_victim);

/* Passes a descriptor for the request if it takes one: the executor would wait a second for it. False: it has ended. */
bool victim_descriptor_pass(struct peer *peer, const struct victim_shape *shape);

#endif
