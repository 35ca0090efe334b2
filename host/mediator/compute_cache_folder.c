/* SPDX-License-Identifier: Apache-2.0 */
#include "compute_cache_folder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compute_cache.h"
#include "log.h"

#define TRASH_PREFIX   ".removed-"
#define TRASH_ATTEMPTS 4

int compute_cache_directory_open(const struct compute_cache *cache)
{
	const char *path = cache->path;
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

bool compute_cache_name_make(const char *prefix, const char *tenant, char name[COMPUTE_CACHE_NAME_BYTES])
{
	size_t used = (size_t)snprintf(name, COMPUTE_CACHE_NAME_BYTES, "%s", prefix);

	/* "vm-1", "program-a_2Fb": a name that a program has said becomes one of letters, digits and "_XX". */
	for (const char *at = tenant; *at; at++) {
		unsigned char byte = (unsigned char)*at;

		if (used + sizeof("_XX") > COMPUTE_CACHE_NAME_BYTES)
			return false;
		if (byte < 0x80 && isalnum(byte))
			name[used++] = (char)byte;
		else if (byte == ':' && !memchr(tenant, ':', (size_t)(at - tenant)))
			name[used++] = '-';
		else
			used += (size_t)snprintf(&name[used], sizeof("_XX"), "_%02X", byte);
	}
	name[used] = '\0';
	return true;
}

bool compute_cache_name_is_tenants(const char *name)
{
	static const char *const prefixes[] = {"vm-", "user-", "program-", COMPUTE_CACHE_HOST_PREFIX};

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

void compute_cache_trash_empty(struct compute_cache *cache, struct compute_cache_trash *trash)
{
	char path[PATH_MAX + sizeof(trash->name)];

	if (trash->folder < 0)
		return;
	close(trash->folder);
	trash->folder = -1;
	snprintf(path, sizeof(path), "%s/%s", cache->path, trash->name);
	if (cache->remove(cache, path) < 0)
		log_warning("[CACHE] %s is not removed before the next start: %s", path, strerror(errno));
}
