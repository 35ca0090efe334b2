/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "vgpu_xenstore.h"

#define PATH_BYTES 96

static void path_make(char path[PATH_BYTES], unsigned int domain, const char *key)
{
	snprintf(path, PATH_BYTES, "/local/domain/%u/data/%s", domain, key);
}

static void part_path_make(char path[PATH_BYTES], unsigned int domain, const char *key, unsigned int part)
{
	snprintf(path, PATH_BYTES, "/local/domain/%u/data/%s/%u", domain, key, part);
}

bool jobs_store_offer(struct xs_handle *store, unsigned int domain)
{
	char path[PATH_BYTES];
	char text[16];
	unsigned int count;
	char **nodes;

	/* Its nodes are the guest's, for they have the rights of the one above. */
	path_make(path, domain, "");
	path[strlen(path) - 1] = '\0';
	nodes = xs_directory(store, XBT_NULL, path, &count);
	if (!nodes)
		return false;
	free(nodes);
	path_make(path, domain, VGPU_XENSTORE_READY);
	snprintf(text, sizeof(text), "%u", VGPU_XENSTORE_PARTS_MAX);
	return xs_write(store, XBT_NULL, path, text, (unsigned int)strlen(text));
}

bool jobs_store_watch(struct xs_handle *store, unsigned int domain)
{
	char path[PATH_BYTES];
	char token[16];

	path_make(path, domain, VGPU_XENSTORE_SUBMIT);
	snprintf(token, sizeof(token), "%u", domain);
	return xs_watch(store, path, token);
}

void jobs_store_unwatch(struct xs_handle *store, unsigned int domain)
{
	char path[PATH_BYTES];
	char token[16];

	path_make(path, domain, VGPU_XENSTORE_SUBMIT);
	snprintf(token, sizeof(token), "%u", domain);
	xs_unwatch(store, path, token);
}

/* All parts behind each other; NULL: one is not there or too long. */
static char *parts_read(struct xs_handle *store, unsigned int domain, unsigned int parts, size_t *ret_bytes)
{
	char *request = malloc(VGPU_XENSTORE_BYTES_MAX + 1);
	size_t bytes = 0;

	for (unsigned int i = 0; request && i < parts; i++) {
		char path[PATH_BYTES];
		unsigned int length;
		char *part;

		part_path_make(path, domain, VGPU_XENSTORE_REQUEST, i);
		part = xs_read(store, XBT_NULL, path, &length);
		if (!part || length > VGPU_XENSTORE_PART_BYTES) {
			free(part);
			free(request);
			return NULL;
		}
		memcpy(request + bytes, part, length);
		bytes += length;
		free(part);
	}
	*ret_bytes = bytes;
	return request;
}

/* One job is one line. */
static void line_make(char *request, size_t *bytes)
{
	for (size_t i = 0; i < *bytes; i++)
		if (request[i] == '\n' || request[i] == '\0')
			request[i] = ' ';
	request[(*bytes)++] = '\n';
}

char *jobs_store_request(struct xs_handle *store, unsigned int domain, uint32_t *ret_number, size_t *ret_bytes,
			 const char **ret_problem)
{
	char path[PATH_BYTES];
	unsigned int length;
	unsigned int parts;
	char *request;
	char *submit;
	int found;

	*ret_problem = NULL;
	path_make(path, domain, VGPU_XENSTORE_SUBMIT);
	submit = xs_read(store, XBT_NULL, path, &length);
	found = submit ? sscanf(submit, "%u %u", ret_number, &parts) : 0;
	free(submit);
	if (found < 1)
		return NULL;
	if (found < 2 || parts > VGPU_XENSTORE_PARTS_MAX) {
		*ret_problem = "a request has at most 64 parts of 1024 bytes";
		return NULL;
	}
	request = parts_read(store, domain, parts, ret_bytes);
	if (!request)
		*ret_problem = "a part of the request is not there, or longer than 1024 bytes";
	else
		line_make(request, ret_bytes);
	return request;
}

bool jobs_store_answer(struct xs_handle *store, unsigned int domain, uint32_t number, const char *answer, size_t bytes)
{
	char path[PATH_BYTES];
	char text[32];
	unsigned int parts = 0;

	if (bytes > VGPU_XENSTORE_BYTES_MAX)
		return false;
	path_make(path, domain, VGPU_XENSTORE_ANSWER);
	xs_rm(store, XBT_NULL, path);
	for (size_t at = 0; at < bytes; at += VGPU_XENSTORE_PART_BYTES, parts++) {
		size_t rest = bytes - at;

		part_path_make(path, domain, VGPU_XENSTORE_ANSWER, parts);
		if (!xs_write(store, XBT_NULL, path, answer + at,
			      (unsigned int)(rest < VGPU_XENSTORE_PART_BYTES ? rest : VGPU_XENSTORE_PART_BYTES)))
			return false;
	}
	path_make(path, domain, VGPU_XENSTORE_DONE);
	snprintf(text, sizeof(text), "%u %u", number, parts);
	return xs_write(store, XBT_NULL, path, text, (unsigned int)strlen(text));
}
