/* SPDX-License-Identifier: Apache-2.0 */
#include "compute_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "compute_cache_folder.h"
#include "log.h"
#include "user_range.h"

#define UNUSED_SECONDS_MAX (30l * 24 * 3600)
/* Where programs name themselves somebody could make folders without end; looking through so many takes some ms. */
#define FOLDERS_MAX 4096

/* For each entry of a tenant's, or one that is left of a removal. */
typedef void entry_handler(void *argument, int directory, const char *name, const struct stat *status);

int compute_cache_check(const char *path)
{
	if (!path || (path[0] == '/' && strlen(path) + COMPUTE_CACHE_NAME_BYTES < PATH_MAX))
		return 0;
	log_error("compute-cache: \"%s\" is no absolute path", path);
	return -1;
}

static void failure_log(struct compute_cache *cache, const char *name)
{
	if (!cache->has_failed)
		log_warning("[CACHE] %s/%s: %s: there is no compute cache (the directory must be the daemon's, and "
			    "nobody else's to write to)",
			    cache->path, name, strerror(errno));
	cache->has_failed = true;
}

/* 0, or -1 with errno: not all were visited. */
static int entries_visit(int directory, entry_handler *handler, void *argument)
{
	/* With a position of its own. */
	int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;
	int error;

	if (!listing) {
		if (again >= 0)
			close(again);
		return -1;
	}
	while ((errno = 0, entry = readdir(listing))) {
		struct stat status;

		if (!compute_cache_name_is_tenants(entry->d_name) && !compute_cache_trash_is(entry->d_name))
			continue;
		if (fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
			handler(argument, directory, entry->d_name, &status);
		else if (errno != ENOENT)
			break;
	}
	error = errno;
	closedir(listing);
	errno = error;
	return error ? -1 : 0;
}

/*
 * Those of the cache, whose directory is made if need be. What is put into 'trash', where it is not NULL, is removed
 * then. 0, or -1 with errno and a line in the log.
 */
static int cache_visit(struct compute_cache *cache, entry_handler *handler, void *argument,
		       struct compute_cache_trash *trash)
{
	int result = -1;
	int directory;
	int error;

	if (!cache->path)
		return 0;
	directory = compute_cache_directory_open(cache);
	if (directory >= 0) {
		if (trash)
			*trash = (struct compute_cache_trash)COMPUTE_CACHE_TRASH(directory);
		result = entries_visit(directory, handler, argument);
	}
	error = errno;
	if (result < 0)
		failure_log(cache, "");
	if (directory >= 0 && trash)
		compute_cache_trash_empty(cache, trash);
	if (directory >= 0)
		close(directory);
	errno = error;
	return result;
}

static void entry_count(void *argument, int directory, const char *name, const struct stat *status)
{
	unsigned *count = argument;

	(void)directory;
	(void)name;
	(void)status;
	++*count;
}

/* A new folder of that user, open; -1 with errno. */
static int folder_make(int directory, const char *name, uid_t user, gid_t group)
{
	unsigned count = 0;
	int folder;

	if (entries_visit(directory, entry_count, &count) < 0)
		return -1;
	if (count >= FOLDERS_MAX) {
		errno = EDQUOT;
		return -1;
	}
	if (mkdirat(directory, name, 0700) < 0)
		return -1;
	folder = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder >= 0 && (geteuid() != 0 || fchown(folder, user, group) == 0))
		return folder;
	if (folder >= 0)
		close(folder);
	return -1;
}

/* The folder, if it is that user's: as he may have left it, but its rights. -1: it is to be made. */
static int folder_reuse(int directory, const char *name, uid_t user)
{
	int folder = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	if (folder < 0)
		return -1;
	if (fstat(folder, &status) == 0 && status.st_uid == user &&
	    ((status.st_mode & ALLPERMS) == 0700 || fchmod(folder, 0700) == 0))
		return folder;
	close(folder);
	return -1;
}

static int folder_take(struct compute_cache *cache, int directory, const char *name, uid_t user, gid_t group)
{
	struct compute_cache_trash trash = COMPUTE_CACHE_TRASH(directory);
	int folder = folder_reuse(directory, name, user);
	struct stat status;

	if (folder >= 0)
		return folder;
	/* Whatever it is: another user's, a link, a file. */
	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
		int result = compute_cache_trash_take(&trash, name);
		int error = errno;

		compute_cache_trash_empty(cache, &trash);
		errno = error;
		if (result < 0)
			return -1;
	}
	return folder_make(directory, name, user, group);
}

bool compute_cache_prepare(struct compute_cache *cache, const char *name, const struct process_identity *identity,
			   struct compute_cache_variables *ret_variables)
{
	uid_t user = identity->change ? identity->user : geteuid();
	gid_t group = identity->change ? identity->group : getegid();
	int directory;
	int folder = -1;

	if (!cache->path || (identity->change && user_range_is_without_cache(cache->users, user)))
		return false;
	directory = compute_cache_directory_open(cache);
	if (directory >= 0)
		folder = folder_take(cache, directory, name, user, group);
	if (folder < 0)
		failure_log(cache, name);
	if (directory >= 0)
		close(directory);
	if (folder < 0)
		return false;
	/* When it was last used; its owner, or root, may say so. */
	futimens(folder, NULL);
	close(folder);
	snprintf(ret_variables->path, sizeof(ret_variables->path), "CUDA_CACHE_PATH=%s/%s", cache->path, name);
	snprintf(ret_variables->bytes, sizeof(ret_variables->bytes), "CUDA_CACHE_MAXSIZE=%llu",
		 (unsigned long long)cache->mib << 20);
	return true;
}

uid_t compute_cache_user(const struct compute_cache *cache, const char *name)
{
	struct stat status;
	uid_t user = 0;
	int directory;

	if (!cache->path)
		return 0;
	directory = compute_cache_directory_open(cache);
	if (directory < 0)
		return 0;
	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
		user = status.st_uid;
	close(directory);
	return user;
}

struct user_marks {
	uid_t first;
	unsigned count;
	bool *marks;
};

static void user_mark(void *argument, int directory, const char *name, const struct stat *status)
{
	struct user_marks *users = argument;

	(void)directory;
	(void)name;
	if (status->st_uid >= users->first && status->st_uid - users->first < users->count)
		users->marks[status->st_uid - users->first] = true;
}

int compute_cache_users_mark(struct compute_cache *cache, uid_t first, unsigned count, bool *marks)
{
	struct user_marks users = {.first = first, .count = count, .marks = marks};

	return cache_visit(cache, user_mark, &users, NULL);
}

struct forgetting {
	struct compute_cache_trash trash;
	uid_t user;
	int error;
};

static void entry_forget(void *argument, int directory, const char *name, const struct stat *status)
{
	struct forgetting *forgetting = argument;

	(void)directory;
	if (status->st_uid == forgetting->user && compute_cache_trash_take(&forgetting->trash, name) < 0)
		forgetting->error = errno;
}

int compute_cache_user_forget(struct compute_cache *cache, uid_t user)
{
	struct forgetting forgetting = {.user = user};

	if (cache_visit(cache, entry_forget, &forgetting, &forgetting.trash) < 0)
		return -1;
	errno = forgetting.error;
	if (forgetting.error)
		failure_log(cache, "");
	return forgetting.error ? -1 : 0;
}

struct cleaning {
	struct compute_cache *cache;
	bool (*is_in_use)(const void *owner, const char *name);
	const void *owner;
	struct compute_cache_trash trash;
	time_t now;
};

static void entry_clean(void *argument, int directory, const char *name, const struct stat *status)
{
	struct cleaning *cleaning = argument;

	(void)directory;
	/* It may be listed while it is filled. */
	if (cleaning->trash.folder >= 0 && strcmp(name, cleaning->trash.name) == 0)
		return;
	/* What an earlier daemon, with other numbers, may have made for one who is to have none. */
	if (!compute_cache_trash_is(name) && !user_range_is_without_cache(cleaning->cache->users, status->st_uid) &&
	    (cleaning->now - status->st_mtime <= UNUSED_SECONDS_MAX ||
	     (cleaning->is_in_use && cleaning->is_in_use(cleaning->owner, name))))
		return;
	if (compute_cache_trash_take(&cleaning->trash, name) < 0)
		failure_log(cleaning->cache, name);
}

void compute_cache_clean(struct compute_cache *cache, bool (*is_in_use)(const void *owner, const char *name),
			 const void *owner)
{
	struct cleaning cleaning = {.cache = cache, .is_in_use = is_in_use, .owner = owner, .now = time(NULL)};

	(void)cache_visit(cache, entry_clean, &cleaning, &cleaning.trash);
}
