/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One executor: the process that makes one guest process's CUDA calls.
 *
 * Theory of operation.  The main thread takes a record from the command ring
 * into private memory, checks it, makes the call and replies (loop.h).  A call
 * that would wait is put on the pending list (pending.h) and looked at between
 * records, so that one guest thread's wait does not hold up another's calls.
 * The guest is hostile: whatever it sends ends in an error for it or, where it
 * broke the protocol, in executor_fault(), which ends this process.  Nothing
 * outlives the process, so it never cleans up on its way out: the kernel gives
 * back device memory faster than the driver would.
 *
 * Everything runs on the main thread but the watch on the mediator (watch.h).
 */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "account.h"
#include "capture.h"
#include "channel.h"
#include "context.h"
#include "copy.h"
#include "driver_table.h"
#include "execute.h"
#include "gate.h"
#include "graph.h"
#include "graph_hold.h"
#include "graph_memory.h"
#include "green.h"
#include "handles.h"
#include "latency.h"
#include "memory_wait.h"
#include "launch_chain.h"
#include "managed_image.h"
#include "pending.h"
#include "pinned.h"
#include "print.h"
#include "program_copy.h"
#include "recent.h"
#include "reply.h"
#include "reserve.h"
#include "share.h"
#include "snapshot.h"
#include "sparse.h"
#include "stage.h"
#include "telemetry.h"
#include "user_object.h"
#include "vgpu_control.h"
#include "virtual_ranges.h"

struct executor {
	struct channel channel;
	struct vgpu_executor_counters *counters;
	int control;
	int pass;	    /* -1: the transport has no pass socket */
	bool tells_process; /* the mediator wants to know who has greeted */
	bool tells_driver;  /* and whether the driver has started */
	bool can_share;	    /* the mediator keeps what processes of the tenant share */
	uint32_t vm_id;
	uint32_t channel_number;

	struct driver driver;
	bool driver_is_software;
	CUresult init_result;	       /* of cuInit */
	bool is_greeted;	       /* HELLO was accepted */
	uint64_t features;	       /* VGPU_FEATURE_* of both sides */
	bool is_refused;	       /* HELLO was not */
	const struct request *request; /* the one being executed */

	/* Set once by executor_fault(). */
	enum vgpu_channel_error fault;
	char fault_text[VGPU_CONTROL_TEXT_BYTES];

	struct gate gate;
	struct recent recent;
	bool allows_pageable;		 /* devices that driver_reaches_host() is said of */
	struct vgpu_tenant_page *tenant; /* NULL: no limits */
	uint64_t bytes_paid;		 /* of those copied, counted against the rate */
	bool has_overdrawn;		 /* what the driver has taken brought the tenant above its limit */

	struct handles handles;
	struct contexts contexts;
	struct green_resources green_resources;
	struct replies replies;
	struct pendings pendings;
	struct captures captures;
	struct launch_chains chains;
	struct copies copies;
	struct stage stage;
	struct managed_image managed;
	struct pinned pinned;
	struct program_copies program_copies;
	struct user_references user_references;
	struct print print;
	struct account account;
	struct reserves reserves;
	struct memory_waits memory_waits;
	struct graph_memories graph_memories;
	struct graph_holds graph_holds;
	struct graph_conditions graph_conditions;
	struct virtual_memory virtual_memory;
	struct sparse_arrays sparse;
	struct snapshots snapshots;
	struct shares shares;
	struct telemetry telemetry;
	struct latency latency;
};

/* Ends the channel: the first reason is told to the mediator when the loop comes round. */
__attribute__((format(printf, 3, 4))) void executor_fault(struct executor *executor, enum vgpu_channel_error error,
							  const char *format, ...);

/* Adds to a counter that the mediator reads. */
static inline void counter_add(uint64_t *counter, uint64_t amount)
{
	__atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}

#endif
