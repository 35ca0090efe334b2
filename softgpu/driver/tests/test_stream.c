/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and events: order, overlap, implicit synchronisation, time. */
#include "common.h"

#include <pthread.h>

#define SPIN_NS ((uint64_t)50000000)
#define SPIN_S	0.050
/* So long that the issuing thread of a busy machine is not held up for half of it. */
#define LONG_SPIN_NS ((uint64_t)2000000000)
#define LONG_SPIN_S  2.0

static void launch_returns_at_once(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "spin");
	double start, issued, done;

	(void)state;
	start = seconds_now();
	spin(function, NULL, LONG_SPIN_NS);
	issued = seconds_now();
	assert_result(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
	assert_ok(cuCtxSynchronize());
	done = seconds_now();
	assert_true(issued - start < LONG_SPIN_S / 2);
	assert_true(done - start >= LONG_SPIN_S);
	assert_ok(cuStreamQuery(NULL));
}

static void events_tell_the_time_of_the_stream(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "spin");
	CUevent start, end, untimed;
	float milliseconds = -1;
	double begun;

	(void)state;
	assert_ok(cuEventCreate(&start, 0));
	assert_ok(cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC));
	assert_ok(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	assert_result(cuEventElapsedTime(&milliseconds, start, end), CUDA_ERROR_INVALID_HANDLE);
	begun = seconds_now();
	assert_ok(cuEventRecord(start, NULL));
	spin(function, NULL, LONG_SPIN_NS);
	assert_ok(cuEventRecord(end, NULL));
	assert_ok(cuEventRecord(untimed, NULL));
	assert_result(cuEventQuery(end), CUDA_ERROR_NOT_READY);
	assert_result(cuEventElapsedTime(&milliseconds, start, end), CUDA_ERROR_NOT_READY);
	assert_true(milliseconds == -1);
	assert_ok(cuEventSynchronize(end));
	assert_ok(cuEventElapsedTime(&milliseconds, start, end));
	assert_true(milliseconds / 1e3 >= LONG_SPIN_S);
	assert_true(milliseconds / 1e3 <= seconds_now() - begun);
	assert_ok(cuEventElapsedTime(&milliseconds, end, start));
	assert_true(milliseconds / 1e3 <= -LONG_SPIN_S);
	assert_ok(cuEventSynchronize(untimed));
	assert_result(cuEventElapsedTime(&milliseconds, start, untimed), CUDA_ERROR_INVALID_HANDLE);
	assert_ok(cuEventDestroy_v2(start));
	assert_result(cuEventDestroy_v2(start), CUDA_ERROR_INVALID_HANDLE);
	assert_result(cuEventQuery(start), CUDA_ERROR_INVALID_HANDLE);
}

/* Blocks its stream until it is opened: progress of other streams does not depend on timing. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	bool entered;
};

#define GATE_CLOSED                                                               \
	{                                                                         \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false \
	}

static void gate_wait(void *argument)
{
	struct gate *gate = argument;

	pthread_mutex_lock(&gate->lock);
	gate->entered = true;
	while (!gate->open)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static bool gate_entered(struct gate *gate)
{
	bool entered;

	pthread_mutex_lock(&gate->lock);
	entered = gate->entered;
	pthread_mutex_unlock(&gate->lock);
	return entered;
}

static void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static void independent_streams_overlap(void **state)
{
	struct gate gate = GATE_CLOSED;
	CUstream held, other;
	CUdeviceptr address;
	uint32_t value;

	(void)state;
	assert_ok(cuStreamCreate(&held, CU_STREAM_NON_BLOCKING));
	assert_ok(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	assert_ok(cuMemAlloc_v2(&address, 4));
	assert_ok(cuLaunchHostFunc(held, gate_wait, &gate));
	assert_ok(cuMemsetD32Async(address, 9, 1, other));
	assert_ok(cuStreamSynchronize(other));
	/* The default stream does not wait for non-blocking ones either. */
	assert_ok(cuMemcpyDtoH_v2(&value, address, 4));
	assert_int_equal(value, 9);
	assert_result(cuStreamQuery(held), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	assert_ok(cuStreamSynchronize(held));
	assert_true(gate_entered(&gate));
	assert_ok(cuStreamDestroy_v2(held));
	assert_ok(cuStreamDestroy_v2(other));
	assert_result(cuStreamSynchronize(other), CUDA_ERROR_INVALID_HANDLE);
}

static void default_stream_waits_for_blocking_streams(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "spin");
	CUdeviceptr address;
	CUstream stream;
	uint32_t value = 0;
	double start;

	(void)state;
	assert_ok(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
	assert_ok(cuMemAlloc_v2(&address, 4));
	start = seconds_now();
	spin(function, stream, SPIN_NS);
	assert_ok(cuMemsetD32Async(address, 77, 1, stream));
	assert_ok(cuMemcpyDtoH_v2(&value, address, 4));
	assert_int_equal(value, 77);
	assert_true(seconds_now() - start >= SPIN_S);
	/* And the other way round. */
	start = seconds_now();
	spin(function, NULL, SPIN_NS);
	assert_ok(cuMemsetD32Async(address, 78, 1, stream));
	assert_ok(cuStreamSynchronize(stream));
	assert_true(seconds_now() - start >= SPIN_S);
}

static void events_order_streams(void **state)
{
	struct gate gate = GATE_CLOSED;
	CUstream first, second;
	CUdeviceptr address;
	uint32_t value = 0;
	CUevent event;
	uint32_t *pinned;

	(void)state;
	assert_ok(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
	assert_ok(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
	assert_ok(cuMemAlloc_v2(&address, 4));
	assert_ok(cuMemAllocHost_v2((void **)&pinned, 4));
	assert_ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	assert_ok(cuMemsetD32_v2(address, 1, 1));
	assert_ok(cuCtxSynchronize());
	assert_ok(cuStreamWaitEvent(second, event, 0)); /* never recorded: no obstacle */
	assert_ok(cuStreamSynchronize(second));
	assert_ok(cuLaunchHostFunc(first, gate_wait, &gate));
	assert_ok(cuMemsetD32Async(address, 2, 1, first));
	assert_ok(cuEventRecord(event, first));
	assert_ok(cuStreamWaitEvent(second, event, 0));
	assert_ok(cuMemcpyDtoHAsync_v2(pinned, address, 4, second));
	sleep_ms(20);
	assert_result(cuStreamQuery(second), CUDA_ERROR_NOT_READY);
	gate_open(&gate);
	assert_ok(cuStreamSynchronize(second));
	value = *pinned;
	assert_int_equal(value, 2);
	assert_ok(cuMemFreeHost(pinned));
}

static void host_function_sees_earlier_copies(void **state)
{
	CUmodule module;
	CUfunction function = kernel_load(&module, "store");
	struct gate gate = GATE_CLOSED;
	uint32_t value = 31, *pinned;
	CUdeviceptr address;
	CUstream stream;
	void *parameters[] = {&address, &value};

	(void)state;
	assert_ok(cuMemAlloc_v2(&address, 4));
	assert_ok(cuMemAllocHost_v2((void **)&pinned, 4));
	assert_ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	assert_ok(launch_one(function, stream, parameters));
	value = 0; /* parameters were taken at the launch */
	assert_ok(cuMemcpyDtoHAsync_v2(pinned, address, 4, stream));
	assert_ok(cuLaunchHostFunc(stream, gate_wait, &gate));
	for (int turn = 0; turn < 15000 && !gate_entered(&gate); turn++)
		sleep_ms(2);
	assert_true(gate_entered(&gate));
	assert_int_equal(*pinned, 31);
	gate_open(&gate);
	assert_ok(cuStreamSynchronize(stream));
}

static void callback(CUstream stream, CUresult status, void *user_data)
{
	void **seen = user_data;

	seen[0] = stream;
	seen[1] = (void *)(uintptr_t)(status + 1000);
}

static void callback_is_told_stream_and_status(void **state)
{
	void *seen[2] = {NULL, NULL};
	CUstream stream;

	(void)state;
	assert_ok(cuStreamCreate(&stream, 0));
	assert_result(cuStreamAddCallback(stream, callback, seen, 1), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuStreamAddCallback(stream, callback, seen, 0));
	assert_ok(cuStreamSynchronize(stream));
	assert_ptr_equal(seen[0], stream);
	assert_int_equal((uintptr_t)seen[1], 1000);
}

static void pageable_source_may_be_reused(void **state)
{
	struct gate gate = GATE_CLOSED;
	uint32_t value = 5, result = 0;
	CUdeviceptr address;
	CUstream stream;

	(void)state;
	assert_ok(cuMemAlloc_v2(&address, 4));
	assert_ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	assert_ok(cuLaunchHostFunc(stream, gate_wait, &gate));
	assert_ok(cuMemcpyHtoDAsync_v2(address, &value, 4, stream));
	value = 6; /* the call has read it already */
	gate_open(&gate);
	assert_ok(cuStreamSynchronize(stream));
	assert_ok(cuMemcpyDtoH_v2(&result, address, 4));
	assert_int_equal(result, 5);
}

static void stream_waits_for_a_value(void **state)
{
	CUdeviceptr address, other;
	CUstream waits, writes;
	uint32_t value = 0;

	(void)state;
	assert_ok(cuMemAlloc_v2(&address, 8));
	assert_ok(cuMemAlloc_v2(&other, 8));
	assert_ok(cuStreamCreate(&waits, CU_STREAM_NON_BLOCKING));
	assert_ok(cuStreamCreate(&writes, CU_STREAM_NON_BLOCKING));
	assert_result(cuStreamWaitValue32_v2(waits, address + 1, 3, CU_STREAM_WAIT_VALUE_EQ), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuStreamWaitValue32_v2(waits, address, 3, CU_STREAM_WAIT_VALUE_GEQ));
	assert_ok(cuStreamWaitValue64_v2(waits, address, 4, CU_STREAM_WAIT_VALUE_EQ));
	assert_ok(cuMemsetD32Async(other, 1, 1, waits));
	sleep_ms(10);
	assert_result(cuStreamQuery(waits), CUDA_ERROR_NOT_READY);
	assert_ok(cuStreamWriteValue32_v2(writes, address, 2, 0));
	sleep_ms(10);
	assert_result(cuStreamQuery(waits), CUDA_ERROR_NOT_READY);
	assert_ok(cuStreamWriteValue32_v2(writes, address, 4, 0));
	assert_ok(cuStreamSynchronize(waits));
	assert_ok(cuMemcpyDtoH_v2(&value, other, 4));
	assert_int_equal(value, 1);
}

static void batch_is_checked_as_a_whole(void **state)
{
	CUstreamBatchMemOpParams operations[2] = {
		{.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32}},
		{.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64}},
	};
	uint32_t words[4] = {1, 1, 1, 1};
	CUdeviceptr address;

	(void)state;
	assert_ok(cuMemAlloc_v2(&address, 16));
	assert_ok(cuMemcpyHtoD_v2(address, words, 16));
	operations[0].writeValue.address = address;
	operations[0].writeValue.value = 7;
	operations[1].writeValue.address = address + 8;
	operations[1].writeValue.value64 = 0x800000009;
	operations[1].writeValue.flags = 64;
	assert_result(cuStreamBatchMemOp_v2(NULL, 2, operations, 0), CUDA_ERROR_INVALID_VALUE);
	assert_result(cuStreamBatchMemOp_v2(NULL, 257, operations, 0), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemcpyDtoH_v2(words, address, 16));
	assert_int_equal(words[0], 1);
	operations[1].writeValue.flags = 0;
	assert_ok(cuStreamBatchMemOp_v2(NULL, 2, operations, 0));
	assert_ok(cuMemcpyDtoH_v2(words, address, 16));
	assert_int_equal(words[0], 7);
	assert_int_equal(words[1], 1);
	assert_int_equal(words[2], 9);
	assert_int_equal(words[3], 8);
}

static void destroyed_stream_finishes_its_work(void **state)
{
	struct gate gate = GATE_CLOSED;
	CUdeviceptr address;
	CUstream stream;
	uint32_t value;

	(void)state;
	assert_ok(cuMemAlloc_v2(&address, 4));
	assert_ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	assert_ok(cuLaunchHostFunc(stream, gate_wait, &gate));
	assert_ok(cuMemsetD32Async(address, 55, 1, stream));
	assert_ok(cuStreamDestroy_v2(stream));
	gate_open(&gate);
	assert_ok(cuCtxSynchronize());
	assert_ok(cuMemcpyDtoH_v2(&value, address, 4));
	assert_int_equal(value, 55);
}

struct worker {
	CUcontext context;
	CUresult result;
};

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	uint32_t value = 0, expected;
	CUdeviceptr address = 0;
	CUresult result = cuCtxSetCurrent(worker->context);

	if (!result)
		result = cuMemAlloc_v2(&address, 4);
	for (expected = 1; !result && expected <= 300; expected++) {
		result = cuMemcpyHtoDAsync_v2_ptsz(address, &expected, 4, NULL);
		if (!result)
			result = cuStreamSynchronize_ptsz(NULL);
		if (!result)
			result = cuMemcpyDtoH_v2(&value, address, 4);
		if (!result && value != expected)
			result = CUDA_ERROR_UNKNOWN;
	}
	worker->result = result;
	return NULL;
}

static void threads_work_at_once(void **state)
{
	struct worker workers[6];
	pthread_t threads[6];

	for (int index = 0; index < 6; index++) {
		workers[index] = (struct worker){.context = *state, .result = CUDA_ERROR_UNKNOWN};
		assert_int_equal(pthread_create(&threads[index], NULL, worker_main, &workers[index]), 0);
	}
	for (int index = 0; index < 6; index++) {
		pthread_join(threads[index], NULL);
		assert_ok(workers[index].result);
	}
}

#define CHAIN_STREAMS 4
#define CHAIN_STEPS   600

/* A value is handed from stream to stream by events, in an order that a generator picks. */
static void *chain_main(void *argument)
{
	struct worker *worker = argument;
	CUstream streams[CHAIN_STREAMS] = {NULL};
	CUevent events[CHAIN_STREAMS];
	unsigned seed = (unsigned)(uintptr_t)argument, current = 0, next;
	CUdeviceptr slots = 0;
	uint32_t value = 0;
	CUresult result = cuCtxSetCurrent(worker->context);

	for (int index = 0; !result && index < CHAIN_STREAMS; index++) {
		/* The last is the default stream, which all blocking ones take part in. */
		if (index < CHAIN_STREAMS - 1)
			result = cuStreamCreate(&streams[index], index % 2 ? CU_STREAM_NON_BLOCKING : 0);
		if (!result)
			result = cuEventCreate(&events[index], CU_EVENT_DISABLE_TIMING);
	}
	if (!result)
		result = cuMemAlloc_v2(&slots, 4 * (CHAIN_STEPS + 1));
	if (!result)
		result = cuMemsetD32Async(slots, 0xC0FFEE, 1, streams[0]);
	for (unsigned step = 0; !result && step < CHAIN_STEPS; step++) {
		seed = seed * 1103515245 + 12345;
		next = seed >> 16 & (CHAIN_STREAMS - 1);
		result = cuEventRecord(events[current], streams[current]);
		if (!result)
			result = cuStreamWaitEvent(streams[next], events[current], 0);
		if (!result)
			result = cuMemcpyDtoDAsync_v2(slots + 4 * (step + 1), slots + 4 * step, 4, streams[next]);
		if (!result && step % 64 == 63)
			result = cuStreamSynchronize(streams[next]);
		current = next;
	}
	if (!result)
		result = cuStreamSynchronize(streams[current]);
	if (!result)
		result = cuMemcpyDtoH_v2(&value, slots + 4 * CHAIN_STEPS, 4);
	if (!result && value != 0xC0FFEE)
		result = CUDA_ERROR_UNKNOWN;
	worker->result = result;
	return NULL;
}

static void chains_of_events_hold(void **state)
{
	struct worker workers[3];
	pthread_t threads[3];

	for (int index = 0; index < 3; index++) {
		workers[index] = (struct worker){.context = *state, .result = CUDA_ERROR_UNKNOWN};
		assert_int_equal(pthread_create(&threads[index], NULL, chain_main, &workers[index]), 0);
	}
	for (int index = 0; index < 3; index++) {
		pthread_join(threads[index], NULL);
		assert_ok(workers[index].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(launch_returns_at_once),
		TEST(events_tell_the_time_of_the_stream),
		TEST(independent_streams_overlap),
		TEST(default_stream_waits_for_blocking_streams),
		TEST(events_order_streams),
		TEST(host_function_sees_earlier_copies),
		TEST(callback_is_told_stream_and_status),
		TEST(pageable_source_may_be_reused),
		TEST(stream_waits_for_a_value),
		TEST(batch_is_checked_as_a_whole),
		TEST(destroyed_stream_finishes_its_work),
		TEST(threads_work_at_once),
		TEST(chains_of_events_hold),
	};

	alarm(120); /* a deadlock is a failure, not a wait */
	return cmocka_run_group_tests_name("softgpu streams", tests, NULL, NULL);
}
