/* SPDX-License-Identifier: Apache-2.0 */
/* Boxes copied between two devices of one program, with any libcuda.so.1 that has so many. Run by test_devices.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor);
CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes);
CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *copy);
CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *copy, CUstream stream);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

enum { WIDTH = 24, ROWS = 5, SLICES = 3, PITCH = 64, HEIGHT = 7, BYTES = PITCH * HEIGHT * SLICES };

static CUcontext contexts[2];
static CUdeviceptr memory[2];
static CUarray arrays[2];
static CUstream stream; /* of device 0, which is current */

static int setup(void **state)
{
	const CUDA_ARRAY3D_DESCRIPTOR descriptor = {.Width = WIDTH,
						    .Height = ROWS,
						    .Depth = SLICES,
						    .Format = CU_AD_FORMAT_UNSIGNED_INT8,
						    .NumChannels = 1};

	(void)state;
	if (cuInit(0))
		return 1;
	for (int i = 1; i >= 0; i--) {
		if (cuDevicePrimaryCtxRetain(&contexts[i], i) || cuCtxSetCurrent(contexts[i]) ||
		    cuMemAlloc_v2(&memory[i], BYTES) || cuArray3DCreate_v2(&arrays[i], &descriptor))
			return 1;
	}
	return cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS;
}

static uint8_t pattern(uint32_t seed, size_t x, size_t y, size_t z)
{
	return (uint8_t)(seed + x * 3 + y * 50 + z * 101);
}

/* A box of BYTES in the program's memory, whose rows have gaps of 0xee. */
static void box_set(uint8_t *box, uint32_t seed)
{
	memset(box, 0xee, BYTES);
	for (size_t z = 0; z < SLICES; z++)
		for (size_t y = 0; y < ROWS; y++)
			for (size_t x = 0; x < WIDTH; x++)
				box[(z * HEIGHT + y) * PITCH + x] = pattern(seed, x, y, z);
}

static void box_expect(const uint8_t *box, uint32_t seed)
{
	for (size_t z = 0; z < SLICES; z++)
		for (size_t y = 0; y < ROWS; y++)
			for (size_t x = 0; x < WIDTH; x++)
				assert_int_equal(box[(z * HEIGHT + y) * PITCH + x], pattern(seed, x, y, z));
}

static CUDA_MEMCPY3D_PEER between(int from, int to)
{
	return (CUDA_MEMCPY3D_PEER){
		.srcContext = contexts[from],
		.srcPitch = PITCH,
		.srcHeight = HEIGHT,
		.dstContext = contexts[to],
		.dstPitch = PITCH,
		.dstHeight = HEIGHT,
		.WidthInBytes = WIDTH,
		.Height = ROWS,
		.Depth = SLICES,
	};
}

static void source_memory(CUDA_MEMCPY3D_PEER *copy, int device)
{
	copy->srcMemoryType = CU_MEMORYTYPE_DEVICE;
	copy->srcDevice = memory[device];
}

static void destination_memory(CUDA_MEMCPY3D_PEER *copy, int device)
{
	copy->dstMemoryType = CU_MEMORYTYPE_DEVICE;
	copy->dstDevice = memory[device];
}

static void source_array(CUDA_MEMCPY3D_PEER *copy, int device)
{
	copy->srcMemoryType = CU_MEMORYTYPE_ARRAY;
	copy->srcArray = arrays[device];
}

static void destination_array(CUDA_MEMCPY3D_PEER *copy, int device)
{
	copy->dstMemoryType = CU_MEMORYTYPE_ARRAY;
	copy->dstArray = arrays[device];
}

static void source_host(CUDA_MEMCPY3D_PEER *copy, const uint8_t *box)
{
	copy->srcMemoryType = CU_MEMORYTYPE_HOST;
	copy->srcHost = box;
}

static void destination_host(CUDA_MEMCPY3D_PEER *copy, uint8_t *box)
{
	copy->dstMemoryType = CU_MEMORYTYPE_HOST;
	copy->dstHost = box;
}

static void device_expect(int device, uint32_t seed)
{
	static uint8_t box[BYTES];

	WORKS(cuCtxSetCurrent(contexts[device]));
	WORKS(cuMemcpyDtoH_v2(box, memory[device], BYTES));
	WORKS(cuCtxSetCurrent(contexts[0]));
	box_expect(box, seed);
}

static void device_set(int device, uint32_t seed)
{
	static uint8_t box[BYTES];

	box_set(box, seed);
	/* NVIDIA's driver reaches memory of another device by a peer's calls alone. */
	for (int i = 1; i >= 0; i--) {
		WORKS(cuCtxSetCurrent(contexts[i]));
		WORKS(i == device ? cuMemcpyHtoD_v2(memory[i], box, BYTES) : cuMemsetD8_v2(memory[i], 0xdd, BYTES));
		WORKS(cuCtxSynchronize());
	}
}

static void test_memory(void **state)
{
	uint8_t box[BYTES];
	CUDA_MEMCPY3D_PEER copy = between(0, 1);

	(void)state;
	device_set(0, 1);
	source_memory(&copy, 0);
	destination_memory(&copy, 1);
	WORKS(cuMemcpy3DPeer(&copy));
	device_expect(1, 1);
	/* What lies between the rows stays. */
	WORKS(cuMemcpyDtoH_v2(box, memory[1], BYTES));
	assert_int_equal(box[WIDTH], 0xdd);
	assert_int_equal(box[ROWS * PITCH], 0xdd);

	device_set(1, 2);
	copy = between(1, 0);
	source_memory(&copy, 1);
	destination_memory(&copy, 0);
	WORKS(cuMemcpy3DPeerAsync(&copy, stream));
	WORKS(cuStreamSynchronize(stream));
	device_expect(0, 2);
}

/* From an array of one device to one of the other, which comes to memory and back by a part of it. */
static void test_arrays(void **state)
{
	CUDA_MEMCPY3D_PEER copy = between(0, 0);

	(void)state;
	device_set(0, 3);
	source_memory(&copy, 0);
	destination_array(&copy, 0);
	WORKS(cuMemcpy3DPeer(&copy));
	copy = between(0, 1);
	source_array(&copy, 0);
	destination_array(&copy, 1);
	WORKS(cuMemcpy3DPeerAsync(&copy, stream));
	copy = between(1, 0);
	source_array(&copy, 1);
	destination_memory(&copy, 0);
	WORKS(cuMemsetD8Async(memory[0], 0xdd, BYTES, stream));
	WORKS(cuMemcpy3DPeerAsync(&copy, stream));
	WORKS(cuStreamSynchronize(stream));
	device_expect(0, 3);
}

/* The other device's memory and array, and the program's memory: pinned and not. */
static void program_check(uint8_t *in, uint8_t *out, uint32_t seed)
{
	CUDA_MEMCPY3D_PEER copy = between(0, 1);

	box_set(in, seed);
	source_host(&copy, in);
	destination_memory(&copy, 1);
	WORKS(cuMemcpy3DPeer(&copy));
	device_expect(1, seed);

	box_set(in, seed + 1);
	destination_array(&copy, 1);
	WORKS(cuMemcpy3DPeerAsync(&copy, stream));
	copy = between(1, 0);
	source_array(&copy, 1);
	destination_host(&copy, out);
	memset(out, 0, BYTES);
	WORKS(cuMemcpy3DPeerAsync(&copy, stream));
	WORKS(cuStreamSynchronize(stream));
	box_expect(out, seed + 1);
	assert_int_equal(out[WIDTH], 0);
}

static void test_program_memory(void **state)
{
	static uint8_t in[BYTES], out[BYTES];

	(void)state;
	program_check(in, out, 10);
}

static void test_pinned_memory(void **state)
{
	void *in, *out;

	(void)state;
	WORKS(cuMemAllocHost_v2(&in, BYTES));
	WORKS(cuMemAllocHost_v2(&out, BYTES));
	program_check(in, out, 20);
	WORKS(cuMemFreeHost(in));
	WORKS(cuMemFreeHost(out));
}

/* A captured one, and a node between the devices. */
static void test_graphs(void **state)
{
	CUDA_MEMCPY3D_PEER copy = between(0, 1);
	CUDA_MEMCPY3D node_copy = {
		.srcMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcDevice = memory[1],
		.srcPitch = PITCH,
		.srcHeight = HEIGHT,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = memory[0],
		.dstPitch = PITCH,
		.dstHeight = HEIGHT,
		.WidthInBytes = WIDTH,
		.Height = ROWS,
		.Depth = SLICES,
	};
	CUgraph graph = NULL;
	CUgraphExec exec;
	CUgraphNode node;
	CUresult result;

	(void)state;
	source_memory(&copy, 0);
	destination_memory(&copy, 1);
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	result = cuMemcpy3DPeerAsync(&copy, stream);
	if (result == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED) {
		/* As driver 580 answers on two H200. */
		assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		skip();
	}
	WORKS(result);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	device_set(0, 30);
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
	device_expect(1, 30);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));

	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &node_copy, contexts[0]));
	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	device_set(1, 31);
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
	device_expect(0, 31);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_errors(void **state)
{
	CUDA_MEMCPY3D_PEER copy = between(0, 1);

	(void)state;
	source_memory(&copy, 0);
	destination_memory(&copy, 1);
	copy.Depth = 0;
	WORKS(cuMemcpy3DPeer(&copy));
	copy.Depth = SLICES;
	copy.dstPitch = WIDTH - 1;
	assert_int_equal(cuMemcpy3DPeer(&copy), CUDA_ERROR_INVALID_VALUE);
	copy.dstPitch = PITCH;
	/* Driver 580 ends the process at one of these calls. */
	if (!getenv("VGPU_NATIVE")) {
		copy.dstDevice = 0x1234000;
		assert_int_equal(cuMemcpy3DPeer(&copy), CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(cuMemcpy3DPeerAsync(&copy, stream), CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(cuMemcpy3DPeer(NULL), CUDA_ERROR_INVALID_VALUE);
	}
	copy = between(0, 1);
	source_array(&copy, 0);
	destination_array(&copy, 1);
	copy.Depth = SLICES + 1;
	assert_int_equal(cuMemcpy3DPeer(&copy), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuCtxSynchronize());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),	       cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_program_memory), cmocka_unit_test(test_pinned_memory),
		cmocka_unit_test(test_graphs),	       cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
