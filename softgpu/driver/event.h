/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events name a point in a stream.  Each cuEventRecord makes a recording: the
 * point, and the time when the stream reached it.  The event refers to the last.
 */
#ifndef SOFTGPU_DRIVER_EVENT_H
#define SOFTGPU_DRIVER_EVENT_H

#include "stream.h"

/* Work that waits for the event's last recording; an event never recorded is no obstacle. */
CUresult event_wait_work(CUevent handle, struct work **ret_work);

/* As capture_join() with the event's frontier; true as well when there is no such event. */
bool event_join(CUevent handle, struct stream *stream, CUresult *ret_result);

/*
 * Nodes of graphs.  A launch records the events of the one kind when it has been submitted (CUDA programs may
 * wait for them from then on), and waits for what those of the other have come to when it is.
 */
CUresult event_record_node(CUevent handle, struct work **ret_work);
CUresult event_wait_node(CUevent handle, struct work **ret_work);
CUevent event_node_event(const struct work *node); /* NULL: it is other work */
/* False: out of memory.  Other work is left alone. */
bool event_node_record(const struct work *node, struct stream *stream, uint64_t sequence);
bool event_node_depend(const struct work *node, struct work *launch);

#endif
