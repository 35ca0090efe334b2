/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder.h"

#include <stdlib.h>
#include <string.h>

#include "admin_private.h"
#include "mediator.h"
#include "scheduler.h"
#include "tenant.h"

#define TURNS_MAX   100000 /* as many as the simulator reads */
#define TENANTS_MAX 1000

struct recorded_turn {
	uint32_t tenant; /* of the names */
	uint64_t asked_ns;
	uint64_t work_ns;
};

struct recorder {
	uint64_t began_ns;
	uint64_t until_ns;
	bool is_full;
	uint32_t tenant_count;
	char names[TENANTS_MAX][STORE_KEY_BYTES];
	size_t turn_count;
	struct recorded_turn turns[TURNS_MAX];
};

void recorder_destroy(struct mediator *mediator)
{
	free(mediator->recorder);
	mediator->recorder = NULL;
}

int recorder_begin(struct mediator *mediator, unsigned seconds)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return -1;
	recorder_destroy(mediator);
	recorder->began_ns = scheduler_now();
	recorder->until_ns = recorder->began_ns + seconds * 1000000000ull;
	mediator->recorder = recorder;
	return 0;
}

/* TENANTS_MAX: there are too many. */
static uint32_t name_find(struct recorder *recorder, const char *name)
{
	uint32_t at = 0;

	while (at < recorder->tenant_count && strcmp(recorder->names[at], name) != 0)
		at++;
	if (at == recorder->tenant_count && at < TENANTS_MAX) {
		memcpy(recorder->names[at], name, strnlen(name, STORE_KEY_BYTES - 1));
		recorder->tenant_count++;
	}
	return at;
}

void recorder_note(struct mediator *mediator, const struct tenant *tenant, uint64_t asked_ns, uint64_t work_ns)
{
	struct recorder *recorder = mediator->recorder;
	uint32_t name;

	if (!recorder || asked_ns < recorder->began_ns || scheduler_now() > recorder->until_ns)
		return;
	name = recorder->turn_count < TURNS_MAX ? name_find(recorder, tenant->name) : TENANTS_MAX;
	if (name == TENANTS_MAX) {
		recorder->is_full = true;
		return;
	}
	recorder->turns[recorder->turn_count++] =
		(struct recorded_turn){.tenant = name, .asked_ns = asked_ns, .work_ns = work_ns};
}

/* Arrival and work in microseconds, of one tenant. */
static json_t *turns_of(const struct recorder *recorder, uint32_t tenant)
{
	json_t *turns = json_array();

	for (size_t i = 0; i < recorder->turn_count; i++) {
		const struct recorded_turn *turn = &recorder->turns[i];

		if (turn->tenant == tenant)
			json_array_append_new(turns,
					      json_pack("[f, f]", (double)(turn->asked_ns - recorder->began_ns) / 1e3,
							(double)turn->work_ns / 1e3));
	}
	return turns;
}

json_t *recorder_end(struct mediator *mediator)
{
	struct recorder *recorder = mediator->recorder;
	json_t *tenants = json_array();
	json_t *result;

	if (!recorder) {
		json_decref(tenants);
		return NULL;
	}
	for (uint32_t i = 0; i < recorder->tenant_count; i++) {
		const struct tenant *live = tenant_find(mediator, recorder->names[i]);

		json_array_append_new(tenants,
				      json_pack("{s:o, s:i, s:s, s:o}", "tenant", admin_string(recorder->names[i]),
						"weight", live ? (int)live->settings.weight : 0, "priority",
						live ? admin_priority_name(live->settings.priority) : "", "turns",
						turns_of(recorder, i)));
	}
	result = json_pack("{s:b, s:o}", "full", recorder->is_full, "tenants", tenants);
	recorder_destroy(mediator);
	return result;
}
