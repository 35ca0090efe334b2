/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong calls about memory: allocations, pointers, fills, pools, addresses. */
#include <stdio.h>
#include <stdlib.h>

#include "error_codes.h"

void memory_calls(void)
{
	CUdeviceptr address = 0, base;
	CUipcMemHandle handle;
	void *pointer = NULL, *ordinary = malloc(1 << 16);
	unsigned int flags;
	size_t bytes;

	INVALID("memory.alloc_0", cuMemAlloc_v2(&address, 0));
	INVALID("memory.alloc_null", cuMemAlloc_v2(NULL, 16));
	IS("memory.alloc_huge", CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&address, (size_t)1 << 50));
	IS("memory.alloc_all", CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&address, ~(size_t)0));
	IS("memory.free_0", CUDA_SUCCESS, cuMemFree_v2(0));
	INVALID("memory.free_nowhere", cuMemFree_v2(NOWHERE));
	INVALID("memory.free_within", cuMemFree_v2(memory + 256));
	INVALID("memory.free_ordinary", cuMemFree_v2((uintptr_t)ordinary));
	IS("memory.alloc", CUDA_SUCCESS, cuMemAlloc_v2(&address, 16));
	IS("memory.free", CUDA_SUCCESS, cuMemFree_v2(address));
	INVALID("memory.free_again", cuMemFree_v2(address));
	INVALID("memory.pitch_width_0", cuMemAllocPitch_v2(&address, &bytes, 0, 4, 4));
	INVALID("memory.pitch_height_0", cuMemAllocPitch_v2(&address, &bytes, 4, 0, 4));
	INVALID("memory.pitch_element", cuMemAllocPitch_v2(&address, &bytes, 12, 4, 3));
	INVALID("memory.pitch_null", cuMemAllocPitch_v2(&address, NULL, 12, 4, 4));
	IS("memory.pitch_huge", UNSAID, cuMemAllocPitch_v2(&address, &bytes, (size_t)1 << 40, 1, 4));
	INVALID("memory.host_0", cuMemAllocHost_v2(&pointer, 0));
	INVALID("memory.host_null", cuMemAllocHost_v2(NULL, 16));
	INVALID("memory.host_flags", cuMemHostAlloc(&pointer, 16, 0xff00));
	IS("memory.host_alloc_0", UNSAID, cuMemHostAlloc(&pointer, 0, 0));
	IS("memory.host_huge", CUDA_ERROR_OUT_OF_MEMORY, cuMemHostAlloc(&pointer, (size_t)1 << 50, 0));
	IS("memory.host_free_null", UNSAID, cuMemFreeHost(NULL));
	INVALID("memory.host_free_ordinary", cuMemFreeHost(ordinary));
	INVALID("memory.host_free_device", cuMemFreeHost((void *)(uintptr_t)memory));
	IS("memory.host", CUDA_SUCCESS, cuMemAllocHost_v2(&pointer, 4096));
	INVALID("memory.host_free_within", cuMemFreeHost((char *)pointer + 16));
	INVALID("memory.host_free_as_device", cuMemFree_v2((uintptr_t)pointer));
	INVALID("memory.host_pointer_flags", cuMemHostGetDevicePointer_v2(&address, pointer, 1));
	INVALID("memory.host_pointer_null", cuMemHostGetDevicePointer_v2(NULL, pointer, 0));
	INVALID("memory.host_pointer_ordinary", cuMemHostGetDevicePointer_v2(&address, ordinary, 0));
	INVALID("memory.host_flags_ordinary", cuMemHostGetFlags(&flags, ordinary));
	INVALID("memory.host_flags_null", cuMemHostGetFlags(NULL, pointer));
	IS("memory.register_pinned", UNSAID, cuMemHostRegister_v2(pointer, 4096, 0));
	IS("memory.unregister_pinned", UNSAID, cuMemHostUnregister(pointer));
	IS("memory.host_free", CUDA_SUCCESS, cuMemFreeHost(pointer));
	INVALID("memory.host_free_again", cuMemFreeHost(pointer));
	INVALID("memory.register_0", cuMemHostRegister_v2(ordinary, 0, 0));
	INVALID("memory.register_null", cuMemHostRegister_v2(NULL, 4096, 0));
	INVALID("memory.register_flags", cuMemHostRegister_v2(ordinary, 4096, 0xff00));
	IS("memory.register", CUDA_SUCCESS, cuMemHostRegister_v2(ordinary, 1 << 16, 0));
	IS("memory.register_again", CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
	   cuMemHostRegister_v2(ordinary, 1 << 16, 0));
	IS("memory.register_overlap", CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
	   cuMemHostRegister_v2((char *)ordinary + 4096, 4096, 0));
	INVALID("memory.free_registered", cuMemFreeHost(ordinary));
	IS("memory.unregister_within", UNSAID, cuMemHostUnregister((char *)ordinary + 4096));
	IS("memory.unregister", CUDA_SUCCESS, cuMemHostUnregister(ordinary));
	IS("memory.unregister_again", CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(ordinary));
	IS("memory.unregister_null", UNSAID, cuMemHostUnregister(NULL));
	IS("memory.range_nowhere", CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange_v2(&base, &bytes, NOWHERE));
	IS("memory.range_end", CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange_v2(&base, &bytes, memory + (1ull << 40)));
	IS("memory.range_nulls", CUDA_SUCCESS, cuMemGetAddressRange_v2(NULL, NULL, memory));
	IS("memory.info_null", UNSAID, cuMemGetInfo_v2(NULL, NULL));
	INVALID("memory.managed_flags_0", cuMemAllocManaged(&address, 16, 0));
	INVALID("memory.managed_0", cuMemAllocManaged(&address, 0, CU_MEM_ATTACH_GLOBAL));
	INVALID("memory.managed_null", cuMemAllocManaged(NULL, 16, CU_MEM_ATTACH_GLOBAL));
	INVALID("memory.managed_single", cuMemAllocManaged(&address, 16, CU_MEM_ATTACH_SINGLE));
	IS("memory.prefetch_device_memory", UNSAID, cuMemPrefetchAsync(memory, 16, 0, stream));
	IS("memory.prefetch_0", UNSAID, cuMemPrefetchAsync(memory, 0, 0, stream));
	IS("memory.advise_device_memory", UNSAID, cuMemAdvise(memory, 16, CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
	INVALID("memory.range_attribute_size",
		cuMemRangeGetAttribute(&flags, 3, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, memory, 16));
	INVALID("memory.ipc_nowhere", cuIpcGetMemHandle(&handle, NOWHERE));
	INVALID("memory.ipc_null", cuIpcGetMemHandle(NULL, memory));
	IS("memory.ipc_own", CUDA_SUCCESS, cuIpcGetMemHandle(&handle, memory));
	IS("memory.ipc_open_own", UNSAID, cuIpcOpenMemHandle_v2(&address, handle, 1));
	IS("memory.ipc_open_flags", UNSAID, cuIpcOpenMemHandle_v2(&address, handle, 0));
	INVALID("memory.ipc_close_nowhere", cuIpcCloseMemHandle(NOWHERE));
	IS("memory.ipc_close_own", UNSAID, cuIpcCloseMemHandle(memory));
	free(ordinary);
}

void pointer_calls(void)
{
	static const CUpointer_attribute of_host[] = {
		CU_POINTER_ATTRIBUTE_CONTEXT,	       CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
		CU_POINTER_ATTRIBUTE_DEVICE_POINTER,   CU_POINTER_ATTRIBUTE_HOST_POINTER,
		CU_POINTER_ATTRIBUTE_SYNC_MEMOPS,      CU_POINTER_ATTRIBUTE_BUFFER_ID,
		CU_POINTER_ATTRIBUTE_IS_MANAGED,       CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
		CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, CU_POINTER_ATTRIBUTE_RANGE_SIZE,
		CU_POINTER_ATTRIBUTE_MAPPED,	       CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES,
		CU_POINTER_ATTRIBUTE_ACCESS_FLAGS,     CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE,
	};
	CUpointer_attribute several[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_CONTEXT};
	uint64_t value[4] = {0}, other = 0;
	void *values[] = {&value, &other}, *pinned;
	char name[64];

	INVALID("pointer.null_data", cuPointerGetAttribute(NULL, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, memory));
	INVALID("pointer.unknown", cuPointerGetAttribute(value, (CUpointer_attribute)99, memory));
	INVALID("pointer.unknown_0", cuPointerGetAttribute(value, (CUpointer_attribute)0, memory));
	INVALID("pointer.of_null", cuPointerGetAttribute(value, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, 0));
	INVALID("pointer.of_nowhere", cuPointerGetAttribute(value, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, NOWHERE));
	for (size_t i = 0; i < sizeof(of_host) / sizeof(of_host[0]); i++) {
		snprintf(name, sizeof(name), "pointer.host_%d", of_host[i]);
		IS(name, UNSAID, cuPointerGetAttribute(value, of_host[i], (uintptr_t)value));
		snprintf(name, sizeof(name), "pointer.device_%d", of_host[i]);
		IS(name, UNSAID, cuPointerGetAttribute(value, of_host[i], memory));
	}
	IS("pointer.several_host", CUDA_SUCCESS, cuPointerGetAttributes(2, several, values, (uintptr_t)value));
	printf("result pointer.several_host_values %d %d\n", (int)value[0], other != 0);
	IS("pointer.several_0", UNSAID, cuPointerGetAttributes(0, several, values, memory));
	INVALID("pointer.several_null", cuPointerGetAttributes(2, NULL, values, memory));
	INVALID("pointer.set_unknown", cuPointerSetAttribute(value, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, memory));
	INVALID("pointer.set_of_host",
		cuPointerSetAttribute(value, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, (uintptr_t)value));
	IS("pointer.pinned", CUDA_SUCCESS, cuMemAllocHost_v2(&pinned, 4096));
	for (size_t i = 0; i < sizeof(of_host) / sizeof(of_host[0]); i++) {
		snprintf(name, sizeof(name), "pointer.pinned_%d", of_host[i]);
		IS(name, UNSAID, cuPointerGetAttribute(value, of_host[i], (uintptr_t)pinned));
	}
}

void fill_calls(void)
{
	IS("fill.d8_0", CUDA_SUCCESS, cuMemsetD8_v2(memory, 1, 0));
	IS("fill.d8_nowhere_0", UNSAID, cuMemsetD8_v2(NOWHERE, 1, 0));
	INVALID("fill.d8_null", cuMemsetD8_v2(0, 1, 16));
	INVALID("fill.d8_nowhere", cuMemsetD8_v2(NOWHERE, 1, 16));
	INVALID("fill.d8_nowhere_async", cuMemsetD8Async(NOWHERE, 1, 16, stream));
	INVALID("fill.d8_too_long", cuMemsetD8_v2(memory, 1, (size_t)1 << 40));
	INVALID("fill.d16_odd", cuMemsetD16_v2(memory + 1, 1, 4));
	INVALID("fill.d32_misaligned", cuMemsetD32_v2(memory + 2, 1, 4));
	INVALID("fill.d32_misaligned_async", cuMemsetD32Async(memory + 2, 1, 4, stream));
	IS("fill.d2d32_height_0", CUDA_SUCCESS, cuMemsetD2D32_v2(memory, 64, 1, 4, 0));
	IS("fill.d2d32_width_0", CUDA_SUCCESS, cuMemsetD2D32_v2(memory, 64, 1, 0, 4));
	INVALID("fill.d2d32_pitch_small", cuMemsetD2D32_v2(memory, 8, 1, 4, 4));
	INVALID("fill.d2d32_pitch_odd", cuMemsetD2D32_v2(memory, 66, 1, 4, 4));
	INVALID("fill.d2d32_misaligned", cuMemsetD2D32_v2(memory + 2, 64, 1, 4, 4));
	IS("fill.d2d32_pitch_0_row", UNSAID, cuMemsetD2D32_v2(memory, 0, 1, 4, 1));
	INVALID("fill.d2d8_pitch_small", cuMemsetD2D8_v2(memory, 3, 1, 4, 4));
	INVALID("fill.d2d16_pitch_odd", cuMemsetD2D16_v2(memory, 65, 1, 4, 4));
	INVALID("fill.d2d8_nowhere", cuMemsetD2D8_v2(NOWHERE, 64, 1, 4, 4));
	INVALID("fill.d2d8_pitch_huge", cuMemsetD2D8_v2(memory, (size_t)1 << 40, 1, 4, 4));
}

void pool_calls(void)
{
	CUmemoryPool pool = NULL, own = NULL;
	CUmemPoolProps none = {0}, properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
						 .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
	CUmemAccessDesc access = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}, .flags = CU_MEM_ACCESS_FLAGS_PROT_NONE};
	CUdeviceptr address = 0;
	uint64_t value = 0;

	IS("pool.default", CUDA_SUCCESS, cuDeviceGetDefaultMemPool(&pool, 0));
	IS("pool.destroy_default", CUDA_ERROR_INVALID_VALUE, cuMemPoolDestroy(pool));
	INVALID("pool.destroy_null", cuMemPoolDestroy(NULL));
	INVALID("pool.create_null", cuMemPoolCreate(NULL, &properties));
	INVALID("pool.create_no_properties", cuMemPoolCreate(&own, NULL));
	INVALID("pool.create_zeros", cuMemPoolCreate(&own, &none));
	properties.location.id = 1000;
	IS("pool.create_on_1000", UNSAID, cuMemPoolCreate(&own, &properties));
	properties.location.id = 0;
	IS("pool.create", CUDA_SUCCESS, cuMemPoolCreate(&own, &properties));
	INVALID("pool.attribute_unknown", cuMemPoolGetAttribute(own, (CUmemPool_attribute)99, &value));
	INVALID("pool.attribute_null", cuMemPoolGetAttribute(own, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, NULL));
	INVALID("pool.set_attribute_unknown", cuMemPoolSetAttribute(own, (CUmemPool_attribute)99, &value));
	value = 1;
	INVALID("pool.set_used", cuMemPoolSetAttribute(own, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &value));
	INVALID("pool.set_high", cuMemPoolSetAttribute(own, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &value));
	INVALID("pool.trim_null", cuMemPoolTrimTo(NULL, 0));
	IS("pool.access_none_of_own_device", UNSAID, cuMemPoolSetAccess(own, &access, 1));
	IS("pool.access_count_0", UNSAID, cuMemPoolSetAccess(own, &access, 0));
	INVALID("pool.alloc_null", cuMemAllocAsync(NULL, 16, stream));
	IS("pool.alloc_0", UNSAID, cuMemAllocAsync(&address, 0, stream));
	IS("pool.alloc_huge", CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocAsync(&address, (size_t)1 << 50, stream));
	INVALID("pool.alloc_from_null", cuMemAllocFromPoolAsync(&address, 16, NULL, stream));
	IS("pool.free_0", UNSAID, cuMemFreeAsync(0, stream));
	INVALID("pool.free_nowhere", cuMemFreeAsync(NOWHERE, stream));
	INVALID("pool.free_within", cuMemFreeAsync(memory + 256, stream));
	IS("pool.alloc", CUDA_SUCCESS, cuMemAllocFromPoolAsync(&address, 16, own, stream));
	IS("pool.destroy_in_use", CUDA_SUCCESS, cuMemPoolDestroy(own));
	IS("pool.free_of_destroyed", CUDA_SUCCESS, cuMemFreeAsync(address, stream));
	INVALID("pool.free_again", cuMemFreeAsync(address, stream));
	IS("pool.free_allocated", CUDA_SUCCESS, cuMemFreeAsync(memory, stream));
	INVALID("pool.free_async_then_free", cuMemFree_v2(memory));
	IS("pool.alloc_for_free", CUDA_SUCCESS, cuMemAllocAsync(&address, 16, stream));
	IS("pool.free_sync", CUDA_SUCCESS, cuMemFree_v2(address));
	INVALID("pool.device_null", cuDeviceSetMemPool(0, NULL));
}

void virtual_calls(void)
{
	CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
					  .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
			    none = {0};
	CUmemAccessDesc access = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0},
				  .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
	CUmemGenericAllocationHandle handle = 0, other = 0;
	unsigned long long flags;
	CUdeviceptr address = 0, second = 0;
	size_t unit = 0;
	int file;

	INVALID("virtual.unit_null", cuMemGetAllocationGranularity(NULL, &properties, 0));
	INVALID("virtual.unit_zeros", cuMemGetAllocationGranularity(&unit, &none, 0));
	INVALID("virtual.unit_option", cuMemGetAllocationGranularity(&unit, &properties, 99));
	IS("virtual.unit", CUDA_SUCCESS, cuMemGetAllocationGranularity(&unit, &properties, 0));
	INVALID("virtual.create_0", cuMemCreate(&handle, 0, &properties, 0));
	INVALID("virtual.create_odd", cuMemCreate(&handle, unit + 1, &properties, 0));
	INVALID("virtual.create_flags", cuMemCreate(&handle, unit, &properties, 1));
	INVALID("virtual.create_null", cuMemCreate(NULL, unit, &properties, 0));
	INVALID("virtual.create_zeros", cuMemCreate(&handle, unit, &none, 0));
	IS("virtual.create_huge", CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate(&handle, (size_t)1 << 46, &properties, 0));
	properties.location.id = 1000;
	IS("virtual.create_on_1000", UNSAID, cuMemCreate(&handle, unit, &properties, 0));
	properties.location.id = 0;
	IS("virtual.create", CUDA_SUCCESS, cuMemCreate(&handle, 2 * unit, &properties, 0));
	INVALID("virtual.reserve_0", cuMemAddressReserve(&address, 0, 0, 0, 0));
	INVALID("virtual.reserve_odd", cuMemAddressReserve(&address, unit + 1, 0, 0, 0));
	INVALID("virtual.reserve_alignment_3", cuMemAddressReserve(&address, unit, 3, 0, 0));
	INVALID("virtual.reserve_flags", cuMemAddressReserve(&address, unit, 0, 0, 1));
	INVALID("virtual.reserve_null", cuMemAddressReserve(NULL, unit, 0, 0, 0));
	IS("virtual.reserve", CUDA_SUCCESS, cuMemAddressReserve(&address, 4 * unit, 0, 0, 0));
	IS("virtual.access_unmapped", UNSAID, cuMemSetAccess(address, unit, &access, 1));
	IS("virtual.get_access_unmapped", UNSAID, cuMemGetAccess(&flags, &access.location, address));
	INVALID("virtual.map_odd", cuMemMap(address + 1, unit, 0, handle, 0));
	INVALID("virtual.map_size_odd", cuMemMap(address, unit + 1, 0, handle, 0));
	INVALID("virtual.map_0", cuMemMap(address, 0, 0, handle, 0));
	INVALID("virtual.map_too_much", cuMemMap(address, 4 * unit, 0, handle, 0));
	INVALID("virtual.map_unreserved", cuMemMap(NOWHERE << 20, 2 * unit, 0, handle, 0));
	INVALID("virtual.map_flags", cuMemMap(address, 2 * unit, 0, handle, 1));
	IS("virtual.map_no_handle", UNSAID, cuMemMap(address, 2 * unit, 0, 0, 0));
	IS("virtual.map_offset", UNSAID, cuMemMap(address, unit, unit, handle, 0));
	(void)cuMemUnmap(address, unit);
	IS("virtual.map", CUDA_SUCCESS, cuMemMap(address, 2 * unit, 0, handle, 0));
	IS("virtual.map_again", UNSAID, cuMemMap(address, 2 * unit, 0, handle, 0));
	IS("virtual.access_0", UNSAID, cuMemSetAccess(address, 2 * unit, &access, 0));
	IS("virtual.access_null", UNSAID, cuMemSetAccess(address, 2 * unit, NULL, 1));
	INVALID("virtual.access_nowhere", cuMemSetAccess(NOWHERE << 20, 2 * unit, &access, 1));
	IS("virtual.access", CUDA_SUCCESS, cuMemSetAccess(address, 2 * unit, &access, 1));
	IS("virtual.free_mapped", UNSAID, cuMemAddressFree(address, 4 * unit));
	INVALID("virtual.free_as_memory", cuMemFree_v2(address));
	INVALID("virtual.unmap_half", cuMemUnmap(address, unit));
	INVALID("virtual.unmap_nowhere", cuMemUnmap(NOWHERE << 20, unit));
	IS("virtual.retain", CUDA_SUCCESS, cuMemRetainAllocationHandle(&other, (void *)(uintptr_t)address));
	IS("virtual.release_retained", CUDA_SUCCESS, cuMemRelease(other));
	INVALID("virtual.retain_memory", cuMemRetainAllocationHandle(&other, (void *)(uintptr_t)memory));
	INVALID("virtual.retain_nowhere", cuMemRetainAllocationHandle(&other, (void *)(uintptr_t)NOWHERE));
	IS("virtual.export_unasked", UNSAID,
	   cuMemExportToShareableHandle(&file, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	IS("virtual.export_flags", UNSAID,
	   cuMemExportToShareableHandle(&file, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 1));
	IS("virtual.import_nothing", UNSAID,
	   cuMemImportFromShareableHandle(&other, (void *)(intptr_t)-1, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
	IS("virtual.properties_null", UNSAID, cuMemGetAllocationPropertiesFromHandle(NULL, handle));
	IS("virtual.unmap", CUDA_SUCCESS, cuMemUnmap(address, 2 * unit));
	IS("virtual.unmap_again", UNSAID, cuMemUnmap(address, 2 * unit));
	INVALID("virtual.free_half", cuMemAddressFree(address, unit));
	INVALID("virtual.free_nowhere", cuMemAddressFree(NOWHERE << 20, unit));
	IS("virtual.free", CUDA_SUCCESS, cuMemAddressFree(address, 4 * unit));
	INVALID("virtual.free_again", cuMemAddressFree(address, 4 * unit));
	IS("virtual.release", CUDA_SUCCESS, cuMemRelease(handle));
	INVALID("virtual.release_0", cuMemRelease(0));
	(void)second;
}
