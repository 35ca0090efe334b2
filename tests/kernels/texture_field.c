/* SPDX-License-Identifier: Apache-2.0 */
#include "texture_field.h"

#include <math.h>

/* The texel's index along one axis, -1: the border. */
static long axis_index(long index, long extent, CUaddress_mode mode)
{
	long turns = (long)floor((double)index / (double)extent), rest = index - turns * extent;

	switch (mode) {
	case CU_TR_ADDRESS_MODE_WRAP:
		return rest;
	case CU_TR_ADDRESS_MODE_MIRROR:
		return turns % 2 ? extent - 1 - rest : rest;
	case CU_TR_ADDRESS_MODE_BORDER:
		return turns ? -1 : rest;
	default:
		return index < 0 ? 0 : index >= extent ? extent - 1 : index;
	}
}

static double field_at(const struct texture_field *field, const long *place)
{
	long index = 0;

	for (int axis = 2; axis >= 0; axis--) {
		long at = axis_index(place[axis], field->extent[axis], field->mode);

		if (at < 0)
			return field->border;
		index = index * field->extent[axis] + at;
	}
	return field->texels[index];
}

double texture_field_sample(const struct texture_field *field, const double *at, bool linear)
{
	double sum = 0;

	if (!linear)
		return field_at(field, (const long[3]){(long)floor(at[0]), (long)floor(at[1]), (long)floor(at[2])});
	for (int corner = 0; corner < 8; corner++) {
		double weight = 1;
		long place[3];

		for (int axis = 0; axis < 3; axis++) {
			double base = floor(at[axis] - 0.5), fraction = at[axis] - 0.5 - base;
			bool upper = corner >> axis & 1;

			if (field->extent[axis] == 1 && upper)
				weight = 0;
			else if (field->extent[axis] > 1)
				weight *= upper ? fraction : 1 - fraction;
			place[axis] = field->extent[axis] == 1 ? 0 : (long)base + upper;
		}
		sum += weight * field_at(field, place);
	}
	return sum;
}
