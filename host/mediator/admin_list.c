/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that list tenants, and what commands about VMs share. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin_private.h"
#include "discovery.h"
#include "session.h"
#include "usage.h"

json_t *admin_vm_reference(const struct store_tenant *tenant)
{
	char text[16];

	if (!tenant->vm_id)
		return admin_string(tenant->key);
	snprintf(text, sizeof(text), "%u", tenant->vm_id);
	return json_string(text);
}

const char *admin_vm_name(const struct mediator *mediator, const struct store_tenant *tenant)
{
	return tenant->name[0] ? tenant->name : admin_live_name(mediator, tenant->vm_id);
}

/* Of a connected VM; NULL: it is not connected. */
static const struct session *session_of_vm(const struct mediator *mediator, uint32_t vm_id)
{
	const struct session *session;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (vm_id && session->kind == SESSION_DEVICE && session->vm_id == vm_id && session->socket >= 0)
			return session;
	}
	return NULL;
}

char admin_vm_pool(const struct mediator *mediator, const struct store_tenant *tenant)
{
	const struct session *session = session_of_vm(mediator, tenant->vm_id);

	if (tenant->pool)
		return tenant->pool;
	if (session)
		return (char)session_pool(session);
	return tenant->vm_id ? '\0' : mediator->configuration.local_pool;
}

int admin_vm_settings(struct admin_request *request, const struct store_tenant *tenant,
		      struct tenant_settings *ret_settings)
{
	const struct tenant *live = tenant_find(request->mediator, tenant->key);

	if (tenant_settings_find(request->mediator, tenant->key, live ? live->priority_told : VGPU_PRIORITY_MEDIUM,
				 ret_settings) < 0)
		return admin_fail(request, ADMIN_FAILED, "%s", store_error(request->mediator->store));
	return 0;
}

bool admin_is_quarantined(struct mediator *mediator, const char *key, struct store_quarantine *ret_quarantine)
{
	return store_quarantine_get(mediator->store, key, ret_quarantine) == STORE_DONE &&
	       (ret_quarantine->until == 0 || ret_quarantine->until > time(NULL));
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

	if (admin_vm_settings(rows->request, tenant, &settings) < 0) {
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
	char pool[2] = {admin_vm_pool(mediator, tenant), '\0'};

	if ((wanted_pool && strcmp(wanted_pool, pool) != 0) ||
	    (wanted_priority && strcmp(wanted_priority, priority) != 0))
		return NULL;
	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:i, s:b, s:i, s:b}", "vm", admin_vm_reference(tenant), "name",
			 admin_string(admin_vm_name(mediator, tenant)), "uuid", admin_string(tenant->uuid), "pool",
			 pool, "priority", priority, "weight", (int)settings->weight, "connected",
			 live && live->users > 0, "programs", live ? (int)live->processes : 0, "quarantined",
			 admin_is_quarantined(mediator, tenant->key, &quarantine));
}

static int list_vms(struct admin_request *request)
{
	const char *priority = json_string_value(json_object_get(request->arguments, "priority"));
	enum store_setting setting;
	int64_t number;
	char pool;

	if (admin_has(request, "pool") && admin_pool_letter(request, "pool", &pool) < 0)
		return -1;
	if (admin_has(request, "priority") &&
	    (!priority || tenant_setting_parse("priority", priority, &setting, &number) < 0))
		return admin_fail(request, ADMIN_INVALID, "priority: it is none of low, medium, high");
	return rows_make(request, vm_row);
}

static json_t *weight_row(struct admin_request *request, const struct store_tenant *tenant,
			  const struct tenant_settings *settings)
{
	const struct tenant *live = tenant_find(request->mediator, tenant->key);
	struct usage_view view = live ? usage_look(request->mediator, live) : (struct usage_view){0};

	return json_pack("{s:o, s:o, s:s, s:i, s:f}", "vm", admin_vm_reference(tenant), "name",
			 admin_string(admin_vm_name(request->mediator, tenant)), "priority",
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

	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:f}", "vm", admin_vm_reference(tenant), "name",
			 admin_string(admin_vm_name(request->mediator, tenant)), "rate",
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
			      json_pack("{s:o, s:o, s:o, s:o, s:o}", "vm", admin_vm_reference(&tenant), "since",
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
				      json_pack("{s:i, s:s, s:i, s:o, s:b, s:b}", "pid", machines[i].pid, "kind",
						discovery_kind_name(machines[i].kind), "vm_id", (int)vm_id, "name",
						admin_string(machines[i].name), "registered",
						store_tenant_get(mediator->store, key, &tenant) == STORE_DONE,
						"connected", session_of_vm(mediator, vm_id) != NULL));
	}
	return 0;
}

const struct admin_command admin_list_commands[] = {
	{"scan-vms", "", scan_vms, true},
	{"list-vms", "pool priority ", list_vms, true},
	{"show-weights", "", show_weights, true},
	{"show-rate-limits", "", show_rate_limits, true},
	{"show-quarantines", "", show_quarantines, true},
	{NULL, NULL, NULL, false},
};
