/* SPDX-License-Identifier: Apache-2.0 */
#include "starts.h"

#include <stdio.h>

/* One may fail for its tenant's own reasons. */
#define FAILURES_BAD 3

void starts_failure_note(struct starts *starts, uint32_t pool_id, enum starts_step step, const char *why)
{
	struct starts_pool *pool = &starts->pools[pool_id - 'A'][step];

	pool->failures++;
	snprintf(pool->reason, sizeof(pool->reason), "%s", why);
}

void starts_success_note(struct starts *starts, uint32_t pool_id, enum starts_step step)
{
	starts->pools[pool_id - 'A'][step].failures = 0;
}

bool starts_look(const struct starts *starts, char *text, size_t bytes)
{
	bool is_good = true;
	size_t used = 0;

	snprintf(text, bytes, "they start");
	for (unsigned i = 0; i < STARTS_POOLS * STARTS_STEPS && used < bytes; i++) {
		const struct starts_pool *pool = &starts->pools[i / STARTS_STEPS][i % STARTS_STEPS];

		if (pool->failures < FAILURES_BAD)
			continue;
		used += (size_t)snprintf(text + used, bytes - used, "%spool %c: the last %u did not start: %s",
					 is_good ? "" : "; ", 'A' + i / STARTS_STEPS, pool->failures, pool->reason);
		is_good = false;
	}
	return is_good;
}
