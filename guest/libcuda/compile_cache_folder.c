/* SPDX-License-Identifier: Apache-2.0 */
#include "compile_cache_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* CUDA programming guide, "Environment variables", CUDA_CACHE_MAXSIZE. */
#define BYTES_USUAL (1ull << 30)
#define BYTES_MAX   (4ull << 30)

/* What a program that has ended was writing is removed after that. */
#define MADE_SECONDS 3600

#define ENTRIES_FIRST 64u

struct code_entry {
	char name[COMPILE_CACHE_NAME_BYTES];
	uint64_t bytes;
	struct timespec used;
};

struct code_list {
	struct code_entry *entries;
	size_t count, capacity;
	uint64_t bytes;
};

char *compile_cache_folder(void)
{
	/* Not where the environment is somebody else's (a program with its owner's rights). */
	const char *disabled = secure_getenv("CUDA_CACHE_DISABLE");
	const char *path = secure_getenv("CUDA_CACHE_PATH");
	const char *home = secure_getenv("HOME");
	char *folder = NULL;

	if (disabled && atoi(disabled))
		return NULL;
	if (path && *path && asprintf(&folder, "%s/vgpu-cuda", path) < 0)
		return NULL;
	if (!folder && home && *home && asprintf(&folder, "%s/.nv/ComputeCache/vgpu-cuda", home) < 0)
		return NULL;
	return folder;
}

uint64_t compile_cache_bytes_max(void)
{
	const char *text = secure_getenv("CUDA_CACHE_MAXSIZE");
	unsigned long long bytes;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return BYTES_USUAL;
	errno = 0;
	bytes = strtoull(text, &end, 10);
	if (errno || *end)
		return BYTES_USUAL;
	return bytes < BYTES_MAX ? bytes : BYTES_MAX;
}

bool compile_cache_folder_make(const char *folder)
{
	char path[PATH_MAX];
	struct stat status;

	if (stat(folder, &status) == 0)
		return S_ISDIR(status.st_mode);
	if ((size_t)snprintf(path, sizeof(path), "%s", folder) >= sizeof(path))
		return false;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return false;
		*slash = '/';
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static int used_compare(const void *one, const void *other)
{
	const struct timespec *a = &((const struct code_entry *)one)->used;
	const struct timespec *b = &((const struct code_entry *)other)->used;

	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

static bool list_add(struct code_list *list, const char *name, const struct stat *status)
{
	struct code_entry *entry;

	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : ENTRIES_FIRST;

		entry = realloc(list->entries, capacity * sizeof(*entry));
		if (!entry)
			return false;
		list->entries = entry;
		list->capacity = capacity;
	}
	entry = &list->entries[list->count++];
	*entry = (struct code_entry){.bytes = (uint64_t)status->st_size, .used = status->st_mtim};
	memcpy(entry->name, name, COMPILE_CACHE_NAME_BYTES);
	list->bytes += entry->bytes;
	return true;
}

/* Files of the cache alone: what else lies there is not ours to remove. */
static bool list_take(struct code_list *list, int folder, const char *name)
{
	struct stat status;

	if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
		return true;
	if (strncmp(name, COMPILE_CACHE_MADE, strlen(COMPILE_CACHE_MADE)) == 0) {
		if (time(NULL) - status.st_mtim.tv_sec > MADE_SECONDS)
			unlinkat(folder, name, 0);
		return true;
	}
	if (strlen(name) != COMPILE_CACHE_NAME_BYTES - 1 ||
	    strspn(name, "0123456789abcdef") != COMPILE_CACHE_NAME_BYTES - 1)
		return true;
	return list_add(list, name, &status);
}

void compile_cache_trim(const char *folder)
{
	uint64_t most = compile_cache_bytes_max();
	struct code_list list = {0};
	struct dirent *entry;
	DIR *directory = opendir(folder);
	bool goes_on = true;

	if (!directory)
		return;
	while (goes_on && (entry = readdir(directory)))
		goes_on = list_take(&list, dirfd(directory), entry->d_name);
	if (list.bytes > most) {
		qsort(list.entries, list.count, sizeof(*list.entries), used_compare);
		for (size_t i = 0; i < list.count && list.bytes > most; i++) {
			unlinkat(dirfd(directory), list.entries[i].name, 0);
			list.bytes -= list.entries[i].bytes;
		}
	}
	closedir(directory);
	free(list.entries);
}
