/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SECONDS_USUAL "10"

static void interrupt(int number)
{
	(void)number;
}

/* Names come from guests: the file's is made of what is harmless, and of a number, so that no two are the same. */
static void path_make(char path[PATH_MAX], const char *folder, size_t number, const char *tenant)
{
	int at = snprintf(path, PATH_MAX, "%s/%zu-", folder, number);

	for (; *tenant && at > 0 && at < PATH_MAX - 5; tenant++)
		path[at++] = isalnum((unsigned char)*tenant) ? *tenant : '_';
	if (at > 0 && at < PATH_MAX)
		snprintf(path + at, (size_t)(PATH_MAX - at), ".txt");
}

/* 0, or -1 with errno. */
static int turns_write(const char *path, const json_t *turns)
{
	FILE *file = fopen(path, "we");
	const json_t *turn;
	size_t index;

	if (!file)
		return -1;
	json_array_foreach(turns, index, turn)
	{
		fprintf(file, "%.3f %.3f\n", json_number_value(json_array_get(turn, 0)),
			json_number_value(json_array_get(turn, 1)));
	}
	return fclose(file);
}

static enum exit_code files_write(const char *folder, const json_t *recorded, json_t **ret_result)
{
	const json_t *tenants = json_object_get(recorded, "tenants");
	const json_t *tenant;
	char path[PATH_MAX];
	size_t index;

	if (mkdir(folder, 0777) < 0 && errno != EEXIST) {
		fprintf(stderr, "vgpu-admin: %s: %s\n", folder, strerror(errno));
		return EXIT_FAILED;
	}
	if (json_is_true(json_object_get(recorded, "full")))
		fprintf(stderr,
			"vgpu-admin: there were more turns or tenants than are recorded: these are the first\n");
	*ret_result = json_array();
	json_array_foreach(tenants, index, tenant)
	{
		const json_t *turns = json_object_get(tenant, "turns");
		const char *name = json_string_value(json_object_get(tenant, "tenant"));

		path_make(path, folder, index, name ? name : "");
		if (turns_write(path, turns) < 0) {
			fprintf(stderr, "vgpu-admin: %s: %s\n", path, strerror(errno));
			return EXIT_FAILED;
		}
		json_array_append_new(*ret_result, json_pack("{s:s, s:O, s:O, s:i, s:s}", "tenant", name ? name : "",
							     "weight", json_object_get(tenant, "weight"), "priority",
							     json_object_get(tenant, "priority"), "turns",
							     (int)json_array_size(turns), "file", path));
	}
	return EXIT_DONE;
}

enum exit_code record_run(struct client *client, json_t *arguments, json_t **ret_result)
{
	const struct sigaction action = {.sa_handler = interrupt};
	const char *seconds = json_string_value(json_object_get(arguments, "for"));
	const char *folder = json_string_value(json_object_get(arguments, "folder"));
	json_t *asked = json_pack("{s:s}", "for", seconds ? seconds : SECONDS_USUAL);
	json_t *none = json_object();
	json_t *result = NULL;
	struct timespec time = {.tv_sec = atol(seconds ? seconds : SECONDS_USUAL)};
	enum exit_code code = client_request(client, "record-begin", asked, &result);

	json_decref(result);
	result = NULL;
	if (code == EXIT_DONE) {
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		nanosleep(&time, NULL);
		code = client_request(client, "record-end", none, &result);
	}
	if (code == EXIT_DONE)
		code = files_write(folder, result, ret_result);
	json_decref(result);
	json_decref(asked);
	json_decref(none);
	return code;
}
