/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory and events that two processes share, with any libcuda.so.1. Run by test_streams.py.
 *
 * usage: ipc                    both, as parent and child
 *        ipc give FILE          writes handles to FILE and keeps what they name until standard input ends
 *        ipc take FILE          opens them and adds one to the memory's words; ends with 2 if they are refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "stream_calls.h"
#include "two_processes.h"

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address);
CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr address);
CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *address, CUipcMemHandle handle, unsigned int flags);
CUresult cuIpcCloseMemHandle(CUdeviceptr address);
CUresult cuIpcGetEventHandle(CUipcEventHandle *handle, CUevent event);
CUresult cuIpcOpenEventHandle(CUevent *event, CUipcEventHandle handle);
CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventQuery(CUevent event);
CUresult cuEventSynchronize(CUevent event);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);

#define WORDS	    20000u
#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

struct handles {
	CUipcMemHandle memory;
	CUipcEventHandle event;
};

static void linger(void *data)
{
	(void)data;
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

/* Memory whose words become 'value' a while later, when the event is reached. */
struct given {
	CUdeviceptr memory;
	CUevent event;
	CUstream stream;
};

static CUresult give(struct given *given, uint32_t value, struct handles *ret_handles)
{
	CUresult result = cuMemAlloc_v2(&given->memory, WORDS * 4);

	if (!result)
		result = cuMemsetD32_v2(given->memory, 1, WORDS);
	if (!result)
		result = cuStreamCreate(&given->stream, CU_STREAM_NON_BLOCKING);
	if (!result)
		result = cuEventCreate(&given->event, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS);
	if (!result)
		result = cuIpcGetMemHandle(&ret_handles->memory, given->memory);
	if (!result)
		result = cuIpcGetEventHandle(&ret_handles->event, given->event);
	if (!result)
		result = cuLaunchHostFunc(given->stream, linger, NULL);
	if (!result)
		result = cuMemsetD8Async(given->memory, (unsigned char)value, WORDS * 4, given->stream);
	return result ? result : cuEventRecord(given->event, given->stream);
}

/* Waits for the event in a stream, checks the words and adds one to each. 0, or the line that failed. */
static int take(const struct handles *handles, uint32_t expected, CUresult *ret_result)
{
	static uint32_t words[WORDS];
	CUdeviceptr memory, again;
	size_t bytes;
	CUevent event;
	CUstream stream;
	CUmodule module;
	CUfunction function;
	void *parameters[] = {&memory};

#define STEP(call)                       \
	do {                             \
		*ret_result = (call);    \
		if (*ret_result)         \
			return __LINE__; \
	} while (0)
	STEP(cuIpcOpenMemHandle_v2(&memory, handles->memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	STEP(cuIpcOpenMemHandle_v2(&again, handles->memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	if (again != memory)
		return __LINE__;
	STEP(cuMemGetAddressRange_v2(&again, &bytes, memory + 4));
	if (again != memory || bytes < sizeof(words))
		return __LINE__;
	STEP(cuIpcOpenEventHandle(&event, handles->event));
	STEP(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	STEP(cuStreamWaitEvent(stream, event, 0));
	STEP(cuModuleLoadData(&module, increment_image));
	STEP(cuModuleGetFunction(&function, module, "increment"));
	STEP(cuLaunchKernel(function, WORDS / 100, 1, 1, 100, 1, 1, 0, stream, parameters, NULL));
	STEP(cuStreamSynchronize(stream));
	STEP(cuEventSynchronize(event));
	STEP(cuEventQuery(event));
	STEP(cuMemcpyDtoH_v2(words, memory, sizeof(words)));
	for (size_t i = 0; i < WORDS; i++) {
		if (words[i] != expected + 1)
			return __LINE__;
	}
	/* Not what the other process may do. */
	if (cuMemFree_v2(memory) == CUDA_SUCCESS)
		return __LINE__;
	STEP(cuEventDestroy_v2(event));
	STEP(cuIpcCloseMemHandle(memory));
	STEP(cuMemGetAddressRange_v2(&again, &bytes, memory));
	STEP(cuIpcCloseMemHandle(memory));
	if (cuMemGetAddressRange_v2(&again, &bytes, memory) != CUDA_ERROR_NOT_FOUND)
		return __LINE__;
	if (cuIpcCloseMemHandle(memory) == CUDA_SUCCESS)
		return __LINE__;
	return 0;
}

/*
 * What a process is told in some other way after the event was recorded comes after that. Much is recorded before, so
 * that it takes its time to be.
 */
#define ROUNDS	   12u
#define ROUND_WORK 3000u

static int rounds_take(int socket, CUresult *ret_result)
{
	struct handles handles;
	CUdeviceptr memory;
	CUstream stream;
	CUevent event;
	uint8_t round, seen;

	if (read(socket, &handles, sizeof(handles)) != sizeof(handles))
		return __LINE__;
	STEP(cuIpcOpenMemHandle_v2(&memory, handles.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	STEP(cuIpcOpenEventHandle(&event, handles.event));
	STEP(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	seen = 0;
	if (write(socket, &seen, 1) != 1)
		return __LINE__;
	/* Round 0 is none. */
	while (read(socket, &round, 1) == 1 && round) {
		STEP(cuStreamWaitEvent(stream, event, 0));
		STEP(cuMemcpyDtoHAsync_v2(&seen, memory, 1, stream));
		STEP(cuStreamSynchronize(stream));
		if (write(socket, &seen, 1) != 1)
			return __LINE__;
	}
	STEP(cuEventDestroy_v2(event));
	STEP(cuIpcCloseMemHandle(memory));
	return write(socket, &seen, 1) == 1 ? 0 : __LINE__;
}

static int child_run(int socket)
{
	struct handles handles;
	CUresult result = CUDA_SUCCESS;
	int line = -1;

	if (read(socket, &handles, sizeof(handles)) == sizeof(handles) && !prepare())
		line = take(&handles, 0x03030303, &result);
	if (line)
		fprintf(stderr, "child: line %d, result %d\n", line, (int)result);
	(void)!write(socket, &line, sizeof(line));
	if (line)
		return 1;
	line = rounds_take(socket, &result);
	if (line)
		fprintf(stderr, "child: line %d, result %d\n", line, (int)result);
	return line != 0;
}

static void test_two_processes(void **state)
{
	struct handles handles, again;
	struct given given;
	uint32_t words[4];
	int line = -1;

	(void)state;
	assert_int_equal(prepare(), 0);
	WORKS(give(&given, 3, &handles));
	WORKS(cuIpcGetMemHandle(&again.memory, given.memory));
	assert_memory_equal(&again.memory, &handles.memory, sizeof(again.memory));
	assert_int_equal(write(pair[0], &handles, sizeof(handles)), sizeof(handles));
	assert_int_equal(read(pair[0], &line, sizeof(line)), sizeof(line));
	assert_int_equal(line, 0);
	WORKS(cuMemcpyDtoH_v2(words, given.memory + 4 * (WORDS - 4), sizeof(words)));
	for (int i = 0; i < 4; i++)
		assert_int_equal(words[i], 0x03030304);
	WORKS(cuEventDestroy_v2(given.event));
	WORKS(cuMemFree_v2(given.memory));
}

static void test_order_of_messages(void **state)
{
	struct handles handles;
	struct given given;
	CUdeviceptr other;
	CUstream busy;
	uint8_t seen = 1;

	(void)state;
	WORKS(cuMemAlloc_v2(&other, 4096));
	WORKS(cuStreamCreate(&busy, CU_STREAM_NON_BLOCKING));
	WORKS(give(&given, 3, &handles));
	assert_int_equal(write(pair[0], &handles, sizeof(handles)), sizeof(handles));
	assert_int_equal(read(pair[0], &seen, 1), 1);
	assert_int_equal(seen, 0);
	for (uint8_t round = 10; round < 10 + ROUNDS; round++) {
		WORKS(cuCtxSynchronize());
		for (uint32_t i = 0; i < ROUND_WORK; i++)
			WORKS(cuMemsetD8Async(other, 1, 16, busy));
		WORKS(cuMemsetD8Async(given.memory, round, WORDS * 4, given.stream));
		WORKS(cuEventRecord(given.event, given.stream));
		assert_int_equal(write(pair[0], &round, 1), 1);
		assert_int_equal(read(pair[0], &seen, 1), 1);
		assert_int_equal(seen, round);
	}
	assert_int_equal(write(pair[0], &(uint8_t){0}, 1), 1);
	assert_int_equal(read(pair[0], &seen, 1), 1);
	WORKS(cuEventDestroy_v2(given.event));
	WORKS(cuMemFree_v2(given.memory));
	WORKS(cuMemFree_v2(other));
}

static void test_refused(void **state)
{
	CUipcMemHandle handle;
	CUipcEventHandle event_handle;
	CUdeviceptr memory, opened;
	CUevent event;
	void *pinned;

	(void)state;
	memset(&handle, 0x55, sizeof(handle));
	memset(&event_handle, 0, sizeof(event_handle));
	assert_int_not_equal(cuIpcOpenMemHandle_v2(&opened, handle, 1), CUDA_SUCCESS);
	assert_int_not_equal(cuIpcOpenEventHandle(&event, event_handle), CUDA_SUCCESS);
	WORKS(cuMemAlloc_v2(&memory, 4096));
	WORKS(cuIpcGetMemHandle(&handle, memory));
	/* Not in the process that it comes from, and no longer with a bit turned. */
	assert_int_not_equal(cuIpcOpenMemHandle_v2(&opened, handle, 1), CUDA_SUCCESS);
	handle.reserved[20] ^= 1;
	assert_int_not_equal(cuIpcOpenMemHandle_v2(&opened, handle, 1), CUDA_SUCCESS);
	WORKS(cuMemFree_v2(memory));
	assert_int_not_equal(cuIpcGetMemHandle(&handle, memory), CUDA_SUCCESS);
	WORKS(cuMemHostAlloc(&pinned, 4096, 0));
	assert_int_not_equal(cuIpcGetMemHandle(&handle, (uintptr_t)pinned), CUDA_SUCCESS);
	WORKS(cuMemFreeHost(pinned));
	WORKS(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	assert_int_not_equal(cuIpcGetEventHandle(&event_handle, event), CUDA_SUCCESS);
	WORKS(cuEventDestroy_v2(event));
	WORKS(cuCtxSynchronize());
}

static int give_to_file(const char *path)
{
	struct handles handles;
	struct given given;
	FILE *file = NULL;
	CUresult result = prepare() ? CUDA_ERROR_UNKNOWN : give(&given, 3, &handles);

	if (!result)
		file = fopen(path, "wb");
	if (!file || fwrite(&handles, sizeof(handles), 1, file) != 1 || fclose(file))
		return 1;
	say("given");
	input_drain();
	return 0;
}

static int take_from_file(const char *path)
{
	struct handles handles;
	FILE *file = fopen(path, "rb");
	CUresult result = CUDA_SUCCESS;
	CUdeviceptr memory;
	CUevent event;
	int line;

	if (!file || fread(&handles, sizeof(handles), 1, file) != 1 || fclose(file) || prepare())
		return 1;
	line = take(&handles, 0x03030303, &result);
	printf("line %d, result %d\n", line, (int)result);
	if (line == 0)
		return 0;
	/* Refused, both. */
	return cuIpcOpenMemHandle_v2(&memory, handles.memory, 1) == CUDA_ERROR_INVALID_VALUE &&
			       cuIpcOpenEventHandle(&event, handles.event) == CUDA_ERROR_INVALID_VALUE
		       ? 2
		       : 1;
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_order_of_messages),
		cmocka_unit_test(test_refused),
	};
	pid_t child;
	int failed;

	if (count == 3 && strcmp(arguments[1], "give") == 0)
		return give_to_file(arguments[2]);
	if (count == 3 && strcmp(arguments[1], "take") == 0)
		return take_from_file(arguments[2]);
	child = child_begin(child_run);
	if (child < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return child_end(child) || failed;
}
