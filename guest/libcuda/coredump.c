/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuCoredump*: settings of dumps that are never written, for the executor would write them, into the host's file
 * system. What a program sets is remembered, and told as NVIDIA's driver tells it; to turn dumps on is refused. A
 * context begins with the settings of all, when it is first asked for.
 */
#include "coredump.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

#define FILE_BYTES 1024

struct settings {
	bool triggers_host;
	bool is_lightweight;
	unsigned int flags;
	char file[FILE_BYTES];
};

struct context_settings {
	struct context_settings *next;
	uint32_t context;
	struct settings settings;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct settings of_all = {.triggers_host = true};
static struct context_settings *of_contexts;

/* With the mutex; NULL: out of memory. */
static struct settings *settings_of(uint32_t context)
{
	struct context_settings *found = of_contexts;

	while (found && found->context != context)
		found = found->next;
	if (!found) {
		found = malloc(sizeof(*found));
		if (!found)
			return NULL;
		*found = (struct context_settings){.next = of_contexts, .context = context, .settings = of_all};
		of_contexts = found;
	}
	return &found->settings;
}

void coredumps_forget_context(uint32_t context)
{
	struct context_settings **place = &of_contexts;

	pthread_mutex_lock(&mutex);
	while (*place && (*place)->context != context)
		place = &(*place)->next;
	if (*place) {
		struct context_settings *ended = *place;

		*place = ended->next;
		free(ended);
	}
	pthread_mutex_unlock(&mutex);
}

/* Bytes of an attribute's value, most for a text; 0: there is no such attribute. */
static size_t bytes_of(CUcoredumpSettings attribute, bool is_of_all)
{
	switch (attribute) {
	case CU_COREDUMP_ENABLE_ON_EXCEPTION:
	case CU_COREDUMP_TRIGGER_HOST:
	case CU_COREDUMP_LIGHTWEIGHT:
		return sizeof(bool);
	case CU_COREDUMP_GENERATION_FLAGS:
		return sizeof(unsigned int);
	case CU_COREDUMP_FILE:
		return FILE_BYTES;
	/* These are of all contexts. */
	case CU_COREDUMP_ENABLE_USER_TRIGGER:
		return is_of_all ? sizeof(bool) : 0;
	case CU_COREDUMP_PIPE:
		return is_of_all ? FILE_BYTES : 0;
	default:
		return 0;
	}
}

static CUresult text_get(const char *text, char *value, size_t bytes)
{
	if (strlen(text) >= bytes)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(value, text, strlen(text) + 1);
	return CUDA_SUCCESS;
}

static CUresult setting_get(const struct settings *settings, CUcoredumpSettings attribute, void *value, size_t bytes)
{
	switch (attribute) {
	case CU_COREDUMP_FILE:
		return text_get(settings->file, value, bytes);
	case CU_COREDUMP_PIPE:
		return text_get("", value, bytes);
	case CU_COREDUMP_GENERATION_FLAGS:
		memcpy(value, &settings->flags, sizeof(settings->flags));
		return CUDA_SUCCESS;
	default:
		*(bool *)value = attribute == CU_COREDUMP_TRIGGER_HOST
					 ? settings->triggers_host
					 : attribute == CU_COREDUMP_LIGHTWEIGHT && settings->is_lightweight;
		return CUDA_SUCCESS;
	}
}

static CUresult file_set(struct settings *settings, const char *value, size_t bytes)
{
	size_t length = value ? strnlen(value, bytes) : 0;

	if (length >= FILE_BYTES)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(settings->file, value ? value : "", length);
	settings->file[length] = '\0';
	return CUDA_SUCCESS;
}

static CUresult setting_set(struct settings *settings, CUcoredumpSettings attribute, const void *value, size_t bytes)
{
	/* Without a value it is what it was at first. */
	const unsigned char first = value ? *(const unsigned char *)value : attribute == CU_COREDUMP_TRIGGER_HOST;

	switch (attribute) {
	case CU_COREDUMP_FILE:
		return file_set(settings, value, bytes);
	case CU_COREDUMP_PIPE:
		return CUDA_ERROR_NOT_SUPPORTED;
	case CU_COREDUMP_GENERATION_FLAGS:
		settings->flags = 0;
		if (value)
			memcpy(&settings->flags, value, sizeof(settings->flags));
		return CUDA_SUCCESS;
	case CU_COREDUMP_TRIGGER_HOST:
		settings->triggers_host = first;
		return CUDA_SUCCESS;
	case CU_COREDUMP_LIGHTWEIGHT:
		settings->is_lightweight = first;
		return CUDA_SUCCESS;
	default:
		return first ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
	}
}

static CUresult settings_get(uint32_t context, CUcoredumpSettings attribute, void *value, size_t *bytes)
{
	const size_t most = bytes_of(attribute, !context);
	const struct settings *settings;
	CUresult result;

	if (!bytes || !most)
		return CUDA_ERROR_INVALID_VALUE;
	if (!value) {
		*bytes = most;
		return CUDA_SUCCESS;
	}
	if (most != FILE_BYTES && *bytes != most)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&mutex);
	settings = context ? settings_of(context) : &of_all;
	result = settings ? setting_get(settings, attribute, value, *bytes) : CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_unlock(&mutex);
	return result;
}

static CUresult settings_set(uint32_t context, CUcoredumpSettings attribute, const void *value, const size_t *bytes)
{
	const size_t most = bytes_of(attribute, !context);
	struct settings *settings;
	CUresult result;

	if (!bytes || !most || (most != FILE_BYTES && *bytes != most))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&mutex);
	settings = context ? settings_of(context) : &of_all;
	result = settings ? setting_set(settings, attribute, value, *bytes) : CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_unlock(&mutex);
	return result;
}

API(cuCoredumpGetAttribute, CUcoredumpSettings attribute, void *value, size_t *bytes)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	return result ? result : settings_get(context, attribute, value, bytes);
}

API(cuCoredumpGetAttributeGlobal, CUcoredumpSettings attribute, void *value, size_t *bytes)
{
	return settings_get(0, attribute, value, bytes);
}

API(cuCoredumpSetAttribute, CUcoredumpSettings attribute, void *value, size_t *bytes)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	return result ? result : settings_set(context, attribute, value, bytes);
}

API(cuCoredumpSetAttributeGlobal, CUcoredumpSettings attribute, void *value, size_t *bytes)
{
	return settings_set(0, attribute, value, bytes);
}
