/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_log.h"

#include <stdbool.h>

#include "client.h"

#define LINES_PER_SECOND 5
#define LINES_AT_ONCE	 50
/* More VMs than that share, and so do addresses: who has many of them gets no more of the log. */
#define VMS	  256
#define ADDRESSES 64

struct log_limit *peer_log_find(uint32_t vm_id, const char *name)
{
	static struct log_limit limits[VMS + ADDRESSES];
	static bool are_full;
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (unsigned i = 0; !are_full && i < VMS + ADDRESSES; i++)
		limits[i] = (struct log_limit)LOG_LIMIT(LINES_PER_SECOND, LINES_AT_ONCE);
	are_full = true;
	if (vm_id != JOBS_NO_VM)
		return &limits[vm_id % VMS];
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return &limits[VMS + hash % ADDRESSES];
}
