/* SPDX-License-Identifier: Apache-2.0 */
/* Several devices: what tells them apart, and what belongs to one of them. */
#include "common.h"

#include <stdio.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)

static size_t free_bytes(void)
{
	size_t free, total;

	assert_ok(cuMemGetInfo_v2(&free, &total));
	return free;
}

static void each_is_another(void **state)
{
	char bus[16], other_bus[16];
	CUuuid uuid, other_uuid;
	CUdevice device;
	size_t bytes;
	int count;

	(void)state;
	assert_ok(cuInit(0));
	assert_ok(cuDeviceGetCount(&count));
	assert_int_equal(count, 3);
	assert_ok(cuDeviceGet(&device, 2));
	assert_int_equal(device, 2);
	assert_result(cuDeviceGet(&device, 3), CUDA_ERROR_INVALID_DEVICE);
	assert_result(cuDeviceTotalMem_v2(&bytes, 3), CUDA_ERROR_INVALID_DEVICE);
	assert_result(cuDeviceTotalMem_v2(&bytes, -1), CUDA_ERROR_INVALID_DEVICE);
	assert_ok(cuDeviceTotalMem_v2(&bytes, 0));
	assert_int_equal(bytes, 64 * MIB);
	assert_ok(cuDeviceTotalMem_v2(&bytes, 1));
	assert_int_equal(bytes, 32 * MIB);
	assert_ok(cuDeviceTotalMem_v2(&bytes, 2));
	assert_int_equal(bytes, 32 * MIB);
	assert_ok(cuDeviceGetUuid_v2(&uuid, 0));
	assert_ok(cuDeviceGetUuid_v2(&other_uuid, 1));
	assert_memory_not_equal(&uuid, &other_uuid, sizeof(uuid));
	assert_ok(cuDeviceGetPCIBusId(bus, sizeof(bus), 0));
	assert_ok(cuDeviceGetPCIBusId(other_bus, sizeof(other_bus), 1));
	assert_string_not_equal(bus, other_bus);
	assert_ok(cuDeviceGetByPCIBusId(&device, other_bus));
	assert_int_equal(device, 1);
	assert_ok(cuDeviceGetAttribute(&count, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, 1));
	assert_int_equal(count, 1);
}

static void a_context_is_of_its_device(void **state)
{
	CUcontext primary, other, again;
	CUdevice device = 7;
	CUstream stream;
	unsigned flags;
	int active;

	(void)state;
	assert_ok(cuDevicePrimaryCtxRetain(&primary, 1));
	assert_ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 0);
	assert_ok(cuCtxCreate_v2(&other, 0, 2));
	assert_ok(cuCtxGetDevice(&device));
	assert_int_equal(device, 2);
	assert_ok(cuStreamCreate(&stream, 0));
	assert_ok(cuCtxSetCurrent(primary));
	assert_ok(cuCtxGetDevice(&device));
	assert_int_equal(device, 1);
	assert_ok(cuStreamGetDevice(stream, &device));
	assert_int_equal(device, 2);
	assert_ok(cuDevicePrimaryCtxRetain(&again, 1));
	assert_ptr_equal(again, primary);
	assert_ok(cuDevicePrimaryCtxRelease_v2(1));
	assert_ok(cuDevicePrimaryCtxRelease_v2(1));
	assert_ok(cuCtxDestroy_v2(other));
	assert_result(cuCtxCreate_v2(&other, 0, 3), CUDA_ERROR_INVALID_DEVICE);
}

/* Memory of each kind comes from the device of the context, and goes back to it. */
static void memory_is_the_devices(void **state)
{
	CUdeviceptr first, second, pooled;
	CUcontext contexts[2];
	size_t before[2];
	CUmemoryPool pool, other_pool;
	CUmodule module;
	int ordinal;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_ok(cuCtxCreate_v2(&contexts[i], 0, i));
		before[i] = free_bytes();
	}
	assert_ok(cuMemAlloc_v2(&second, 24 * MIB));
	assert_ok(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, second));
	assert_int_equal(ordinal, 1);
	assert_result(cuMemAlloc_v2(&first, 16 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	assert_ok(cuModuleLoadData(&module, KERNELS_PTX));
	assert_int_equal(free_bytes(), before[1] - 24 * MIB - 4096); /* a variable of the module */
	assert_ok(cuDeviceGetDefaultMemPool(&pool, 0));
	assert_ok(cuDeviceGetDefaultMemPool(&other_pool, 1));
	assert_ptr_not_equal(pool, other_pool);
	assert_result(cuDeviceSetMemPool(0, other_pool), CUDA_ERROR_INVALID_VALUE);
	assert_ok(cuMemAllocAsync(&pooled, 4 * MIB, NULL));
	assert_ok(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, pooled));
	assert_int_equal(ordinal, 1);
	assert_int_equal(free_bytes(), before[1] - 28 * MIB - 4096);
	assert_ok(cuCtxSetCurrent(contexts[0]));
	assert_int_equal(free_bytes(), before[0]);
	assert_ok(cuMemAlloc_v2(&first, 48 * MIB));
	assert_ok(cuCtxDestroy_v2(contexts[1]));
	assert_int_equal(free_bytes(), before[0] - 48 * MIB);
	assert_ok(cuCtxDestroy_v2(contexts[0]));
	assert_ok(cuCtxCreate_v2(&contexts[1], 0, 1));
	assert_int_equal(free_bytes(), before[1]);
	assert_ok(cuCtxDestroy_v2(contexts[1]));
}

static void copies_cross(void **state)
{
	CUcontext contexts[2];
	uint32_t value = 0x01234567, got = 0;
	CUdeviceptr memory[2];
	CUfunction store;
	CUmodule module;
	CUstream stream;
	CUevent event;
	int can;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_ok(cuCtxCreate_v2(&contexts[i], 0, i));
		assert_ok(cuMemAlloc_v2(&memory[i], 4096));
	}
	assert_ok(cuDeviceCanAccessPeer(&can, 0, 1));
	assert_int_equal(can, 1);
	assert_ok(cuDeviceCanAccessPeer(&can, 1, 1));
	assert_int_equal(can, 0);
	assert_ok(cuDeviceGetP2PAttribute(&can, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 1));
	assert_int_equal(can, 1);
	assert_result(cuDeviceGetP2PAttribute(&can, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 1, 1),
		      CUDA_ERROR_INVALID_DEVICE);
	assert_result(cuCtxEnablePeerAccess(contexts[1], 0), CUDA_ERROR_INVALID_CONTEXT);
	assert_result(cuCtxDisablePeerAccess(contexts[0]), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	assert_ok(cuCtxEnablePeerAccess(contexts[0], 0));
	assert_result(cuCtxEnablePeerAccess(contexts[0], 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);

	/* A kernel of device 1 writes into device 0's memory; a stream of device 0 waits for it and copies it back. */
	store = kernel_load(&module, "store");
	assert_ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	assert_ok(launch_one(store, NULL, (void *[]){&memory[0], &value}));
	assert_ok(cuEventRecord(event, NULL));
	assert_ok(cuCtxSetCurrent(contexts[0]));
	assert_ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	assert_ok(cuStreamWaitEvent(stream, event, 0));
	assert_ok(cuMemcpyPeerAsync(memory[1], contexts[1], memory[0], contexts[0], sizeof(value), stream));
	assert_ok(cuStreamSynchronize(stream));
	assert_ok(cuMemcpyDtoH_v2(&got, memory[1], sizeof(got)));
	assert_int_equal(got, value);
	assert_ok(cuCtxSetCurrent(contexts[1]));
	assert_ok(cuCtxDisablePeerAccess(contexts[0]));
	assert_result(cuCtxDisablePeerAccess(contexts[0]), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	for (int i = 0; i < 2; i++)
		assert_ok(cuCtxDestroy_v2(contexts[i]));
}

/* The error of one device's context is not the other's. */
static void a_fault_stays(void **state)
{
	CUcontext contexts[2];
	CUdeviceptr memory;
	CUmodule module;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_ok(cuCtxCreate_v2(&contexts[i], 0, i));
	assert_ok(launch_one(kernel_load(&module, "wild"), NULL, NULL));
	assert_result(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_ok(cuCtxSetCurrent(contexts[0]));
	assert_ok(cuCtxSynchronize());
	assert_ok(cuMemAlloc_v2(&memory, 4096));
	for (int i = 0; i < 2; i++)
		assert_ok(cuCtxDestroy_v2(contexts[i]));
}

static void mappings_are_for_the_devices_named(void **state)
{
	const CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
						.location = {CU_MEM_LOCATION_TYPE_DEVICE, 1}};
	const CUmemAccessDesc both[] = {{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE},
					{{CU_MEM_LOCATION_TYPE_DEVICE, 1}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE}};
	const CUmemLocation second = {CU_MEM_LOCATION_TYPE_DEVICE, 1};
	CUmemGenericAllocationHandle handle;
	CUdeviceptr address;
	CUcontext context;
	unsigned long long flags;
	uint32_t value = 5;
	int ordinal;

	(void)state;
	assert_ok(cuCtxCreate_v2(&context, 0, 0));
	assert_ok(cuMemCreate(&handle, 2 * MIB, &properties, 0));
	assert_ok(cuMemAddressReserve(&address, 2 * MIB, 0, 0, 0));
	assert_ok(cuMemMap(address, 2 * MIB, 0, handle, 0));
	assert_ok(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address));
	assert_int_equal(ordinal, 1);
	assert_ok(cuMemSetAccess(address, 2 * MIB, both, 1));
	assert_ok(cuMemGetAccess(&flags, &second, address));
	assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_NONE);
	assert_ok(cuMemSetAccess(address, 2 * MIB, both, 2));
	assert_ok(cuMemGetAccess(&flags, &second, address));
	assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	assert_ok(cuMemcpyHtoD_v2(address, &value, sizeof(value)));
	assert_ok(cuMemUnmap(address, 2 * MIB));
	assert_ok(cuMemAddressFree(address, 2 * MIB));
	assert_ok(cuMemRelease(handle));
	assert_ok(cuCtxDestroy_v2(context));
}

/* In a process of its own, for the environment is read once. -1: cuInit says that there is no device. */
static int visible_devices(const char *setting, int *ret_first_bus)
{
	int status, pipe_ends[2], answer[2] = {-2, -1};
	pid_t child;

	assert_int_equal(pipe(pipe_ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		char program[64];

		snprintf(program, sizeof(program), "/proc/%d/exe", (int)getppid());
		setenv("CUDA_VISIBLE_DEVICES", setting, 1);
		dup2(pipe_ends[1], STDOUT_FILENO);
		execl(program, "test_devices", "--look", NULL);
		_exit(1);
	}
	close(pipe_ends[1]);
	assert_int_equal(read(pipe_ends[0], answer, sizeof(answer)), sizeof(answer));
	close(pipe_ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	*ret_first_bus = answer[1];
	return answer[0];
}

static int look(void)
{
	int answer[2] = {-1, -1};
	CUresult result = cuInit(0);

	if (result && result != CUDA_ERROR_NO_DEVICE)
		return 1;
	if (!result) {
		cuDeviceGetCount(&answer[0]);
		cuDeviceGetAttribute(&answer[1], CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, 0);
	}
	return write(STDOUT_FILENO, answer, sizeof(answer)) == sizeof(answer) ? 0 : 1;
}

static void visible_ones_are_numbered_anew(void **state)
{
	int bus;

	(void)state;
	assert_int_equal(visible_devices("2,0", &bus), 2);
	assert_int_equal(bus, 2);
	assert_int_equal(visible_devices("1, 7, 0", &bus), 1);
	assert_int_equal(bus, 1);
	assert_int_equal(visible_devices("1,1", &bus), 1);
	assert_int_equal(visible_devices("GPU-736f6674-6770-8075-8000-000000000003", &bus), 1);
	assert_int_equal(bus, 2);
	/* The beginning of all of them names none. */
	assert_int_equal(visible_devices("GPU-736f", &bus), -1);
	assert_int_equal(visible_devices("", &bus), -1);
	assert_int_equal(visible_devices("-1", &bus), -1);
}

static void of_instances_one_is_visible(void **state)
{
	int bus;

	(void)state;
	setenv("SOFTGPU_MIG", "1", 1);
	assert_int_equal(visible_devices("MIG-736f6674-6770-8075-8000-000000000003", &bus), 1);
	assert_int_equal(bus, 2);
	assert_int_equal(visible_devices("2,0", &bus), 1);
	assert_int_equal(bus, 2);
	assert_int_equal(visible_devices("GPU-736f6674-6770-8075-8000-000000000003", &bus), -1);
	unsetenv("SOFTGPU_MIG");
	assert_int_equal(visible_devices("MIG-736f6674-6770-8075-8000-000000000003", &bus), -1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_another),
		cmocka_unit_test(a_context_is_of_its_device),
		cmocka_unit_test(memory_is_the_devices),
		cmocka_unit_test(copies_cross),
		cmocka_unit_test(a_fault_stays),
		cmocka_unit_test(mappings_are_for_the_devices_named),
		cmocka_unit_test(visible_ones_are_numbered_anew),
		cmocka_unit_test(of_instances_one_is_visible),
	};

	if (argc > 1 && strcmp(argv[1], "--look") == 0)
		return look();
	if (setenv("SOFTGPU_DEVICES", "3", 1) || setenv("SOFTGPU_MEMORY_BYTES", "0x4000000,0x2000000", 1) ||
	    unsetenv("CUDA_VISIBLE_DEVICES"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
