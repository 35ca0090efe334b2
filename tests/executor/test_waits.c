/* SPDX-License-Identifier: Apache-2.0 */
/* Waits of an honest guest: whom they hold up, how many there can be, and what ends them. */
#include <stdlib.h>
#include <unistd.h>

#include "honest_calls.h"
#include "strict_limits.h"

/* One thread's wait for two seconds of kernel must not hold up another's calls. */
static void waits_do_not_block(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	uint32_t slow = stream_make(context, 1);
	uint32_t quick = stream_make(context, 2);
	struct wire_cuStreamSynchronize request = {.hStream = slow};
	uint32_t slow_sequence;
	double start = now_seconds();
	struct vgpu_record header;

	(void)state;
	launch(context, function, slow, 2000000, address, 1, 2);
	assert_true(
		peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &request, sizeof(request)));
	slow_sequence = peer.sequence;
	launch(context, function, quick, 1000, address, 1, 2);
	request.hStream = quick;
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, context, &request, sizeof(request)),
			 CUDA_SUCCESS);
	assert_true(now_seconds() - start < 1.9);
	/* What is issued later in the slow stream is not waited for. */
	launch(context, function, slow, 10000000, address, 1, 2);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.sequence, slow_sequence);
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	assert_true(now_seconds() - start > 1.9 && now_seconds() - start < 11);
}

/* More threads that copy than there are buffers: they wait, none is refused. */
static void copies_for_any_number_of_threads(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	struct vgpu_download_inline down = {.source = address, .bytes = 8};
	struct vgpu_record header;

	(void)state;
	launch(context, function, 0, 200000, address, 40, 2);
	for (int i = 0; i < 200; i++)
		assert_true(
			peer_post(&peer, VGPU_OPCODE_DOWNLOAD_INLINE, VGPU_FLAG_REPLY, context, &down, sizeof(down)));
	for (int i = 0; i < 200; i++) {
		uint64_t sum;

		assert_true(peer_take(&peer, &header));
		assert_int_equal(header.context_or_result, CUDA_SUCCESS);
		memcpy(&sum, peer.reply, sizeof(sum));
		assert_int_equal(sum, 42);
	}
	assert_int_equal(peer.counters->bytes_from_device, 200 * 8);
}

/* Waits for very many streams take memory here: there is an end to it. */
static void waits_are_bounded(void **state)
{
	enum { STREAMS = 1000, WAITS = 300 };
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	uint32_t last = 0;
	int refused = 0;
	struct vgpu_record header;

	(void)state;
	for (uint32_t i = 1; i <= STREAMS; i++)
		last = stream_make(context, i);
	/* Longer than a loaded machine takes to get at all waits. */
	for (int i = 0; i < 6; i++)
		launch(context, function, last, 1000000, address, 1, 2);
	for (int i = 0; i < WAITS; i++)
		assert_true(peer_post(&peer, VGPU_CALL_cuCtxSynchronize, VGPU_FLAG_REPLY, context, NULL, 0));
	for (int i = 0; i < WAITS; i++) {
		assert_true(peer_take(&peer, &header));
		if (header.context_or_result == CUDA_ERROR_OUT_OF_MEMORY)
			refused++;
		else
			assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	}
	assert_int_equal(refused, WAITS - (256 << 10) / STREAMS);
}

/* Memory is freed when the device is done; until then the executor does not wait, unless it needs the room. */
static void frees_wait(void **state)
{
	enum { BYTES = 1 << 20 };
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, BYTES);
	uint32_t function = function_make(context, "add");
	struct wire_cuMemFree_v2 release = {.dptr = address};
	uint32_t stream = stream_make(context, 1);
	struct vgpu_record header;

	(void)state;
	launch(context, function, stream, 2000000, address, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuMemFree_v2, VGPU_FLAG_REPLY, context, &release, sizeof(release)));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxGetApiVersion, 0, &(struct wire_cuCtxGetApiVersion){0},
				   sizeof(struct wire_cuCtxGetApiVersion)),
			 CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(peer.counters->memory_bytes, BYTES);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuMemFree_v2);
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	assert_int_equal(peer.counters->memory_bytes, 0);

	release.dptr = allocate(context, BYTES);
	peer.permit->limits.memory_bytes = peer.tenant->memory_bytes;
	launch(context, function, stream, 1000000, release.dptr, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuMemFree_v2, 0, context, &release, sizeof(release)));
	(void)allocate(context, BYTES);
	assert_int_equal(peer.counters->memory_bytes, BYTES);
}

static void waits_survive_destruction(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	uint32_t stream = stream_make(context, 1);
	struct wire_cuStreamSynchronize wait = {.hStream = stream};
	struct wire_cuStreamDestroy_v2 destroy = {.hStream = stream};
	struct vgpu_record header;

	(void)state;
	launch(context, function, stream, 50000, address, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &wait, sizeof(wait)));
	assert_true(peer_post(&peer, VGPU_CALL_cuStreamDestroy_v2, 0, context, &destroy, sizeof(destroy)));
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	/* And of the context: the wait ends, with an error. */
	stream = stream_make(context, 2);
	wait.hStream = stream;
	launch(context, function, stream, STRICT_KERNEL_US_MAX, address, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &wait, sizeof(wait)));
	{
		struct wire_cuCtxDestroy_v2 end = {.ctx = context};

		assert_true(peer_post(&peer, VGPU_CALL_cuCtxDestroy_v2, VGPU_FLAG_REPLY, 0, &end, sizeof(end)));
	}
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuStreamSynchronize);
	assert_int_equal(header.context_or_result, CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	assert_int_equal(peer.counters->memory_bytes, 0);
	/* What belonged to it is gone. */
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, 0, &wait, sizeof(wait)),
			 CUDA_ERROR_INVALID_HANDLE);
}

/* An event of one context, waited for in another, when the first is destroyed. */
static void waits_end_with_the_event(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	uint32_t stream = stream_make(context, 1);
	struct wire_cuEventCreate create = {.phEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	struct wire_cuEventRecord record = {.hEvent = create.phEvent, .hStream = stream};
	struct wire_cuEventSynchronize wait = {.hEvent = create.phEvent};
	struct wire_cuCtxDestroy_v2 destroy = {.ctx = context};
	uint32_t other = peer_context_make(&peer, 2);
	struct vgpu_record header;

	(void)state;
	launch(context, function, stream, STRICT_KERNEL_US_MAX, address, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuEventCreate, 0, context, &create, sizeof(create)));
	assert_true(peer_post(&peer, VGPU_CALL_cuEventRecord, 0, context, &record, sizeof(record)));
	assert_true(peer_post(&peer, VGPU_CALL_cuEventSynchronize, VGPU_FLAG_REPLY, other, &wait, sizeof(wait)));
	usleep(20000);
	assert_true(peer_post(&peer, VGPU_CALL_cuCtxDestroy_v2, VGPU_FLAG_REPLY, other, &destroy, sizeof(destroy)));
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuEventSynchronize);
	assert_int_equal(header.context_or_result, CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuCtxDestroy_v2);
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	/* A last question, so that a stale event would have been looked at. */
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, other, NULL, 0), CUDA_SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(waits_do_not_block, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_for_any_number_of_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(frees_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_survive_destruction, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_end_with_the_event, setup, teardown),
	};

	return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
