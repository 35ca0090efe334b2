/* SPDX-License-Identifier: Apache-2.0 */
/* What an honest guest asks of an executor with the strict driver. */
#ifndef TEST_HONEST_CALLS_H
#define TEST_HONEST_CALLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "peer.h"

static const char ptx[] = ".version 8.0\n.target sm_90\n.address_size 64\n";
static const char printing_ptx[] = ".version 8.0\n.target sm_90\n.address_size 64\n.extern .func vprintf;\n";

static struct peer peer;

static inline int setup(void **state)
{
	(void)state;
	peer_open(&peer);
	return 0;
}

/* Every test leaves an executor that ends cleanly when it is told to. */
static inline int teardown(void **state)
{
	struct peer_end end;

	(void)state;
	if (!peer.process)
		return 0;
	end = peer_close(&peer);
	return end.by_signal || end.status != 0;
}

static inline double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline uint64_t allocate(uint32_t context, uint64_t bytes)
{
	struct wire_cuMemAlloc_v2 request = {.bytesize = bytes};
	struct wire_cuMemAlloc_v2_reply reply;

	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &request, sizeof(request)), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	return reply.dptr;
}

/* Stages an image of one piece. */
static inline void stage(const void *image, size_t bytes)
{
	struct {
		struct vgpu_stage stage;
		uint64_t piece_bytes;
		uint8_t bytes[4096];
	} record = {.stage.bytes = (uint32_t)(8 + ((bytes + 7) & ~(size_t)7)), .piece_bytes = bytes};

	assert_true(bytes <= sizeof(record.bytes));
	record.stage.total_bytes = record.stage.bytes;
	memcpy(record.bytes, image, bytes);
	assert_true(peer_post(&peer, VGPU_OPCODE_STAGE, 0, 0, &record, sizeof(record.stage) + record.stage.bytes));
}

static inline uint32_t module_load(uint32_t context, uint32_t index, uint32_t kind)
{
	struct wire_cuModuleLoadDataEx request = {.module = VGPU_ID(VGPU_KIND_MODULE, index), .image_kind = kind};

	return peer_call(&peer, VGPU_CALL_cuModuleLoadDataEx, context, &request, sizeof(request));
}

static inline uint32_t function_get(uint32_t context, uint32_t index, uint32_t module, const char *name)
{
	struct {
		struct wire_cuModuleGetFunction request;
		char name[16];
	} record = {.request = {.hfunc = VGPU_ID(VGPU_KIND_FUNCTION, index), .hmod = module}};

	record.request.name_bytes = (uint32_t)strlen(name) + 1;
	snprintf(record.name, sizeof(record.name), "%s", name);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleGetFunction, context, &record,
				   sizeof(record.request) + record.request.name_bytes),
			 CUDA_SUCCESS);
	return record.request.hfunc;
}

/* A module and one of its functions. */
static inline uint32_t function_make(uint32_t context, const char *name)
{
	const char *text = strcmp(name, "print") == 0 || strcmp(name, "flood") == 0 ? printing_ptx : ptx;

	stage(text, strlen(text));
	assert_int_equal(module_load(context, 0, 1), CUDA_SUCCESS);
	return function_get(context, 0, VGPU_ID(VGPU_KIND_MODULE, 0), name);
}

static inline void launch(uint32_t context, uint32_t function, uint32_t stream, uint32_t blocks, uint64_t target,
			  uint64_t a, uint64_t b)
{
	struct {
		struct vgpu_launch launch;
		uint64_t parameters[3];
	} record = {
		.launch = {.function = function,
			   .stream = stream,
			   .grid = {blocks, 1, 1},
			   .block = {32, 1, 1},
			   .parameter_bytes = 24},
		.parameters = {target, a, b},
	};

	assert_true(peer_post(&peer, VGPU_OPCODE_LAUNCH, 0, context, &record, sizeof(record)));
}

static inline uint32_t stream_make(uint32_t context, uint32_t index)
{
	struct wire_cuStreamCreate request = {.phStream = VGPU_ID(VGPU_KIND_STREAM, index), .Flags = 1};

	assert_true(peer_post(&peer, VGPU_CALL_cuStreamCreate, 0, context, &request, sizeof(request)));
	return request.phStream;
}

#endif
