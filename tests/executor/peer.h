/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of an executor, for its tests: mediator and guest in one. It
 * starts the real cuda-executor and speaks to it through socket, rings and
 * windows, honestly or not.
 */
#ifndef TEST_EXECUTOR_PEER_H
#define TEST_EXECUTOR_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control_socket.h"
#include "vgpu_api_wire.h"
#include "vgpu_ring.h"
#include "vgpu_schedule.h"

#define PEER_TIMEOUT_MS	   60000
#define PEER_CHANNEL_BYTES (8u << 20)

struct peer {
	pid_t process; /* 0: ended */
	int control;
	int memory;
	int doorbell;
	int interrupt;
	int pass;
	struct vgpu_executor_counters *counters;
	/* Of the scheduler, which this is too; the permit is open at first. */
	struct vgpu_executor_schedule *claims;
	struct vgpu_permit_page *permit;
	struct vgpu_tenant_page *tenant;
	int wake;
	int bell;
	uint8_t *channel;
	size_t channel_bytes;
	bool is_machine;
	bool can_share; /* its test answers what it asks of the mediator */
	struct vgpu_channel_header *header;
	struct ring commands;
	struct ring replies;
	uint32_t sequence;
	uint32_t result; /* of the last reply */
	char printed[4096];
	size_t printed_bytes;
	_Alignas(8) uint8_t reply[VGPU_RECORD_BYTES_MAX];
};

/* How an executor ended. */
struct peer_end {
	bool by_signal;
	int status;	  /* exit status, or the signal */
	uint32_t message; /* the last control message, 0: none */
	uint32_t error;	  /* of that message */
	char text[VGPU_CONTROL_TEXT_BYTES];
};

/*
 * The executor's process, with its end of the control socket; the caller keeps that end, too. The program that
 * VGPU_TEST_EXECUTOR names (peer_process.c), or code that is linked in (tests/fuzz).
 */
pid_t peer_executor_start(int control);

/* Starts an executor with 'driver'; fails the test when it cannot be started. Ready: it said so. */
bool peer_start(struct peer *peer, const char *driver, uint64_t channel_bytes);

/* peer_start() with the test driver, and HELLO. */
void peer_open(struct peer *peer);

/* The same, with a test that plays the mediator of tenants that share: peer_told(). */
void peer_open_sharing(struct peer *peer);

/* The next message of the executor's; the test fails if there is none in time. */
void peer_told(struct peer *peer, struct control_message *ret_message);

/* The same as a virtual machine's process: no descriptors cross, but the channel has an area. */
void peer_open_machine(struct peer *peer, uint64_t channel_bytes);

/* Closes the control socket and waits for the end. */
struct peer_end peer_close(struct peer *peer);

/* Waits for the executor to end by itself (a fault), at most PEER_TIMEOUT_MS; then kills it: by_signal. */
struct peer_end peer_wait(struct peer *peer);

/* Puts a record into the ring and rings; false: it is full and stays so, or the executor has ended. */
bool peer_post(struct peer *peer, uint16_t opcode, uint16_t flags, uint32_t context, const void *payload, size_t bytes);

/* Takes the next record of the reply ring; false: none came in time, or the executor has ended. */
bool peer_take(struct peer *peer, struct vgpu_record *ret_header);

/* Takes all replies that are there, and tells an executor that waits for room. */
void peer_replies_drop(struct peer *peer);

/*
 * Posts with REPLY and takes replies until its own; the result, the payload in peer->reply. PRINT text is
 * collected in peer->printed. UINT32_MAX: the executor has ended.
 */
uint32_t peer_call(struct peer *peer, uint16_t opcode, uint32_t context, const void *payload, size_t bytes);

/* Has it ended, by itself or by a signal? */
bool peer_has_ended(struct peer *peer);

/* A context, made with cuCtxCreate: its wire id. */
uint32_t peer_context_make(struct peer *peer, uint32_t index);

/* Passes a descriptor for the next request that takes one. False: the executor has ended. */
bool peer_descriptor_pass(struct peer *peer, int file);

#endif
