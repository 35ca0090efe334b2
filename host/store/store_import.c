/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The earlier attempt's database: pools(pool_id, pool_name, description, enabled) and vms(vm_id, vm_uuid, vm_name,
 * pool_id, priority, weight, max_jobs_per_sec, max_queue_depth, quarantined). Its schemas were not always the same, so
 * a column that is missing counts as unset. It is only read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "store_private.h"

#define WEIGHT_MAX 100

struct reader {
	sqlite3 *database;
	sqlite3_stmt *statement;
	char *text;
	size_t text_bytes;
};

enum { VM_ID, VM_UUID, VM_NAME, VM_POOL, VM_PRIORITY, VM_WEIGHT, VM_RATE, VM_DEPTH, VM_QUARANTINED, VM_COLUMNS };
enum { POOL_ID, POOL_NAME, POOL_DESCRIPTION, POOL_ENABLED, POOL_COLUMNS };

static int reader_fail(const struct reader *reader, const char *what)
{
	snprintf(reader->text, reader->text_bytes, "the earlier attempt's database cannot be taken over: %s: %s", what,
		 sqlite3_errmsg(reader->database));
	return -1;
}

static bool column_exists(sqlite3 *database, const char *table, const char *column)
{
	return sqlite3_table_column_metadata(database, NULL, table, column, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

/* SELECT of the columns, NULL in the place of those that are missing. */
static int select_prepare(struct reader *reader, const char *table, const char *const *columns, int count,
			  const char *condition)
{
	char sql[512] = "SELECT ";
	size_t at = strlen(sql);

	for (int i = 0; i < count; i++)
		at += (size_t)snprintf(sql + at, sizeof(sql) - at, "%s%s", i ? ", " : "",
				       column_exists(reader->database, table, columns[i]) ? columns[i] : "NULL");
	snprintf(sql + at, sizeof(sql) - at, " FROM %s WHERE %s", table, condition);
	if (sqlite3_prepare_v2(reader->database, sql, -1, &reader->statement, NULL) != SQLITE_OK)
		return reader_fail(reader, table);
	return 0;
}

static void reader_end(struct reader *reader)
{
	sqlite3_finalize(reader->statement);
	reader->statement = NULL;
}

/* 'A', or 0. */
static char pool_take(sqlite3_stmt *row, int column)
{
	char text[4];

	store_text_take(row, column, text, sizeof(text));
	return text[0] >= 'A' && text[0] <= 'Z' && !text[1] ? text[0] : '\0';
}

static int pools_import(struct store *store, struct reader *reader)
{
	static const char *const columns[POOL_COLUMNS] = {"pool_id", "pool_name", "description", "enabled"};
	int code = SQLITE_DONE;

	if (!column_exists(reader->database, "pools", "pool_id"))
		return 0;
	if (select_prepare(reader, "pools", columns, POOL_COLUMNS, "1") < 0)
		return -1;
	while ((code = sqlite3_step(reader->statement)) == SQLITE_ROW) {
		sqlite3_stmt *row = reader->statement;
		struct store_pool pool = {.pool = pool_take(row, POOL_ID)};

		if (!pool.pool)
			continue;
		store_text_take(row, POOL_NAME, pool.name, sizeof(pool.name));
		store_text_take(row, POOL_DESCRIPTION, pool.description, sizeof(pool.description));
		pool.is_enabled = sqlite3_column_type(row, POOL_ENABLED) == SQLITE_NULL ||
				  sqlite3_column_int(row, POOL_ENABLED) != 0;
		if (store_pool_put(store, &pool) != STORE_DONE)
			return reader_fail(reader, store_error(store));
	}
	reader_end(reader);
	return code == SQLITE_DONE ? 0 : reader_fail(reader, "pools");
}

/* "high" or 2. */
static int64_t priority_take(sqlite3_stmt *row, int column)
{
	static const char *const names[] = {"low", "medium", "high"};
	char text[16];

	store_text_take(row, column, text, sizeof(text));
	for (int i = 0; i < 3; i++) {
		if (strcasecmp(text, names[i]) == 0 || (text[0] == '0' + i && !text[1]))
			return i;
	}
	return STORE_UNSET;
}

/* 0 was no limit there too. */
static int64_t limit_take(sqlite3_stmt *row, int column)
{
	int64_t limit = sqlite3_column_int64(row, column);

	return limit > 0 && limit <= UINT32_MAX ? limit : STORE_UNSET;
}

static int vm_import(struct store *store, const struct reader *reader)
{
	sqlite3_stmt *row = reader->statement;
	int64_t vm_id = sqlite3_column_int64(row, VM_ID);
	int64_t weight = sqlite3_column_int64(row, VM_WEIGHT);
	struct store_quarantine quarantine = {.since = time(NULL), .reason = "taken over", .by = "import"};
	struct store_tenant tenant;
	char key[STORE_KEY_BYTES];
	uint32_t free_id;

	/* It had rows of VMs that had not been started yet. */
	if (vm_id < 1 || vm_id > UINT32_MAX) {
		if (store_vm_id_free(store, &free_id) != STORE_DONE)
			return -1;
		vm_id = free_id;
	}
	snprintf(key, sizeof(key), "vm:%lld", (long long)vm_id);
	if (store_tenant_get(store, key, &tenant) == STORE_DONE) {
		snprintf(store->error, sizeof(store->error), "vm_id %lld is there twice", (long long)vm_id);
		return -1;
	}
	store_tenant_init(&tenant, key);
	store_text_take(row, VM_UUID, tenant.uuid, sizeof(tenant.uuid));
	for (char *at = tenant.uuid; *at; at++)
		*at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
	store_text_take(row, VM_NAME, tenant.name, sizeof(tenant.name));
	tenant.pool = pool_take(row, VM_POOL);
	tenant.settings[STORE_PRIORITY] = priority_take(row, VM_PRIORITY);
	if (weight > 0)
		tenant.settings[STORE_WEIGHT] = weight < WEIGHT_MAX ? weight : WEIGHT_MAX;
	tenant.settings[STORE_COMMANDS_PER_SECOND] = limit_take(row, VM_RATE);
	tenant.settings[STORE_QUEUE_DEPTH] = limit_take(row, VM_DEPTH);
	if (store_tenant_put(store, &tenant) != STORE_DONE)
		return -1;
	if (sqlite3_column_int(row, VM_QUARANTINED) == 0)
		return 0;
	snprintf(quarantine.key, sizeof(quarantine.key), "%s", key);
	return store_quarantine_put(store, &quarantine) == STORE_DONE ? 0 : -1;
}

static int vms_import(struct store *store, struct reader *reader)
{
	/* First those with a number, so that no other one is given it. */
	static const char *const passes[] = {"vm_id > 0", "vm_id IS NULL OR vm_id <= 0"};
	static const char *const columns[VM_COLUMNS] = {"vm_id",      "vm_uuid", "vm_name",	     "pool_id",
							"priority",   "weight",	 "max_jobs_per_sec", "max_queue_depth",
							"quarantined"};
	int count = 0;

	for (int pass = 0; pass < 2; pass++) {
		int code;

		if (select_prepare(reader, "vms", columns, VM_COLUMNS, passes[pass]) < 0)
			return -1;
		while ((code = sqlite3_step(reader->statement)) == SQLITE_ROW) {
			if (vm_import(store, reader) < 0) {
				snprintf(reader->text, reader->text_bytes,
					 "the earlier attempt's database cannot be taken over: %s", store_error(store));
				return -1;
			}
			count++;
		}
		if (code != SQLITE_DONE)
			return reader_fail(reader, "vms");
		reader_end(reader);
	}
	return count;
}

int store_import(struct store *store, const char *path, char *ret_text, size_t text_bytes)
{
	struct reader reader = {.text = ret_text, .text_bytes = text_bytes};
	int count = -1;

	if (sqlite3_open_v2(path, &reader.database, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		reader_fail(&reader, path);
	else if (!column_exists(reader.database, "vms", "vm_id"))
		reader_fail(&reader, "it has no table vms with a column vm_id");
	else if (pools_import(store, &reader) == 0)
		count = vms_import(store, &reader);
	reader_end(&reader);
	sqlite3_close(reader.database);
	return count;
}
