/* SPDX-License-Identifier: Apache-2.0 */
#include "compute_cache_folder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compute_cache.h"
#include "log.h"
#include "mediator.h"
#include "process.h"
#include "tenant.h"

#define TRASH_PREFIX   ".removed-"
#define TRASH_ATTEMPTS 4
#define REMOVER	       "/bin/rm"

struct compute_cache_removal {
	struct process process;
	LIST_ENTRY(compute_cache_removal) link;
	char path[PATH_MAX + sizeof(((struct compute_cache_trash *)NULL)->name)];
};

int compute_cache_directory_open(const struct mediator *mediator)
{
	const char *path = mediator->configuration.compute_cache;
	struct stat status;
	int directory;

	/* Executors pass through it, and need not see whose folders there are. */
	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return -1;
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return -1;
	if (fstat(directory, &status) < 0 || status.st_uid != geteuid() || status.st_mode & (S_IWGRP | S_IWOTH)) {
		close(directory);
		errno = EPERM;
		return -1;
	}
	return directory;
}

/* "vm-1", "program-a_2Fb": a name that a program has said becomes one of letters, digits and "_XX". */
void compute_cache_name_make(const struct tenant *tenant, char name[COMPUTE_CACHE_NAME_BYTES])
{
	size_t used = 0;

	_Static_assert(STORE_KEY_BYTES * 3 < COMPUTE_CACHE_NAME_BYTES, "each byte may become three");
	for (const char *at = tenant->name; *at; at++) {
		unsigned char byte = (unsigned char)*at;

		if (byte < 0x80 && isalnum(byte))
			name[used++] = (char)byte;
		else if (byte == ':' && !memchr(tenant->name, ':', (size_t)(at - tenant->name)))
			name[used++] = '-';
		else
			used += (size_t)snprintf(&name[used], 4, "_%02X", byte);
	}
	name[used] = '\0';
}

bool compute_cache_name_is_tenants(const char *name)
{
	static const char *const prefixes[] = {"vm-", "user-", "program-"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

bool compute_cache_trash_is(const char *name)
{
	return strncmp(name, TRASH_PREFIX, strlen(TRASH_PREFIX)) == 0;
}

static int trash_make(struct compute_cache_trash *trash)
{
	for (int i = 0; i < TRASH_ATTEMPTS; i++) {
		unsigned long long number;

		if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
			return -1;
		snprintf(trash->name, sizeof(trash->name), TRASH_PREFIX "%012llx", number & 0xffffffffffffull);
		if (mkdirat(trash->directory, trash->name, 0700) == 0) {
			trash->folder =
				openat(trash->directory, trash->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			return trash->folder < 0 ? -1 : 0;
		}
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

int compute_cache_trash_take(struct compute_cache_trash *trash, const char *name)
{
	if (trash->folder < 0 && trash_make(trash) < 0)
		return -1;
	return renameat(trash->directory, name, trash->folder, name);
}

static void remover_exited(struct process *process, int status)
{
	struct compute_cache_removal *removal = (struct compute_cache_removal *)process;
	char how[64];

	process_status_describe(status, how, sizeof(how));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		log_warning("[CACHE] %s was not removed: " REMOVER " %s", removal->path, how);
	LIST_REMOVE(removal, link);
	process_release(&removal->process);
	free(removal);
}

_Static_assert(offsetof(struct compute_cache_removal, process) == 0, "remover_exited() casts");

/* It does not follow links, however deep and many: its files were made by executors. */
static int remover_start(struct mediator *mediator, struct compute_cache_removal *removal)
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

void compute_cache_trash_empty(struct mediator *mediator, struct compute_cache_trash *trash)
{
	struct compute_cache_removal *removal;

	if (trash->folder < 0)
		return;
	close(trash->folder);
	trash->folder = -1;
	removal = calloc(1, sizeof(*removal));
	if (removal) {
		removal->process = (struct process){.exited = remover_exited, .handle = -1};
		snprintf(removal->path, sizeof(removal->path), "%s/%s", mediator->configuration.compute_cache,
			 trash->name);
	}
	if (!removal || remover_start(mediator, removal) < 0) {
		log_warning("[CACHE] %s/%s is not removed before the next start: %s",
			    mediator->configuration.compute_cache, trash->name, strerror(errno));
		free(removal);
		return;
	}
	LIST_INSERT_HEAD(&mediator->compute_cache_removals, removal, link);
}

void compute_cache_removals_destroy(struct mediator *mediator)
{
	struct compute_cache_removal *removal;

	while ((removal = LIST_FIRST(&mediator->compute_cache_removals))) {
		LIST_REMOVE(removal, link);
		LIST_REMOVE(&removal->process, link);
		process_signal(&removal->process, SIGKILL);
		free(removal);
	}
}
