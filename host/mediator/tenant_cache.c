/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "mediator.h"
#include "process.h"
#include "session_device.h"
#include "tenant.h"

#define REMOVER "/bin/rm"

struct tenant_cache_removal {
	struct process process;
	LIST_ENTRY(tenant_cache_removal) link;
	char path[PATH_MAX + NAME_MAX];
};

static void remover_exited(struct process *process, int status)
{
	struct tenant_cache_removal *removal = (struct tenant_cache_removal *)process;
	char how[64];

	process_status_describe(status, how, sizeof(how));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		log_warning("[CACHE] %s was not removed: " REMOVER " %s", removal->path, how);
	LIST_REMOVE(removal, link);
	process_release(&removal->process);
	free(removal);
}

_Static_assert(offsetof(struct tenant_cache_removal, process) == 0, "remover_exited() casts");

/* It does not follow links, however deep and many: its files were made by executors. */
static int remover_start(struct mediator *mediator, struct tenant_cache_removal *removal)
{
	static const struct process_identity same = {.change = false, .control_group = -1};
	char program[] = REMOVER;
	char options[] = "-rf";
	char end[] = "--";
	char *arguments[] = {program, options, end, removal->path, NULL};
	struct process_plan plan = {.path = program, .arguments = arguments, .control = -1, .identity = &same};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int result;

	if (null < 0)
		return -1;
	plan.output = null;
	plan.error = null;
	result = process_start(mediator, &plan, &removal->process);
	close(null);
	return result;
}

static int folder_remove(struct compute_cache *cache, const char *path)
{
	struct mediator *mediator = cache->owner;
	struct tenant_cache_removal *removal = calloc(1, sizeof(*removal));

	if (!removal)
		return -1;
	removal->process = (struct process){.exited = remover_exited, .handle = -1};
	snprintf(removal->path, sizeof(removal->path), "%s", path);
	if (remover_start(mediator, removal) < 0) {
		int error = errno;

		free(removal);
		errno = error;
		return -1;
	}
	LIST_INSERT_HEAD(&mediator->tenant_cache_removals, removal, link);
	return 0;
}

void tenant_caches_configure(struct mediator *mediator)
{
	mediator->compute_cache = (struct compute_cache){
		.path = mediator->configuration.compute_cache,
		.mib = mediator->configuration.compute_cache_mib,
		.users = &mediator->executor_users,
		.remove = folder_remove,
		.owner = mediator,
	};
}

/* Automatic numbers begin anew with each mediator: what one VM left would be the next one's. */
bool tenant_is_lasting(const struct tenant *tenant)
{
	return !tenant->mediator->configuration.vm_id_automatic || tenant->key.kind != TENANT_VM ||
	       tenant->key.id < VM_ID_AUTOMATIC_FIRST;
}

void tenant_folder_name(const struct tenant *tenant, char name[COMPUTE_CACHE_NAME_BYTES])
{
	_Static_assert(STORE_KEY_BYTES * 3 < COMPUTE_CACHE_NAME_BYTES, "each byte may become three");
	(void)compute_cache_name_make("", tenant->name, name);
}

bool tenant_cache_name(const struct tenant *tenant, char name[COMPUTE_CACHE_NAME_BYTES])
{
	tenant_folder_name(tenant, name);
	return tenant_is_lasting(tenant);
}

static bool is_in_use(const void *owner, const char *folder)
{
	const struct mediator *mediator = owner;
	const struct tenant *tenant;
	char name[COMPUTE_CACHE_NAME_BYTES];

	LIST_FOREACH(tenant, &mediator->tenants, link)
	{
		if (tenant_cache_name(tenant, name) && strcmp(name, folder) == 0)
			return true;
	}
	return false;
}

void tenant_caches_clean(struct mediator *mediator)
{
	compute_cache_clean(&mediator->compute_cache, is_in_use, mediator);
}

void tenant_cache_removals_destroy(struct mediator *mediator)
{
	struct tenant_cache_removal *removal;

	while ((removal = LIST_FIRST(&mediator->tenant_cache_removals))) {
		LIST_REMOVE(removal, link);
		LIST_REMOVE(&removal->process, link);
		process_signal(&removal->process, SIGKILL);
		free(removal);
	}
}
