/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants: whom shares and limits belong to. A VM is one; of local programs each
 * user is one, or each program's name, as configured. A tenant is there as long
 * as one of its sessions is, and a while longer to remember its faults.
 */
#ifndef MEDIATOR_TENANT_H
#define MEDIATOR_TENANT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "executor_group.h"
#include "store.h"
#include "usage.h"
#include "vgpu_schedule.h"

struct mediator;

enum tenant_kind { TENANT_VM, TENANT_USER, TENANT_PROGRAM };

#define TENANT_NAME_BYTES 64

struct tenant_key {
	enum tenant_kind kind;
	uint32_t id;		      /* vm_id or user */
	char name[TENANT_NAME_BYTES]; /* of a program; else empty */
};

struct tenant_settings {
	uint32_t weight;	/* 1..100 */
	uint32_t priority;	/* enum vgpu_priority */
	uint32_t processes_max; /* 0: as configured for all */
	uint32_t pool;		/* 'A'..'Z'; 0: its device's */
	struct vgpu_limits limits;
	struct executor_group_limits host; /* of its executors */
};

struct tenant {
	LIST_ENTRY(tenant) link;
	struct mediator *mediator;
	struct tenant_key key;
	struct tenant_settings settings;
	uint32_t priority_told; /* by its device */
	uint32_t pool_told;	/* the same; of local programs by the configuration */
	uint32_t users;		/* sessions and processes that hold it */
	uint32_t processes;
	uid_t executor_user; /* 0: none of its own (executor_user.h) */
	struct executor_group group;
	uint64_t group_kills; /* of its executors, for want of memory there */
	struct vgpu_tenant_page *page;
	int page_file;
	/* Faults of its programs since window_start (seconds of CLOCK_MONOTONIC). */
	uint32_t faults;
	uint64_t faults_in_all;
	uint64_t rings_since_ns; /* of its executors' bells (scheduler_bell.c): since when, and how many */
	uint32_t rings;
	uint64_t used_ns; /* GPU time while others were there, of processes that are gone */
	int64_t window_start;
	int64_t quarantined_until;   /* the same; 0: it is not (quarantine.h) */
	bool quarantine_is_unstored; /* the database did not take it: remembered here alone */
	uint64_t quarantines;
	struct usage usage;
	char label[TENANT_NAME_BYTES + 16];
	char name[STORE_KEY_BYTES]; /* "vm:1", as settings and the database name it */
};

LIST_HEAD(tenant_list, tenant);

/*
 * Finds or makes it, with 'priority' where the settings name none. NULL with errno (EIO: the database cannot be read,
 * so that its limits are not known). Each take needs a tenant_release().
 */
struct tenant *tenant_take(struct mediator *mediator, const struct tenant_key *key, uint32_t priority);
/* The page that the tenant's executors have, in the place of a new one that nobody has; the file is taken over. */
void tenant_page_adopt(struct tenant *tenant, int file);
void tenant_hold(struct tenant *tenant);
void tenant_release(struct tenant *tenant);

/* The pool that its programs start in. */
uint32_t tenant_pool(const struct tenant *tenant);

/* A process has ended: what it had charged is the tenant's again. */
void tenant_charges_return(struct tenant *tenant, const volatile struct vgpu_executor_schedule *claims);

/* A program of the tenant did what ends its context or its executor; after too many it is quarantined. */
void tenant_fault_note(struct tenant *tenant, const char *what);

/* NULL: it is not there now. */
struct tenant *tenant_find(const struct mediator *mediator, const char *name);

/* Reads all tenants' settings again, and tells their executors. */
void tenants_settings_apply(struct mediator *mediator);

/* The same for the tenant of that name, if it is there. */
void tenant_settings_refresh(struct mediator *mediator, const char *name);

/* What its VM's device says, which counts more than what its jobs have brought before the device was there. */
void tenant_device_take(struct tenant *tenant, uint32_t pool_id, uint32_t priority);

void tenants_destroy(struct mediator *mediator);

/*
 * The settings of a tenant (tenant_settings.c): built-in values, the configuration's "default", its line for the
 * tenant, the database, each over the one before. 0, or -1 with a line in the log.
 */
int tenant_settings_find(const struct mediator *mediator, const char *name, uint32_t priority,
			 struct tenant_settings *ret_settings);
/* A value as it is stored; -1: there is no such setting, or it cannot have that value. */
int tenant_setting_parse(const char *name, const char *value, enum store_setting *ret_setting, int64_t *ret_number);
/* The value that is in force, in the unit of its name. */
int64_t tenant_setting_value(const struct tenant_settings *settings, enum store_setting setting);
/* Is that a value of the setting "tenant"? If not, why. */
bool tenant_line_check(const char *text, char *ret_reason, size_t bytes);

#endif
