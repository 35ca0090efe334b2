/* SPDX-License-Identifier: Apache-2.0 */
#include "hang.h"

#include <stddef.h>

/* Of the time that one may be stuck: others that are, for so long, are so for the same reason. */
#define SHARED_PART 10

bool hang_is_stuck(const struct hang_look *look, const struct standstill *standstill, uint64_t ended_ms)
{
	return standstill->kind == STANDSTILL_STUCK &&
	       look->now_ms - standstill->since_ms >= look->limit_ms / SHARED_PART &&
	       (!ended_ms || hang_is_recent(look, ended_ms));
}

void hang_add(struct hang_look *look, const void *tenant, uint32_t gpus)
{
	for (unsigned gpu = 0; gpu < GPUS_MAX; gpu++) {
		if (!(gpus >> gpu & 1))
			continue;
		if (!look->tenants[gpu])
			look->tenants[gpu] = tenant;
		else if (look->tenants[gpu] != tenant)
			look->several |= 1u << gpu;
	}
}

uint32_t hang_judge(const struct hang_look *look, const void *tenant, uint32_t gpus, uint32_t *ret_seen)
{
	uint32_t seen = look->several;

	for (unsigned gpu = 0; gpu < GPUS_MAX; gpu++) {
		if (look->tenants[gpu] && look->tenants[gpu] != tenant)
			seen |= 1u << gpu;
	}
	*ret_seen = seen & gpus;
	return (seen | look->recent) & gpus;
}

void hang_places_look(struct hang_places *places, const volatile struct vgpu_executor_counters *counters)
{
	struct hang_places now = {.count = 0};

	for (unsigned i = 0; i < VGPU_COUNTED_DEVICES; i++) {
		uint32_t place = counters->devices[i].pci_place;

		/* Of one that is not known nothing can be said. */
		if (counters->devices[i].contexts && place != UINT32_MAX)
			now.places[now.count++] = place;
	}
	if (now.count)
		*places = now;
}
