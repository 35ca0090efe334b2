/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linker.  An object of VGPU_KIND_LINK_STATE has a struct link as its detail.
 * What the program gets to see (logs, the image) lies in this process and is
 * fetched from the host after each step.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host_calls.h"
#include "image_file.h"
#include "jit_options.h"
#include "object.h"
#include "session.h"
#include "stage.h"

#define LOGS_BYTES	(56u << 10)
#define IMAGE_BYTES_MAX (1ull << 31)
#define NAME_BYTES_MAX	4096u

struct link {
	pthread_mutex_t mutex;
	struct jit_options options; /* points into the program until the link is destroyed (API reference) */
	void *image;
	size_t image_bytes;
};

struct link_answer {
	uint32_t information_bytes;
	uint32_t error_bytes;
	uint32_t logs_bytes;
	char logs[LOGS_BYTES];
};

static CUresult link_begin(CUlinkState state, uint32_t *ret_context, struct object **ret_object, struct link **ret_link)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	if (result)
		return result;
	*ret_object = object_find(state, VGPU_KIND_LINK_STATE);
	if (!*ret_object)
		return CUDA_ERROR_INVALID_HANDLE;
	*ret_link = (*ret_object)->detail;
	return CUDA_SUCCESS;
}

static void link_free(struct link *link)
{
	pthread_mutex_destroy(&link->mutex);
	free(link->image);
	free(link);
}

API(cuLinkCreate_v2, unsigned int count, CUjit_option *options, void **values, CUlinkState *ret_state)
{
	struct object *object = NULL;
	struct link *link;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_state)
		return CUDA_ERROR_INVALID_VALUE;
	link = calloc(1, sizeof(*link));
	if (!link)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_init(&link->mutex, NULL);
	result = jit_options_read(count, options, values, &link->options);
	if (result)
		goto failed;
	object = object_mint(VGPU_KIND_LINK_STATE, context);
	if (!object) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto failed;
	}
	result = host_cuLinkCreate_v2(context, object->id, link->options.count, link->options.information.capacity,
				      link->options.error.capacity, link->options.wire,
				      link->options.count * (uint32_t)sizeof(link->options.wire[0]));
	if (result)
		goto failed;
	object->detail = link;
	*ret_state = (CUlinkState)object;
	return CUDA_SUCCESS;

failed:
	if (object)
		object_release(object);
	link_free(link);
	return result;
}

API(cuLinkCreate, unsigned int count, CUjit_option *options, void **values, CUlinkState *ret_state)
{
	return cuLinkCreate_v2(count, options, values, ret_state);
}

static void logs_give(const struct link *link, const struct link_answer *answer)
{
	jit_options_give_logs(&link->options, answer->logs, answer->logs_bytes, answer->information_bytes,
			      answer->error_bytes);
}

/* Options of one input and its name, as they cross. */
static CUresult tail_make(unsigned int count, const CUjit_option *options, void **values, const char *name,
			  struct jit_options *ret_options, void **ret_tail, uint32_t *ret_bytes)
{
	size_t options_bytes, name_bytes = strlen(name) + 1;
	uint8_t *tail;
	CUresult result = jit_options_read(count, options, values, ret_options);

	if (result)
		return result;
	if (name_bytes > NAME_BYTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	options_bytes = ret_options->count * sizeof(ret_options->wire[0]);
	tail = malloc(options_bytes + name_bytes);
	if (!tail)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(tail, ret_options->wire, options_bytes);
	memcpy(tail + options_bytes, name, name_bytes);
	*ret_tail = tail;
	*ret_bytes = (uint32_t)(options_bytes + name_bytes);
	return CUDA_SUCCESS;
}

/* The bytes as they are; a text without the NUL that may end it. */
static struct image input_describe(CUjitInputType type, const void *data, size_t bytes)
{
	const uint8_t *from = data;

	while (type == CU_JIT_INPUT_PTX && bytes > 0 && from[bytes - 1] == 0)
		bytes--;
	return (struct image){.piece_count = 1, .single = {.data = from, .bytes = bytes}};
}

static CUresult input_add(CUlinkState state, CUjitInputType type, const void *data, size_t bytes, const char *name,
			  unsigned int count, const CUjit_option *options, void **values)
{
	struct jit_options input_options;
	struct link_answer *answer;
	struct object *object;
	struct link *link;
	struct image image;
	uint32_t context, tail_bytes;
	void *tail;
	CUresult result = link_begin(state, &context, &object, &link);

	if (result)
		return result;
	if (!data || !bytes || (unsigned int)type >= CU_JIT_NUM_INPUT_TYPES)
		return CUDA_ERROR_INVALID_VALUE;
	result = tail_make(count, options, values, name ? name : "", &input_options, &tail, &tail_bytes);
	if (result)
		return result;
	answer = malloc(sizeof(*answer));
	if (!answer) {
		free(tail);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	answer->information_bytes = answer->error_bytes = answer->logs_bytes = 0;
	image = input_describe(type, data, bytes);
	pthread_mutex_lock(&link->mutex);
	result = stage_begin(&image);
	if (!result)
		result = host_cuLinkAddData_v2(context, object->id, (uint32_t)type, input_options.count, tail,
					       tail_bytes, &answer->information_bytes, &answer->error_bytes,
					       answer->logs, LOGS_BYTES, &answer->logs_bytes);
	stage_end();
	logs_give(link, answer);
	pthread_mutex_unlock(&link->mutex);
	free(answer);
	free(tail);
	return result;
}

API(cuLinkAddData_v2, CUlinkState state, CUjitInputType type, void *data, size_t bytes, const char *name,
    unsigned int count, CUjit_option *options, void **values)
{
	return input_add(state, type, data, bytes, name, count, options, values);
}

API(cuLinkAddData, CUlinkState state, CUjitInputType type, void *data, size_t bytes, const char *name,
    unsigned int count, CUjit_option *options, void **values)
{
	return input_add(state, type, data, bytes, name, count, options, values);
}

API(cuLinkAddFile_v2, CUlinkState state, CUjitInputType type, const char *path, unsigned int count,
    CUjit_option *options, void **values)
{
	void *data;
	size_t bytes;
	CUresult result;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	result = image_file_read(path, &data, &bytes);
	if (result)
		return result;
	result = input_add(state, type, data, bytes, path, count, options, values);
	free(data);
	return result;
}

API(cuLinkAddFile, CUlinkState state, CUjitInputType type, const char *path, unsigned int count, CUjit_option *options,
    void **values)
{
	return cuLinkAddFile_v2(state, type, path, count, options, values);
}

/* The image from the host, piece by piece. */
static CUresult image_fetch(uint32_t context, uint32_t id, uint8_t *image, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		size_t room = bytes - done < CHANNEL_PAYLOAD_MAX ? bytes - done : CHANNEL_PAYLOAD_MAX;
		uint32_t got = 0;
		CUresult result = host_cuLinkReadImage(context, id, done, image + done, (uint32_t)room, &got);

		if (result)
			return result;
		if (got == 0)
			return CUDA_ERROR_UNKNOWN;
		done += got;
	}
	return CUDA_SUCCESS;
}

/* Under the link's mutex. */
static CUresult link_complete(struct link *link, uint32_t context, uint32_t id)
{
	struct link_answer *answer = malloc(sizeof(*answer));
	uint64_t bytes = 0, microseconds = 0;
	void *image = NULL;
	CUresult result;

	if (!answer)
		return CUDA_ERROR_OUT_OF_MEMORY;
	answer->information_bytes = answer->error_bytes = answer->logs_bytes = 0;
	result = host_cuLinkComplete(context, id, &bytes, &microseconds, &answer->information_bytes,
				     &answer->error_bytes, answer->logs, LOGS_BYTES, &answer->logs_bytes);
	logs_give(link, answer);
	jit_options_give_time(&link->options, microseconds);
	free(answer);
	if (!result && (bytes == 0 || bytes > IMAGE_BYTES_MAX))
		result = CUDA_ERROR_UNKNOWN;
	if (!result) {
		image = malloc(bytes);
		result = image ? image_fetch(context, id, image, bytes) : CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (result) {
		free(image);
		return result;
	}
	link->image = image;
	link->image_bytes = bytes;
	return CUDA_SUCCESS;
}

API(cuLinkComplete, CUlinkState state, void **ret_image, size_t *ret_bytes)
{
	struct object *object;
	struct link *link;
	uint32_t context;
	CUresult result = link_begin(state, &context, &object, &link);

	if (result)
		return result;
	if (!ret_image)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&link->mutex);
	if (!link->image)
		result = link_complete(link, context, object->id);
	if (!result) {
		*ret_image = link->image;
		if (ret_bytes)
			*ret_bytes = link->image_bytes;
	}
	pthread_mutex_unlock(&link->mutex);
	return result;
}

API(cuLinkDestroy, CUlinkState state)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	object = object_find(state, VGPU_KIND_LINK_STATE);
	if (!object)
		return CUDA_ERROR_INVALID_HANDLE;
	result = host_cuLinkDestroy(context, object->id);
	/* Whatever the host says, nobody can use it any more. */
	link_free(object->detail);
	object_release(object);
	return result;
}
