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
#define PIECE_TURNS 4000	   /* some 10 ms of the event loop, in which no turn is given */
#define KEPT_NS	    60000000000ull /* for one who began it and has not fetched it */

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
	size_t turns_taken; /* those before were handed out */
	struct recorded_turn turns[TURNS_MAX];
};

void recorder_destroy(struct mediator *mediator)
{
	free(mediator->recorder);
	mediator->recorder = NULL;
}

bool recorder_is_busy(const struct mediator *mediator)
{
	return mediator->recorder && scheduler_now() < mediator->recorder->until_ns + KEPT_NS;
}

uint64_t recorder_begin(struct mediator *mediator, unsigned seconds)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return 0;
	recorder_destroy(mediator);
	recorder->began_ns = scheduler_now();
	recorder->until_ns = recorder->began_ns + seconds * 1000000000ull;
	mediator->recorder = recorder;
	return recorder->began_ns;
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

	if (!recorder || asked_ns < recorder->began_ns || scheduler_now() >= recorder->until_ns)
		return;
	name = recorder->turn_count < TURNS_MAX ? name_find(recorder, tenant->name) : TENANTS_MAX;
	if (name == TENANTS_MAX) {
		recorder->is_full = true;
		return;
	}
	recorder->turns[recorder->turn_count++] =
		(struct recorded_turn){.tenant = name, .asked_ns = asked_ns, .work_ns = work_ns};
}

static json_t *tenant_describe(struct mediator *mediator, const char *name, json_t *turns)
{
	const struct tenant *live = tenant_find(mediator, name);

	return json_pack("{s:o, s:i, s:s, s:O}", "tenant", admin_string(name), "weight",
			 live ? (int)live->settings.weight : 0, "priority",
			 live ? admin_priority_name(live->settings.priority) : "", "turns", turns);
}

json_t *recorder_take(struct mediator *mediator, uint64_t number)
{
	struct recorder *recorder = mediator->recorder;
	json_t *turns_of[TENANTS_MAX] = {NULL};
	json_t *tenants;
	json_t *result;
	size_t end;

	if (!recorder || recorder->began_ns != number)
		return NULL;
	if (recorder->until_ns > scheduler_now())
		recorder->until_ns = scheduler_now();
	end = recorder->turns_taken + PIECE_TURNS;
	if (end > recorder->turn_count)
		end = recorder->turn_count;
	tenants = json_array();
	for (size_t i = recorder->turns_taken; i < end; i++) {
		const struct recorded_turn *turn = &recorder->turns[i];
		json_t **turns = &turns_of[turn->tenant];

		if (!*turns) {
			*turns = json_array();
			json_array_append_new(tenants,
					      tenant_describe(mediator, recorder->names[turn->tenant], *turns));
		}
		json_array_append_new(*turns, json_pack("[f, f]", (double)(turn->asked_ns - recorder->began_ns) / 1e3,
							(double)turn->work_ns / 1e3));
	}
	for (uint32_t i = 0; i < recorder->tenant_count; i++)
		json_decref(turns_of[i]);
	recorder->turns_taken = end;
	result = json_pack("{s:b, s:b, s:o}", "full", recorder->is_full, "more", end < recorder->turn_count, "tenants",
			   tenants);
	if (end == recorder->turn_count)
		recorder_destroy(mediator);
	return result;
}
