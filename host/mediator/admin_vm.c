/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about VMs and other tenants. What they change holds at once, for running programs too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin_private.h"
#include "discovery.h"
#include "log.h"
#include "quarantine.h"
#include "session.h"
#include "usage.h"

#define SETTING_ARGUMENTS                                                                                         \
	"weight priority processes memory-mib pinned-mib handles queue-depth commands-per-second mib-per-second " \
	"kernel-ms "

#define VALUE_DEFAULT "default" /* takes a setting back to the configuration's */

/* What a VM is called in lists: "3", or the key of another tenant. */
static json_t *vm_reference(const struct store_tenant *tenant)
{
	char text[16];

	if (!tenant->vm_id)
		return admin_string(tenant->key);
	snprintf(text, sizeof(text), "%u", tenant->vm_id);
	return json_string(text);
}

static const char *name_of(const struct mediator *mediator, const struct store_tenant *tenant)
{
	return tenant->name[0] ? tenant->name : admin_live_name(mediator, tenant->vm_id);
}

/* The session of a connected VM. */
static const struct session *vm_session(const struct mediator *mediator, uint32_t vm_id)
{
	const struct session *session;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (vm_id && session->kind == SESSION_DEVICE && session->vm_id == vm_id && session->socket >= 0)
			return session;
	}
	return NULL;
}

/* In force, or 0: the VM has none before it connects and says which. */
static char pool_of(const struct mediator *mediator, const struct store_tenant *tenant)
{
	const struct session *session = vm_session(mediator, tenant->vm_id);

	if (tenant->pool)
		return tenant->pool;
	if (session)
		return (char)session_pool(session);
	return tenant->vm_id ? '\0' : mediator->configuration.local_pool;
}

static int settings_of(struct admin_request *request, const struct store_tenant *tenant,
		       struct tenant_settings *ret_settings)
{
	const struct tenant *live = tenant_find(request->mediator, tenant->key);

	if (tenant_settings_find(request->mediator, tenant->key, live ? live->priority_told : VGPU_PRIORITY_MEDIUM,
				 ret_settings) < 0)
		return admin_fail(request, ADMIN_FAILED, "%s", store_error(request->mediator->store));
	return 0;
}

static bool is_quarantined(struct mediator *mediator, const char *key, struct store_quarantine *ret_quarantine)
{
	return store_quarantine_get(mediator->store, key, ret_quarantine) == STORE_DONE &&
	       (ret_quarantine->until == 0 || ret_quarantine->until > time(NULL));
}

static int stored(struct admin_request *request, const struct store_tenant *tenant)
{
	struct mediator *mediator = request->mediator;

	if (admin_store_check(request, store_tenant_put(mediator->store, tenant), tenant->key) < 0)
		return -1;
	tenant_settings_refresh(mediator, tenant->key);
	log_info("[ADMIN] %s: settings changed by %s", tenant->key, request->who);
	return 0;
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
			return admin_fail(request, ADMIN_INVALID, "%s: \"%s\" is no value for it", name, value);
	}
	return 0;
}

static int identity_take(struct admin_request *request, struct store_tenant *tenant)
{
	char pool[ADMIN_VALUE_BYTES];

	if (admin_has(request, "name") && admin_text(request, "name", tenant->name, sizeof(tenant->name)) < 0)
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
	request->result = json_pack("{s:o, s:o, s:o}", "vm", vm_reference(&tenant), "name", admin_string(tenant.name),
				    "uuid", admin_string(tenant.uuid));
	return 0;
}

static int update_vm(struct admin_request *request)
{
	struct store_tenant tenant;

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
	return update_one(request, "commands-per-second");
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

	if (admin_tenant(request, &tenant) < 0 || settings_of(request, &tenant, &settings) < 0)
		return -1;
	live = tenant_find(mediator, tenant.key);
	pool[0] = pool_of(mediator, &tenant);
	vm = json_pack("{s:o, s:o, s:o, s:s, s:b, s:I}", "vm", vm_reference(&tenant), "name",
		       admin_string(name_of(mediator, &tenant)), "uuid", admin_string(tenant.uuid), "pool", pool,
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
		json_object_set_new(vm, "commands", json_integer((json_int_t)view.sums.counters.calls));
		json_object_set_new(vm, "errors", json_integer((json_int_t)view.sums.counters.errors));
		json_object_set_new(vm, "faults", json_integer((json_int_t)live->faults_in_all));
		json_object_set_new(vm, "refused", json_integer((json_int_t)live->usage.refusals));
	}
	json_object_set_new(vm, "quarantined", json_boolean(is_quarantined(mediator, tenant.key, &quarantine)));
	if (is_quarantined(mediator, tenant.key, &quarantine)) {
		json_object_set_new(vm, "quarantined_until", admin_time(quarantine.until));
		json_object_set_new(vm, "quarantine_reason", admin_string(quarantine.reason));
		json_object_set_new(vm, "quarantined_by", admin_string(quarantine.by));
	}
	request->result = vm;
	return 0;
}

/* One row of a list for each tenant; NULL: it is left out. */
typedef json_t *row_maker(struct admin_request *request, const struct store_tenant *tenant,
			  const struct tenant_settings *settings);

struct rows {
	struct admin_request *request;
	row_maker *make;
	json_t *list;
	bool has_failed;
};

static bool row_add(const struct store_tenant *tenant, void *argument)
{
	struct rows *rows = argument;
	struct tenant_settings settings;
	json_t *row;

	if (settings_of(rows->request, tenant, &settings) < 0) {
		rows->has_failed = true;
		return false;
	}
	row = rows->make(rows->request, tenant, &settings);
	if (row)
		json_array_append_new(rows->list, row);
	return true;
}

/* Reading a row's settings uses a statement of its own, not the visit's. */
static int rows_make(struct admin_request *request, row_maker *make)
{
	struct mediator *mediator = request->mediator;
	struct rows rows = {.request = request, .make = make, .list = json_array()};
	struct store_tenant record;
	const struct tenant *tenant;

	request->result = rows.list;
	if (admin_store_check(request, store_tenants_visit(mediator->store, row_add, &rows), "tenants") < 0 ||
	    rows.has_failed)
		return -1;
	/* Those that are here without being registered. */
	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		if (store_tenant_get(mediator->store, tenant->name, &record) != STORE_NONE)
			continue;
		store_tenant_init(&record, tenant->name);
		if (!row_add(&record, &rows))
			return -1;
	}
	return 0;
}

static json_t *vm_row(struct admin_request *request, const struct store_tenant *tenant,
		      const struct tenant_settings *settings)
{
	struct mediator *mediator = request->mediator;
	const struct tenant *live = tenant_find(mediator, tenant->key);
	const char *priority = admin_priority_name(settings->priority);
	const char *wanted_pool = json_string_value(json_object_get(request->arguments, "pool"));
	const char *wanted_priority = json_string_value(json_object_get(request->arguments, "priority"));
	struct store_quarantine quarantine;
	char pool[2] = {pool_of(mediator, tenant), '\0'};

	if ((wanted_pool && strcmp(wanted_pool, pool) != 0) ||
	    (wanted_priority && strcmp(wanted_priority, priority) != 0))
		return NULL;
	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:i, s:b, s:i, s:b}", "vm", vm_reference(tenant), "name",
			 admin_string(name_of(mediator, tenant)), "uuid", admin_string(tenant->uuid), "pool", pool,
			 "priority", priority, "weight", (int)settings->weight, "connected", live && live->users > 0,
			 "programs", live ? (int)live->processes : 0, "quarantined",
			 is_quarantined(mediator, tenant->key, &quarantine));
}

static int list_vms(struct admin_request *request)
{
	return rows_make(request, vm_row);
}

static json_t *weight_row(struct admin_request *request, const struct store_tenant *tenant,
			  const struct tenant_settings *settings)
{
	const struct tenant *live = tenant_find(request->mediator, tenant->key);
	struct usage_view view = live ? usage_look(request->mediator, live) : (struct usage_view){0};

	return json_pack("{s:o, s:o, s:s, s:i, s:f}", "vm", vm_reference(tenant), "name",
			 admin_string(name_of(request->mediator, tenant)), "priority",
			 admin_priority_name(settings->priority), "weight", (int)settings->weight, "entitlement",
			 view.entitlement);
}

static int show_weights(struct admin_request *request)
{
	return rows_make(request, weight_row);
}

static json_t *rate_row(struct admin_request *request, const struct store_tenant *tenant,
			const struct tenant_settings *settings)
{
	const struct tenant *live = tenant_find(request->mediator, tenant->key);
	struct usage_view view = live ? usage_look(request->mediator, live) : (struct usage_view){0};

	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:f}", "vm", vm_reference(tenant), "name",
			 admin_string(name_of(request->mediator, tenant)), "rate",
			 (json_int_t)tenant_setting_value(settings, STORE_COMMANDS_PER_SECOND), "queue_depth",
			 (json_int_t)tenant_setting_value(settings, STORE_QUEUE_DEPTH), "mib_per_second",
			 (json_int_t)tenant_setting_value(settings, STORE_MIB_PER_SECOND), "delays",
			 (json_int_t)view.sums.delays, "delayed_seconds", (double)view.sums.delay_ns / 1e9);
}

static int show_rate_limits(struct admin_request *request)
{
	return rows_make(request, rate_row);
}

static bool quarantine_add(const struct store_quarantine *quarantine, void *argument)
{
	struct store_tenant tenant;

	if (quarantine->until && quarantine->until <= time(NULL))
		return true;
	store_tenant_init(&tenant, quarantine->key);
	json_array_append_new(argument,
			      json_pack("{s:o, s:o, s:o, s:o, s:o}", "vm", vm_reference(&tenant), "since",
					admin_time(quarantine->since), "until", admin_time(quarantine->until), "by",
					admin_string(quarantine->by), "reason", admin_string(quarantine->reason)));
	return true;
}

static int show_quarantines(struct admin_request *request)
{
	request->result = json_array();
	return admin_store_check(
		request, store_quarantines_visit(request->mediator->store, quarantine_add, request->result), "");
}

static int scan_vms(struct admin_request *request)
{
	struct mediator *mediator = request->mediator;
	const struct discovery_machine *machines;
	unsigned count;

	discovery_scan(mediator->discovery);
	machines = discovery_machines(mediator->discovery, &count);
	request->result = json_array();
	for (unsigned i = 0; i < count; i++) {
		uint32_t vm_id = machines[i].has_vm_id ? machines[i].vm_id : 0;
		struct store_tenant tenant;
		char key[STORE_KEY_BYTES];

		snprintf(key, sizeof(key), "vm:%u", vm_id);
		json_array_append_new(request->result,
				      json_pack("{s:i, s:i, s:o, s:b, s:b}", "pid", machines[i].pid, "vm_id",
						(int)vm_id, "name", admin_string(machines[i].name), "registered",
						store_tenant_get(mediator->store, key, &tenant) == STORE_DONE,
						"connected", vm_session(mediator, vm_id) != NULL));
	}
	return 0;
}

const struct admin_command admin_vm_commands[] = {
	{"scan-vms", "", scan_vms},
	{"register-vm", "uuid name vm-id pool " SETTING_ARGUMENTS, register_vm},
	{"show-vm", "vm ", show_vm},
	{"list-vms", "pool priority ", list_vms},
	{"set-pool", "vm pool ", set_pool},
	{"set-priority", "vm priority ", set_priority},
	{"set-vm-id", "vm new-id ", set_vm_id},
	{"update-vm", "vm uuid name pool " SETTING_ARGUMENTS, update_vm},
	{"remove-vm", "vm ", remove_vm},
	{"set-weight", "vm weight ", set_weight},
	{"show-weights", "", show_weights},
	{"set-rate-limit", "vm commands-per-second queue-depth mib-per-second ", set_rate_limit},
	{"show-rate-limits", "", show_rate_limits},
	{"quarantine-vm", "vm for reason ", quarantine_vm},
	{"clear-quarantine", "vm ", clear_quarantine},
	{"show-quarantines", "", show_quarantines},
	{NULL, NULL, NULL},
};
