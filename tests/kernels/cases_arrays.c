/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays and copies of boxes. */
#include "cases.h"
#include "texturing.h"

#include <string.h>

static uint8_t *random_bytes(struct trial *trial, size_t count)
{
	uint8_t *bytes = trial_allocate(trial, count, 1);

	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)trial_random(trial);
	return bytes;
}

/* Linear memory both ways, with gaps between rows and slices on the device's side. */
static void run_box_linear(struct trial *trial)
{
	enum { WIDTH = 75, HEIGHT = 9, DEPTH = 7, PITCH = 96, SLICE_ROWS = 12 };
	uint8_t *sent = random_bytes(trial, WIDTH * HEIGHT * DEPTH), *got, *back;
	uint8_t *expected = trial_allocate(trial, PITCH * SLICE_ROWS * DEPTH, 1);
	CUdeviceptr device = trial_reserve(trial, PITCH * SLICE_ROWS * DEPTH);
	CUDA_MEMCPY3D copy = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = sent,
		.srcPitch = WIDTH,
		.srcHeight = HEIGHT,
		.srcXInBytes = 5,
		.srcY = 1,
		.srcZ = 2,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = device,
		.dstPitch = PITCH,
		.dstHeight = SLICE_ROWS,
		.dstXInBytes = 3,
		.dstY = 2,
		.dstZ = 1,
		.WidthInBytes = 64,
		.Height = 8,
		.Depth = 5,
	};

	if (trial->failed)
		return;
	for (size_t z = 0; z < 5; z++)
		for (size_t y = 0; y < 8; y++)
			memcpy(&expected[((z + 1) * SLICE_ROWS + y + 2) * PITCH + 3],
			       &sent[((z + 2) * HEIGHT + y + 1) * WIDTH + 5], 64);
	texturing_expect(trial, "cuMemcpy3D", trial->driver->copy_box(&copy), CUDA_SUCCESS);
	got = trial_download(trial, device, PITCH * SLICE_ROWS * DEPTH);
	trial_equal_bytes(trial, "device", got, expected, PITCH * SLICE_ROWS * DEPTH, 1);
	/* The same box back, asynchronously, to the place that it came from. */
	back = trial_allocate(trial, WIDTH * HEIGHT * DEPTH, 1);
	copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.srcDevice = device;
	copy.srcPitch = PITCH;
	copy.srcHeight = SLICE_ROWS;
	copy.srcXInBytes = 3;
	copy.srcY = 2;
	copy.srcZ = 1;
	copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	copy.dstHost = back;
	copy.dstPitch = WIDTH;
	copy.dstHeight = HEIGHT;
	copy.dstXInBytes = 5;
	copy.dstY = 1;
	copy.dstZ = 2;
	texturing_expect(trial, "cuMemcpy3DAsync", trial->driver->copy_box_async(&copy, NULL), CUDA_SUCCESS);
	texturing_expect(trial, "cuStreamSynchronize", trial->driver->stream_synchronize(NULL), CUDA_SUCCESS);
	for (size_t i = 0; i < WIDTH * HEIGHT * DEPTH; i++) {
		size_t x = i % WIDTH, y = i / WIDTH % HEIGHT, z = i / WIDTH / HEIGHT;
		bool inside = x >= 5 && x < 69 && y >= 1 && z >= 2;

		if (!inside)
			sent[i] = 0;
	}
	trial_equal_bytes(trial, "host", back, sent, WIDTH * HEIGHT * DEPTH, 1);
	copy.dstXInBytes = 50;
	texturing_expect(trial, "a row over its pitch", trial->driver->copy_box(&copy), CUDA_ERROR_INVALID_VALUE);
}

/* Through the windows in several pieces, to device memory, and to pinned memory. */
static void run_box_array(struct trial *trial)
{
	struct shape shape = {517, 301, 9, CU_AD_FORMAT_SIGNED_INT16, 2, 0};
	size_t row = 517 * 4, bytes = row * 301 * 9;
	uint8_t *sent = random_bytes(trial, bytes);
	CUarray first = texturing_array(trial, &shape, sent), second = texturing_array(trial, &shape, NULL);
	CUdeviceptr device = trial_reserve(trial, bytes);
	CUDA_MEMCPY3D copy = {.WidthInBytes = row, .Height = 301, .Depth = 9};
	void *pinned = NULL;

	if (trial->failed)
		return;
	trial_equal_bytes(trial, "array", texturing_read(trial, first, &shape), sent, bytes, 1);
	copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	copy.srcArray = first;
	copy.dstArray = second;
	texturing_expect(trial, "array to array", trial->driver->copy_box(&copy), CUDA_SUCCESS);
	trial_equal_bytes(trial, "copy", texturing_read(trial, second, &shape), sent, bytes, 1);
	copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.dstDevice = device;
	copy.dstPitch = row;
	copy.dstHeight = 301;
	texturing_expect(trial, "array to device", trial->driver->copy_box(&copy), CUDA_SUCCESS);
	trial_equal_bytes(trial, "device", trial_download(trial, device, bytes), sent, bytes, 1);
	texturing_expect(trial, "cuMemHostAlloc", trial->driver->host_allocate(&pinned, bytes, 0), CUDA_SUCCESS);
	if (trial->failed)
		return;
	memset(pinned, 0, bytes);
	copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	copy.dstHost = pinned;
	texturing_expect(trial, "array to pinned", trial->driver->copy_box_async(&copy, NULL), CUDA_SUCCESS);
	texturing_expect(trial, "cuStreamSynchronize", trial->driver->stream_synchronize(NULL), CUDA_SUCCESS);
	trial_equal_bytes(trial, "pinned", pinned, sent, bytes, 1);
	/* One texel too many. Half a texel is taken by the real driver; what then arrives is not documented. */
	copy.srcXInBytes = 4;
	texturing_expect(trial, "over the edge", trial->driver->copy_box(&copy), CUDA_ERROR_INVALID_VALUE);
	copy.WidthInBytes = 2;
	texturing_expect(trial, "half a texel", trial->driver->copy_box(&copy), CUDA_SUCCESS);
	texturing_expect(trial, "cuMemFreeHost", trial->driver->host_free(pinned), CUDA_SUCCESS);
	texturing_end(trial, first, 0, 0);
	texturing_end(trial, second, 0, 0);
}

/* What an array says of itself; levels of a mipmapped one halve. */
static void run_array_descriptors(struct trial *trial)
{
	CUDA_ARRAY3D_DESCRIPTOR descriptor = {40, 20, 0, CU_AD_FORMAT_HALF, 4, 0}, got = {0};
	CUmipmappedArray mipmap = NULL;
	CUarray array = NULL, level = NULL;

	texturing_expect(trial, "cuMipmappedArrayCreate", trial->driver->mipmap_create(&mipmap, &descriptor, 4),
			 CUDA_SUCCESS);
	for (unsigned i = 0; i < 4 && !trial->failed; i++) {
		texturing_expect(trial, "cuMipmappedArrayGetLevel", trial->driver->mipmap_level(&level, mipmap, i),
				 CUDA_SUCCESS);
		texturing_expect(trial, "cuArray3DGetDescriptor", trial->driver->array_describe(&got, level),
				 CUDA_SUCCESS);
		if (!trial->failed && (got.Width != 40u >> i || got.Height != 20u >> i ||
				       got.Format != CU_AD_FORMAT_HALF || got.NumChannels != 4))
			trial_fail(trial, "level %u is %zu x %zu", i, got.Width, got.Height);
	}
	texturing_expect(trial, "a level that is not there", trial->driver->mipmap_level(&level, mipmap, 4),
			 CUDA_ERROR_INVALID_VALUE);
	texturing_expect(trial, "cuMipmappedArrayDestroy", trial->driver->mipmap_destroy(mipmap), CUDA_SUCCESS);
	descriptor.NumChannels = 3;
	texturing_expect(trial, "three channels", trial->driver->array_create(&array, &descriptor),
			 CUDA_ERROR_INVALID_VALUE);
	descriptor.NumChannels = 1;
	descriptor.Flags = CUDA_ARRAY3D_CUBEMAP;
	texturing_expect(trial, "a cube that is none", trial->driver->array_create(&array, &descriptor),
			 CUDA_ERROR_INVALID_VALUE);
}

const struct trial_case cases_arrays[] = {
	{"box_linear", run_box_linear},
	{"box_array", run_box_array},
	{"array_descriptors", run_array_descriptors},
	{NULL, NULL},
};
