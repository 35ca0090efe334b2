/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about VMs and other tenants. What they change holds at once, for running programs too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin_private.h"
#include "executor_group.h"
#include "log.h"
#include "quarantine.h"
#include "schedule_policy.h"
#include "session.h"
#include "usage.h"

#define SETTING_ARGUMENTS                                                                                         \
	"weight priority processes memory-mib pinned-mib handles queue-depth commands-per-second mib-per-second " \
	"kernel-ms host-memory-mib host-tasks "

#define VALUE_DEFAULT "default" /* takes a setting back to the configuration's */

static int stored(struct admin_request *request, const struct store_tenant *tenant)
{
	struct mediator *mediator = request->mediator;

	if (admin_store_check(request, store_tenant_put(mediator->store, tenant), tenant->key) < 0)
		return -1;
	tenant_settings_refresh(mediator, tenant->key);
	log_info("[ADMIN] %s: settings changed by %s", tenant->key, request->who);
	if (admin_has(request, "pool") && tenant->pool)
		admin_pool_warn(request, tenant->pool);
	return 0;
}

static int setting_fail(struct admin_request *request, int setting, const char *value)
{
	const char *name = store_setting_names[setting];

	if (setting == STORE_PRIORITY)
		return admin_fail(request, ADMIN_INVALID, "%s: \"%s\" is none of low, medium, high", name, value);
	return admin_fail(request, ADMIN_INVALID, "%s: \"%s\" is no number from %d to %u", name, value,
			  setting == STORE_WEIGHT, setting == STORE_WEIGHT ? POLICY_WEIGHT_MAX : UINT32_MAX);
}

/* Takes the settings that the request has into the record. */
static int settings_take(struct admin_request *request, struct store_tenant *tenant)
{
	char value[ADMIN_VALUE_BYTES];
	enum store_setting setting;

	for (int i = 0; i < STORE_SETTING_COUNT; i++) {
		const char *name = store_setting_names[i];

		if (!admin_has(request, name))
			continue;
		if (admin_text(request, name, value, sizeof(value)) < 0)
			return -1;
		if (strcmp(value, VALUE_DEFAULT) == 0)
			tenant->settings[i] = STORE_UNSET;
		else if (tenant_setting_parse(name, value, &setting, &tenant->settings[i]) < 0)
			return setting_fail(request, i, value);
	}
	return 0;
}

/* What looks like a vm_id or another tenant's key would not be found by that name. */
static int name_take(struct admin_request *request, char name[STORE_NAME_BYTES])
{
	if (admin_text(request, "name", name, STORE_NAME_BYTES) < 0)
		return -1;
	if (!name[strspn(name, "0123456789")] || strncmp(name, "vm:", 3) == 0 || strncmp(name, "user:", 5) == 0 ||
	    strncmp(name, "program:", 8) == 0)
		return admin_fail(request, ADMIN_INVALID, "name: \"%s\" is no name: it means a vm_id or another tenant",
				  name);
	return 0;
}

struct name_search {
	const struct store_tenant *tenant;
	char owner[STORE_KEY_BYTES]; /* another one with its name; empty: none */
};

static bool name_compare(const struct store_tenant *other, void *argument)
{
	struct name_search *search = argument;

	if (strcmp(other->key, search->tenant->key) != 0 && strcmp(other->name, search->tenant->name) == 0)
		snprintf(search->owner, sizeof(search->owner), "%s", other->key);
	return !search->owner[0];
}

/* Two VMs of one name could not be told apart by it. */
static int name_check(struct admin_request *request, const struct store_tenant *tenant)
{
	const struct mediator *mediator = request->mediator;
	struct name_search search = {.tenant = tenant};
	const struct session *session;

	if (admin_store_check(request, store_tenants_visit(mediator->store, name_compare, &search), tenant->name) < 0)
		return -1;
	if (search.owner[0])
		return admin_fail(request, ADMIN_CONFLICT, "name: %s has the name \"%s\" already", search.owner,
				  tenant->name);
	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session->kind == SESSION_DEVICE && session->socket >= 0 && session->vm_id != tenant->vm_id &&
		    strcmp(session->name, tenant->name) == 0)
			admin_warn(
				request,
				"a VM named \"%s\" is connected with the vm_id %u, not %u: these settings are not its",
				tenant->name, session->vm_id, tenant->vm_id);
	}
	return 0;
}

static int identity_take(struct admin_request *request, struct store_tenant *tenant)
{
	char pool[ADMIN_VALUE_BYTES];

	if (admin_has(request, "name") && (name_take(request, tenant->name) < 0 || name_check(request, tenant) < 0))
		return -1;
	if (admin_has(request, "uuid")) {
		if (admin_text(request, "uuid", tenant->uuid, sizeof(tenant->uuid)) < 0)
			return -1;
		for (char *at = tenant->uuid; *at; at++)
			*at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
		if (strlen(tenant->uuid) != STORE_UUID_BYTES - 1 ||
		    tenant->uuid[strspn(tenant->uuid, "0123456789abcdef-")])
			return admin_fail(request, ADMIN_INVALID, "uuid: \"%s\" is none", tenant->uuid);
	}
	if (!admin_has(request, "pool"))
		return 0;
	if (admin_text(request, "pool", pool, sizeof(pool)) == 0 && strcmp(pool, VALUE_DEFAULT) == 0) {
		tenant->pool = '\0';
		return 0;
	}
	return admin_pool_letter(request, "pool", &tenant->pool);
}

static int vm_id_take(struct admin_request *request, const char *name, struct store_tenant *tenant)
{
	uint64_t vm_id;

	if (admin_number(request, name, 1, UINT32_MAX, &vm_id) < 0)
		return -1;
	tenant->vm_id = (uint32_t)vm_id;
	snprintf(tenant->key, sizeof(tenant->key), "vm:%u", tenant->vm_id);
	return 0;
}

static int register_vm(struct admin_request *request)
{
	struct store *store = request->mediator->store;
	struct store_tenant tenant;
	struct store_tenant other;
	uint32_t vm_id = 0;

	store_tenant_init(&tenant, "");
	if (!admin_has(request, "uuid") && !admin_has(request, "name"))
		return admin_fail(request, ADMIN_INVALID, "a VM is registered by its UUID or a name");
	if (admin_has(request, "vm-id")) {
		if (vm_id_take(request, "vm-id", &tenant) < 0)
			return -1;
	} else {
		if (admin_store_check(request, store_vm_id_free(store, &vm_id), "vm-id") < 0)
			return -1;
		/* Nor one of a VM that is connected without being registered. */
		do {
			snprintf(tenant.key, sizeof(tenant.key), "vm:%u", vm_id);
			tenant.vm_id = vm_id++;
		} while (tenant_find(request->mediator, tenant.key) ||
			 store_tenant_get(store, tenant.key, &other) == STORE_DONE);
	}
	if (store_tenant_get(store, tenant.key, &other) == STORE_DONE) {
		if (other.uuid[0] || other.name[0])
			return admin_fail(request, ADMIN_CONFLICT, "vm_id %u is registered already", tenant.vm_id);
		/* It has been given settings while it was connected. */
		tenant = other;
	}
	if (identity_take(request, &tenant) < 0 || settings_take(request, &tenant) < 0 || stored(request, &tenant) < 0)
		return -1;
	request->result = json_pack("{s:o, s:o, s:o}", "vm", admin_vm_reference(&tenant), "name",
				    admin_string(tenant.name), "uuid", admin_string(tenant.uuid));
	return 0;
}

static int update_vm(struct admin_request *request)
{
	struct store_tenant tenant;

	if (json_object_size(request->arguments) < 2)
		return admin_fail(request, ADMIN_INVALID, "nothing is to be changed");
	if (admin_tenant(request, &tenant) < 0 || identity_take(request, &tenant) < 0 ||
	    settings_take(request, &tenant) < 0)
		return -1;
	return stored(request, &tenant);
}

/* set-pool and its like: update-vm with one argument that must be there. */
static int update_one(struct admin_request *request, const char *needed)
{
	if (!admin_has(request, needed))
		return admin_fail(request, ADMIN_INVALID, "%s is missing", needed);
	return update_vm(request);
}

static int set_pool(struct admin_request *request)
{
	return update_one(request, "pool");
}

static int set_priority(struct admin_request *request)
{
	return update_one(request, "priority");
}

static int set_weight(struct admin_request *request)
{
	return update_one(request, "weight");
}

static int set_rate_limit(struct admin_request *request)
{
	if (!admin_has(request, "commands-per-second"))
		return admin_fail(request, ADMIN_INVALID, "the rate (--rate) is missing");
	return update_vm(request);
}

static int set_vm_id(struct admin_request *request)
{
	struct store_tenant tenant;
	char key[STORE_KEY_BYTES];

	if (admin_tenant(request, &tenant) < 0)
		return -1;
	snprintf(key, sizeof(key), "%s", tenant.key);
	if (!tenant.vm_id)
		return admin_fail(request, ADMIN_INVALID, "%s is no VM", key);
	if (vm_id_take(request, "new-id", &tenant) < 0)
		return -1;
	if (admin_store_check(request, store_tenant_rename(request->mediator->store, key, &tenant), tenant.key) < 0)
		return -1;
	/* Both may be connected: settings and quarantine belong to the other number now. */
	for (int i = 0; i < 2; i++) {
		struct tenant *live = tenant_find(request->mediator, i ? tenant.key : key);

		if (live && quarantine_load(live) == 0)
			tenant_settings_refresh(request->mediator, live->name);
	}
	log_info("[ADMIN] %s is %s now, by %s", key, tenant.key, request->who);
	return 0;
}

static int remove_vm(struct admin_request *request)
{
	struct mediator *mediator = request->mediator;
	struct store_tenant tenant;
	struct tenant *live;

	if (admin_tenant(request, &tenant) < 0 ||
	    admin_store_check(request, store_tenant_remove(mediator->store, tenant.key), tenant.key) < 0)
		return -1;
	live = tenant_find(mediator, tenant.key);
	if (live && quarantine_load(live) == 0)
		tenant_settings_refresh(mediator, live->name);
	log_info("[ADMIN] %s: removed by %s", tenant.key, request->who);
	return 0;
}

static int quarantine_vm(struct admin_request *request)
{
	char reason[STORE_TEXT_BYTES] = "by hand";
	struct store_tenant tenant;
	uint64_t seconds = 0;

	if (admin_tenant(request, &tenant) < 0)
		return -1;
	if (admin_has(request, "for") && admin_number(request, "for", 0, UINT32_MAX, &seconds) < 0)
		return -1;
	if (admin_has(request, "reason") && admin_text(request, "reason", reason, sizeof(reason)) < 0)
		return -1;
	return admin_store_check(request,
				 quarantine_set(request->mediator, tenant.key, (unsigned)seconds, reason, request->who),
				 tenant.key);
}

static int clear_quarantine(struct admin_request *request)
{
	enum store_result result;
	struct store_tenant tenant;

	if (admin_tenant(request, &tenant) < 0)
		return -1;
	result = quarantine_clear(request->mediator, tenant.key, request->who);
	if (result == STORE_NONE)
		return admin_fail(request, ADMIN_NOT_FOUND, "%s is not quarantined", tenant.key);
	return admin_store_check(request, result, tenant.key);
}

static int show_vm(struct admin_request *request)
{
	struct mediator *mediator = request->mediator;
	struct store_quarantine quarantine;
	struct tenant_settings settings;
	struct store_tenant tenant;
	const struct tenant *live;
	char pool[2] = "";
	json_t *vm;

	if (admin_tenant(request, &tenant) < 0 || admin_vm_settings(request, &tenant, &settings) < 0)
		return -1;
	live = tenant_find(mediator, tenant.key);
	pool[0] = admin_vm_pool(mediator, &tenant);
	vm = json_pack("{s:o, s:o, s:o, s:s, s:b, s:I}", "vm", admin_vm_reference(&tenant), "name",
		       admin_string(admin_vm_name(mediator, &tenant)), "uuid", admin_string(tenant.uuid), "pool", pool,
		       "connected", live && live->users > 0, "programs", (json_int_t)(live ? live->processes : 0));
	for (int i = 0; i < STORE_SETTING_COUNT; i++) {
		int64_t value = tenant_setting_value(&settings, (enum store_setting)i);

		json_object_set_new(vm, store_setting_names[i],
				    i == STORE_PRIORITY ? json_string(admin_priority_name(value))
							: json_integer(value));
	}
	if (live) {
		struct usage_view view = usage_look(mediator, live);

		json_object_set_new(vm, "memory_bytes", json_integer((json_int_t)view.memory_bytes));
		json_object_set_new(vm, "pinned_bytes", json_integer((json_int_t)view.pinned_bytes));
		json_object_set_new(vm, "host_memory_bytes",
				    json_integer((json_int_t)executor_group_memory(&live->group)));
		json_object_set_new(vm, "memory_kills", json_integer((json_int_t)live->group_kills));
		json_object_set_new(vm, "commands", json_integer((json_int_t)view.sums.counters.calls));
		json_object_set_new(vm, "errors", json_integer((json_int_t)view.sums.counters.errors));
		json_object_set_new(vm, "faults", json_integer((json_int_t)live->faults_in_all));
		json_object_set_new(vm, "refused", json_integer((json_int_t)live->usage.refusals));
	}
	json_object_set_new(vm, "quarantined", json_boolean(admin_is_quarantined(mediator, tenant.key, &quarantine)));
	if (admin_is_quarantined(mediator, tenant.key, &quarantine)) {
		json_object_set_new(vm, "quarantined_until", admin_time(quarantine.until));
		json_object_set_new(vm, "quarantine_reason", admin_string(quarantine.reason));
		json_object_set_new(vm, "quarantined_by", admin_string(quarantine.by));
	}
	request->result = vm;
	return 0;
}

const struct admin_command admin_vm_commands[] = {
	{"register-vm", "uuid name vm-id pool " SETTING_ARGUMENTS, register_vm, false},
	{"show-vm", "vm ", show_vm, true},
	{"set-pool", "vm pool ", set_pool, false},
	{"set-priority", "vm priority ", set_priority, false},
	{"set-vm-id", "vm new-id ", set_vm_id, false},
	{"update-vm", "vm uuid name pool " SETTING_ARGUMENTS, update_vm, false},
	{"remove-vm", "vm ", remove_vm, false},
	{"set-weight", "vm weight ", set_weight, false},
	{"set-rate-limit", "vm commands-per-second queue-depth mib-per-second ", set_rate_limit, false},
	{"quarantine-vm", "vm for reason ", quarantine_vm, false},
	{"clear-quarantine", "vm ", clear_quarantine, false},
	{NULL, NULL, NULL, false},
};
