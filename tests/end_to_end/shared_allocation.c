/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical memory that processes share by descriptors, with any libcuda.so.1. Run by test_streams.py.
 *
 * usage: shared_allocation              as parent and child
 *        shared_allocation give FILE    (ours only) writes to FILE where its descriptor is, until standard input ends
 *        shared_allocation take FILE    imports that; ends with 2 if it is refused
 *        shared_allocation many         exports more than a tenant may have; prints how many there were
 */
#include <setjmp.h>
#include <stdarg.h>
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

CUresult cuMemExportToShareableHandle(void *shareable, CUmemGenericAllocationHandle handle,
				      CUmemAllocationHandleType type, unsigned long long flags);
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *shareable,
					CUmemAllocationHandleType type);

#define DESCRIPTOR  CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
#define BYTES	    ((size_t)4 << 20)
#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

static const CUmemAllocationProp properties = {
	.type = CU_MEM_ALLOCATION_TYPE_PINNED,
	.requestedHandleTypes = DESCRIPTOR,
	.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
};

static CUresult map(CUmemGenericAllocationHandle handle, CUdeviceptr *ret_address)
{
	const CUmemAccessDesc access = {.location = properties.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
	CUresult result = cuMemAddressReserve(ret_address, BYTES, 0, 0, 0);

	if (!result)
		result = cuMemMap(*ret_address, BYTES, 0, handle, 0);
	return result ? result : cuMemSetAccess(*ret_address, BYTES, &access, 1);
}

static CUresult unmap(CUdeviceptr address)
{
	CUresult result = cuMemUnmap(address, BYTES);

	return result ? result : cuMemAddressFree(address, BYTES);
}

/* Memory whose words are 'value', mapped, and its descriptor. */
static CUresult give(uint32_t value, CUmemGenericAllocationHandle *ret_handle, CUdeviceptr *ret_address, int *ret_file)
{
	CUresult result = cuMemCreate(ret_handle, BYTES, &properties, 0);

	if (!result)
		result = map(*ret_handle, ret_address);
	if (!result)
		result = cuMemsetD32_v2(*ret_address, value, BYTES / 4);
	if (!result)
		result = cuCtxSynchronize();
	return result ? result : cuMemExportToShareableHandle(ret_file, *ret_handle, DESCRIPTOR, 0);
}

/* Maps it, checks the last word and adds one to it. 0, or the line that failed. */
static int take(int file, uint32_t expected, CUdeviceptr *ret_address, CUresult *ret_result)
{
	CUmemGenericAllocationHandle handle;
	CUmemAllocationProp found;
	uint32_t word;

#define STEP(call)                       \
	do {                             \
		*ret_result = (call);    \
		if (*ret_result)         \
			return __LINE__; \
	} while (0)
	STEP(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)file, DESCRIPTOR));
	STEP(cuMemGetAllocationPropertiesFromHandle(&found, handle));
	if (found.location.type != CU_MEM_LOCATION_TYPE_DEVICE || found.location.id != 0)
		return __LINE__;
	STEP(map(handle, ret_address));
	STEP(cuMemRelease(handle));
	STEP(cuMemcpyDtoH_v2(&word, *ret_address + BYTES - 4, 4));
	if (word != expected)
		return __LINE__;
	word++;
	STEP(cuMemcpyHtoD_v2(*ret_address + BYTES - 4, &word, 4));
	return 0;
}

static int child_run(int socket)
{
	CUdeviceptr address;
	CUresult result = CUDA_SUCCESS;
	int file = descriptor_receive(socket), line = -1;
	uint32_t word = 0;
	char byte;

	if (file >= 0 && !prepare())
		line = take(file, 7, &address, &result);
	if (line)
		fprintf(stderr, "child: line %d, result %d\n", line, (int)result);
	close(file);
	/* The other process gives it up: here it stays. */
	if (write(socket, &line, sizeof(line)) != sizeof(line) || line || read(socket, &byte, 1) != 1)
		return 1;
	return cuMemcpyDtoH_v2(&word, address + BYTES - 4, 4) || word != 8 || unmap(address);
}

static void test_two_processes(void **state)
{
	CUmemGenericAllocationHandle handle;
	CUdeviceptr address;
	uint32_t word = 0;
	int file, line = -1;

	(void)state;
	assert_int_equal(prepare(), 0);
	WORKS(give(7, &handle, &address, &file));
	assert_int_equal(descriptor_send(pair[0], file), 0);
	close(file);
	assert_int_equal(read(pair[0], &line, sizeof(line)), sizeof(line));
	assert_int_equal(line, 0);
	WORKS(cuMemcpyDtoH_v2(&word, address + BYTES - 4, 4));
	assert_int_equal(word, 8);
	WORKS(unmap(address));
	WORKS(cuMemRelease(handle));
	assert_int_equal(write(pair[0], "", 1), 1);
}

static void test_refused(void **state)
{
	CUmemAllocationProp unshared = properties;
	CUmemGenericAllocationHandle handle, other;
	CUmemAllocationProp found;
	int file = -1, pipes[2];

	(void)state;
	unshared.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
	WORKS(cuMemCreate(&handle, BYTES, &unshared, 0));
	assert_int_not_equal(cuMemExportToShareableHandle(&file, handle, DESCRIPTOR, 0), CUDA_SUCCESS);
	WORKS(cuMemRelease(handle));
	WORKS(cuMemCreate(&handle, BYTES, &properties, 0));
	WORKS(cuMemGetAllocationPropertiesFromHandle(&found, handle));
	assert_int_equal(found.requestedHandleTypes, DESCRIPTOR);
	assert_int_not_equal(cuMemExportToShareableHandle(&file, handle, DESCRIPTOR, 1), CUDA_SUCCESS);
	assert_int_not_equal(cuMemExportToShareableHandle(&file, handle, CU_MEM_HANDLE_TYPE_WIN32, 0), CUDA_SUCCESS);
	WORKS(cuMemExportToShareableHandle(&file, handle, DESCRIPTOR, 0));
	close(file);
	assert_int_equal(pipe(pipes), 0);
	assert_int_not_equal(cuMemImportFromShareableHandle(&other, (void *)(intptr_t)pipes[0], DESCRIPTOR),
			     CUDA_SUCCESS);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_not_equal(cuMemImportFromShareableHandle(&other, (void *)(intptr_t)-1, DESCRIPTOR), CUDA_SUCCESS);
	WORKS(cuMemRelease(handle));
	/* NVIDIA's driver ends the program. */
	if (!getenv("VGPU_NATIVE"))
		assert_int_not_equal(cuMemExportToShareableHandle(&file, handle, DESCRIPTOR, 0), CUDA_SUCCESS);
}

static int give_to_file(const char *path)
{
	CUmemGenericAllocationHandle handle;
	CUdeviceptr address;
	FILE *file;
	char byte;
	int given;

	if (prepare() || give(7, &handle, &address, &given))
		return 1;
	file = fopen(path, "w");
	if (!file || fprintf(file, "/proc/%d/fd/%d", (int)getpid(), given) < 0 || fclose(file))
		return 1;
	say("given");
	if (read(0, &byte, 1) != 1)
		return 0;
	/* Still open, but of memory that is gone. */
	if (unmap(address) || cuMemRelease(handle))
		return 1;
	say("released");
	input_drain();
	return 0;
}

static int take_from_file(const char *path)
{
	CUresult result = CUDA_SUCCESS;
	CUdeviceptr address;
	char place[64] = "";
	FILE *file = fopen(path, "r");
	int taken, line;

	if (!file || !fgets(place, sizeof(place), file) || fclose(file) || prepare())
		return 1;
	taken = open(place, O_RDONLY | O_CLOEXEC);
	if (taken < 0)
		return 3;
	line = take(taken, 7, &address, &result);
	printf("line %d, result %d\n", line, (int)result);
	if (line == 0)
		return 0;
	return result == CUDA_ERROR_INVALID_VALUE ? 2 : 1;
}

static int export_many(void)
{
	CUmemGenericAllocationHandle handle, first = 0;
	CUresult result = CUDA_SUCCESS;
	int count, file;

	if (prepare())
		return 1;
	for (count = 0; count < 5000 && !result; count++) {
		result = cuMemCreate(&handle, (size_t)2 << 20, &properties, 0);
		if (!result)
			result = cuMemExportToShareableHandle(&file, handle, DESCRIPTOR, 0);
		if (!result)
			close(file);
		if (!first)
			first = handle;
	}
	printf("{\"exported\": %d, \"result\": %d}\n", count - 1, (int)result);
	/* Who gives one up may have another one. */
	return cuMemRelease(first) || cuMemExportToShareableHandle(&file, handle, DESCRIPTOR, 0);
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_refused),
	};
	pid_t child;
	int failed;

	if (count == 3 && strcmp(arguments[1], "give") == 0)
		return give_to_file(arguments[2]);
	if (count == 3 && strcmp(arguments[1], "take") == 0)
		return take_from_file(arguments[2]);
	if (count == 2 && strcmp(arguments[1], "many") == 0)
		return export_many();
	child = child_begin(child_run);
	if (child < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return child_end(child) || failed;
}
