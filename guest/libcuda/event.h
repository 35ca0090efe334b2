/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events. One that has been seen complete is complete until it is recorded again, so the guest need not ask the
 * host again; unless somebody else may record it. Any thread may call.
 */
#ifndef VGPU_EVENT_H
#define VGPU_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "object.h"

/*
 * What calls that make an event begin with: an object for it that is not known to the host yet, the caller's until
 * event_end(); and end with: *ret_event is the event, or the object is given back where the host made none.
 */
CUresult event_begin(const CUevent *ret_event, uint32_t *ret_context, struct object **ret_object);
CUresult event_end(struct object *object, CUresult result, CUevent *ret_event);

/* From now on others than cuEventRecord may record the event: graphs, launches, other processes. */
void event_escape(struct object *event);

/* Other processes have the event, or may have it. */
void event_share(struct object *event);
bool event_is_shared(uint32_t id);

/* Wire id of an event that escapes; CUDA_ERROR_INVALID_HANDLE: it is none. */
CUresult event_id_escaping(CUevent handle, uint32_t *ret_id);

#endif
