/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the calls of before CUDA 3.2 answer, whose sizes and addresses have 32 bits, with any libcuda.so.1: in a context
 * of that time (cuCtxCreate without a version), in one of today and in a primary one. Run by test_local.py.
 */
#include "answers.h"
#include "old_calls.h"

enum { BYTES = 4096, SIDE = 32 };

static CUdeviceptr_v1 memory, other;
static CUdeviceptr wide;
static CUstream stream;
static uint8_t in[BYTES], out[BYTES];

static const char image[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
			    ".visible .global .u32 word = 17;\n"
			    ".visible .entry nothing()\n{\n\tret;\n}\n";

static void context_calls(void)
{
	unsigned int version = 0, total = 0, free_bytes = 0;
	size_t wide_total = 0, wide_free = 0;
	CUcontext found = NULL;

	if (said("api_version", cuCtxGetApiVersion(NULL, &version)))
		told("api_version", version);
	if (said("device_total", cuDeviceTotalMem(&total, 0)) &&
	    said("device_total_v2", cuDeviceTotalMem_v2(&wide_total, 0))) {
		told("device_total_is_low_half", total == (unsigned int)wide_total);
		told("device_total_is_greatest", total == ~0u);
		printf("note device_total %#x of %#zx\n", total, wide_total);
	}
	/* It takes no part in memory's addresses, so ours answers it in any context. */
	SAID_UNLIKE("mem_info", cuMemGetInfo(&free_bytes, &total));
	said("mem_info_v2", cuMemGetInfo_v2(&wide_free, &wide_total));
	printf("note mem_info %#x %#x of %#zx %#zx\n", free_bytes, total, wide_free, wide_total);
	said("pop", cuCtxPopCurrent(&found));
	said("push", cuCtxPushCurrent(found));
	said("push_v2_of_it", cuCtxPushCurrent_v2(found));
	said("pop_v2_of_it", cuCtxPopCurrent_v2(&found));
}

static void memory_calls(void)
{
	unsigned int pitch = 0, bytes = 0;
	CUdeviceptr_v1 base = 0, pitched = 0;
	CUdeviceptr wide_base = 0;
	size_t wide_bytes = 0;
	void *host = NULL;

	said("alloc_0", cuMemAlloc(&memory, 0));
	said("alloc_null", cuMemAlloc(NULL, BYTES));
	said("alloc", cuMemAlloc(&memory, BYTES));
	said("alloc_other", cuMemAlloc(&other, BYTES));
	printf("note alloc %#x %#x\n", memory, other);
	said("alloc_v2", cuMemAlloc_v2(&wide, BYTES));
	printf("note alloc_v2 %#llx\n", (unsigned long long)wide);
	told("alloc_v2_fits", wide == (CUdeviceptr_v1)wide);
	said("range", cuMemGetAddressRange(&base, &bytes, memory + 16));
	told("range_is_it", base == memory && bytes == BYTES);
	said("range_v2", cuMemGetAddressRange_v2(&wide_base, &wide_bytes, memory + 16));
	said("range_of_cut", cuMemGetAddressRange(&base, &bytes, (CUdeviceptr_v1)wide));
	if (said("alloc_pitch", cuMemAllocPitch(&pitched, &pitch, 100, 16, 4)))
		told("pitch", pitch);
	said("alloc_pitch_free", cuMemFree(pitched));
	said("alloc_huge", cuMemAlloc(&pitched, 0xf0000000u));
	if (pitched)
		said("alloc_huge_free", cuMemFree(pitched));
	/* Nor does this. */
	if (SAID_UNLIKE("alloc_host", cuMemAllocHost(&host, BYTES))) {
		SAID_UNLIKE("host_pointer", cuMemHostGetDevicePointer(&base, host, 0));
		SAID_UNLIKE("free_host", cuMemFreeHost(host));
	}
	said("free_0", cuMemFree(0));
	said("free_cut", cuMemFree((CUdeviceptr_v1)wide));
	said("free_nobodys", cuMemFree(0x1234000));
}

static void bytes_expect(const char *name, uint8_t value)
{
	bool is_right = true;

	for (size_t i = 0; i < BYTES; i++)
		is_right = is_right && out[i] == (uint8_t)(i + value);
	told(name, is_right);
}

/* Rows of the first half of 'in' in two dimensions. */
static void flat_calls(void)
{
	const CUDA_MEMCPY2D_v1 up = {.srcMemoryType = CU_MEMORYTYPE_HOST,
				     .srcHost = in,
				     .srcPitch = 64,
				     .dstMemoryType = CU_MEMORYTYPE_DEVICE,
				     .dstDevice = memory,
				     .dstPitch = 64,
				     .WidthInBytes = 64,
				     .Height = BYTES / 64};
	const CUDA_MEMCPY2D_v1 down = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
				       .srcDevice = memory,
				       .srcPitch = 64,
				       .dstMemoryType = CU_MEMORYTYPE_HOST,
				       .dstHost = out,
				       .dstPitch = 64,
				       .WidthInBytes = 64,
				       .Height = BYTES / 64};
	const CUDA_MEMCPY3D_v1 box = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
				      .srcDevice = memory,
				      .srcPitch = 64,
				      .srcHeight = 16,
				      .dstMemoryType = CU_MEMORYTYPE_DEVICE,
				      .dstDevice = other,
				      .dstPitch = 64,
				      .dstHeight = 16,
				      .WidthInBytes = 64,
				      .Height = 16,
				      .Depth = BYTES / 1024};

	said("copy_2d_up", cuMemcpy2D(&up));
	memset(out, 0, BYTES);
	said("copy_2d_down", cuMemcpy2D(&down));
	bytes_expect("copy_2d", 3);
	said("copy_2d_unaligned", cuMemcpy2DUnaligned(&down));
	said("copy_2d_async", cuMemcpy2DAsync(&down, stream));
	said("copy_2d_null", cuMemcpy2D(NULL));
	said("copy_3d", cuMemcpy3D(&box));
	said("copy_3d_async", cuMemcpy3DAsync(&box, stream));
	memset(out, 0, BYTES);
	said("copy_3d_down", cuMemcpyDtoH(out, other, BYTES));
	bytes_expect("copy_3d", 3);
}

static void copy_calls(void)
{
	for (size_t i = 0; i < BYTES; i++)
		in[i] = (uint8_t)(i + 3);
	said("up", cuMemcpyHtoD(memory, in, BYTES));
	said("down", cuMemcpyDtoH(out, memory, BYTES));
	bytes_expect("down", 3);
	said("up_async", cuMemcpyHtoDAsync(memory, in, BYTES, stream));
	said("between", cuMemcpyDtoD(other, memory, BYTES));
	said("between_async", cuMemcpyDtoDAsync(other, memory, BYTES, stream));
	memset(out, 0, BYTES);
	said("down_async", cuMemcpyDtoHAsync(out, other, BYTES, stream));
	bytes_expect("down_async", 3);
	said("up_to_cut", cuMemcpyHtoD((CUdeviceptr_v1)wide, in, BYTES));
	said("up_to_nobodys", cuMemcpyHtoD(0x1234000, in, BYTES));
	said("up_v2_to_old", cuMemcpyHtoD_v2(memory, in, BYTES));
	said("fill_8", cuMemsetD8(memory, 1, BYTES));
	said("fill_16", cuMemsetD16(memory, 1, BYTES / 2));
	said("fill_32", cuMemsetD32(memory, 0x01010101, BYTES / 4));
	said("fill_2d_8", cuMemsetD2D8(memory, 64, 1, 32, 16));
	said("fill_2d_16", cuMemsetD2D16(memory, 64, 1, 16, 16));
	said("fill_2d_32", cuMemsetD2D32(memory, 64, 1, 8, 16));
	said("fill_down", cuMemcpyDtoH(out, memory, BYTES));
	told("fill", out[0] == 1 && out[1] == 0 && out[40] == 1 && out[BYTES - 1] == 1);
	said("up_again", cuMemcpyHtoD(memory, in, BYTES));
	flat_calls();
}

static void array_calls(void)
{
	const CUDA_ARRAY_DESCRIPTOR_v1 plane = {SIDE, SIDE, CU_AD_FORMAT_UNSIGNED_INT8, 4};
	const CUDA_ARRAY3D_DESCRIPTOR_v1 box = {SIDE, 8, 4, CU_AD_FORMAT_UNSIGNED_INT8, 4, 0};
	CUDA_ARRAY_DESCRIPTOR_v1 found = {0};
	CUDA_ARRAY3D_DESCRIPTOR_v1 found_box = {0};
	CUDA_ARRAY_DESCRIPTOR found_wide = {0};
	CUarray array = NULL, second = NULL, solid = NULL;

	said("array_null", cuArrayCreate(NULL, &plane));
	said("array", cuArrayCreate(&array, &plane));
	said("array_second", cuArrayCreate(&second, &plane));
	said("array_3d", cuArray3DCreate(&solid, &box));
	if (array && said("array_descriptor", cuArrayGetDescriptor(&found, array)))
		told("array_width", found.Width * 1000 + found.Height);
	if (array && said("array_descriptor_v2", cuArrayGetDescriptor_v2(&found_wide, array)))
		told("array_width_v2", (long long)(found_wide.Width * 1000 + found_wide.Height));
	if (solid && said("array_descriptor_3d", cuArray3DGetDescriptor(&found_box, solid)))
		told("array_depth", found_box.Height * 1000 + found_box.Depth);
	said("array_up", cuMemcpyHtoA(array, 0, in, BYTES));
	said("array_up_async", cuMemcpyHtoAAsync(array, 0, in, BYTES, stream));
	said("array_between", cuMemcpyAtoA(second, 0, array, 0, BYTES));
	memset(out, 0, BYTES);
	said("array_down", cuMemcpyAtoH(out, second, 0, BYTES));
	bytes_expect("array_down", 3);
	said("array_down_async", cuMemcpyAtoHAsync(out, second, 0, BYTES, stream));
	said("array_from_memory", cuMemcpyDtoA(second, 0, memory, BYTES));
	said("array_to_memory", cuMemcpyAtoD(memory, second, 0, BYTES));
	if (array)
		said("array_destroy", cuArrayDestroy(array));
	if (second)
		said("array_second_destroy", cuArrayDestroy(second));
	if (solid)
		said("array_3d_destroy", cuArrayDestroy(solid));
	array = NULL;
	if (said("array_v2", cuArrayCreate_v2(&array, &(CUDA_ARRAY_DESCRIPTOR){SIDE, SIDE, CU_AD_FORMAT_FLOAT, 1}))) {
		said("array_descriptor_of_v2", cuArrayGetDescriptor(&found, array));
		said("array_up_to_v2", cuMemcpyHtoA(array, 0, in, BYTES));
		said("array_v2_destroy", cuArrayDestroy(array));
	}
}

static void module_calls(void)
{
	CUdeviceptr_v1 address = 0;
	CUdeviceptr wide_address = 0;
	unsigned int bytes = 0;
	size_t wide_bytes = 0;
	CUmodule module = NULL;

	if (!said("module", cuModuleLoadData(&module, image)))
		return;
	if (said("global", cuModuleGetGlobal(&address, &bytes, module, "word")))
		told("global_bytes", bytes);
	said("global_v2", cuModuleGetGlobal_v2(&wide_address, &wide_bytes, module, "word"));
	told("global_is_cut", address == (CUdeviceptr_v1)wide_address);
	printf("note global %#x %#llx\n", address, (unsigned long long)wide_address);
	said("global_unknown", cuModuleGetGlobal(&address, &bytes, module, "nothing_such"));
}

/* In a context that is current. */
static void all_calls(void)
{
	CUevent event = NULL;
	CUstream own = NULL;

	said("stream_create", cuStreamCreate(&stream, 0));
	context_calls();
	memory_calls();
	copy_calls();
	array_calls();
	module_calls();
	said("free", cuMemFree(memory));
	said("free_other", cuMemFree(other));
	said("own_stream", cuStreamCreate(&own, 0));
	said("stream_destroy", cuStreamDestroy(own));
	said("event", cuEventCreate(&event, 0));
	said("event_destroy", cuEventDestroy(event));
}

/* The libcuda of this project makes contexts of today alone. */
static void old_calls(void)
{
	CUcontext context = NULL, found = NULL;
	unsigned int version = 0;

	answers_word = "unlike";

	if (!said("create", cuCtxCreate(&context, 0, 0)))
		return;
	if (said("attach", cuCtxAttach(&found, 0)))
		said("detach", cuCtxDetach(context));
	all_calls();
	if (said("api_version_of_it", cuCtxGetApiVersion(context, &version)))
		told("api_version_of_it", version);
	said("set_current_none", cuCtxSetCurrent(NULL));
	said("set_current", cuCtxSetCurrent(context));
	said("destroy", cuCtxDestroy(context));
}

static void new_calls(void)
{
	CUcontext context = NULL;

	if (!said("create", cuCtxCreate_v2(&context, 0, 0)))
		return;
	all_calls();
	said("destroy", cuCtxDestroy(context));
	/* The driver looks into what it has freed: CUDA_ERROR_INVALID_CONTEXT in one run, CONTEXT_IS_DESTROYED in
	 * another. */
	SAID_UNLIKE("destroy_v2", cuCtxDestroy_v2(context));
}

static void primary_calls(void)
{
	answers_context();
	all_calls();
	said("destroy", cuCtxDestroy(NULL));
}

/* A context of that time is current to one thread, once. */
static void stack_calls(void)
{
	CUcontext first = NULL, second = NULL, found = NULL;

	answers_word = "unlike";
	said("create_first", cuCtxCreate(&first, 0, 0));
	said("create_second", cuCtxCreate(&second, 0, 0));
	said("current", cuCtxGetCurrent(&found));
	told("current_is_second", found == second);
	said("push_current_again", cuCtxPushCurrent(second));
	said("push_first", cuCtxPushCurrent(first));
	said("pop_1", cuCtxPopCurrent(&found));
	told("pop_1", found == first ? 1 : found == second ? 2 : found ? 3 : 0);
	said("pop_2", cuCtxPopCurrent(&found));
	told("pop_2", found == first ? 1 : found == second ? 2 : found ? 3 : 0);
	said("pop_3", cuCtxPopCurrent(&found));
	told("pop_3", found == first ? 1 : found == second ? 2 : found ? 3 : 0);
	said("set_first", cuCtxSetCurrent(first));
	said("destroy_second_not_current", cuCtxDestroy(second));
	said("destroy_first_v2", cuCtxDestroy_v2(first));
	said("none.alloc", cuMemAlloc(&memory, 16));
	said("none.info", cuMemGetInfo(&memory, &other));
	said("none.total", cuDeviceTotalMem(&memory, 0));
	said("none.pop", cuCtxPopCurrent(&found));
	said("none.destroy_null", cuCtxDestroy(NULL));
}

static const struct answers_group groups[] = {
	{"old", old_calls},
	{"new", new_calls},
	{"primary", primary_calls},
	{"stack", stack_calls},
};

int main(int count, char **arguments)
{
	return answers_run(groups, COUNT_OF(groups), count > 1 ? arguments[1] : NULL);
}
