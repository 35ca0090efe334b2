/* SPDX-License-Identifier: Apache-2.0 */
/* What the device has been given to do with mirrored memory. Guarded by mirror.c's lock, unless it says otherwise. */
#ifndef VGPU_MIRROR_WORK_H
#define VGPU_MIRROR_WORK_H

#include <stdbool.h>
#include <stdint.h>

/* What the device was last told to do with mirrored memory. */
struct mirror_work {
	bool is_pending; /* not waited for since */
	bool is_mixed;	 /* in more than one stream */
	bool is_foreign; /* in more than one context */
	uint32_t context;
	uint32_t stream;
};

/* How often work was noted at all. */
extern uint64_t mirror_works_noted;

void mirror_work_note(struct mirror_work *work, uint32_t context, uint32_t stream);

/* What was noted last is at work in streams of other contexts, too. */
void mirror_work_spread(struct mirror_work *work);

/* Is all of it done if that stream, or with 'is_context' that context, is? */
bool mirror_work_is_done(const struct mirror_work *work, uint32_t context, uint32_t stream, bool is_context);

/*
 * Waits for it, as far as it is in one context; of failures the program's calls tell. False: it has given up, for
 * a function of the program may be what the work waits for. With or without the lock; of the thread that serves
 * touches.
 */
bool mirror_work_await(const struct mirror_work *work);

#endif
