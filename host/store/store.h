/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators set while the mediator runs, in one sqlite database: tenants (VMs above all) with their settings,
 * pools, GPUs and quarantines. The settings of the configuration file are the defaults beneath.
 *
 * All calls are made on the mediator's loop, and are bounded: the database is some kilobytes and is in the page
 * cache, every statement is prepared and finds its row by a key, nobody else writes it (a lock that an operator's
 * tool holds is waited for 50 ms at most), and with a write-ahead log and synchronous=NORMAL a commit does not wait
 * for the disk. So what was set last may be lost when the host loses power, never when the mediator ends.
 *
 * A database that is damaged, of a newer version or of somebody else is refused: to begin with an empty one in its
 * place would lift every limit and quarantine.
 */
#ifndef VGPU_STORE_H
#define VGPU_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_BYTES	 80
#define STORE_NAME_BYTES 64
#define STORE_UUID_BYTES 37
#define STORE_TEXT_BYTES 200

#define STORE_POOLS 26 /* A to Z */
#define STORE_UNSET (-1)

struct store;

enum store_result {
	STORE_DONE,
	STORE_NONE,	/* there is no such row */
	STORE_CONFLICT, /* another row has that identity, or the name is several rows' */
	STORE_FAILED,	/* store_error() says what */
};

/* Of a tenant; in the order of the table's columns. Units are those of store_setting_names. */
enum store_setting {
	STORE_WEIGHT,
	STORE_PRIORITY, /* enum vgpu_priority */
	STORE_PROCESSES,
	STORE_MEMORY_MIB,
	STORE_PINNED_MIB,
	STORE_HANDLES,
	STORE_QUEUE_DEPTH,
	STORE_COMMANDS_PER_SECOND,
	STORE_MIB_PER_SECOND,
	STORE_KERNEL_MS,
	STORE_HOST_MEMORY_MIB,
	STORE_HOST_TASKS,
	STORE_SETTING_COUNT,
};

/* As in the configuration file: "memory-mib". */
extern const char *const store_setting_names[STORE_SETTING_COUNT];

struct store_tenant {
	char key[STORE_KEY_BYTES];   /* vm:N, user:N, program:NAME */
	uint32_t vm_id;		     /* 0: no VM */
	char uuid[STORE_UUID_BYTES]; /* lower case; may be empty */
	char name[STORE_NAME_BYTES]; /* may be empty */
	char pool;		     /* 0: unset */
	int64_t settings[STORE_SETTING_COUNT];
};

struct store_pool {
	char pool;
	char name[STORE_NAME_BYTES];
	char description[STORE_TEXT_BYTES];
	char policy[STORE_NAME_BYTES]; /* empty: the configuration's */
	bool is_enabled;
};

/* A GPU that belongs to a pool. */
struct store_gpu {
	char uuid[STORE_NAME_BYTES];
	char pool;
};

/* Of a tenant that may start no programs. */
struct store_quarantine {
	char key[STORE_KEY_BYTES];
	int64_t since; /* seconds of CLOCK_REALTIME */
	int64_t until; /* the same; 0: until it is cleared by hand */
	char reason[STORE_TEXT_BYTES];
	char by[STORE_NAME_BYTES]; /* "mediator", or the operator's user */
};

/*
 * Opens the database or makes it; a new one takes over the earlier attempt's at 'import', where there is a file.
 * ":memory:" is one that ends with the process. NULL with a sentence in 'ret_text'.
 */
struct store *store_open(const char *path, const char *import, char *ret_text, size_t text_bytes);
void store_close(struct store *store); /* NULL is fine */

/* Of what failed last. */
const char *store_error(const struct store *store);

/* As it was opened. */
const char *store_path(const struct store *store);

/* How many VMs an import has brought; -1: there was none. */
int store_imported(const struct store *store);

void store_tenant_init(struct store_tenant *tenant, const char *key);
enum store_result store_tenant_get(struct store *store, const char *key, struct store_tenant *ret_tenant);
/* By what an operator calls it: a vm_id, a UUID, a key or a name. */
enum store_result store_tenant_find(struct store *store, const char *text, struct store_tenant *ret_tenant);
/* Adds it, or replaces the one of that key. */
enum store_result store_tenant_put(struct store *store, const struct store_tenant *tenant);
/* Gives it another key, its quarantine too. */
enum store_result store_tenant_rename(struct store *store, const char *key, const struct store_tenant *tenant);
/* With its quarantine. */
enum store_result store_tenant_remove(struct store *store, const char *key);
/* In the order of VMs' numbers, then of keys; ends when 'visit' is false. */
enum store_result store_tenants_visit(struct store *store, bool (*visit)(const struct store_tenant *, void *),
				      void *argument);
/* The smallest number from 1 on that no VM has. */
enum store_result store_vm_id_free(struct store *store, uint32_t *ret_vm_id);

/* A pool that nobody has named is there too: enabled, with the configuration's policy. */
enum store_result store_pool_get(struct store *store, char pool, struct store_pool *ret_pool);
enum store_result store_pool_put(struct store *store, const struct store_pool *pool);
enum store_result store_pools_visit(struct store *store, bool (*visit)(const struct store_pool *, void *),
				    void *argument);

enum store_result store_gpu_put(struct store *store, const struct store_gpu *gpu);
enum store_result store_gpu_remove(struct store *store, const char *uuid);
enum store_result store_gpus_visit(struct store *store, bool (*visit)(const struct store_gpu *, void *),
				   void *argument);

enum store_result store_quarantine_get(struct store *store, const char *key, struct store_quarantine *ret_quarantine);
enum store_result store_quarantine_put(struct store *store, const struct store_quarantine *quarantine);
enum store_result store_quarantine_clear(struct store *store, const char *key);
/* Removes those that are over. */
enum store_result store_quarantines_expire(struct store *store, int64_t now);
enum store_result store_quarantines_visit(struct store *store, bool (*visit)(const struct store_quarantine *, void *),
					  void *argument);

#endif
