/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel to an executor that serves telemetry (protocol/vgpu_nvml.h).
 *
 * NVML keeps no state on the host, so a channel that was lost, or that belongs to the parent of a fork, is
 * replaced at the next request. One that nobody uses for a while is closed: a VM has few, and PyTorch calls
 * nvmlInit at its start and never nvmlShutdown. A thread without signals sees to that.
 *
 * Any thread may call; requests of several threads are under way at once.
 */
#ifndef NVML_CONNECTION_H
#define NVML_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

/* Opens the connection if there is none. NVML's result; the reason of a failure goes to standard error once. */
int connection_open(void);

/* Closes it: the executor ends. */
void connection_close(void);

/* Devices that the guest has; 0 before the first success of connection_open(). */
unsigned int connection_device_count(void);

/* One piece of a payload; pieces are laid one after the other, each padded to 8 bytes. */
struct connection_piece {
	const void *data;
	size_t bytes;
};

/*
 * Sends a request and waits for the reply, of which at most 'capacity' bytes are copied to 'reply';
 * *ret_bytes is how many. NVML's result for the way there and back; the reply has that of the function.
 */
int connection_request(uint16_t opcode, const struct connection_piece *pieces, size_t piece_count, void *reply,
		       size_t capacity, size_t *ret_bytes);

#endif
