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

#define SETTING_OWN   "own"
#define TASKS_DEFAULT 4096

struct executor_groups {
	int base;
	bool has_tasks;	 /* the number of processes can be limited */
	bool has_failed; /* and the log has said so */
};

int executor_groups_check(const char *setting)
{
	if (!setting || strcmp(setting, SETTING_OWN) == 0 || (setting[0] == '/' && strlen(setting) < PATH_MAX))
		return 0;
	log_error("executor-cgroup: \"%s\" is neither \"" SETTING_OWN "\" nor an absolute path", setting);
	return -1;
}

/* The group above the leaf in which the daemon is, or which it makes. -1 with a line in the log. */
static int own_base_open(const char *leaf)
{
	char path[PATH_MAX];
	char *name;
	int base;

	if (control_group_own_find(path) < 0) {
		log_warning("[CGROUP] This process is in no control group of version 2: executors run without");
		return -1;
	}
	name = strrchr(path, '/');
	if (name && strcmp(name + 1, leaf) == 0) {
		*name = '\0';
	} else if (strlen(path) > 8 && strcmp(path + strlen(path) - 8, ".service") == 0) {
		/* It could start the service no more while executors are there: it would put the daemon here. */
		log_warning("[CGROUP] %s is a service's own group: executors run without (the service needs "
			    "DelegateSubgroup=%s, of systemd 254)",
			    path, leaf);
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

/* A group with children that have limits cannot have processes of its own. */
static int leaf_enter(int base, const char *name)
{
	char text[16];
	int leaf;
	int result;

	if (mkdirat(base, name, 0755) < 0 && errno != EEXIST)
		return -1;
	leaf = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (leaf < 0)
		return -1;
	snprintf(text, sizeof(text), "%d", (int)getpid());
	result = control_group_write(leaf, "cgroup.procs", text);
	close(leaf);
	return result;
}

struct executor_groups *executor_groups_open(const char *setting, const char *leaf)
{
	bool is_own = setting && strcmp(setting, SETTING_OWN) == 0;
	struct executor_groups *groups;
	int base;

	if (!setting)
		return NULL;
	base = is_own ? own_base_open(leaf) : folder_base_open(setting);
	if (base < 0)
		return NULL;
	if (!control_group_has(base, "memory")) {
		log_warning(
			"[CGROUP] %s: it has no controller of memory (version 1 may have it): executors run without",
			setting);
		goto fail;
	}
	if ((is_own && leaf_enter(base, leaf) < 0) ||
	    control_group_write(base, "cgroup.subtree_control", "+memory") < 0) {
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

void executor_groups_clean(const struct executor_groups *groups)
{
	int again = groups ? openat(groups->base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
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
			unlinkat(groups->base, entry->d_name, AT_REMOVEDIR);
	}
	closedir(listing);
}

struct executor_group_limits executor_group_limits_default(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page_bytes = sysconf(_SC_PAGESIZE);

	return (struct executor_group_limits){
		.memory_bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes / 2 : 0,
		.tasks = TASKS_DEFAULT,
	};
}

void executor_group_init(struct executor_group *group, struct executor_groups *groups, const char *name,
			 const char *label)
{
	*group = (struct executor_group){.groups = groups, .label = label, .folder = -1};
	snprintf(group->name, sizeof(group->name), "%s", name);
}

static void failure_log(const struct executor_group *group, const char *what)
{
	if (!group->groups->has_failed)
		log_warning("[CGROUP] %s: %s: %s: its executors run without limits of the host's memory", group->label,
			    what, strerror(errno));
	group->groups->has_failed = true;
}

static uint64_t limit_of(uint64_t setting)
{
	return setting ? setting : CONTROL_GROUP_UNLIMITED;
}

static void limits_apply(const struct executor_group *group)
{
	if (control_group_limit_write(group->folder, "memory.max", limit_of(group->limits.memory_bytes)) < 0)
		failure_log(group, "memory.max");
	if (group->groups->has_tasks &&
	    control_group_limit_write(group->folder, "pids.max", limit_of(group->limits.tasks)) < 0)
		failure_log(group, "pids.max");
}

void executor_group_limits_set(struct executor_group *group, const struct executor_group_limits *limits)
{
	group->limits = *limits;
	if (group->folder >= 0)
		limits_apply(group);
}

/* False: it has none. */
static bool group_make(struct executor_group *group)
{
	const struct executor_groups *groups = group->groups;

	if (!groups || group->folder >= 0)
		return groups;
	if (mkdirat(groups->base, group->name, 0755) == 0 || errno == EEXIST)
		group->folder = openat(groups->base, group->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (group->folder < 0) {
		failure_log(group, "its group");
		return false;
	}
	/* Kills of an earlier daemon's time are none of ours. */
	group->kills_told = 0;
	control_group_event_read(group->folder, "memory.events", "oom_kill", &group->kills_told);
	/* Else the limit would be of what is in memory only. Without swap there is no such file. */
	if (control_group_limit_write(group->folder, "memory.swap.max", 0) < 0 && errno != ENOENT)
		failure_log(group, "memory.swap.max");
	if (control_group_write(group->folder, "memory.oom.group", "1") < 0)
		failure_log(group, "memory.oom.group");
	limits_apply(group);
	return true;
}

int executor_group_entrance(struct executor_group *group)
{
	int entrance;

	if (!group_make(group))
		return -1;
	entrance = openat(group->folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (entrance < 0)
		failure_log(group, "cgroup.procs");
	return entrance;
}

void executor_group_adopt(struct executor_group *group, pid_t pid, int handle)
{
	char text[16];

	/* Once it is gone its number may be somebody else's. */
	if (!group_make(group) || syscall(SYS_pidfd_send_signal, handle, 0, NULL, 0) < 0)
		return;
	snprintf(text, sizeof(text), "%d", (int)pid);
	if (control_group_write(group->folder, "cgroup.procs", text) < 0 && errno != ESRCH)
		failure_log(group, "cgroup.procs");
}

void executor_group_remove(struct executor_group *group)
{
	if (!group->groups || group->folder < 0)
		return;
	close(group->folder);
	group->folder = -1;
	if (unlinkat(group->groups->base, group->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		log_debug("[CGROUP] %s: its group stays: %s", group->label, strerror(errno));
}

uint64_t executor_group_memory(const struct executor_group *group)
{
	uint64_t bytes;

	if (group->folder < 0 || control_group_number_read(group->folder, "memory.current", &bytes) < 0)
		return 0;
	return bytes;
}

bool executor_group_kill_take(struct executor_group *group)
{
	uint64_t kills;

	if (group->folder < 0 || control_group_event_read(group->folder, "memory.events", "oom_kill", &kills) < 0 ||
	    kills <= group->kills_told)
		return false;
	group->kills_told++;
	return true;
}
