/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texture fetches against the formulas of the CUDA C++ programming guide's
 * appendix, in doubles.  A filtered value may differ by a step of the weights'
 * 8 bits along each axis.
 */
#include "cases.h"
#include "texture_field.h"
#include "texturing.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 13, HEIGHT = 7, DEPTH = 5, POINTS = 1000 };

static const double step = 1.0 / 256;

static float *random_floats(struct trial *trial, size_t count)
{
	float *values = trial_allocate(trial, count, sizeof(float));

	for (size_t i = 0; i < count; i++)
		values[i] = trial_random_float(trial, -1.0f, 1.0f);
	return values;
}

/* Coordinates that are not near a texel's edge, where rounding would decide. */
static float random_place(struct trial *trial, double low, double high, double extent)
{
	double texels = floor((low + (high - low) * trial_random_float(trial, 0.0f, 1.0f)) * extent);

	return (float)((texels + 0.03 + 0.94 * trial_random_float(trial, 0.0f, 1.0f)) / extent);
}

static void run_modes(struct trial *trial, bool linear)
{
	static const CUaddress_mode modes[] = {CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_BORDER,
					       CU_TR_ADDRESS_MODE_WRAP, CU_TR_ADDRESS_MODE_MIRROR};
	struct shape shape = {WIDTH, HEIGHT, 0, CU_AD_FORMAT_FLOAT, 1, 0};
	float *texels = random_floats(trial, WIDTH * HEIGHT), *at = trial_allocate(trial, POINTS, 8);
	float *expected = trial_allocate(trial, POINTS, sizeof(float));
	CUarray array = texturing_array(trial, &shape, texels);
	unsigned count = POINTS;

	/* Two are for normalised coordinates only. */
	for (int turn = 0; turn < 6; turn++) {
		bool normalised = turn >= 2;
		struct sampling sampling = {
			.address = modes[normalised ? turn - 2 : turn],
			.filter = linear ? CU_TR_FILTER_MODE_LINEAR : CU_TR_FILTER_MODE_POINT,
			.flags = normalised ? CU_TRSF_NORMALIZED_COORDINATES : 0,
			.border = 0.25f,
		};
		struct texture_field field = {texels, {WIDTH, HEIGHT, 1}, sampling.address, 0.25};
		CUtexObject texture = texturing_of_array(trial, array, &sampling);
		CUdeviceptr d_at, d_out = trial_reserve(trial, POINTS * sizeof(float));

		for (size_t i = 0; i < POINTS; i++) {
			double x = random_place(trial, -1.5, 2.5, WIDTH), y = random_place(trial, -1.5, 2.5, HEIGHT);

			at[2 * i] = (float)(normalised ? x : x * WIDTH);
			at[2 * i + 1] = (float)(normalised ? y : y * HEIGHT);
			expected[i] = (float)texture_field_sample(&field, (const double[3]){x * WIDTH, y * HEIGHT, 0},
								  linear);
		}
		d_at = trial_upload(trial, at, POINTS * 8);
		trial_launch(trial, "textures", "sample_2d", TRIAL_LINE(POINTS, 128),
			     TRIAL_ARGUMENTS(&texture, &d_at, &d_out, &count));
		trial_near_float(trial, "texel", trial_download(trial, d_out, POINTS * sizeof(float)), expected, POINTS,
				 linear ? 4 * step : 0, 0);
		texturing_end(trial, NULL, texture, 0);
	}
	texturing_end(trial, array, 0, 0);
}

static void run_texture_point(struct trial *trial)
{
	run_modes(trial, false);
}

static void run_texture_linear(struct trial *trial)
{
	run_modes(trial, true);
}

/* Integers as floats in [-1, 1], and as they are; half precision. */
static void run_texture_formats(struct trial *trial)
{
	static const struct {
		CUarray_format format;
		double scale;
	} formats[] = {
		{CU_AD_FORMAT_UNSIGNED_INT8, 255},
		{CU_AD_FORMAT_SIGNED_INT8, 127},
		{CU_AD_FORMAT_UNSIGNED_INT16, 65535},
		{CU_AD_FORMAT_SIGNED_INT16, 32767},
	};
	float at[2 * WIDTH * HEIGHT];
	unsigned count = WIDTH * HEIGHT;
	CUdeviceptr d_at, d_out = trial_reserve(trial, WIDTH * HEIGHT * 16);

	for (size_t i = 0; i < WIDTH * HEIGHT; i++) {
		at[2 * i] = (float)(i % WIDTH) + 0.5f;
		at[2 * i + 1] = (float)(i / WIDTH) + 0.5f;
	}
	d_at = trial_upload(trial, at, sizeof(at));
	for (size_t f = 0; f < 4; f++) {
		struct shape shape = {WIDTH, HEIGHT, 0, formats[f].format, 4, 0};
		struct sampling floats = {.address = CU_TR_ADDRESS_MODE_CLAMP}, integers = floats;
		size_t values = (size_t)WIDTH * HEIGHT * 4, bytes = values * shape_texel_bytes(&shape) / 4;
		float *expected = trial_allocate(trial, values, sizeof(float));
		int32_t *whole = trial_allocate(trial, values, sizeof(int32_t));
		uint8_t *texels = trial_allocate(trial, bytes, 1);
		CUtexObject as_float, as_integer;
		CUarray array;

		for (size_t i = 0; i < bytes; i++)
			texels[i] = (uint8_t)trial_random(trial);
		/* The lowest of a signed format is below -1. */
		memset(texels, 0x80, 4);
		for (size_t i = 0; i < values; i++) {
			if (shape_texel_bytes(&shape) == 4)
				whole[i] =
					formats[f].format == CU_AD_FORMAT_SIGNED_INT8 ? (int8_t)texels[i] : texels[i];
			else
				whole[i] = formats[f].format == CU_AD_FORMAT_SIGNED_INT16
						   ? ((int16_t *)(void *)texels)[i]
						   : ((uint16_t *)(void *)texels)[i];
			expected[i] = (float)fmax(whole[i] / formats[f].scale, -1);
		}
		array = texturing_array(trial, &shape, texels);
		integers.flags = CU_TRSF_READ_AS_INTEGER;
		as_float = texturing_of_array(trial, array, &floats);
		as_integer = texturing_of_array(trial, array, &integers);
		trial_launch(trial, "textures", "sample_2d_float4", TRIAL_LINE(count, 64),
			     TRIAL_ARGUMENTS(&as_float, &d_at, &d_out, &count));
		trial_near_float(trial, "normalised", trial_download(trial, d_out, values * 4), expected, values, 1e-6,
				 0);
		trial_launch(trial, "textures", "sample_2d_int4", TRIAL_LINE(count, 64),
			     TRIAL_ARGUMENTS(&as_integer, &d_at, &d_out, &count));
		trial_equal_u32(trial, "integer", trial_download(trial, d_out, values * 4), (uint32_t *)whole, values);
		texturing_end(trial, array, as_float, 0);
		texturing_end(trial, NULL, as_integer, 0);
	}
}

/* tex1Dfetch of a buffer, with zeros outside of it; half precision. */
static void run_texture_buffer(struct trial *trial)
{
	static const uint16_t halves[] = {0x3c00, 0xc000, 0x3555, 0x0001, 0x7bff, 0x8000, 0x7c00, 0x0400};
	static const float floats[] = {1,     -2,    0.333251953125f, 5.9604644775390625e-8f,
				       65504, -0.0f, INFINITY,	      6.103515625e-5f};
	int at[6] = {1, 0, 2, -1, 1000000, 1};
	float expected[24] = {0};
	CUdeviceptr d_texels = trial_upload(trial, halves, sizeof(halves));
	CUdeviceptr d_at = trial_upload(trial, at, sizeof(at)), d_out = trial_reserve(trial, sizeof(expected));
	CUDA_RESOURCE_DESC resource =
				   {
					   .resType = CU_RESOURCE_TYPE_LINEAR,
					   .res.linear = {.devPtr = d_texels,
							  .format = CU_AD_FORMAT_HALF,
							  .numChannels = 4,
							  .sizeInBytes = sizeof(halves)},
				   },
			   got = {0};
	CUtexObject texture = texturing_texture(trial, &resource, &(struct sampling){0});
	unsigned count = 6;

	memcpy(expected, floats + 4, 16);
	memcpy(expected + 4, floats, 16);
	memcpy(expected + 20, floats + 4, 16);
	trial_launch(trial, "textures", "fetch_linear", TRIAL_LINE(6, 32),
		     TRIAL_ARGUMENTS(&texture, &d_at, &d_out, &count));
	trial_equal_bytes(trial, "texel", trial_download(trial, d_out, sizeof(expected)), expected, 24, 4);
	if (!trial->failed) {
		texturing_expect(trial, "cuTexObjectGetResourceDesc", trial->driver->texture_resource(&got, texture),
				 CUDA_SUCCESS);
		if (got.resType != CU_RESOURCE_TYPE_LINEAR || got.res.linear.devPtr != d_texels)
			trial_fail(trial, "the resource is told wrongly");
	}
	texturing_end(trial, NULL, texture, 0);
}

/* Pitched linear memory, filtered. */
static void run_texture_pitched(struct trial *trial)
{
	enum { PITCH = 64 }; /* floats: what every device's alignment divides */
	float *texels = random_floats(trial, WIDTH * HEIGHT), *at = trial_allocate(trial, POINTS, 8);
	float *padded = trial_allocate(trial, PITCH * HEIGHT, sizeof(float));
	float *expected = trial_allocate(trial, POINTS, sizeof(float));
	struct texture_field field = {texels, {WIDTH, HEIGHT, 1}, CU_TR_ADDRESS_MODE_CLAMP, 0};
	struct sampling sampling = {.address = CU_TR_ADDRESS_MODE_CLAMP, .filter = CU_TR_FILTER_MODE_LINEAR};
	CUdeviceptr d_texels, d_at, d_out = trial_reserve(trial, POINTS * sizeof(float));
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_PITCH2D};
	CUtexObject texture;
	unsigned count = POINTS;

	for (size_t i = 0; i < WIDTH * HEIGHT; i++)
		padded[i / WIDTH * PITCH + i % WIDTH] = texels[i];
	d_texels = trial_upload(trial, padded, PITCH * HEIGHT * sizeof(float));
	resource.res.pitch2D.devPtr = d_texels;
	resource.res.pitch2D.format = CU_AD_FORMAT_FLOAT;
	resource.res.pitch2D.numChannels = 1;
	resource.res.pitch2D.width = WIDTH;
	resource.res.pitch2D.height = HEIGHT;
	resource.res.pitch2D.pitchInBytes = PITCH * sizeof(float);
	texture = texturing_texture(trial, &resource, &sampling);
	for (size_t i = 0; i < POINTS; i++) {
		at[2 * i] = trial_random_float(trial, -3, WIDTH + 3);
		at[2 * i + 1] = trial_random_float(trial, -3, HEIGHT + 3);
		expected[i] = (float)texture_field_sample(&field, (const double[3]){at[2 * i], at[2 * i + 1], 0}, true);
	}
	d_at = trial_upload(trial, at, POINTS * 8);
	trial_launch(trial, "textures", "sample_2d", TRIAL_LINE(POINTS, 128),
		     TRIAL_ARGUMENTS(&texture, &d_at, &d_out, &count));
	trial_near_float(trial, "texel", trial_download(trial, d_out, POINTS * sizeof(float)), expected, POINTS,
			 4 * step, 0);
	texturing_end(trial, NULL, texture, 0);
}

/* One row, and a volume. */
static void run_texture_1d_3d(struct trial *trial)
{
	struct shape line = {WIDTH, 0, 0, CU_AD_FORMAT_FLOAT, 1, 0};
	struct shape volume = {WIDTH, HEIGHT, DEPTH, CU_AD_FORMAT_FLOAT, 1, 0};
	struct sampling sampling = {.address = CU_TR_ADDRESS_MODE_CLAMP, .filter = CU_TR_FILTER_MODE_LINEAR};
	float *texels = random_floats(trial, WIDTH * HEIGHT * DEPTH), *at = trial_allocate(trial, POINTS, 16);
	float *line_at = trial_allocate(trial, POINTS, 4), *expected = trial_allocate(trial, 2 * POINTS, 4);
	CUarray first = texturing_array(trial, &line, texels), second = texturing_array(trial, &volume, texels);
	CUtexObject line_texture = texturing_of_array(trial, first, &sampling);
	CUtexObject volume_texture = texturing_of_array(trial, second, &sampling);
	struct texture_field line_field = {texels, {WIDTH, 1, 1}, CU_TR_ADDRESS_MODE_CLAMP, 0};
	struct texture_field field = {texels, {WIDTH, HEIGHT, DEPTH}, CU_TR_ADDRESS_MODE_CLAMP, 0};
	CUdeviceptr d_at, d_line_at, d_out = trial_reserve(trial, 2 * POINTS * sizeof(float)), d_half;
	unsigned count = POINTS;

	for (size_t i = 0; i < POINTS; i++) {
		double place[3];

		for (int axis = 0; axis < 3; axis++) {
			at[4 * i + (size_t)axis] = trial_random_float(trial, -2, (float)field.extent[axis] + 2);
			place[axis] = at[4 * i + (size_t)axis];
		}
		line_at[i] = at[4 * i];
		expected[i] = (float)texture_field_sample(&line_field, (const double[3]){place[0], 0, 0}, true);
		expected[POINTS + i] = (float)texture_field_sample(&field, place, true);
	}
	d_at = trial_upload(trial, at, POINTS * 16);
	d_line_at = trial_upload(trial, line_at, POINTS * 4);
	d_half = d_out + POINTS * 4;
	trial_launch(trial, "textures", "sample_1d", TRIAL_LINE(POINTS, 128),
		     TRIAL_ARGUMENTS(&line_texture, &d_line_at, &d_out, &count));
	trial_launch(trial, "textures", "sample_3d", TRIAL_LINE(POINTS, 128),
		     TRIAL_ARGUMENTS(&volume_texture, &d_at, &d_half, &count));
	trial_near_float(trial, "texel", trial_download(trial, d_out, 2 * POINTS * sizeof(float)), expected, 2 * POINTS,
			 6 * step, 0);
	texturing_end(trial, first, line_texture, 0);
	texturing_end(trial, second, volume_texture, 0);
}

/* Layers are never filtered across, and their number is clamped. */
static void run_texture_layered(struct trial *trial)
{
	struct shape planes = {WIDTH, HEIGHT, DEPTH, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_LAYERED};
	struct shape lines = {WIDTH, 0, DEPTH, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_LAYERED};
	struct sampling sampling = {.address = CU_TR_ADDRESS_MODE_CLAMP, .filter = CU_TR_FILTER_MODE_LINEAR};
	float *texels = random_floats(trial, WIDTH * HEIGHT * DEPTH), *at = trial_allocate(trial, POINTS, 16);
	float *line_at = trial_allocate(trial, POINTS, 8), *expected = trial_allocate(trial, 2 * POINTS, 4);
	CUarray first = texturing_array(trial, &planes, texels), second = texturing_array(trial, &lines, texels);
	CUtexObject plane_texture = texturing_of_array(trial, first, &sampling);
	CUtexObject line_texture = texturing_of_array(trial, second, &sampling);
	CUdeviceptr d_at, d_line_at, d_out = trial_reserve(trial, 2 * POINTS * sizeof(float)), d_half;
	unsigned count = POINTS;

	for (size_t i = 0; i < POINTS; i++) {
		float x = trial_random_float(trial, -2, WIDTH + 2), y = trial_random_float(trial, -2, HEIGHT + 2);
		int layer = (int)(trial_random(trial) % (DEPTH + 4));
		long inside = layer < DEPTH ? layer : DEPTH - 1;
		struct texture_field plane = {texels + inside * WIDTH * HEIGHT, {WIDTH, HEIGHT, 1}, 0, 0};
		struct texture_field line = {texels + inside * WIDTH, {WIDTH, 1, 1}, 0, 0};

		plane.mode = line.mode = CU_TR_ADDRESS_MODE_CLAMP;
		at[4 * i] = line_at[2 * i] = x;
		at[4 * i + 1] = y;
		at[4 * i + 2] = line_at[2 * i + 1] = (float)layer;
		expected[i] = (float)texture_field_sample(&plane, (const double[3]){x, y, 0}, true);
		expected[POINTS + i] = (float)texture_field_sample(&line, (const double[3]){x, 0, 0}, true);
	}
	d_at = trial_upload(trial, at, POINTS * 16);
	d_line_at = trial_upload(trial, line_at, POINTS * 8);
	d_half = d_out + POINTS * 4;
	trial_launch(trial, "textures", "sample_layered", TRIAL_LINE(POINTS, 128),
		     TRIAL_ARGUMENTS(&plane_texture, &d_at, &d_out, &count));
	trial_launch(trial, "textures", "sample_layered_1d", TRIAL_LINE(POINTS, 128),
		     TRIAL_ARGUMENTS(&line_texture, &d_line_at, &d_half, &count));
	trial_near_float(trial, "texel", trial_download(trial, d_out, 2 * POINTS * sizeof(float)), expected, 2 * POINTS,
			 4 * step, 0);
	texturing_end(trial, first, plane_texture, 0);
	texturing_end(trial, second, line_texture, 0);
}

/* Directions through the middle of each texel of each face, by the table of faces in the programming guide. */
static void run_texture_cubemap(struct trial *trial)
{
	enum { SIDE = 8, LAYERS = 2, TEXELS = SIDE * SIDE * 6 * LAYERS };
	struct shape cube = {SIDE, SIDE, 6, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP};
	struct shape cubes = {
		SIDE, SIDE, 6 * LAYERS, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED};
	struct sampling sampling = {.address = CU_TR_ADDRESS_MODE_CLAMP, .flags = CU_TRSF_NORMALIZED_COORDINATES};
	float *texels = random_floats(trial, TEXELS), *at = trial_allocate(trial, TEXELS, 16);
	CUarray first = texturing_array(trial, &cube, texels), second = texturing_array(trial, &cubes, texels);
	CUtexObject one = texturing_of_array(trial, first, &sampling);
	CUtexObject several = texturing_of_array(trial, second, &sampling);
	CUdeviceptr d_at, d_out = trial_reserve(trial, TEXELS * sizeof(float));
	unsigned count = TEXELS, half = TEXELS / LAYERS;

	for (size_t i = 0; i < TEXELS; i++) {
		/* s and t of the face run from -1 to 1. */
		float s = ((float)(i % SIDE) + 0.5f) / SIDE * 2 - 1,
		      t = ((float)(i / SIDE % SIDE) + 0.5f) / SIDE * 2 - 1;
		float length = trial_random_float(trial, 0.5f, 3.0f), *place = at + 4 * i;
		const float directions[6][3] = {{1, -t, -s}, {-1, -t, s}, {s, 1, t},
						{s, -1, -t}, {s, -t, 1},  {-s, -t, -1}};

		for (int axis = 0; axis < 3; axis++)
			place[axis] = directions[i / (SIDE * SIDE) % 6][axis] * length;
		place[3] = (float)(i / (SIDE * SIDE * 6));
	}
	d_at = trial_upload(trial, at, TEXELS * 16);
	trial_launch(trial, "textures", "sample_cube", TRIAL_LINE(half, 64),
		     TRIAL_ARGUMENTS(&one, &d_at, &d_out, &half));
	trial_equal_bytes(trial, "texel", trial_download(trial, d_out, half * sizeof(float)), texels, half, 4);
	trial_launch(trial, "textures", "sample_cube_layered", TRIAL_LINE(count, 64),
		     TRIAL_ARGUMENTS(&several, &d_at, &d_out, &count));
	trial_equal_bytes(trial, "layered texel", trial_download(trial, d_out, count * sizeof(float)), texels, count,
			  4);
	texturing_end(trial, first, one, 0);
	texturing_end(trial, second, several, 0);
}

/* Levels of one value each: between two of them the filter mixes. */
static void run_texture_mipmap(struct trial *trial)
{
	enum { LEVELS = 5, SIDE = 16 };
	CUDA_ARRAY3D_DESCRIPTOR descriptor = {SIDE, SIDE, 0, CU_AD_FORMAT_FLOAT, 1, 0};
	struct sampling sampling = {
		.address = CU_TR_ADDRESS_MODE_CLAMP,
		.filter = CU_TR_FILTER_MODE_LINEAR,
		.flags = CU_TRSF_NORMALIZED_COORDINATES,
		.level_filter = CU_TR_FILTER_MODE_LINEAR,
		.level_maximum = LEVELS - 1,
	};
	CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY};
	float *at = trial_allocate(trial, POINTS, 16), *expected = trial_allocate(trial, POINTS, 4),
	      texels[SIDE * SIDE];
	CUdeviceptr d_at, d_out = trial_reserve(trial, POINTS * sizeof(float));
	CUmipmappedArray mipmap = NULL;
	CUtexObject texture;
	unsigned count = POINTS;

	texturing_expect(trial, "cuMipmappedArrayCreate", trial->driver->mipmap_create(&mipmap, &descriptor, LEVELS),
			 CUDA_SUCCESS);
	for (unsigned level = 0; level < LEVELS && !trial->failed; level++) {
		struct shape shape = {SIDE >> level, SIDE >> level, 0, CU_AD_FORMAT_FLOAT, 1, 0};
		CUarray array;

		for (size_t i = 0; i < SIDE * SIDE; i++)
			texels[i] = (float)(level * level);
		texturing_expect(trial, "cuMipmappedArrayGetLevel", trial->driver->mipmap_level(&array, mipmap, level),
				 CUDA_SUCCESS);
		texturing_write(trial, array, &shape, texels);
	}
	resource.res.mipmap.hMipmappedArray = mipmap;
	texture = texturing_texture(trial, &resource, &sampling);
	for (size_t i = 0; i < POINTS; i++) {
		double level = trial_random_float(trial, -1, LEVELS + 1);
		double inside = level < 0 ? 0 : level > LEVELS - 1 ? LEVELS - 1 : level, low = floor(inside);

		at[4 * i] = trial_random_float(trial, 0, 1);
		at[4 * i + 1] = trial_random_float(trial, 0, 1);
		at[4 * i + 2] = (float)level;
		expected[i] = (float)(low * low + (inside - low) * (2 * low + 1));
	}
	d_at = trial_upload(trial, at, POINTS * 16);
	trial_launch(trial, "textures", "sample_level", TRIAL_LINE(POINTS, 128),
		     TRIAL_ARGUMENTS(&texture, &d_at, &d_out, &count));
	/* A step of the level's weight is as large as the two levels differ. */
	trial_near_float(trial, "level", trial_download(trial, d_out, POINTS * sizeof(float)), expected, POINTS,
			 8 * step, 0);
	/* A gradient of 2^n texels of the base chooses level n, nearly: GPUs approximate the logarithm. */
	for (size_t i = 0; i < POINTS; i++) {
		at[4 * i + 2] = (float)(1u << i % LEVELS) / SIDE;
		expected[i] = (float)(i % LEVELS * (i % LEVELS));
	}
	trial_write(trial, d_at, at, POINTS * 16);
	trial_launch(trial, "textures", "sample_gradient", TRIAL_LINE(POINTS, 128),
		     TRIAL_ARGUMENTS(&texture, &d_at, &d_out, &count));
	trial_near_float(trial, "gradient", trial_download(trial, d_out, POINTS * sizeof(float)), expected, POINTS,
			 28 * step, 0);
	texturing_end(trial, NULL, texture, 0);
	if (mipmap)
		texturing_expect(trial, "cuMipmappedArrayDestroy", trial->driver->mipmap_destroy(mipmap), CUDA_SUCCESS);
}

/* The second component of four texels. */
static void run_texture_gather(struct trial *trial)
{
	struct shape shape = {WIDTH, HEIGHT, 0, CU_AD_FORMAT_FLOAT, 2, CUDA_ARRAY3D_TEXTURE_GATHER};
	struct sampling sampling = {.address = CU_TR_ADDRESS_MODE_CLAMP};
	float *texels = random_floats(trial, 2 * WIDTH * HEIGHT), *at = trial_allocate(trial, POINTS, 8);
	float *expected = trial_allocate(trial, POINTS, 16);
	CUarray array = texturing_array(trial, &shape, texels);
	CUtexObject texture = texturing_of_array(trial, array, &sampling);
	CUdeviceptr d_at, d_out = trial_reserve(trial, POINTS * 16);
	unsigned count = POINTS;

	for (size_t i = 0; i < POINTS; i++) {
		/* In the middle between four texels, well inside. */
		long x = (long)(trial_random(trial) % (WIDTH - 1)), y = (long)(trial_random(trial) % (HEIGHT - 1));
		static const int corners[4][2] = {{0, 1}, {1, 1}, {1, 0}, {0, 0}};

		at[2 * i] = (float)x + 1;
		at[2 * i + 1] = (float)y + 1;
		at[2 * i] += trial_random_float(trial, -0.4f, 0.4f);
		at[2 * i + 1] += trial_random_float(trial, -0.4f, 0.4f);
		for (int corner = 0; corner < 4; corner++)
			expected[4 * i + (size_t)corner] =
				texels[2 * ((y + corners[corner][1]) * WIDTH + x + corners[corner][0]) + 1];
	}
	d_at = trial_upload(trial, at, POINTS * 8);
	trial_launch(trial, "textures", "gather_second", TRIAL_LINE(POINTS, 128),
		     TRIAL_ARGUMENTS(&texture, &d_at, &d_out, &count));
	trial_equal_bytes(trial, "texel", trial_download(trial, d_out, POINTS * 16), expected, POINTS * 4, 4);
	texturing_end(trial, array, texture, 0);
}

const struct trial_case cases_textures[] = {
	{"texture_point", run_texture_point},
	{"texture_linear", run_texture_linear},
	{"texture_formats", run_texture_formats},
	{"texture_buffer", run_texture_buffer},
	{"texture_pitched", run_texture_pitched},
	{"texture_1d_3d", run_texture_1d_3d},
	{"texture_layered", run_texture_layered},
	{"texture_cubemap", run_texture_cubemap},
	{"texture_mipmap", run_texture_mipmap},
	{"texture_gather", run_texture_gather},
	{NULL, NULL},
};
