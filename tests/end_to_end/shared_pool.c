/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory pools that processes share, with any libcuda.so.1. Run by test_streams.py.
 *
 * usage: shared_pool              as parent and child
 *        shared_pool give FILE    (ours only) writes to FILE where its pool's descriptor is, and what names memory of
 *                                 it; the pool ends at a byte of standard input, and the process with its end
 *        shared_pool take FILE    imports both; ends with 2 if the pool is refused
 *        shared_pool quota        (ours only) as parent and child, of a tenant that may have as much memory as the
 *                                 parent and half of what the child asks for
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cuda_abi.h"
#include "descriptor_pass.h"
#include "memory_calls.h"
#include "two_processes.h"

CUresult cuMemPoolExportToShareableHandle(void *shareable, CUmemoryPool pool, CUmemAllocationHandleType type,
					  unsigned long long flags);
CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool, void *shareable, CUmemAllocationHandleType type,
					    unsigned long long flags);
CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData *data, CUdeviceptr address);
CUresult cuMemPoolImportPointer(CUdeviceptr *address, CUmemoryPool pool, CUmemPoolPtrExportData *data);
CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device);
CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool);
CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream);
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t words, CUstream stream);

#define DESCRIPTOR  CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
#define BYTES	    ((size_t)4 << 20)
#define PIECES	    2
#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static const CUmemPoolProps properties = {
	.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
	.handleTypes = DESCRIPTOR,
	.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
};

/* A pool, memory from it, and what is said of it to others. */
struct given {
	CUmemoryPool pool;
	CUstream stream;
	CUdeviceptr addresses[PIECES];
	CUmemPoolPtrExportData data[PIECES];
	int file;
};

#define STEP(call)                       \
	do {                             \
		*ret_result = (call);    \
		if (*ret_result)         \
			return __LINE__; \
	} while (0)

/* Pieces whose words are 'value' and 'value' + 1. 0, or the line that failed. */
static int give(struct given *given, uint32_t value, size_t bytes, CUresult *ret_result)
{
	STEP(cuStreamCreate(&given->stream, CU_STREAM_NON_BLOCKING));
	STEP(cuMemPoolCreate(&given->pool, &properties));
	for (uint32_t i = 0; i < PIECES; i++) {
		STEP(cuMemAllocFromPoolAsync(&given->addresses[i], bytes, given->pool, given->stream));
		STEP(cuMemsetD32Async(given->addresses[i], value + i, bytes / 4, given->stream));
	}
	STEP(cuMemPoolExportToShareableHandle(&given->file, given->pool, DESCRIPTOR, 0));
	for (uint32_t i = 0; i < PIECES; i++)
		STEP(cuMemPoolExportPointer(&given->data[i], given->addresses[i]));
	/* Nobody may use them before they are allocated. */
	STEP(cuStreamSynchronize(given->stream));
	return 0;
}

/* Imports the pool and its pieces, checks their ends and adds ten to them. */
static int take(int file, const CUmemPoolPtrExportData *data, uint32_t value, CUmemoryPool *ret_pool,
		CUdeviceptr addresses[PIECES], CUresult *ret_result)
{
	CUmemLocation location = properties.location;
	CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
	CUmemPoolPtrExportData copies[PIECES];
	CUdeviceptr refused;
	uint32_t word;

	memcpy(copies, data, sizeof(copies));
	STEP(cuMemPoolImportFromShareableHandle(ret_pool, (void *)(intptr_t)file, DESCRIPTOR, 0));
	STEP(cuMemPoolGetAccess(&flags, *ret_pool, &location));
	if (flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		return __LINE__;
	for (uint32_t i = 0; i < PIECES; i++) {
		STEP(cuMemPoolImportPointer(&addresses[i], *ret_pool, &copies[i]));
		STEP(cuMemcpyDtoH_v2(&word, addresses[i] + BYTES - 4, 4));
		if (word != value + i)
			return __LINE__;
		word += 10;
		STEP(cuMemcpyHtoD_v2(addresses[i] + BYTES - 4, &word, 4));
	}
	/* Nothing new comes from it here. */
	if (cuMemAllocFromPoolAsync(&refused, BYTES, *ret_pool, NULL) == CUDA_SUCCESS)
		return __LINE__;
	*ret_result = CUDA_SUCCESS;
	return 0;
}

/* A piece behind work in a stream, the other one like memory of cuMemAlloc. */
static int give_up(CUmemoryPool pool, const CUdeviceptr addresses[PIECES], CUresult *ret_result)
{
	CUstream stream;

	STEP(cuStreamCreate(&stream, 0));
	STEP(cuMemsetD32Async(addresses[0], 99, BYTES / 4, stream));
	STEP(cuMemFreeAsync(addresses[0], stream));
	STEP(cuStreamSynchronize(stream));
	STEP(cuStreamDestroy_v2(stream));
	STEP(cuMemFree_v2(addresses[1]));
	STEP(cuMemPoolDestroy(pool));
	return 0;
}

static int child_run(int socket)
{
	CUmemPoolPtrExportData data[PIECES];
	CUdeviceptr addresses[PIECES];
	CUmemoryPool pool;
	CUresult result = CUDA_SUCCESS;
	int file = descriptor_receive(socket), line = -1;

	if (file >= 0 && recv(socket, data, sizeof(data), MSG_WAITALL) == sizeof(data) && !prepare()) {
		line = take(file, data, 7, &pool, addresses, &result);
		close(file);
		if (!line)
			line = give_up(pool, addresses, &result);
	}
	if (line)
		fprintf(stderr, "child: line %d, result %d\n", line, (int)result);
	return write(socket, &line, sizeof(line)) != sizeof(line) || line;
}

static void test_two_processes(void **state)
{
	const uint32_t first[PIECES] = {99, 8}, last[PIECES] = {99, 18};
	struct given given;
	CUresult result = CUDA_SUCCESS;
	uint32_t word = 0;
	int line = -1;

	(void)state;
	assert_int_equal(prepare(), 0);
	assert_int_equal(give(&given, 7, BYTES, &result), 0);
	assert_int_equal(descriptor_send(pair[0], given.file), 0);
	close(given.file);
	assert_int_equal(write(pair[0], given.data, sizeof(given.data)), sizeof(given.data));
	assert_int_equal(read(pair[0], &line, sizeof(line)), sizeof(line));
	assert_int_equal(line, 0);
	for (int i = 0; i < PIECES; i++) {
		WORKS(cuMemcpyDtoH_v2(&word, given.addresses[i], 4));
		assert_int_equal(word, first[i]);
		WORKS(cuMemcpyDtoH_v2(&word, given.addresses[i] + BYTES - 4, 4));
		assert_int_equal(word, last[i]);
		WORKS(cuMemFreeAsync(given.addresses[i], given.stream));
	}
	WORKS(cuStreamSynchronize(given.stream));
	WORKS(cuMemPoolDestroy(given.pool));
	WORKS(cuStreamDestroy_v2(given.stream));
}

static void test_refused(void **state)
{
	CUmemPoolProps unshared = properties;
	CUmemPoolPtrExportData data;
	CUmemoryPool pool, other;
	CUdeviceptr address, imported;
	int file = -1, pipes[2];

	(void)state;
	unshared.handleTypes = CU_MEM_HANDLE_TYPE_NONE;
	WORKS(cuMemPoolCreate(&pool, &unshared));
	WORKS(cuMemAllocFromPoolAsync(&address, BYTES, pool, NULL));
	assert_int_not_equal(cuMemPoolExportToShareableHandle(&file, pool, DESCRIPTOR, 0), CUDA_SUCCESS);
	assert_int_not_equal(cuMemPoolExportPointer(&data, address), CUDA_SUCCESS);
	WORKS(cuMemFreeAsync(address, NULL));
	WORKS(cuMemPoolDestroy(pool));
	WORKS(cuMemAlloc_v2(&address, BYTES));
	assert_int_not_equal(cuMemPoolExportPointer(&data, address), CUDA_SUCCESS);
	WORKS(cuMemFree_v2(address));
	WORKS(cuMemPoolCreate(&pool, &properties));
	assert_int_not_equal(cuMemPoolExportToShareableHandle(&file, pool, DESCRIPTOR, 1), CUDA_SUCCESS);
	assert_int_not_equal(cuMemPoolExportToShareableHandle(&file, pool, CU_MEM_HANDLE_TYPE_WIN32, 0), CUDA_SUCCESS);
	/* What did not come from an imported pool cannot be imported, whatever is said of it. */
	memset(&data, 0x5a, sizeof(data));
	if (!getenv("VGPU_NATIVE"))
		assert_int_not_equal(cuMemPoolImportPointer(&imported, pool, &data), CUDA_SUCCESS);
	assert_int_equal(pipe(pipes), 0);
	assert_int_not_equal(cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)pipes[0], DESCRIPTOR, 0),
			     CUDA_SUCCESS);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_not_equal(cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)-1, DESCRIPTOR, 0),
			     CUDA_SUCCESS);
	WORKS(cuMemPoolDestroy(pool));
}

/* Memory of the device's current pool is that pool's, though no call names it. */
static void test_current_pool(void **state)
{
	CUmemPoolPtrExportData data;
	CUmemoryPool pool, usual;
	CUdeviceptr address;
	int handle_types = 0, file;

	(void)state;
	WORKS(cuDeviceGetAttribute(&handle_types, CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES, 0));
	assert_true(handle_types & DESCRIPTOR);
	WORKS(cuDeviceGetDefaultMemPool(&usual, 0));
	WORKS(cuMemPoolCreate(&pool, &properties));
	WORKS(cuDeviceSetMemPool(0, pool));
	WORKS(cuMemAllocAsync(&address, BYTES, NULL));
	/* Not before the pool itself. */
	assert_int_equal(cuMemPoolExportPointer(&data, address), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuMemPoolExportToShareableHandle(&file, pool, DESCRIPTOR, 0));
	WORKS(cuMemPoolExportPointer(&data, address));
	WORKS(cuMemFreeAsync(address, NULL));
	WORKS(cuCtxSynchronize());
	WORKS(cuDeviceSetMemPool(0, usual));
	WORKS(cuMemPoolDestroy(pool));
	close(file);
}

static int give_to_file(const char *path)
{
	struct given given;
	CUresult result = CUDA_SUCCESS;
	FILE *file;
	char byte;

	if (prepare() || give(&given, 7, BYTES, &result))
		return 1;
	file = fopen(path, "w");
	if (!file || fprintf(file, "/proc/%d/fd/%d\n", (int)getpid(), given.file) < 0 ||
	    fwrite(given.data, sizeof(given.data), 1, file) != 1 || fclose(file))
		return 1;
	say("given");
	if (read(0, &byte, 1) != 1)
		return 0;
	/* Still open, but of a pool that is gone. */
	if (cuMemFree_v2(given.addresses[0]) || cuMemFree_v2(given.addresses[1]) || cuMemPoolDestroy(given.pool))
		return 1;
	say("released");
	input_drain();
	return 0;
}

static int take_from_file(const char *path)
{
	CUmemPoolPtrExportData data[PIECES];
	CUdeviceptr addresses[PIECES];
	CUresult result = CUDA_SUCCESS;
	CUmemoryPool pool = NULL;
	char place[64] = "";
	FILE *file = fopen(path, "r");
	int taken, line;

	if (!file || !fgets(place, sizeof(place), file) || fread(data, sizeof(data), 1, file) != 1 || fclose(file) ||
	    prepare())
		return 1;
	place[strcspn(place, "\n")] = '\0';
	taken = open(place, O_RDONLY | O_CLOEXEC);
	if (taken < 0)
		return 3;
	line = take(taken, data, 7, &pool, addresses, &result);
	printf("line %d, result %d\n", line, (int)result);
	if (line == 0)
		return 0;
	return !pool && result == CUDA_ERROR_INVALID_VALUE ? 2 : 1;
}

#define QUOTA_BYTES ((size_t)64 << 20)

/* Imports what it may: the second piece only when it has given up the first. */
static int quota_child(int socket)
{
	CUmemPoolPtrExportData data[PIECES];
	CUdeviceptr address, other;
	CUmemoryPool pool;
	int file = descriptor_receive(socket);

	if (file < 0 || recv(socket, data, sizeof(data), MSG_WAITALL) != sizeof(data) || prepare() ||
	    cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)file, DESCRIPTOR, 0) ||
	    cuMemPoolImportPointer(&address, pool, &data[0]))
		return 1;
	if (cuMemPoolImportPointer(&other, pool, &data[1]) != CUDA_ERROR_OUT_OF_MEMORY)
		return 2;
	if (cuMemFree_v2(address) || cuMemPoolImportPointer(&other, pool, &data[1]))
		return 3;
	return cuMemFree_v2(other) ? 4 : 0;
}

static int quota_parent(int socket)
{
	struct given given;
	CUresult result = CUDA_SUCCESS;
	int line;

	if (prepare())
		return 1;
	line = give(&given, 7, QUOTA_BYTES, &result);
	if (line)
		printf("parent: line %d, result %d\n", line, (int)result);
	return line || descriptor_send(socket, given.file) ||
	       write(socket, given.data, sizeof(given.data)) != (ssize_t)sizeof(given.data);
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_current_pool),
	};
	bool is_quota = count == 2 && strcmp(arguments[1], "quota") == 0;
	pid_t child;
	int failed;

	if (count == 3 && strcmp(arguments[1], "give") == 0)
		return give_to_file(arguments[2]);
	if (count == 3 && strcmp(arguments[1], "take") == 0)
		return take_from_file(arguments[2]);
	child = child_begin(is_quota ? quota_child : child_run);
	if (child < 0)
		return 1;
	failed = is_quota ? quota_parent(pair[0]) : cmocka_run_group_tests(tests, NULL, NULL);
	return child_end(child) || failed;
}
