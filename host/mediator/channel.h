/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a channel on the host: from the request to open it until its
 * executor is gone and its memory is zeroed.
 *
 *   CLEANING  its memory is being zeroed (cleaner.h)
 *   WAITING   the driver is still being probed
 *   BEHIND    a program of the same tenant has ended before, and its executor has not: what it held (memory, a
 *             process of the limit) is free again when it has, as it is natively
 *   PACED     its VM has started many executors lately: waits its turn (pace.h)
 *   STARTING  the executor runs and has not said that it is ready
 *   MOVING    the worker where it was to start does not serve it: starts elsewhere when that relay has ended
 *   READY
 *   DEAD      failed or lost, and reported; the executor is gone or going
 *   CLOSING   the owner asked; 'closed' follows
 *
 * A handler may close the channel.  Each channel's memory belongs to its
 * session and must stay open until 'closed'.
 */
#ifndef MEDIATOR_CHANNEL_H
#define MEDIATOR_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "cleaner.h"
#include "control_socket.h"
#include "counters.h"
#include "hang.h"
#include "placement.h"
#include "scheduler.h"
#include "share.h"
#include "standstill.h"

struct channel;
struct event;
struct executor_process;
struct log_limits;
struct mediator;
struct pace;
struct scheduler_process;
struct tenant;

enum channel_stage {
	CHANNEL_CLEANING,
	CHANNEL_WAITING,
	CHANNEL_BEHIND,
	CHANNEL_PACED,
	CHANNEL_STARTING,
	CHANNEL_MOVING,
	CHANNEL_READY,
	CHANNEL_DEAD,
	CHANNEL_CLOSING,
};

struct channel_handlers {
	void (*ready)(struct channel *channel);
	/* It could not begin to start; the channel is freed when this returns. */
	void (*refused)(struct channel *channel, enum vgpu_channel_error error, const char *text);
	/* Before it was ready. */
	void (*failed)(struct channel *channel, enum vgpu_channel_error error, const char *text);
	/* After it was ready. */
	void (*lost)(struct channel *channel, enum vgpu_channel_error error, const char *text);
	/* Executor gone, memory zeroed; the channel is freed when this returns. */
	void (*closed)(struct channel *channel);
};

struct channel_request {
	void *owner;
	const struct channel_handlers *handlers;
	const char *label;	    /* for the log: whose channel */
	struct log_limits *log;	    /* borrowed */
	struct pace *pace;	    /* borrowed; NULL: starts at once */
	unsigned gpu;		    /* whose scheduler it is under */
	struct tenant *tenant;	    /* borrowed */
	uint32_t vm_id;		    /* 0: a local program */
	uid_t user;		    /* of a local program */
	pid_t process;		    /* the same; 0: not known, or a VM's */
	uint64_t process_namespace; /* of a local program; tenant.h */
	uint32_t index;
	uint32_t generation;
	uint32_t pool_id;
	int memory; /* borrowed */
	uint64_t offset;
	uint64_t bytes;
	bool is_fresh;	     /* the memory was made for this channel, and is for no other after it */
	bool has_area;	     /* for pinned memory, if it is large enough */
	uint32_t xen_domain; /* not 0: the memory is pages of the guest, which the device zeroes */
	uint32_t xen_frame;
	uint32_t xen_grants;
	/* Taken over, also when the request fails. */
	int doorbell;
	int interrupt;
	int pass_socket; /* -1: none */
};

/* A program that as many workers have refused is not sent to another one. */
#define CHANNEL_TRIED_MAX 8

struct channel {
	LIST_ENTRY(channel) link;
	struct mediator *mediator;
	struct channel_request request; /* descriptors -1 once the executor has them */
	struct cleaning cleaning;
	bool is_cleaning;
	uint32_t pool_id;
	enum channel_stage stage;
	bool is_behind_nobody;		   /* it has waited long enough */
	bool is_placed;			   /* its executor sees the GPU of the request alone */
	unsigned tried[CHANNEL_TRIED_MAX]; /* workers (worker_gpu()) where it did not start */
	unsigned tried_count;
	bool has_driver_result; /* its executor has said how the driver started */
	bool is_telemetry;	/* it has said so (guest_process.h) */
	unsigned shown_gpu;	/* of those: which GPU it shows */
	uint64_t opened;	/* both count openings and closings of all channels */
	uint64_t closed;
	char gpu[PLACEMENT_UUID_BYTES];	   /* the only GPU that its executor sees; empty: all */
	struct executor_process *executor; /* NULL: none or reaped */
	struct counters_page counters;
	struct share_table *shares;	     /* what its executor has published; NULL: nothing */
	struct scheduler_process *schedule;  /* NULL: no executor */
	struct standstill standstill;	     /* of its executor */
	struct hang_places hang_places;	     /* the same, until it is to be ended */
	char silence[STANDSTILL_TEXT_BYTES]; /* for which it is to be ended; empty: it is not */
	uint64_t silenced_ms;		     /* when it was ended for that (CLOCK_MONOTONIC); 0: it was not */
	struct event *start_timer;	     /* PACED: the delay; else the time that the start may take */
	/* What the executor said went wrong, for when it ends. */
	enum vgpu_channel_error fault_error;
	char fault_text[VGPU_CONTROL_TEXT_BYTES];
	bool has_no_memory; /* its executor was killed, for its tenant has used up its memory of a host */
	char label[96];
};

/*
 * Has the memory zeroed, then starts the executor, or waits for the driver.  VGPU_ERROR_NONE, or why not
 * with a sentence in 'ret_text' (VGPU_CONTROL_TEXT_BYTES); then no handler is called.
 */
enum vgpu_channel_error channel_open(struct mediator *mediator, const struct channel_request *request,
				     struct channel **ret_channel, char *ret_text);

/* What an earlier mediator has left of a channel that was ready. */
struct channel_adoption {
	pid_t process;
	int process_fd;
	int control;
	int log;
	int counters;
	struct scheduler_descriptors schedule;
	bool is_placed;
	const char *gpu; /* its UUID; "": it sees all */
	bool is_telemetry;
	unsigned shown_gpu;
};

/* A channel that is READY; no handler is called. The descriptors are taken over. NULL: the host is out of memory. */
struct channel *channel_adopt(struct mediator *mediator, const struct channel_request *request,
			      const struct channel_adoption *adoption);

/* Ends the executor and zeroes the memory; then 'closed' is called. */
void channel_close(struct channel *channel);

/* The probe has an answer: starts or fails what waited for it. */
void channels_driver_known(struct mediator *mediator);

/* Executors in all. */
unsigned channels_count(const struct mediator *mediator);

const char *channel_stage_name(enum channel_stage stage);

#endif
