/* SPDX-License-Identifier: Apache-2.0 */
#include "configuration_check.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compute_cache.h"
#include "executor_group.h"
#include "executor_process.h"
#include "log.h"
#include "mediator.h"
#include "worker.h"

int configuration_check(const struct configuration *configuration)
{
	int result = 0;

	if (user_range_check(configuration->executor_users_first, configuration->executor_users_count) < 0)
		result = -1;
	if (compute_cache_check(configuration->compute_cache) < 0)
		result = -1;
	if (executor_groups_check(configuration->executor_cgroup) < 0)
		result = -1;
	return result;
}

/* A file is to be made there, or not to be if 'path' is NULL. */
static int directory_look(const char *setting, const char *path)
{
	char copy[PATH_MAX];
	const char *directory;

	if (!path)
		return 0;
	snprintf(copy, sizeof(copy), "%s", path);
	directory = dirname(copy);
	if (access(directory, W_OK | X_OK) == 0)
		return 0;
	log_error("%s: %s: %s", setting, directory, strerror(errno));
	return -1;
}

/* 'path' is freed. */
static int program_look(const char *setting, char *path)
{
	int result = path ? access(path, X_OK) : -1;

	if (!path)
		log_error("%s: the program is not beside the mediator", setting);
	else if (result < 0)
		log_error("%s: %s: %s", setting, path, strerror(errno));
	free(path);
	return result;
}

static int workers_look(const struct mediator *mediator)
{
	int result;
	int file;

	if (mediator->configuration.workers.count == 0)
		return 0;
	result = program_look("relay", worker_relay_find(mediator));
	file = worker_credentials_open(mediator);
	if (file < 0) {
		log_error("worker-credentials: %s: %s", worker_credentials_path(mediator), strerror(errno));
		return -1;
	}
	close(file);
	return result;
}

/* The package that brings a user may be installed later. */
static void users_look(const struct configuration *configuration)
{
	for (size_t i = 0; i < configuration->device_users.count; i++) {
		if (!getpwnam(configuration->device_users.values[i]))
			log_warning("device-user: there is no user \"%s\"", configuration->device_users.values[i]);
	}
	if (configuration->jobs_user && !getpwnam(configuration->jobs_user))
		log_warning("jobs-user: there is no user \"%s\"", configuration->jobs_user);
}

int configuration_look(const struct mediator *mediator)
{
	const struct configuration *configuration = &mediator->configuration;
	const char *database = configuration->database;
	int result = program_look("executor", executor_path_find(mediator));

	for (size_t i = 0; i < configuration->sockets.count; i++) {
		if (directory_look("socket", configuration->sockets.values[i]) < 0)
			result = -1;
	}
	if (directory_look("log", configuration->log) < 0)
		result = -1;
	if (database && strcmp(database, ":memory:") != 0 && directory_look("database", database) < 0)
		result = -1;
	if (workers_look(mediator) < 0)
		result = -1;
	users_look(configuration);
	return result;
}
