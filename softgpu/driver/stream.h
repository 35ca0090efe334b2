/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: queues of work, each drained in order by a thread of its own.
 *
 * Theory of operation.  Every piece of work has a sequence number in its stream,
 * and may depend on (stream, sequence) pairs of work that was submitted before
 * it; because dependencies only point backward in the order of submission, no
 * cycle and so no deadlock can arise.  The default stream's implicit
 * synchronisation is expressed that way: its work depends on the last work of
 * every blocking stream of its context, and the work of a blocking stream on the
 * default stream's last.  Events are names for such pairs.
 *
 * One lock guards all queues and dependencies; it is never held while work runs.
 * A stream's thread starts with its first work, and ends after it was idle for a
 * while or when the stream is destroyed and drained; it holds a reference to the
 * stream, and the stream one to its context.
 *
 * A caller that waits for a stream runs its next work itself when nobody does.
 *
 * Work of a context that has failed is dropped without being run, except for
 * what must happen (.always).
 */
#ifndef SOFTGPU_DRIVER_STREAM_H
#define SOFTGPU_DRIVER_STREAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"
#include "cuda_abi.h"
#include "object.h"

struct dependency {
	struct stream *stream; /* a reference */
	uint64_t sequence;
};

/* Embedded as the first member of what is to be done. */
struct work {
	/* Does it; an error becomes the context's.  NULL: only waits for its dependencies. */
	CUresult (*run)(struct work *work, struct stream *stream);
	void (*free)(struct work *work);
	bool always;
	CUgraphNodeType node_type;	/* what it is as a node of a graph */
	_Atomic unsigned further_nodes; /* that share it, beside the first */
	/* The rest is the stream's. */
	struct work *next;
	uint64_t sequence; /* in the stream */
	uint64_t ticket;   /* in the context */
	struct dependency *dependencies;
	size_t dependency_count;
	size_t dependency_capacity;
};

/* Hints that a program may set; under the lock of stream.c. */
struct stream_attributes {
	CUaccessPolicyWindow window;
	CUsynchronizationPolicy synchronization;
	CUlaunchMemSyncDomainMap domain_map;
	CUlaunchMemSyncDomain domain;
};

struct stream {
	struct object object;
	struct context *context; /* a reference */
	struct context *green;	 /* that it was made in: a reference; NULL: in none */
	uint64_t id;
	unsigned flags;
	int priority;
	bool blocking; /* takes part in the default stream's implicit synchronisation */
	bool closed;   /* destroyed: the thread ends when the queue is empty */
	bool working;  /* the thread exists */
	bool running;  /* work is being run, by the thread or by a caller */
	struct stream_attributes attributes;
	struct frontier *frontier; /* capture.h; NULL: not captured */
	pthread_cond_t wake;
	uint64_t running_ticket;
	struct work *first;
	struct work *last;
	_Atomic uint64_t submitted;
	_Atomic uint64_t completed;
	struct stream *next; /* in the context's list */
	struct stream *previous;
};

/* In a context, or a green one. */
CUresult stream_create(struct context *context, unsigned flags, int priority, struct stream **ret_stream);

/* Takes over a new stream, and gives its handle. */
CUresult stream_publish(struct stream *stream, CUstream *ret_handle);

/* Ends the stream when its work is done.  The caller's reference stays the caller's. */
void stream_close(struct stream *stream);

/* The stream of a handle, of the default streams too, with a reference for the caller. */
CUresult stream_acquire(struct context *context, CUstream handle, struct stream **ret_stream);
void stream_release(struct stream *stream); /* accepts NULL */

/* Makes 'work' wait for work that was submitted earlier.  Before submission; false: out of memory. */
bool work_depend(struct work *work, struct stream *stream, uint64_t sequence);

/* The same for all work of the context, or of a green one, that was submitted earlier. */
bool work_depend_context(struct work *work, struct context *context);

/* Work that only waits for its dependencies; NULL: out of memory. */
struct work *work_nothing(void);
void work_discard(struct work *work); /* that was never submitted */

/*
 * Puts work at the end of the stream.  Takes 'work' in every case.
 * stream_perform() also waits until it is done, running it in the calling
 * thread when nothing is before it, and returns the context's state then.
 */
CUresult stream_submit(struct stream *stream, struct work *work, uint64_t *ret_sequence);
CUresult stream_perform(struct stream *stream, struct work *work);

/* Nothing open; for the default stream, in no blocking stream of its context either. */
bool stream_idle(struct stream *stream);
bool stream_reached(const struct stream *stream, uint64_t sequence);
void stream_wait(struct stream *stream, uint64_t sequence);
/* All work of all streams of the context, or of a green one, submitted so far. */
void stream_wait_context(struct context *context);

struct stream_attributes stream_attributes_read(struct stream *stream);
void stream_attributes_write(struct stream *stream, const struct stream_attributes *attributes);

/* The context's default stream, with a reference for the caller; NULL when the context has ended. */
struct stream *stream_of_context(struct context *context);

/* Work that calls a function of the program; NULL: out of memory. */
struct work *work_host_function(CUhostFn function, void *user_data);
/* False: it is other work. */
bool work_host_function_read(const struct work *work, CUDA_HOST_NODE_PARAMS *ret_parameters);

/* Operations on memory, checked; and what they are.  False: it is other work. */
CUresult batch_work_make(const CUDA_BATCH_MEM_OP_NODE_PARAMS *parameters, struct work **ret_work);
bool batch_work_read(struct work *work, CUDA_BATCH_MEM_OP_NODE_PARAMS *ret_parameters);

/* Makes all later work of the context, or of a green one, wait for 'work', which is taken in every case. */
CUresult stream_gate_context(struct context *context, struct work *work);
void stream_gate_release(struct context *context);

/* For the end of the context: its default stream, with the context's reference to it. */
struct stream *stream_take_legacy(struct context *context);

/* Closes all streams of the context, or of a green one, and invalidates their handles. */
void stream_close_owned(struct context *context);

#endif
