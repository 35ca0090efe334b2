/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's files share. */
#ifndef VGPU_STORE_PRIVATE_H
#define VGPU_STORE_PRIVATE_H

#include <sqlite3.h>

#include "store.h"

enum store_statement {
	SQL_TENANT_GET,
	SQL_TENANT_BY_VM_ID,
	SQL_TENANT_BY_UUID,
	SQL_TENANT_BY_NAME,
	SQL_TENANT_PUT,
	SQL_TENANT_RENAME,
	SQL_TENANT_REMOVE,
	SQL_TENANTS,
	SQL_VM_IDS,
	SQL_POOL_GET,
	SQL_POOL_PUT,
	SQL_POOLS,
	SQL_GPU_PUT,
	SQL_GPU_REMOVE,
	SQL_GPUS,
	SQL_QUARANTINE_GET,
	SQL_QUARANTINE_PUT,
	SQL_QUARANTINE_RENAME,
	SQL_QUARANTINE_CLEAR,
	SQL_QUARANTINES_EXPIRE,
	SQL_QUARANTINES,
	SQL_COUNT,
};

struct store {
	sqlite3 *database;
	sqlite3_stmt *statements[SQL_COUNT];
	int imported;
	char path[256];
	char error[STORE_TEXT_BYTES];
};

/* store_schema.c */

/* Brings the database to this version's schema. 0, or -1 with a sentence; '*ret_is_new': it was empty. */
int store_schema_update(sqlite3 *database, bool *ret_is_new, char *ret_text, size_t text_bytes);

/* store_import.c */

/* Takes over the earlier attempt's database. The number of VMs, or -1 with a sentence. */
int store_import(struct store *store, const char *path, char *ret_text, size_t text_bytes);

/* store.c */

/* The statement, ready for values to be bound. */
sqlite3_stmt *store_statement(struct store *store, enum store_statement statement);
/* Runs a statement that returns nothing. */
enum store_result store_run(struct store *store, sqlite3_stmt *statement);
/* STORE_DONE: there is a row, until store_statement_end(). */
enum store_result store_row(struct store *store, sqlite3_stmt *statement);
void store_statement_end(sqlite3_stmt *statement);
enum store_result store_execute(struct store *store, const char *sql);
/* The column's text, cut to fit; empty where it is NULL. */
void store_text_take(sqlite3_stmt *statement, int column, char *target, size_t bytes);
/* Binds it, or NULL where it is empty. */
void store_text_bind(sqlite3_stmt *statement, int parameter, const char *text);

#endif
