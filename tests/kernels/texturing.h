/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays, textures and surfaces in trials.  A failed call fails the trial and gives nothing. */
#ifndef TESTS_KERNELS_TEXTURING_H
#define TESTS_KERNELS_TEXTURING_H

#include "trial.h"

struct shape {
	size_t width, height, depth; /* 0: not so many dimensions */
	CUarray_format format;
	unsigned channels;
	unsigned flags; /* CUDA_ARRAY3D_... */
};

struct sampling {
	CUaddress_mode address;
	CUfilter_mode filter;
	unsigned flags; /* CU_TRSF_... */
	float border;
	CUfilter_mode level_filter;
	float level_maximum;
};

size_t shape_texel_bytes(const struct shape *shape);

/* An array with 'texels' in it, densely; NULL: as it comes. */
CUarray texturing_array(struct trial *trial, const struct shape *shape, const void *texels);
void texturing_write(struct trial *trial, CUarray array, const struct shape *shape, const void *texels);
/* Host memory of the trial. */
void *texturing_read(struct trial *trial, CUarray array, const struct shape *shape);

CUtexObject texturing_texture(struct trial *trial, const CUDA_RESOURCE_DESC *resource, const struct sampling *sampling);
CUtexObject texturing_of_array(struct trial *trial, CUarray array, const struct sampling *sampling);
CUsurfObject texturing_surface(struct trial *trial, CUarray array);

/* Ends what is not 0. */
void texturing_end(struct trial *trial, CUarray array, CUtexObject texture, CUsurfObject surface);

/* Fails the trial unless the result is the expected one. */
void texturing_expect(struct trial *trial, const char *what, CUresult result, CUresult expected);

#endif
