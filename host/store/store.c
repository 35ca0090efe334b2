/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store_private.h"

#define WAIT_MS	     50
#define OPEN_WAIT_MS 3000 /* a mediator that is just ending */

#define TENANT_COLUMNS                                                                                              \
	"key, vm_id, uuid, name, pool, weight, priority, processes, memory_mib, pinned_mib, handles, queue_depth, " \
	"commands_per_second, mib_per_second, kernel_ms, host_memory_mib, host_tasks"

static const char *const statement_texts[SQL_COUNT] = {
	[SQL_TENANT_GET] = "SELECT " TENANT_COLUMNS " FROM tenants WHERE key = ?1",
	[SQL_TENANT_BY_VM_ID] = "SELECT " TENANT_COLUMNS " FROM tenants WHERE vm_id = ?1",
	[SQL_TENANT_BY_UUID] = "SELECT " TENANT_COLUMNS " FROM tenants WHERE uuid = lower(?1)",
	[SQL_TENANT_BY_NAME] = "SELECT " TENANT_COLUMNS " FROM tenants WHERE name = ?1 LIMIT 2",
	/* Not REPLACE, which would take away another row with that vm_id or uuid. */
	[SQL_TENANT_PUT] =
		"INSERT INTO tenants (" TENANT_COLUMNS ") "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) "
		"ON CONFLICT (key) DO UPDATE SET vm_id = ?2, uuid = ?3, name = ?4, pool = ?5, weight = ?6, "
		"priority = ?7, processes = ?8, memory_mib = ?9, pinned_mib = ?10, handles = ?11, queue_depth = ?12, "
		"commands_per_second = ?13, mib_per_second = ?14, kernel_ms = ?15, host_memory_mib = ?16, host_tasks = "
		"?17",
	[SQL_TENANT_RENAME] = "UPDATE tenants SET key = ?2, vm_id = ?3 WHERE key = ?1",
	[SQL_TENANT_REMOVE] = "DELETE FROM tenants WHERE key = ?1",
	[SQL_TENANTS] = "SELECT " TENANT_COLUMNS " FROM tenants ORDER BY vm_id IS NULL, vm_id, key",
	[SQL_VM_IDS] = "SELECT vm_id FROM tenants WHERE vm_id IS NOT NULL ORDER BY vm_id",
	[SQL_POOL_GET] = "SELECT pool, name, description, policy, enabled FROM pools WHERE pool = ?1",
	[SQL_POOL_PUT] = "INSERT INTO pools (pool, name, description, policy, enabled) VALUES (?1, ?2, ?3, ?4, ?5) "
			 "ON CONFLICT (pool) DO UPDATE SET name = ?2, description = ?3, policy = ?4, enabled = ?5",
	[SQL_POOLS] = "SELECT pool, name, description, policy, enabled FROM pools ORDER BY pool",
	[SQL_GPU_PUT] = "INSERT INTO gpus (uuid, pool) VALUES (?1, ?2) ON CONFLICT (uuid) DO UPDATE SET pool = ?2",
	[SQL_GPU_REMOVE] = "DELETE FROM gpus WHERE uuid = ?1",
	[SQL_GPUS] = "SELECT uuid, pool FROM gpus ORDER BY uuid",
	[SQL_QUARANTINE_GET] = "SELECT key, since, until, reason, by FROM quarantines WHERE key = ?1",
	[SQL_QUARANTINE_PUT] = "INSERT INTO quarantines (key, since, until, reason, by) VALUES (?1, ?2, ?3, ?4, ?5) "
			       "ON CONFLICT (key) DO UPDATE SET since = ?2, until = ?3, reason = ?4, by = ?5",
	[SQL_QUARANTINE_RENAME] = "UPDATE OR REPLACE quarantines SET key = ?2 WHERE key = ?1",
	[SQL_QUARANTINE_CLEAR] = "DELETE FROM quarantines WHERE key = ?1",
	[SQL_QUARANTINES_EXPIRE] = "DELETE FROM quarantines WHERE until <> 0 AND until <= ?1",
	[SQL_QUARANTINES] = "SELECT key, since, until, reason, by FROM quarantines ORDER BY since, key",
};

const char *const store_setting_names[STORE_SETTING_COUNT] = {
	[STORE_WEIGHT] = "weight",
	[STORE_PRIORITY] = "priority",
	[STORE_PROCESSES] = "processes",
	[STORE_MEMORY_MIB] = "memory-mib",
	[STORE_PINNED_MIB] = "pinned-mib",
	[STORE_HANDLES] = "handles",
	[STORE_QUEUE_DEPTH] = "queue-depth",
	[STORE_COMMANDS_PER_SECOND] = "commands-per-second",
	[STORE_MIB_PER_SECOND] = "mib-per-second",
	[STORE_KERNEL_MS] = "kernel-ms",
	[STORE_HOST_MEMORY_MIB] = "host-memory-mib",
	[STORE_HOST_TASKS] = "host-tasks",
};

static enum store_result failed(struct store *store)
{
	int code = sqlite3_errcode(store->database);

	snprintf(store->error, sizeof(store->error), "database: %s", sqlite3_errmsg(store->database));
	return (code & 0xff) == SQLITE_CONSTRAINT ? STORE_CONFLICT : STORE_FAILED;
}

sqlite3_stmt *store_statement(struct store *store, enum store_statement statement)
{
	return store->statements[statement];
}

void store_statement_end(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

enum store_result store_row(struct store *store, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return STORE_DONE;
	return code == SQLITE_DONE ? STORE_NONE : failed(store);
}

enum store_result store_run(struct store *store, sqlite3_stmt *statement)
{
	enum store_result result = store_row(store, statement);

	store_statement_end(statement);
	return result == STORE_NONE ? STORE_DONE : result;
}

enum store_result store_execute(struct store *store, const char *sql)
{
	return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK ? STORE_DONE : failed(store);
}

void store_text_take(sqlite3_stmt *statement, int column, char *target, size_t bytes)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	snprintf(target, bytes, "%s", text ? text : "");
}

void store_text_bind(sqlite3_stmt *statement, int parameter, const char *text)
{
	if (*text)
		sqlite3_bind_text(statement, parameter, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, parameter);
}

const char *store_error(const struct store *store)
{
	return store->error;
}

const char *store_path(const struct store *store)
{
	return store->path;
}

int store_imported(const struct store *store)
{
	return store->imported;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->database);
	free(store);
}

/* All pages are looked at: of a database of this size that takes milliseconds. */
static int damage_find(sqlite3 *database, char *text, size_t bytes)
{
	sqlite3_stmt *statement = NULL;
	const char *answer = NULL;

	if (sqlite3_prepare_v2(database, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		answer = (const char *)sqlite3_column_text(statement, 0);
	if (!answer || strcmp(answer, "ok") != 0) {
		snprintf(text, bytes, "is damaged (%s): put a copy of it in its place, or move it away to begin anew",
			 answer ? answer : sqlite3_errmsg(database));
		sqlite3_finalize(statement);
		return -1;
	}
	sqlite3_finalize(statement);
	return 0;
}

static int database_prepare(struct store *store, const char *import, char *text, size_t bytes)
{
	sqlite3 *database = store->database;
	bool is_new = false;
	struct stat status;

	sqlite3_busy_timeout(database, OPEN_WAIT_MS);
	sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (damage_find(database, text, bytes) < 0)
		return -1;
	if (sqlite3_exec(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE", NULL,
			 NULL, NULL) != SQLITE_OK) {
		snprintf(text, bytes, "cannot be written: %s", sqlite3_errmsg(database));
		return -1;
	}
	if (store_schema_update(database, &is_new, text, bytes) < 0)
		return -1;
	for (int i = 0; i < SQL_COUNT; i++) {
		if (sqlite3_prepare_v3(database, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &store->statements[i], NULL) != SQLITE_OK) {
			snprintf(text, bytes, "has other tables than its version says: %s", sqlite3_errmsg(database));
			return -1;
		}
	}
	if (is_new && import && stat(import, &status) == 0) {
		store->imported = store_import(store, import, text, bytes);
		if (store->imported < 0)
			return -1;
	}
	if (sqlite3_exec(database, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
		snprintf(text, bytes, "cannot be written: %s", sqlite3_errmsg(database));
		return -1;
	}
	sqlite3_busy_timeout(database, WAIT_MS);
	return 0;
}

struct store *store_open(const char *path, const char *import, char *ret_text, size_t text_bytes)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	struct store *store = calloc(1, sizeof(*store));
	struct stat status;
	mode_t before;
	int code;

	if (!store) {
		snprintf(ret_text, text_bytes, "out of memory");
		return NULL;
	}
	store->imported = -1;
	snprintf(store->path, sizeof(store->path), "%s", path);
	/* To sqlite an empty file is a new database. */
	if (stat(path, &status) == 0 && status.st_size == 0) {
		snprintf(ret_text, text_bytes, "is an empty file: put a copy in its place, or remove it to begin anew");
		free(store);
		return NULL;
	}
	before = umask(0077);
	code = sqlite3_open_v2(path, &store->database, flags, NULL);
	if (code != SQLITE_OK) {
		snprintf(ret_text, text_bytes, "cannot be opened: %s", sqlite3_errmsg(store->database));
		goto fail;
	}
	if (database_prepare(store, import, ret_text, text_bytes) < 0)
		goto fail;
	umask(before);
	return store;
fail:
	umask(before);
	store_close(store);
	return NULL;
}
