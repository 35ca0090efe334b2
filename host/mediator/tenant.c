/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "mediator.h"
#include "quarantine.h"
#include "scheduler.h"
#include "tenant_cache.h"

static int64_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void label_make(struct tenant *tenant)
{
	const struct tenant_key *key = &tenant->key;

	if (key->kind == TENANT_PROGRAM)
		snprintf(tenant->label, sizeof(tenant->label), "program=%s", key->name);
	else
		snprintf(tenant->label, sizeof(tenant->label), "%s=%" PRIu32, key->kind == TENANT_VM ? "vm_id" : "uid",
			 key->id);
	if (key->kind == TENANT_PROGRAM)
		snprintf(tenant->name, sizeof(tenant->name), "program:%s", key->name);
	else
		snprintf(tenant->name, sizeof(tenant->name), "%s:%" PRIu32, key->kind == TENANT_VM ? "vm" : "user",
			 key->id);
}

static int page_make(struct tenant *tenant)
{
	void *page;

	tenant->page_file = memfd_create("vgpu-tenant", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (tenant->page_file < 0)
		return -1;
	/* Sealed, for an executor that shrank it could end us with SIGBUS. */
	if (ftruncate(tenant->page_file, VGPU_SCHEDULE_PAGE_BYTES) < 0 ||
	    fcntl(tenant->page_file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	page = mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, tenant->page_file, 0);
	if (page == MAP_FAILED)
		return -1;
	tenant->page = page;
	return 0;
}

static void tenant_free(struct tenant *tenant)
{
	executor_group_remove(&tenant->group);
	if (tenant->page)
		munmap(tenant->page, VGPU_SCHEDULE_PAGE_BYTES);
	if (tenant->page_file >= 0)
		close(tenant->page_file);
	free(tenant);
}

static bool keys_are_equal(const struct tenant_key *one, const struct tenant_key *other)
{
	return one->kind == other->kind && one->id == other->id && strcmp(one->name, other->name) == 0;
}

/* Nobody holds it, and nothing has to be remembered. */
static bool tenant_is_over(struct tenant *tenant, int64_t now)
{
	if (tenant->users || (tenant->quarantine_is_unstored && now < tenant->quarantined_until))
		return false;
	return !tenant->faults || now - tenant->window_start > tenant->mediator->configuration.quarantine_window;
}

static void tenants_sweep(struct mediator *mediator)
{
	struct tenant *tenant = LIST_FIRST(&mediator->tenants);
	int64_t now = seconds_now();

	while (tenant) {
		struct tenant *next = LIST_NEXT(tenant, link);

		if (tenant_is_over(tenant, now)) {
			LIST_REMOVE(tenant, link);
			tenant_free(tenant);
		}
		tenant = next;
	}
}

struct tenant *tenant_take(struct mediator *mediator, const struct tenant_key *key, uint32_t priority)
{
	char folder[COMPUTE_CACHE_NAME_BYTES];
	struct tenant *tenant;

	tenants_sweep(mediator);
	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		if (keys_are_equal(&tenant->key, key)) {
			tenant->users++;
			return tenant;
		}
	}
	tenant = calloc(1, sizeof(*tenant));
	if (!tenant)
		return NULL;
	*tenant = (struct tenant){
		.mediator = mediator, .key = *key, .users = 1, .page_file = -1, .group = {.folder = -1}};
	if (page_make(tenant) < 0) {
		int error = errno;

		tenant_free(tenant);
		errno = error;
		return NULL;
	}
	label_make(tenant);
	tenant_folder_name(tenant, folder);
	executor_group_init(&tenant->group, mediator->groups, folder, tenant->label);
	usage_init(&tenant->usage);
	tenant->priority_told = priority;
	if (tenant_settings_find(mediator, tenant->name, priority, &tenant->settings) < 0 ||
	    quarantine_load(tenant) < 0) {
		tenant_free(tenant);
		errno = EIO;
		return NULL;
	}
	executor_group_limits_set(&tenant->group, &tenant->settings.host);
	LIST_INSERT_HEAD(&mediator->tenants, tenant, link);
	return tenant;
}

struct tenant *tenant_find(const struct mediator *mediator, const char *name)
{
	struct tenant *tenant;

	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		if (strcmp(tenant->name, name) == 0)
			return tenant;
	}
	return NULL;
}

void tenant_page_adopt(struct tenant *tenant, int file)
{
	void *page = MAP_FAILED;

	/* All executors of a tenant have the same one. */
	if (tenant->processes == 0)
		page = mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (page == MAP_FAILED) {
		close(file);
		return;
	}
	munmap(tenant->page, VGPU_SCHEDULE_PAGE_BYTES);
	close(tenant->page_file);
	tenant->page = page;
	tenant->page_file = file;
}

uint32_t tenant_pool(const struct tenant *tenant)
{
	return tenant->settings.pool ? tenant->settings.pool : tenant->pool_told;
}

void tenant_hold(struct tenant *tenant)
{
	tenant->users++;
}

void tenant_release(struct tenant *tenant)
{
	struct mediator *mediator = tenant->mediator;

	tenant->users--;
	tenants_sweep(mediator);
}

static void amount_return(uint64_t *sum, uint64_t amount)
{
	uint64_t there = __atomic_load_n(sum, __ATOMIC_RELAXED);

	/* An executor's claim cannot make others' charges disappear beyond zero. */
	while (!__atomic_compare_exchange_n(sum, &there, amount < there ? there - amount : 0, true, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED))
		continue;
}

void tenant_charges_return(struct tenant *tenant, const volatile struct vgpu_executor_schedule *claims)
{
	amount_return(&tenant->page->memory_bytes, claims->memory_charged);
	amount_return(&tenant->page->pinned_bytes, claims->pinned_charged);
	amount_return(&tenant->page->handles, claims->handles);
	if (tenant->processes > 0)
		return;
	/* Nobody is left: whatever an executor that died between two stores left behind is gone too. */
	__atomic_store_n(&tenant->page->memory_bytes, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&tenant->page->pinned_bytes, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&tenant->page->handles, 0, __ATOMIC_RELAXED);
	executor_group_remove(&tenant->group);
}

void tenant_fault_note(struct tenant *tenant, const char *what)
{
	const struct configuration *configuration = &tenant->mediator->configuration;
	int64_t now = seconds_now();

	tenant->faults_in_all++;
	if (tenant->faults == 0 || now - tenant->window_start > configuration->quarantine_window) {
		tenant->window_start = now;
		tenant->faults = 0;
	}
	tenant->faults++;
	log_debug("[FAULT] %s: %s (%" PRIu32 " lately)", tenant->label, what, tenant->faults);
	if (!configuration->quarantine_faults || tenant->faults < configuration->quarantine_faults ||
	    (tenant->key.kind != TENANT_VM && !configuration->quarantine_local) || tenant->quarantined_until > now)
		return;
	quarantine_faults(tenant, configuration->quarantine_seconds, what);
}

void tenants_settings_apply(struct mediator *mediator)
{
	struct tenant *tenant;

	/* What cannot be read stays as it was. */
	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		if (tenant_settings_find(mediator, tenant->name, tenant->priority_told, &tenant->settings) == 0)
			executor_group_limits_set(&tenant->group, &tenant->settings.host);
	}
	scheduler_settings_apply(mediator);
}

void tenant_settings_refresh(struct mediator *mediator, const char *name)
{
	struct tenant *tenant = tenant_find(mediator, name);

	if (!tenant || tenant_settings_find(mediator, name, tenant->priority_told, &tenant->settings) < 0)
		return;
	executor_group_limits_set(&tenant->group, &tenant->settings.host);
	scheduler_settings_apply(mediator);
}

void tenant_device_take(struct tenant *tenant, uint32_t pool_id, uint32_t priority)
{
	tenant->pool_told = pool_id;
	if (tenant->priority_told == priority)
		return;
	tenant->priority_told = priority;
	tenant_settings_refresh(tenant->mediator, tenant->name);
}

void tenants_destroy(struct mediator *mediator)
{
	struct tenant *tenant;

	while ((tenant = LIST_FIRST(&mediator->tenants))) {
		LIST_REMOVE(tenant, link);
		tenant_free(tenant);
	}
}
