/* SPDX-License-Identifier: Apache-2.0 */
/* The mirrors of the process, for mirror.c and mirror_touch.c. Who calls holds the lock. */
#ifndef VGPU_MIRROR_SET_H
#define VGPU_MIRROR_SET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "mirror_blocks.h"
#include "mirror_table.h"
#include "mirror_work.h"

extern struct mirror_set {
	pthread_mutex_t mutex; /* taken before any lock of the channel, and by the thread that serves touches */
	struct mirror_table table;
	struct mirror *present;		/* those with pages here; next_present */
	struct mirror_work common_work; /* of all that is attached to all streams */
	uint64_t launches;		/* that may have touched everything */
} mirrors;

/* Attached to all streams? */
bool mirror_is_common(const struct mirror *mirror);

/* What the device was given to do with it. */
struct mirror_work *mirror_work_of(struct mirror *mirror);

/* Some of its blocks may be here now. */
void mirror_note_present(struct mirror *mirror);

#endif
