/* SPDX-License-Identifier: Apache-2.0 */
/* Tenants, pools and quarantines. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_private.h"

#define SETTINGS_FIRST 5 /* column of the first one */

static void number_bind(sqlite3_stmt *statement, int parameter, int64_t number, int64_t null)
{
	if (number == null)
		sqlite3_bind_null(statement, parameter);
	else
		sqlite3_bind_int64(statement, parameter, number);
}

static void pool_bind(sqlite3_stmt *statement, int parameter, char pool)
{
	char text[2] = {pool, '\0'};

	if (pool)
		sqlite3_bind_text(statement, parameter, text, 1, SQLITE_TRANSIENT);
	else
		sqlite3_bind_null(statement, parameter);
}

static char pool_take(sqlite3_stmt *statement, int column)
{
	char text[2];

	store_text_take(statement, column, text, sizeof(text));
	return text[0];
}

void store_tenant_init(struct store_tenant *tenant, const char *key)
{
	*tenant = (struct store_tenant){.vm_id = 0};
	snprintf(tenant->key, sizeof(tenant->key), "%s", key);
	if (strncmp(key, "vm:", 3) == 0)
		tenant->vm_id = (uint32_t)strtoul(key + 3, NULL, 10);
	for (int i = 0; i < STORE_SETTING_COUNT; i++)
		tenant->settings[i] = STORE_UNSET;
}

static void tenant_take(sqlite3_stmt *row, struct store_tenant *tenant)
{
	store_text_take(row, 0, tenant->key, sizeof(tenant->key));
	tenant->vm_id = (uint32_t)sqlite3_column_int64(row, 1);
	store_text_take(row, 2, tenant->uuid, sizeof(tenant->uuid));
	store_text_take(row, 3, tenant->name, sizeof(tenant->name));
	tenant->pool = pool_take(row, 4);
	for (int i = 0; i < STORE_SETTING_COUNT; i++)
		tenant->settings[i] = sqlite3_column_type(row, SETTINGS_FIRST + i) == SQLITE_NULL
					      ? STORE_UNSET
					      : sqlite3_column_int64(row, SETTINGS_FIRST + i);
}

/* The one row of a statement whose values are bound. */
static enum store_result tenant_one(struct store *store, sqlite3_stmt *statement, struct store_tenant *ret_tenant)
{
	enum store_result result = store_row(store, statement);

	if (result == STORE_DONE) {
		tenant_take(statement, ret_tenant);
		result = store_row(store, statement);
		if (result == STORE_DONE)
			result = STORE_CONFLICT;
		else if (result == STORE_NONE)
			result = STORE_DONE;
	}
	store_statement_end(statement);
	return result;
}

enum store_result store_tenant_get(struct store *store, const char *key, struct store_tenant *ret_tenant)
{
	sqlite3_stmt *statement = store_statement(store, SQL_TENANT_GET);

	store_text_bind(statement, 1, key);
	return tenant_one(store, statement, ret_tenant);
}

enum store_result store_tenant_find(struct store *store, const char *text, struct store_tenant *ret_tenant)
{
	enum store_result result = STORE_NONE;
	sqlite3_stmt *statement;

	if (*text && text[strspn(text, "0123456789")] == '\0' && strlen(text) < 11) {
		statement = store_statement(store, SQL_TENANT_BY_VM_ID);
		sqlite3_bind_int64(statement, 1, strtoll(text, NULL, 10));
		result = tenant_one(store, statement, ret_tenant);
	}
	if (result == STORE_NONE)
		result = store_tenant_get(store, text, ret_tenant);
	for (int by = SQL_TENANT_BY_UUID; result == STORE_NONE && by <= SQL_TENANT_BY_NAME; by++) {
		statement = store_statement(store, (enum store_statement)by);
		store_text_bind(statement, 1, text);
		result = tenant_one(store, statement, ret_tenant);
	}
	return result;
}

enum store_result store_tenant_put(struct store *store, const struct store_tenant *tenant)
{
	sqlite3_stmt *statement = store_statement(store, SQL_TENANT_PUT);

	store_text_bind(statement, 1, tenant->key);
	number_bind(statement, 2, tenant->vm_id, 0);
	store_text_bind(statement, 3, tenant->uuid);
	store_text_bind(statement, 4, tenant->name);
	pool_bind(statement, 5, tenant->pool);
	for (int i = 0; i < STORE_SETTING_COUNT; i++)
		number_bind(statement, SETTINGS_FIRST + 1 + i, tenant->settings[i], STORE_UNSET);
	return store_run(store, statement);
}

/* Ends what BEGIN IMMEDIATE has begun, by the result so far. */
static enum store_result transaction_end(struct store *store, enum store_result result)
{
	if (result == STORE_DONE)
		result = store_execute(store, "COMMIT");
	if (result != STORE_DONE)
		sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
	return result;
}

enum store_result store_tenant_rename(struct store *store, const char *key, const struct store_tenant *tenant)
{
	sqlite3_stmt *statement = store_statement(store, SQL_TENANT_RENAME);
	enum store_result result = store_execute(store, "BEGIN IMMEDIATE");

	if (result != STORE_DONE)
		return result;
	store_text_bind(statement, 1, key);
	store_text_bind(statement, 2, tenant->key);
	number_bind(statement, 3, tenant->vm_id, 0);
	result = store_run(store, statement);
	if (result == STORE_DONE) {
		statement = store_statement(store, SQL_QUARANTINE_RENAME);
		store_text_bind(statement, 1, key);
		store_text_bind(statement, 2, tenant->key);
		result = store_run(store, statement);
	}
	return transaction_end(store, result);
}

enum store_result store_tenant_remove(struct store *store, const char *key)
{
	sqlite3_stmt *statement = store_statement(store, SQL_TENANT_REMOVE);
	enum store_result result = store_execute(store, "BEGIN IMMEDIATE");

	if (result != STORE_DONE)
		return result;
	store_text_bind(statement, 1, key);
	result = store_run(store, statement);
	if (result == STORE_DONE && sqlite3_changes(store->database) == 0)
		result = STORE_NONE;
	if (result == STORE_DONE && store_quarantine_clear(store, key) == STORE_FAILED)
		result = STORE_FAILED;
	return transaction_end(store, result);
}

enum store_result store_tenants_visit(struct store *store, bool (*visit)(const struct store_tenant *, void *),
				      void *argument)
{
	sqlite3_stmt *statement = store_statement(store, SQL_TENANTS);
	enum store_result result;

	while ((result = store_row(store, statement)) == STORE_DONE) {
		struct store_tenant tenant;

		tenant_take(statement, &tenant);
		if (!visit(&tenant, argument))
			break;
	}
	store_statement_end(statement);
	return result == STORE_NONE ? STORE_DONE : result;
}

enum store_result store_vm_id_free(struct store *store, uint32_t *ret_vm_id)
{
	sqlite3_stmt *statement = store_statement(store, SQL_VM_IDS);
	enum store_result result;
	uint32_t free_id = 1;

	while ((result = store_row(store, statement)) == STORE_DONE && sqlite3_column_int64(statement, 0) == free_id)
		free_id++;
	store_statement_end(statement);
	if (result == STORE_FAILED)
		return result;
	*ret_vm_id = free_id;
	return STORE_DONE;
}

static void pool_row_take(sqlite3_stmt *row, struct store_pool *pool)
{
	pool->pool = pool_take(row, 0);
	store_text_take(row, 1, pool->name, sizeof(pool->name));
	store_text_take(row, 2, pool->description, sizeof(pool->description));
	store_text_take(row, 3, pool->policy, sizeof(pool->policy));
	pool->is_enabled = sqlite3_column_int(row, 4) != 0;
}

enum store_result store_pool_get(struct store *store, char pool, struct store_pool *ret_pool)
{
	sqlite3_stmt *statement = store_statement(store, SQL_POOL_GET);
	enum store_result result;

	pool_bind(statement, 1, pool);
	result = store_row(store, statement);
	if (result == STORE_DONE) {
		pool_row_take(statement, ret_pool);
	} else if (result == STORE_NONE) {
		*ret_pool = (struct store_pool){.pool = pool, .is_enabled = true};
		snprintf(ret_pool->name, sizeof(ret_pool->name), "Pool %c", pool);
		result = STORE_DONE;
	}
	store_statement_end(statement);
	return result;
}

enum store_result store_pool_put(struct store *store, const struct store_pool *pool)
{
	sqlite3_stmt *statement = store_statement(store, SQL_POOL_PUT);

	pool_bind(statement, 1, pool->pool);
	sqlite3_bind_text(statement, 2, pool->name, -1, SQLITE_STATIC);
	store_text_bind(statement, 3, pool->description);
	store_text_bind(statement, 4, pool->policy);
	sqlite3_bind_int(statement, 5, pool->is_enabled);
	return store_run(store, statement);
}

enum store_result store_pools_visit(struct store *store, bool (*visit)(const struct store_pool *, void *),
				    void *argument)
{
	sqlite3_stmt *statement = store_statement(store, SQL_POOLS);
	enum store_result result;

	while ((result = store_row(store, statement)) == STORE_DONE) {
		struct store_pool pool;

		pool_row_take(statement, &pool);
		if (!visit(&pool, argument))
			break;
	}
	store_statement_end(statement);
	return result == STORE_NONE ? STORE_DONE : result;
}

enum store_result store_gpu_put(struct store *store, const struct store_gpu *gpu)
{
	sqlite3_stmt *statement = store_statement(store, SQL_GPU_PUT);

	store_text_bind(statement, 1, gpu->uuid);
	pool_bind(statement, 2, gpu->pool);
	return store_run(store, statement);
}

enum store_result store_gpu_remove(struct store *store, const char *uuid)
{
	sqlite3_stmt *statement = store_statement(store, SQL_GPU_REMOVE);

	store_text_bind(statement, 1, uuid);
	return store_run(store, statement);
}

enum store_result store_gpus_visit(struct store *store, bool (*visit)(const struct store_gpu *, void *), void *argument)
{
	sqlite3_stmt *statement = store_statement(store, SQL_GPUS);
	enum store_result result;

	while ((result = store_row(store, statement)) == STORE_DONE) {
		struct store_gpu gpu;

		store_text_take(statement, 0, gpu.uuid, sizeof(gpu.uuid));
		gpu.pool = pool_take(statement, 1);
		if (!visit(&gpu, argument))
			break;
	}
	store_statement_end(statement);
	return result == STORE_NONE ? STORE_DONE : result;
}

static void quarantine_take(sqlite3_stmt *row, struct store_quarantine *quarantine)
{
	store_text_take(row, 0, quarantine->key, sizeof(quarantine->key));
	quarantine->since = sqlite3_column_int64(row, 1);
	quarantine->until = sqlite3_column_int64(row, 2);
	store_text_take(row, 3, quarantine->reason, sizeof(quarantine->reason));
	store_text_take(row, 4, quarantine->by, sizeof(quarantine->by));
}

enum store_result store_quarantine_get(struct store *store, const char *key, struct store_quarantine *ret_quarantine)
{
	sqlite3_stmt *statement = store_statement(store, SQL_QUARANTINE_GET);
	enum store_result result;

	store_text_bind(statement, 1, key);
	result = store_row(store, statement);
	if (result == STORE_DONE)
		quarantine_take(statement, ret_quarantine);
	store_statement_end(statement);
	return result;
}

enum store_result store_quarantine_put(struct store *store, const struct store_quarantine *quarantine)
{
	sqlite3_stmt *statement = store_statement(store, SQL_QUARANTINE_PUT);

	store_text_bind(statement, 1, quarantine->key);
	sqlite3_bind_int64(statement, 2, quarantine->since);
	sqlite3_bind_int64(statement, 3, quarantine->until);
	store_text_bind(statement, 4, quarantine->reason);
	store_text_bind(statement, 5, quarantine->by);
	return store_run(store, statement);
}

enum store_result store_quarantine_clear(struct store *store, const char *key)
{
	sqlite3_stmt *statement = store_statement(store, SQL_QUARANTINE_CLEAR);
	enum store_result result;

	store_text_bind(statement, 1, key);
	result = store_run(store, statement);
	if (result == STORE_DONE && sqlite3_changes(store->database) == 0)
		result = STORE_NONE;
	return result;
}

enum store_result store_quarantines_expire(struct store *store, int64_t now)
{
	sqlite3_stmt *statement = store_statement(store, SQL_QUARANTINES_EXPIRE);

	sqlite3_bind_int64(statement, 1, now);
	return store_run(store, statement);
}

enum store_result store_quarantines_visit(struct store *store, bool (*visit)(const struct store_quarantine *, void *),
					  void *argument)
{
	sqlite3_stmt *statement = store_statement(store, SQL_QUARANTINES);
	enum store_result result;

	while ((result = store_row(store, statement)) == STORE_DONE) {
		struct store_quarantine quarantine;

		quarantine_take(statement, &quarantine);
		if (!visit(&quarantine, argument))
			break;
	}
	store_statement_end(statement);
	return result == STORE_NONE ? STORE_DONE : result;
}
