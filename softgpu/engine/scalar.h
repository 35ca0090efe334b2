/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that are executed a lane at a time: d = function(a, b, c).  What
 * the function needs to know of the instruction is in ins->type, type2, op,
 * flags, rounding and immediate.
 */
#ifndef SOFTGPU_SCALAR_H
#define SOFTGPU_SCALAR_H

#include "control.h"

#define DECLARE_SCALAR(name) uint64_t name(const struct instruction *ins, uint64_t a, uint64_t b, uint64_t c)

/* scalar_integer.c */
DECLARE_SCALAR(scalar_add_sat_s32);
DECLARE_SCALAR(scalar_sub_sat_s32);
DECLARE_SCALAR(scalar_mul_hi); /* plus c, which is 0 in mul */
DECLARE_SCALAR(scalar_mad_hi_sat_s32);
DECLARE_SCALAR(scalar_mad_wide_u16);
DECLARE_SCALAR(scalar_mad_wide_s16);
DECLARE_SCALAR(scalar_mul24);
DECLARE_SCALAR(scalar_div_rem);
DECLARE_SCALAR(scalar_cnot);
DECLARE_SCALAR(scalar_min_max_16);
DECLARE_SCALAR(scalar_abs_s16);
DECLARE_SCALAR(scalar_popc);
DECLARE_SCALAR(scalar_clz);
DECLARE_SCALAR(scalar_brev);
DECLARE_SCALAR(scalar_bfind);
DECLARE_SCALAR(scalar_fns);
DECLARE_SCALAR(scalar_sad);
DECLARE_SCALAR(scalar_bfe);
DECLARE_SCALAR(scalar_bfi); /* c: position and, from bit 32, length */
DECLARE_SCALAR(scalar_shf);
DECLARE_SCALAR(scalar_prmt);
DECLARE_SCALAR(scalar_lop3);
DECLARE_SCALAR(scalar_dp4a);
DECLARE_SCALAR(scalar_dp2a);
DECLARE_SCALAR(scalar_bmsk);
DECLARE_SCALAR(scalar_szext);
DECLARE_SCALAR(scalar_slct);

/* scalar_float.c */
DECLARE_SCALAR(scalar_float32);
DECLARE_SCALAR(scalar_float64);
DECLARE_SCALAR(scalar_math32);
DECLARE_SCALAR(scalar_math64);
DECLARE_SCALAR(scalar_copysign);
DECLARE_SCALAR(scalar_testp);

/* scalar_half.c: f16, f16x2, bf16, bf16x2 */
DECLARE_SCALAR(scalar_half);
DECLARE_SCALAR(scalar_half_math);
DECLARE_SCALAR(scalar_half_compare);
DECLARE_SCALAR(scalar_half_compare2); /* bit 0 and bit 1 */

/* scalar_convert.c */
DECLARE_SCALAR(scalar_convert);
DECLARE_SCALAR(scalar_convert_pack);

/* scalar_video.c */
DECLARE_SCALAR(scalar_video);

/* Like control_scalar, with c's upper half taken from the lanes at ins->q. */
DECLARE_CONTROL(scalar4_run);

#endif
