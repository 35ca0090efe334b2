/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_USUAL "10"

static void interrupt(int number)
{
	(void)number;
}

static void failure_print(const char *path)
{
	fprintf(stderr, "vgpu-admin: %s: %s\n", path, strerror(errno));
}

static bool is_empty(int folder)
{
	int descriptor = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = descriptor >= 0 ? fdopendir(descriptor) : NULL;
	const struct dirent *entry;
	bool result = entries;

	if (!entries) {
		if (descriptor >= 0)
			close(descriptor);
		return false;
	}
	while (result && (entry = readdir(entries)))
		result = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(entries);
	return result;
}

/*
 * Makes it, where it is not there. Nothing may be in it and nobody else may write to it, so that no file is another's
 * or there already when an hour was recorded. -1: said why on stderr.
 */
static int folder_open(const char *path)
{
	struct stat status;
	const char *why = NULL;
	int folder;

	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		failure_print(path);
		return -1;
	}
	folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0 || fstat(folder, &status) < 0) {
		failure_print(path);
		goto fail;
	}
	if (status.st_uid != geteuid())
		why = "the folder is another user's";
	else if (status.st_mode & (S_IWGRP | S_IWOTH))
		why = "others may write to the folder";
	else if (faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) < 0)
		why = "no file can be made in the folder";
	else if (!is_empty(folder))
		why = "the folder is not empty";
	if (!why)
		return folder;
	fprintf(stderr, "vgpu-admin: %s: %s\n", path, why);
fail:
	if (folder >= 0)
		close(folder);
	return -1;
}

/* Names come from guests: the file's is made of what is harmless, and of a number, so that no two are the same. */
static void name_make(char name[NAME_MAX + 1], size_t number, const char *tenant)
{
	int at = snprintf(name, NAME_MAX + 1, "%zu-", number);

	for (; *tenant && at > 0 && at < NAME_MAX - 4; tenant++)
		name[at++] = isalnum((unsigned char)*tenant) ? *tenant : '_';
	snprintf(name + at, (size_t)(NAME_MAX + 1 - at), ".txt");
}

/* 0, or -1 with errno. */
static int turns_write(int folder, const char *name, const json_t *turns)
{
	int descriptor = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	FILE *file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
	const json_t *turn;
	size_t index;

	if (!file) {
		if (descriptor >= 0)
			close(descriptor);
		return -1;
	}
	json_array_foreach(turns, index, turn)
	{
		fprintf(file, "%.3f %.3f\n", json_number_value(json_array_get(turn, 0)),
			json_number_value(json_array_get(turn, 1)));
	}
	return fclose(file);
}

static enum exit_code files_write(const char *path, int folder, const json_t *tenants, json_t **ret_result)
{
	const char *tenant;
	const json_t *recorded;
	char name[NAME_MAX + 1];
	size_t count = 0;

	*ret_result = json_array();
	json_object_foreach((json_t *)tenants, tenant, recorded)
	{
		const json_t *turns = json_object_get(recorded, "turns");

		name_make(name, count++, tenant);
		if (turns_write(folder, name, turns) < 0) {
			failure_print(name);
			return EXIT_FAILED;
		}
		json_array_append_new(*ret_result, json_pack("{s:s, s:O, s:O, s:i, s:o}", "tenant", tenant, "weight",
							     json_object_get(recorded, "weight"), "priority",
							     json_object_get(recorded, "priority"), "turns",
							     (int)json_array_size(turns), "file",
							     json_sprintf("%s/%s", path, name)));
	}
	return EXIT_DONE;
}

/* Adds a piece of the recording, by the tenants' names. */
static void piece_add(json_t *tenants, const json_t *piece)
{
	json_t *tenant;
	size_t index;

	json_array_foreach(json_object_get(piece, "tenants"), index, tenant)
	{
		const char *name = json_string_value(json_object_get(tenant, "tenant"));
		json_t *known = json_object_get(tenants, name ? name : "");

		if (known)
			json_array_extend(json_object_get(known, "turns"), json_object_get(tenant, "turns"));
		else
			json_object_set(tenants, name ? name : "", tenant);
	}
}

static enum exit_code pieces_take(struct client *client, json_t *arguments, json_t *tenants)
{
	enum exit_code code;
	bool is_full = false;
	bool is_more = true;

	do {
		json_t *piece = NULL;

		code = client_request(client, "record-end", arguments, &piece);
		if (code == EXIT_DONE) {
			piece_add(tenants, piece);
			is_full = json_is_true(json_object_get(piece, "full"));
			is_more = json_is_true(json_object_get(piece, "more"));
		}
		json_decref(piece);
	} while (code == EXIT_DONE && is_more);
	if (is_full)
		fprintf(stderr,
			"vgpu-admin: there were more turns or tenants than are recorded: these are the first\n");
	return code;
}

/* Connects anew: nobody keeps a place at the mediator for an hour. */
static enum exit_code again(struct client *client)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", client->path ? client->path : "");
	client_close(client);
	return client_connect(client, path);
}

enum exit_code record_run(struct client *client, json_t *arguments, json_t **ret_result)
{
	const struct sigaction action = {.sa_handler = interrupt};
	const char *seconds = json_string_value(json_object_get(arguments, "for"));
	const char *replace = json_string_value(json_object_get(arguments, "replace"));
	const char *path = json_string_value(json_object_get(arguments, "folder"));
	struct timespec time = {.tv_sec = atol(seconds ? seconds : SECONDS_USUAL)};
	int folder = folder_open(path);
	json_t *asked;
	json_t *number;
	json_t *tenants;
	json_t *result = NULL;
	enum exit_code code;

	if (folder < 0)
		return EXIT_FAILED;
	asked = json_pack("{s:s, s:s}", "for", seconds ? seconds : SECONDS_USUAL, "replace", replace ? replace : "no");
	tenants = json_object();
	code = client_request(client, "record-workload", asked, &result);
	number =
		json_pack("{s:o}", "number",
			  json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(result, "number"))));
	json_decref(result);
	if (code == EXIT_DONE) {
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		nanosleep(&time, NULL);
		code = again(client);
	}
	if (code == EXIT_DONE)
		code = pieces_take(client, number, tenants);
	if (code == EXIT_DONE)
		code = files_write(path, folder, tenants, ret_result);
	json_decref(asked);
	json_decref(number);
	json_decref(tenants);
	close(folder);
	return code;
}
