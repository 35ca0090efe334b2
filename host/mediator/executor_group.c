/* SPDX-License-Identifier: Apache-2.0 */
#include "executor_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compute_cache_folder.h"
#include "control_group.h"
#include "log.h"
#include "mediator.h"
#include "tenant.h"
#include "tenant_cache.h"

#define SETTING_OWN "own"
/* Where the mediator itself is: a group with children that have limits cannot have processes of its own. */
#define LEAF	      "mediator"
#define TASKS_DEFAULT 4096

struct executor_groups {
	int base;
	bool has_tasks;	 /* the number of processes can be limited */
	bool has_failed; /* and the log has said so */
};

int executor_groups_check(const struct configuration *configuration)
{
	const char *group = configuration->executor_cgroup;

	if (!group || strcmp(group, SETTING_OWN) == 0 || (group[0] == '/' && strlen(group) < PATH_MAX))
		return 0;
	log_error("executor-cgroup: \"%s\" is neither \"" SETTING_OWN "\" nor an absolute path", group);
	return -1;
}

/* The group above the leaf in which the mediator is, or which it makes. -1 with a line in the log. */
static int own_base_open(void)
{
	char path[PATH_MAX];
	char *name;
	int base;

	if (control_group_own_find(path) < 0) {
		log_warning("[CGROUP] The mediator is in no control group of version 2: executors run without");
		return -1;
	}
	name = strrchr(path, '/');
	if (name && strcmp(name, "/" LEAF) == 0) {
		*name = '\0';
	} else if (strlen(path) > 8 && strcmp(path + strlen(path) - 8, ".service") == 0) {
		/* It could start the service no more while executors are there: it would put the mediator here. */
		log_warning("[CGROUP] %s is a service's own group: executors run without (the service needs "
			    "DelegateSubgroup=" LEAF ", of systemd 254)",
			    path);
		return -1;
	}
	base = control_group_open(path);
	if (base < 0)
		log_warning("[CGROUP] %s: %s: executors run without", path, strerror(errno));
	return base;
}

/* One that is not there is made, if it would be a group. -1 with a line in the log. */
static int folder_base_open(const char *path)
{
	int base = control_group_open(path);
	char above[PATH_MAX];
	char *name;
	int parent;

	if (base < 0 && errno == ENOENT) {
		snprintf(above, sizeof(above), "%s", path);
		name = strrchr(above, '/');
		*name = '\0';
		parent = control_group_open(above);
		if (parent >= 0 && mkdirat(parent, name + 1, 0755) == 0)
			base = control_group_open(path);
		if (parent >= 0)
			close(parent);
	}
	if (base < 0)
		log_warning("[CGROUP] %s: %s: executors run without", path,
			    errno == EMEDIUMTYPE ? "no control group of version 2" : strerror(errno));
	return base;
}

static int leaf_enter(int base)
{
	char text[16];
	int leaf;
	int result;

	if (mkdirat(base, LEAF, 0755) < 0 && errno != EEXIST)
		return -1;
	leaf = openat(base, LEAF, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (leaf < 0)
		return -1;
	snprintf(text, sizeof(text), "%d", (int)getpid());
	result = control_group_write(leaf, "cgroup.procs", text);
	close(leaf);
	return result;
}

struct executor_groups *executor_groups_open(const struct configuration *configuration)
{
	const char *setting = configuration->executor_cgroup;
	bool is_own = setting && strcmp(setting, SETTING_OWN) == 0;
	struct executor_groups *groups;
	int base;

	if (!setting)
		return NULL;
	base = is_own ? own_base_open() : folder_base_open(setting);
	if (base < 0)
		return NULL;
	if (!control_group_has(base, "memory")) {
		log_warning(
			"[CGROUP] %s: it has no controller of memory (version 1 may have it): executors run without",
			setting);
		goto fail;
	}
	if ((is_own && leaf_enter(base) < 0) || control_group_write(base, "cgroup.subtree_control", "+memory") < 0) {
		log_warning("[CGROUP] %s: %s: executors run without%s", setting, strerror(errno),
			    errno == EBUSY ? " (other processes are in it)" : "");
		goto fail;
	}
	groups = calloc(1, sizeof(*groups));
	if (!groups)
		goto fail;
	groups->base = base;
	groups->has_tasks = control_group_write(base, "cgroup.subtree_control", "+pids") == 0;
	if (!groups->has_tasks)
		log_warning("[CGROUP] %s: it has no controller of processes: their number is not limited", setting);
	return groups;
fail:
	close(base);
	return NULL;
}

void executor_groups_close(struct executor_groups *groups)
{
	if (!groups)
		return;
	close(groups->base);
	free(groups);
}

void executor_groups_clean(const struct mediator *mediator)
{
	int again = mediator->groups ? openat(mediator->groups->base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *listing = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;

	if (!listing) {
		if (again >= 0)
			close(again);
		return;
	}
	/* One that is in use stays. */
	while ((entry = readdir(listing))) {
		if (compute_cache_name_is_tenants(entry->d_name))
			unlinkat(mediator->groups->base, entry->d_name, AT_REMOVEDIR);
	}
	closedir(listing);
}

void executor_group_defaults(struct tenant_settings *settings)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page_bytes = sysconf(_SC_PAGESIZE);

	settings->host_memory_bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes / 2 : 0;
	settings->host_tasks = TASKS_DEFAULT;
}

static void failure_log(const struct tenant *tenant, const char *what)
{
	struct executor_groups *groups = tenant->mediator->groups;

	if (!groups->has_failed)
		log_warning("[CGROUP] %s: %s: %s: its executors run without limits of the host's memory", tenant->label,
			    what, strerror(errno));
	groups->has_failed = true;
}

static uint64_t limit_of(uint64_t setting)
{
	return setting ? setting : CONTROL_GROUP_UNLIMITED;
}

void executor_group_limits_apply(struct tenant *tenant)
{
	const struct tenant_settings *settings = &tenant->settings;

	if (tenant->group < 0)
		return;
	if (control_group_limit_write(tenant->group, "memory.max", limit_of(settings->host_memory_bytes)) < 0)
		failure_log(tenant, "memory.max");
	if (tenant->mediator->groups->has_tasks &&
	    control_group_limit_write(tenant->group, "pids.max", limit_of(settings->host_tasks)) < 0)
		failure_log(tenant, "pids.max");
}

/* False: it has none. */
static bool group_make(struct tenant *tenant)
{
	const struct executor_groups *groups = tenant->mediator->groups;
	char name[COMPUTE_CACHE_NAME_BYTES];

	if (!groups || tenant->group >= 0)
		return groups;
	tenant_folder_name(tenant, name);
	if (mkdirat(groups->base, name, 0755) == 0 || errno == EEXIST)
		tenant->group = openat(groups->base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tenant->group < 0) {
		failure_log(tenant, "its group");
		return false;
	}
	/* Kills of an earlier mediator's time are none of ours. */
	tenant->group_kills_told = 0;
	control_group_event_read(tenant->group, "memory.events", "oom_kill", &tenant->group_kills_told);
	/* Else the limit would be of what is in memory only. Without swap there is no such file. */
	if (control_group_limit_write(tenant->group, "memory.swap.max", 0) < 0 && errno != ENOENT)
		failure_log(tenant, "memory.swap.max");
	if (control_group_write(tenant->group, "memory.oom.group", "1") < 0)
		failure_log(tenant, "memory.oom.group");
	executor_group_limits_apply(tenant);
	return true;
}

int executor_group_entrance(struct tenant *tenant)
{
	int entrance;

	if (!group_make(tenant))
		return -1;
	entrance = openat(tenant->group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (entrance < 0)
		failure_log(tenant, "cgroup.procs");
	return entrance;
}

void executor_group_adopt(struct tenant *tenant, pid_t pid, int handle)
{
	char text[16];

	/* Once it is gone its number may be somebody else's. */
	if (!group_make(tenant) || syscall(SYS_pidfd_send_signal, handle, 0, NULL, 0) < 0)
		return;
	snprintf(text, sizeof(text), "%d", (int)pid);
	if (control_group_write(tenant->group, "cgroup.procs", text) < 0 && errno != ESRCH)
		failure_log(tenant, "cgroup.procs");
}

void executor_group_remove(struct tenant *tenant)
{
	char name[COMPUTE_CACHE_NAME_BYTES];

	if (tenant->group < 0)
		return;
	close(tenant->group);
	tenant->group = -1;
	tenant_folder_name(tenant, name);
	if (unlinkat(tenant->mediator->groups->base, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		log_debug("[CGROUP] %s: its group stays: %s", tenant->label, strerror(errno));
}

uint64_t executor_group_memory(const struct tenant *tenant)
{
	uint64_t bytes;

	if (tenant->group < 0 || control_group_number_read(tenant->group, "memory.current", &bytes) < 0)
		return 0;
	return bytes;
}

bool executor_group_kill_take(struct tenant *tenant)
{
	uint64_t kills;

	if (tenant->group < 0 || control_group_event_read(tenant->group, "memory.events", "oom_kill", &kills) < 0 ||
	    kills <= tenant->group_kills_told)
		return false;
	tenant->group_kills_told++;
	tenant->group_kills++;
	return true;
}
