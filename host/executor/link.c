/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "executor.h"
#include "executor_calls.h"
#include "image.h"
#include "image_packed.h"
#include "jit_options.h"

/* Room for both logs of a link, less than a reply has. */
#define LOGS_ROOM (48u << 10)

struct link {
	CUlinkState state;
	struct jit_options options; /* the driver writes into them as long as the link is there */
	const uint8_t *image;	    /* the driver's; NULL: not completed */
	size_t image_bytes;
};

static CUresult link_find(struct executor *executor, uint32_t id, struct link **ret_link)
{
	struct handle *handle = handles_find(&executor->handles, VGPU_KIND_LINK_STATE, id);

	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	*ret_link = (struct link *)(uintptr_t)handle->cache;
	return CUDA_SUCCESS;
}

static void link_free(struct link *link)
{
	jit_options_release(&link->options);
	free(link);
}

void link_forget_context(struct executor *executor, uint32_t context)
{
	struct handle *handle;
	uint32_t index = 0;

	while ((handle = handles_next(&executor->handles, VGPU_KIND_LINK_STATE, &index))) {
		struct link *link = (struct link *)(uintptr_t)handle->cache;

		if (handle->context != context)
			continue;
		executor->driver.cuLinkDestroy(link->state);
		link_free(link);
		handles_forget(&executor->handles, VGPU_ID(VGPU_KIND_LINK_STATE, index - 1));
	}
}

CUresult execute_cuLinkCreate_v2(struct executor *executor, const struct request *request,
				 const struct wire_cuLinkCreate_v2 *arguments, const void *wire_options)
{
	const struct driver *driver = &executor->driver;
	const struct jit_request wanted = {
		.wire = wire_options,
		.wire_bytes = arguments->options_bytes,
		.count = arguments->option_count,
		.info_bytes = arguments->info_log_bytes,
		.error_bytes = arguments->error_log_bytes,
	};
	struct link *link;
	CUresult result = execute_check_mint(executor, VGPU_KIND_LINK_STATE, arguments->state);

	if (result)
		return result;
	if (!driver->cuLinkCreate_v2 || !driver->cuLinkAddData_v2 || !driver->cuLinkComplete || !driver->cuLinkDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	link = calloc(1, sizeof(*link));
	if (!link)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = jit_options_build(&link->options, &wanted, LOGS_ROOM);
	if (!result)
		result = driver->cuLinkCreate_v2(link->options.count, link->options.ids, link->options.values,
						 &link->state);
	if (result) {
		link_free(link);
		return result;
	}
	execute_mint(executor, arguments->state, request->context, link->state);
	handles_find(&executor->handles, VGPU_KIND_LINK_STATE, arguments->state)->cache = (uintptr_t)link;
	return CUDA_SUCCESS;
}

/* The name behind the options, if it ends where the tail does. */
static const char *name_find(const void *tail, uint32_t tail_bytes, size_t options_bytes)
{
	const char *name = (const char *)tail + options_bytes;

	if (options_bytes >= tail_bytes ||
	    memchr(name, 0, tail_bytes - options_bytes) != name + (tail_bytes - options_bytes) - 1)
		return NULL;
	return name;
}

CUresult execute_cuLinkAddData_v2(struct executor *executor, const struct request *request,
				  const struct wire_cuLinkAddData_v2 *arguments, const void *tail,
				  struct wire_cuLinkAddData_v2_reply *reply, void *logs, size_t logs_capacity)
{
	struct jit_request wanted = {.wire = tail, .count = arguments->option_count};
	struct jit_options options = {0};
	struct link *link;
	struct image image;
	const char *name;
	CUresult result = image_take_input(&executor->stage, (CUjitInputType)arguments->type,
					   image_families(&executor->driver), &image);

	(void)request;
	if (result)
		return result;
	/* As on the wire in jit_options.c; a count that is too large fails there. */
	wanted.wire_bytes = arguments->option_count <= JIT_OPTIONS_MAX ? arguments->option_count * JIT_OPTION_BYTES : 0;
	name = name_find(tail, arguments->options_bytes, wanted.wire_bytes);
	result = name ? link_find(executor, arguments->state, &link) : CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = jit_options_build(&options, &wanted, 0);
	if (!result && (link->image || logs_capacity < LOGS_ROOM))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result) {
		result = executor->driver.cuLinkAddData_v2(link->state, (CUjitInputType)arguments->type,
							   (void *)(uintptr_t)image.pointer, image.pointer_bytes, name,
							   options.count, options.ids, options.values);
		jit_options_give_logs(&link->options, logs, &reply->logs_bytes, &reply->info_log_filled,
				      &reply->error_log_filled);
	}
	jit_options_release(&options);
	image_release(&image);
	return result;
}

CUresult execute_cuLinkComplete(struct executor *executor, const struct request *request,
				const struct wire_cuLinkComplete *arguments, struct wire_cuLinkComplete_reply *reply,
				void *logs, size_t logs_capacity)
{
	struct timespec start, end;
	struct link *link;
	void *made = NULL;
	size_t bytes = 0;
	CUresult result = link_find(executor, arguments->state, &link);

	(void)request;
	if (result)
		return result;
	if (logs_capacity < LOGS_ROOM)
		return CUDA_ERROR_INVALID_VALUE;
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (!link->image)
		result = executor->driver.cuLinkComplete(link->state, &made, &bytes);
	clock_gettime(CLOCK_MONOTONIC, &end);
	reply->wall_time_us = (uint64_t)((end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000);
	jit_options_give_logs(&link->options, logs, &reply->logs_bytes, &reply->info_log_filled,
			      &reply->error_log_filled);
	if (result)
		return result;
	if (!link->image) {
		link->image = made;
		link->image_bytes = bytes;
	}
	reply->image_bytes = link->image_bytes;
	return CUDA_SUCCESS;
}

CUresult execute_cuLinkReadImage(struct executor *executor, const struct request *request,
				 const struct wire_cuLinkReadImage *arguments, struct wire_cuLinkReadImage_reply *reply,
				 void *bytes, size_t capacity)
{
	struct link *link;
	CUresult result = link_find(executor, arguments->state, &link);
	size_t left;

	(void)request;
	if (result)
		return result;
	if (!link->image || arguments->offset > link->image_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	left = link->image_bytes - (size_t)arguments->offset;
	if (left > capacity)
		left = capacity;
	memcpy(bytes, link->image + arguments->offset, left);
	reply->bytes_bytes = (uint32_t)left;
	return CUDA_SUCCESS;
}

CUresult execute_cuLinkDestroy(struct executor *executor, const struct request *request,
			       const struct wire_cuLinkDestroy *arguments)
{
	struct link *link;
	CUresult result = link_find(executor, arguments->state, &link);

	(void)request;
	if (result)
		return result;
	result = executor->driver.cuLinkDestroy(link->state);
	if (result)
		return result;
	link_free(link);
	execute_forget(executor, arguments->state);
	return CUDA_SUCCESS;
}
