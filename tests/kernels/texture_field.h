/* SPDX-License-Identifier: Apache-2.0 */
/* What a fetch of a texture is by the CUDA C++ programming guide's appendix, in doubles. */
#ifndef TEST_TEXTURE_FIELD_H
#define TEST_TEXTURE_FIELD_H

#include <stdbool.h>

#include "cuda_abi.h"

struct texture_field {
	const float *texels;
	long extent[3]; /* 1 where there is no such axis */
	CUaddress_mode mode;
	double border;
};

/* At unnormalised coordinates. */
double texture_field_sample(const struct texture_field *field, const double *at, bool linear);

#endif
