/* SPDX-License-Identifier: Apache-2.0 */
#include "admission.h"

#include <stdio.h>

#include "channel.h"
#include "mediator.h"
#include "quarantine.h"
#include "store.h"
#include "tenant.h"

/* Programs that are there or have asked; one that is being ended goes first (CHANNEL_BEHIND). */
static unsigned programs_count(const struct mediator *mediator, const struct tenant *tenant)
{
	const struct channel *channel;
	unsigned count = 0;

	LIST_FOREACH(channel, &mediator->channels, link)
	count += channel->request.tenant == tenant && channel->stage != CHANNEL_CLOSING &&
		 channel->stage != CHANNEL_DEAD;
	return count;
}

enum vgpu_channel_error admission_check(const struct mediator *mediator, const struct channel_request *request,
					char *ret_text)
{
	struct tenant *tenant = request->tenant;
	unsigned processes_max = mediator->configuration.processes_max;
	struct store_pool pool;

	if (quarantine_holds(tenant))
		snprintf(ret_text, VGPU_CONTROL_TEXT_BYTES, "%s is quarantined", tenant->label);
	else if (store_pool_get(mediator->store, (char)request->pool_id, &pool) != STORE_DONE)
		snprintf(ret_text, VGPU_CONTROL_TEXT_BYTES, "the host's database cannot be read");
	else if (!pool.is_enabled)
		snprintf(ret_text, VGPU_CONTROL_TEXT_BYTES, "pool %c is disabled", pool.pool);
	else if (tenant->settings.processes_max && programs_count(mediator, tenant) >= tenant->settings.processes_max)
		snprintf(ret_text, VGPU_CONTROL_TEXT_BYTES, "the tenant's limit of %u processes is reached",
			 tenant->settings.processes_max);
	else if (channels_count(mediator) >= processes_max)
		snprintf(ret_text, VGPU_CONTROL_TEXT_BYTES, "the host's limit of %u processes is reached",
			 processes_max);
	else
		return VGPU_ERROR_NONE;
	return VGPU_ERROR_REFUSED;
}

void admission_refusal_note(struct mediator *mediator, const struct channel_request *request)
{
	request->tenant->usage.refusals++;
	mediator->counters.refusals[request->pool_id - 'A']++;
}
