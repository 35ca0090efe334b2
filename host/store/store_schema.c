/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema: each version is what the one before lacks. A version that has been released is never changed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store_private.h"

#define APPLICATION_ID "1986490485" /* "vgpu" */

static const char *const versions[] = {
	"CREATE TABLE pools ("
	"  pool TEXT PRIMARY KEY CHECK (pool GLOB '[A-Z]'),"
	"  name TEXT NOT NULL,"
	"  description TEXT,"
	"  policy TEXT,"
	"  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1))"
	") STRICT;"
	"CREATE TABLE tenants ("
	"  key TEXT PRIMARY KEY,"
	"  vm_id INTEGER UNIQUE CHECK (vm_id BETWEEN 1 AND 4294967295),"
	"  uuid TEXT UNIQUE,"
	"  name TEXT,"
	"  pool TEXT CHECK (pool GLOB '[A-Z]'),"
	"  weight INTEGER CHECK (weight BETWEEN 1 AND 100),"
	"  priority INTEGER CHECK (priority BETWEEN 0 AND 2),"
	"  processes INTEGER CHECK (processes >= 0),"
	"  memory_mib INTEGER CHECK (memory_mib >= 0),"
	"  pinned_mib INTEGER CHECK (pinned_mib >= 0),"
	"  handles INTEGER CHECK (handles >= 0),"
	"  queue_depth INTEGER CHECK (queue_depth >= 0),"
	"  commands_per_second INTEGER CHECK (commands_per_second >= 0),"
	"  mib_per_second INTEGER CHECK (mib_per_second >= 0),"
	"  kernel_ms INTEGER CHECK (kernel_ms >= 0)"
	") STRICT;"
	"CREATE INDEX tenants_by_name ON tenants (name);"
	"CREATE TABLE quarantines ("
	"  key TEXT PRIMARY KEY,"
	"  since INTEGER NOT NULL,"
	"  until INTEGER NOT NULL,"
	"  reason TEXT,"
	"  by TEXT"
	") STRICT;"
	"PRAGMA application_id = " APPLICATION_ID ";",
	"CREATE TABLE gpus ("
	"  uuid TEXT PRIMARY KEY,"
	"  pool TEXT NOT NULL CHECK (pool GLOB '[A-Z]')"
	") STRICT;",
	("ALTER TABLE tenants ADD COLUMN host_memory_mib INTEGER CHECK (host_memory_mib >= 0);"
	 "ALTER TABLE tenants ADD COLUMN host_tasks INTEGER CHECK (host_tasks >= 0);"),
};

#define VERSION_COUNT ((int)(sizeof(versions) / sizeof(versions[0])))

/* The one number that the statement gives; -1: it fails. */
static int64_t number_query(sqlite3 *database, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t number = -1;

	if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

static int version_apply(sqlite3 *database, int version)
{
	char number[64];

	snprintf(number, sizeof(number), "PRAGMA user_version = %d", version);
	if (sqlite3_exec(database, versions[version - 1], NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(database, number, NULL, NULL, NULL) != SQLITE_OK)
		return -1;
	return 0;
}

int store_schema_update(sqlite3 *database, bool *ret_is_new, char *ret_text, size_t text_bytes)
{
	int64_t version = number_query(database, "PRAGMA user_version");
	int64_t application = number_query(database, "PRAGMA application_id");
	int64_t tables = number_query(database, "SELECT count(*) FROM sqlite_schema");

	if (version < 0 || application < 0 || tables < 0) {
		snprintf(ret_text, text_bytes, "cannot be read: %s", sqlite3_errmsg(database));
		return -1;
	}
	if (version > VERSION_COUNT) {
		snprintf(ret_text, text_bytes, "is of version %lld, made by a newer mediator: this one knows %d",
			 (long long)version, VERSION_COUNT);
		return -1;
	}
	if (tables > 0 && (version == 0 || application != atoll(APPLICATION_ID))) {
		snprintf(ret_text, text_bytes,
			 "is the database of another program (to take over that of the earlier "
			 "attempt: database-import)");
		return -1;
	}
	*ret_is_new = version == 0;
	while (version < VERSION_COUNT) {
		if (version_apply(database, (int)++version) < 0) {
			snprintf(ret_text, text_bytes, "cannot be brought to version %lld: %s", (long long)version,
				 sqlite3_errmsg(database));
			return -1;
		}
	}
	return 0;
}
