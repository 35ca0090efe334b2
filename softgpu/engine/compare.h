/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons that are not vectorised: half precision. */
#ifndef SOFTGPU_COMPARE_H
#define SOFTGPU_COMPARE_H

#include "lower.h"

DECLARE_CONTROL(compare_half); /* setp of f16, bf16 and, into p and q, of their pairs */

bool lower_half_set2(struct lower *lower, enum ptx_type d_type, enum ptx_type type, unsigned base, bool swapped,
		     bool inverted, bool ftz, unsigned combine);

#endif
