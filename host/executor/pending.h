/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests whose reply waits for the GPU.
 *
 * A wait is a set of places in streams. While no other record arrives, a place
 * is reached when its stream is idle, which costs one query and no event. Before
 * the next record is executed, pending_settle() puts a mark into the streams
 * that are still waited for, so that what other threads issue later is not
 * waited for, and a stream that another thread destroys is not touched again.
 *
 * A wait may be for a call of the driver's that waits for the context itself, such as cuMemFree: made at its end, it
 * returns at once, where before it would have kept this thread from all others' records.
 *
 * When a wait is over, and kernels may use printf, a synchronising call of the
 * driver's own is made, which returns at once: it writes their text out, which
 * queries do not.
 */
#ifndef EXECUTOR_PENDING_H
#define EXECUTOR_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"
#include "execute.h"

#define PENDING_COUNT_MAX  8192
#define PENDING_PLACES_MAX (256u << 10) /* of all waits together */

struct pending;
struct bounce;

struct pendings {
	struct pending *first;
	size_t count;
	size_t place_count;
	bool is_settled; /* no place is left that depends on a stream being idle */
};

/*
 * Each replies to 'request' when the wait is over, perhaps at once, and returns EXECUTE_DEFERRED; another
 * result means that nothing was begun, and is the reply's.
 */
CUresult pending_add_stream(struct executor *executor, const struct request *request, uint32_t stream_id);
CUresult pending_add_event(struct executor *executor, const struct request *request, uint32_t event_id);
CUresult pending_add_context(struct executor *executor, const struct request *request);

/*
 * Waits for the context's work as far as it is issued now, but for streams that are captured, then calls 'end', whose
 * result is the reply's. With nothing to wait for, or without memory for a wait, it calls it at once.
 */
typedef CUresult pending_end(struct executor *executor, uint64_t address);
CUresult pending_add_end(struct executor *executor, const struct request *request, struct context *context,
			 pending_end *end, uint64_t address);

/* Makes the calls that nobody waits for the result of now, however long the driver takes; false: there were none. */
bool pending_end_posted(struct executor *executor);

/* A copy to the guest issued in the stream, which is waited for here where no wait can begin; the reply carries 'bytes'
 * of 'bounce' (NULL: nothing). */
CUresult pending_add_copy(struct executor *executor, const struct request *request, uint32_t stream_id,
			  struct bounce *bounce, size_t bytes);

/* Looks at every wait; true: at least one ended. */
bool pending_poll(struct executor *executor);

/* Before a record is executed. */
void pending_settle(struct executor *executor);

/* Before the event is recorded again: who waits for it goes on to wait for what it was recorded behind until then. */
void pending_settle_event(struct executor *executor, uint32_t event_id);

/* Ends the waits of an event or a context that is about to be destroyed. */
void pending_forget_event(struct executor *executor, uint32_t event_id);
void pending_forget_context(struct executor *executor, struct context *context);

#endif
