/* SPDX-License-Identifier: Apache-2.0 */
/* Surfaces: arrays that kernels write. */
#include "cases.h"
#include "texturing.h"

/* In place; read back as an array, and through a texture of the same array. */
static void run_surface_in_place(struct trial *trial)
{
	enum { WIDTH = 67, HEIGHT = 21, COUNT = WIDTH * HEIGHT };
	struct shape shape = {WIDTH, HEIGHT, 0, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_SURFACE_LDST};
	float *texels = trial_allocate(trial, COUNT, sizeof(float)), *at = trial_allocate(trial, COUNT, 8);
	unsigned width = WIDTH, height = HEIGHT, count = COUNT;
	CUdeviceptr d_at, d_out = trial_reserve(trial, COUNT * sizeof(float));
	CUtexObject texture;
	CUsurfObject surface;
	CUarray array;

	for (size_t i = 0; i < COUNT; i++) {
		texels[i] = trial_random_float(trial, -9, 9);
		at[2 * i] = (float)(i % WIDTH) + 0.5f;
		at[2 * i + 1] = (float)(i / WIDTH) + 0.5f;
	}
	array = texturing_array(trial, &shape, texels);
	surface = texturing_surface(trial, array);
	texture = texturing_of_array(trial, array, &(struct sampling){.address = CU_TR_ADDRESS_MODE_CLAMP});
	d_at = trial_upload(trial, at, COUNT * 8);
	trial_launch(trial, "textures", "surface_double", TRIAL_LINE(COUNT, 128),
		     TRIAL_ARGUMENTS(&surface, &width, &height));
	for (size_t i = 0; i < COUNT; i++)
		texels[i] *= 2;
	trial_equal_bytes(trial, "array", texturing_read(trial, array, &shape), texels, COUNT, 4);
	trial_launch(trial, "textures", "sample_2d", TRIAL_LINE(COUNT, 128),
		     TRIAL_ARGUMENTS(&texture, &d_at, &d_out, &count));
	trial_equal_bytes(trial, "texture", trial_download(trial, d_out, COUNT * sizeof(float)), texels, COUNT, 4);
	texturing_end(trial, array, texture, surface);
}

/* Layers, a volume and one row, of other formats. */
static void run_surface_shapes(struct trial *trial)
{
	enum { WIDTH = 9, HEIGHT = 5, DEPTH = 4, COUNT = WIDTH * HEIGHT * DEPTH };
	struct shape planes = {
		WIDTH, HEIGHT, DEPTH, CU_AD_FORMAT_UNSIGNED_INT16, 1, CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_LAYERED};
	struct shape cube = {WIDTH, HEIGHT, DEPTH, CU_AD_FORMAT_UNSIGNED_INT8, 4, CUDA_ARRAY3D_SURFACE_LDST};
	struct shape line = {WIDTH, 0, 0, CU_AD_FORMAT_SIGNED_INT32, 2, CUDA_ARRAY3D_SURFACE_LDST};
	CUarray layered = texturing_array(trial, &planes, NULL), volume = texturing_array(trial, &cube, NULL);
	CUarray row = texturing_array(trial, &line, NULL);
	CUsurfObject on_layers = texturing_surface(trial, layered), on_volume = texturing_surface(trial, volume);
	CUsurfObject on_row = texturing_surface(trial, row);
	unsigned width = WIDTH, height = HEIGHT, depth = DEPTH;
	uint16_t numbers[COUNT];
	uint8_t places[COUNT][4];
	int32_t pairs[WIDTH][2];

	for (unsigned i = 0; i < COUNT; i++) {
		numbers[i] = (uint16_t)i;
		places[i][0] = (uint8_t)(i % WIDTH);
		places[i][1] = (uint8_t)(i / WIDTH % HEIGHT);
		places[i][2] = (uint8_t)(i / WIDTH / HEIGHT);
		places[i][3] = 7;
	}
	for (int x = 0; x < WIDTH; x++) {
		pairs[x][0] = x;
		pairs[x][1] = -x;
	}
	trial_launch(trial, "textures", "surface_number", TRIAL_LINE(COUNT, 64),
		     TRIAL_ARGUMENTS(&on_layers, &on_volume, &on_row, &width, &height, &depth));
	trial_equal_bytes(trial, "layers", texturing_read(trial, layered, &planes), numbers, COUNT, 2);
	trial_equal_bytes(trial, "volume", texturing_read(trial, volume, &cube), places, COUNT, 4);
	trial_equal_bytes(trial, "row", texturing_read(trial, row, &line), pairs, WIDTH, 8);
	texturing_end(trial, layered, 0, on_layers);
	texturing_end(trial, volume, 0, on_volume);
	texturing_end(trial, row, 0, on_row);
}

static void run_surface_edges(struct trial *trial)
{
	enum { WIDTH = 6, HEIGHT = 4, COUNT = (WIDTH + 4) * (HEIGHT + 4) };
	struct shape shape = {WIDTH, HEIGHT, 0, CU_AD_FORMAT_UNSIGNED_INT8, 4, CUDA_ARRAY3D_SURFACE_LDST};
	uint32_t *texels = trial_allocate(trial, WIDTH * HEIGHT, 4), clamped[COUNT], zero[COUNT];
	int at[COUNT][2];
	CUdeviceptr d_at, d_clamped = trial_reserve(trial, COUNT * 4), d_zero = trial_reserve(trial, COUNT * 4);
	CUsurfObject surface;
	unsigned count = COUNT;
	CUarray array;

	for (size_t i = 0; i < WIDTH * HEIGHT; i++)
		texels[i] = (uint32_t)trial_random(trial);
	for (int i = 0; i < COUNT; i++) {
		int x = at[i][0] = i % (WIDTH + 4) - 2, y = at[i][1] = i / (WIDTH + 4) - 2;
		int inside_x = x < 0	    ? 0
			       : x >= WIDTH ? WIDTH - 1
					    : x,
		    inside_y = y < 0	     ? 0
			       : y >= HEIGHT ? HEIGHT - 1
					     : y;

		clamped[i] = texels[inside_y * WIDTH + inside_x];
		zero[i] = x == inside_x && y == inside_y ? clamped[i] : 0;
	}
	array = texturing_array(trial, &shape, texels);
	surface = texturing_surface(trial, array);
	d_at = trial_upload(trial, at, sizeof(at));
	trial_launch(trial, "textures", "surface_edges", TRIAL_LINE(COUNT, 64),
		     TRIAL_ARGUMENTS(&surface, &d_at, &d_clamped, &d_zero, &count));
	trial_equal_u32(trial, "clamped", trial_download(trial, d_clamped, COUNT * 4), clamped, COUNT);
	trial_equal_u32(trial, "zero", trial_download(trial, d_zero, COUNT * 4), zero, COUNT);
	texturing_end(trial, array, 0, surface);
}

const struct trial_case cases_surfaces[] = {
	{"surface_in_place", run_surface_in_place},
	{"surface_shapes", run_surface_shapes},
	{"surface_edges", run_surface_edges},
	{NULL, NULL},
};
