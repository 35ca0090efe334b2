/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether executors start: for each pool how many in a row did not, and why the last one. In two steps, for one that
 * is ready opens the GPU only when its guest greets: a driver that has broken meanwhile is noticed there.
 */
#ifndef MEDIATOR_STARTS_H
#define MEDIATOR_STARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_control.h"

#define STARTS_POOLS 26

enum starts_step { STARTS_READY, STARTS_DRIVER, STARTS_STEPS };

struct starts {
	struct starts_pool {
		unsigned failures; /* in a row */
		char reason[VGPU_CONTROL_TEXT_BYTES];
	} pools[STARTS_POOLS][STARTS_STEPS];
};

/* 'pool_id': 'A' to 'Z'. */
void starts_failure_note(struct starts *starts, uint32_t pool_id, enum starts_step step, const char *why);
void starts_success_note(struct starts *starts, uint32_t pool_id, enum starts_step step);

/* True: in no pool have several in a row failed; a sentence in any case. */
bool starts_look(const struct starts *starts, char *text, size_t bytes);

#endif
