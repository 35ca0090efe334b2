/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons that are not vectorised: half precision. */
#ifndef SOFTGPU_COMPARE_H
#define SOFTGPU_COMPARE_H

#include "lower.h"

DECLARE_CONTROL(compare_half); /* setp of f16, bf16 and, into p and q, of their pairs */

#endif
