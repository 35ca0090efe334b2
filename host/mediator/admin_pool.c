/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about pools and GPUs. */
#include <stdio.h>
#include <string.h>

#include "admin_private.h"
#include "channel.h"
#include "gpu_events.h"
#include "log.h"
#include "placement.h"
#include "pool_supply.h"
#include "probe.h"
#include "schedule_policy.h"
#include "scheduler.h"
#include "session.h"

/* NULL, after admin_fail(). */
static json_t *pool_row(struct admin_request *request, char letter)
{
	struct mediator *mediator = request->mediator;
	const struct session *session;
	const struct channel *channel;
	char text[2] = {letter, '\0'};
	struct store_pool pool;
	int vms = 0;
	int programs = 0;
	int gpus = 0;

	for (unsigned i = 0; i < probe_device_count(mediator->probe); i++)
		gpus += placement_pool(mediator, i) == letter;
	if (admin_store_check(request, store_pool_get(mediator->store, letter, &pool), text) < 0)
		return NULL;
	LIST_FOREACH(session, &mediator->sessions, link)
	vms += session->kind == SESSION_DEVICE && session->socket >= 0 && session_pool(session) == (uint32_t)letter;
	LIST_FOREACH(channel, &mediator->channels, link)
	programs += channel->pool_id == (uint32_t)letter;
	return json_pack("{s:s, s:o, s:o, s:o, s:i, s:b, s:i, s:i, s:I}", "pool", text, "name", admin_string(pool.name),
			 "description", admin_string(pool.description), "policy", admin_string(pool.policy), "gpus",
			 gpus, "enabled", pool.is_enabled, "vms", vms, "programs", programs, "commands",
			 (json_int_t)counters_sum(mediator, (uint32_t)letter).calls);
}

static bool letter_add(const struct store_pool *pool, void *argument)
{
	*(uint32_t *)argument |= 1u << (pool->pool - 'A');
	return true;
}

static int list_pools(struct admin_request *request)
{
	struct mediator *mediator = request->mediator;
	uint32_t letters = mediator->counters.pools_seen | 3; /* A and B are the operators' usual pools */
	const struct session *session;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session_pool(session))
			letters |= 1u << (session_pool(session) - 'A');
	}
	if (admin_store_check(request, store_pools_visit(mediator->store, letter_add, &letters), "pools") < 0)
		return -1;
	request->result = json_array();
	for (int i = 0; i < STORE_POOLS; i++) {
		json_t *row;

		if ((letters & 1u << i) == 0)
			continue;
		row = pool_row(request, (char)('A' + i));
		if (!row)
			return -1;
		json_array_append_new(request->result, row);
	}
	return 0;
}

static int show_pool(struct admin_request *request)
{
	char letter;

	if (admin_pool_letter(request, "pool", &letter) < 0)
		return -1;
	request->result = pool_row(request, letter);
	return request->result ? 0 : -1;
}

static int policy_take(struct admin_request *request, struct store_pool *pool)
{
	if (admin_text(request, "policy", pool->policy, sizeof(pool->policy)) < 0)
		return -1;
	if (strcmp(pool->policy, "default") == 0)
		pool->policy[0] = '\0';
	else if (strcmp(pool->policy, SCHEDULER_POLICY_NONE) != 0 && !policy_find(pool->policy))
		return admin_fail(request, ADMIN_INVALID, "policy: \"%s\" is unknown", pool->policy);
	return 0;
}

static int update_pool(struct admin_request *request)
{
	struct mediator *mediator = request->mediator;
	struct store_pool pool;
	char enabled[8];
	char letter;

	if (json_object_size(request->arguments) < 2)
		return admin_fail(request, ADMIN_INVALID, "nothing is to be changed");
	if (admin_pool_letter(request, "pool", &letter) < 0 ||
	    admin_store_check(request, store_pool_get(mediator->store, letter, &pool), "pool") < 0)
		return -1;
	if (admin_has(request, "name") && admin_text(request, "name", pool.name, sizeof(pool.name)) < 0)
		return -1;
	if (admin_has(request, "description") &&
	    admin_text(request, "description", pool.description, sizeof(pool.description)) < 0)
		return -1;
	if (admin_has(request, "policy") && policy_take(request, &pool) < 0)
		return -1;
	if (admin_has(request, "enabled")) {
		if (admin_text(request, "enabled", enabled, sizeof(enabled)) < 0)
			return -1;
		if (strcmp(enabled, "yes") != 0 && strcmp(enabled, "no") != 0)
			return admin_fail(request, ADMIN_INVALID, "enabled: \"%s\" is neither yes nor no", enabled);
		pool.is_enabled = strcmp(enabled, "yes") == 0;
	}
	if (admin_store_check(request, store_pool_put(mediator->store, &pool), "pool") < 0)
		return -1;
	scheduler_settings_apply(mediator);
	log_info("[ADMIN] pool %c: changed by %s", letter, request->who);
	return 0;
}

static int set_pool_name(struct admin_request *request)
{
	if (!admin_has(request, "name"))
		return admin_fail(request, ADMIN_INVALID, "name is missing");
	return update_pool(request);
}

static int scan_gpus(struct admin_request *request)
{
	const struct probe *probe = request->mediator->probe;
	struct scheduler_gpu gpus[SCHEDULERS_MAX];
	unsigned known = schedulers_look(request->mediator, gpus, SCHEDULERS_MAX);

	request->result = json_array();
	for (unsigned i = 0; i < probe_device_count_seen(probe); i++) {
		char pool[2] = {placement_pool(request->mediator, i), '\0'};
		struct probe_device device = probe_device(probe, i);
		const struct scheduler_gpu *gpu = NULL;
		char fault[128];

		gpu_events_describe(request->mediator->gpu_events, probe_device_gpu(&device), fault, sizeof(fault));
		if (!fault[0])
			gpu_hangs_describe(&request->mediator->gpu_hangs, probe_device_gpu(&device), fault,
					   sizeof(fault));
		if (device.reaches_host && !fault[0])
			snprintf(fault, sizeof(fault), "kernels reach the host's memory");
		for (unsigned at = 0; at < known && at < SCHEDULERS_MAX; at++) {
			if (gpus[at].gpu == i)
				gpu = &gpus[at];
		}
		json_array_append_new(
			request->result,
			json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:I, s:i, s:i, s:s}", "gpu", (int)i, "instance",
				  device.instance, "pool", pool, "name", admin_string(device.name), "uuid",
				  admin_string(device.uuid), "pci", admin_string(device.pci), "memory_mib",
				  (json_int_t)(device.memory_bytes >> 20), "tenants", gpu ? (int)gpu->tenants : 0,
				  "programs", gpu ? (int)gpu->processes : 0, "fault", fault));
	}
	return 0;
}

/*
 * By number, UUID or, an instance, "GPU:INSTANCE". '*ret_is_whole': it is a GPU in MIG mode, the device one of its. 0,
 * or -1: the answer says why.
 */
static int gpu_take(struct admin_request *request, struct probe_device *ret_device, bool *ret_is_whole)
{
	const struct probe *probe = request->mediator->probe;
	char text[STORE_NAME_BYTES];
	char number[16];

	if (admin_text(request, "gpu", text, sizeof(text)) < 0)
		return -1;
	for (unsigned i = 0; i < probe_device_count(probe); i++) {
		struct probe_device device = probe_device(probe, i);

		snprintf(number, sizeof(number), "%u", i);
		*ret_is_whole = strcmp(text, device.parent) == 0;
		if (!*ret_is_whole && strcmp(text, number) != 0 && strcmp(text, device.uuid) != 0 &&
		    strcmp(text, device.instance) != 0)
			continue;
		*ret_device = device;
		return 0;
	}
	return admin_fail(request, ADMIN_NOT_FOUND, "%s: there is no such GPU (scan-gpus)", text);
}

void admin_pool_warn(struct admin_request *request, char pool)
{
	struct pool_supply supply;

	if (pool_supply_read(request->mediator, &supply) && !supply.pools[pool - 'A'].is_served)
		admin_warn(request, "pool %c has no GPU, and none is left without a pool: its programs are refused",
			   pool);
}

/* Who has lost a GPU by what the operator did, and perhaps did not mean to. */
static void supply_warn(struct admin_request *request, const struct pool_supply *before)
{
	struct pool_supply after;

	if (!pool_supply_read(request->mediator, &after))
		return;
	if (after.any_assigned && !after.free_gpus && (before->free_gpus || !before->any_assigned))
		admin_warn(request,
			   "no GPU is left that belongs to no pool: programs of pools without one are refused");
	for (int i = 0; i < POOL_SUPPLY_POOLS; i++) {
		const struct pool_supply_pool *pool = &after.pools[i];

		if (!pool->users)
			continue;
		if (!pool->is_served && before->pools[i].is_served)
			admin_warn(request, "pool %c has no GPU any more: programs of its %u VMs and users are refused",
				   'A' + i, pool->users);
		else if (!pool->own_gpus && before->pools[i].own_gpus && !pool->has_worker)
			admin_warn(request,
				   "pool %c has no GPU of its own any more: programs of its %u VMs and users start on "
				   "those "
				   "of no pool",
				   'A' + i, pool->users);
	}
}

static int assign_gpu(struct admin_request *request)
{
	struct mediator *mediator = request->mediator;
	struct store_gpu gpu = {.pool = '\0'};
	char pool[ADMIN_VALUE_BYTES];
	struct probe_device device;
	struct pool_supply before;
	enum store_result result;
	bool is_known = pool_supply_read(mediator, &before);
	bool is_whole;

	if (gpu_take(request, &device, &is_whole) < 0 || admin_text(request, "pool", pool, sizeof(pool)) < 0)
		return -1;
	if (is_whole)
		return admin_fail(request, ADMIN_CONFLICT,
				  "%s is in MIG mode: its instances belong to pools, not the GPU (scan-gpus)",
				  device.parent);
	snprintf(gpu.uuid, sizeof(gpu.uuid), "%s", device.uuid);
	if (strcmp(pool, "none") == 0) {
		result = store_gpu_remove(mediator->store, gpu.uuid);
	} else {
		if (admin_pool_letter(request, "pool", &gpu.pool) < 0)
			return -1;
		result = store_gpu_put(mediator->store, &gpu);
	}
	if (admin_store_check(request, result, gpu.uuid) < 0)
		return -1;
	scheduler_settings_apply(mediator);
	log_info("[ADMIN] %s: assigned to pool %s by %s", gpu.uuid, pool, request->who);
	if (is_known)
		supply_warn(request, &before);
	return 0;
}

static int clear_gpu(struct admin_request *request)
{
	struct probe_device device;
	char name[ADMIN_VALUE_BYTES];
	bool is_whole, hung, had_errors;

	if (admin_text(request, "gpu", name, sizeof(name)) == 0) {
		hung = gpu_hangs_worker_clear(request->mediator, name);
		had_errors = gpu_events_worker_clear(request->mediator->gpu_events, name);
		if (hung || had_errors) {
			log_info("[ADMIN] GPU %s: its errors are cleared by %s", name, request->who);
			return 0;
		}
	}
	if (gpu_take(request, &device, &is_whole) < 0)
		return -1;
	hung = gpu_hangs_clear(&request->mediator->gpu_hangs, probe_device_gpu(&device));
	had_errors = gpu_events_clear(request->mediator->gpu_events, probe_device_gpu(&device));
	if (!hung && !had_errors)
		return admin_fail(request, ADMIN_CONFLICT, "%s: nothing is known to be wrong with it",
				  probe_device_gpu(&device));
	log_info("[ADMIN] %s: its errors are cleared by %s", probe_device_gpu(&device), request->who);
	return 0;
}

const struct admin_command admin_pool_commands[] = {
	{"list-pools", "", list_pools, true},
	{"show-pool", "pool ", show_pool, true},
	{"set-pool-name", "pool name ", set_pool_name, false},
	{"update-pool", "pool name description policy enabled ", update_pool, false},
	{"scan-gpus", "", scan_gpus, true},
	{"assign-gpu", "gpu pool ", assign_gpu, false},
	{"clear-gpu", "gpu ", clear_gpu, false},
	{NULL, NULL, NULL, false},
};
