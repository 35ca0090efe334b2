/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every handler that is compiled once per instruction set (exec_*.c).  The
 * lists are read twice: here for the names, there for the bodies.  'a', 'b' and
 * 'c' are one lane's operands.
 */
#ifndef SOFTGPU_HANDLERS_H
#define SOFTGPU_HANDLERS_H

/* X(name, result type, operand type, expression) */
#define HANDLERS_UNARY(X)                                                                   \
	X(mov_b32, uint32_t, uint32_t, a)                                                   \
	X(mov_b64, uint64_t, uint64_t, a)                                                   \
	X(not_b32, uint32_t, uint32_t, ~a)                                                  \
	X(not_b64, uint64_t, uint64_t, ~a)                                                  \
	X(neg_b32, uint32_t, uint32_t, 0 - a)                                               \
	X(neg_b64, uint64_t, uint64_t, 0 - a)                                               \
	X(abs_s32, uint32_t, uint32_t, (int32_t)a < 0 ? 0 - a : a)                          \
	X(abs_s64, uint64_t, uint64_t, (int64_t)a < 0 ? 0 - a : a)                          \
	X(popc_b32, uint32_t, uint32_t, (uint32_t)__builtin_popcount(a))                    \
	X(widen_u32, uint64_t, uint32_t, a)                                                 \
	X(widen_s32, uint64_t, int32_t, (uint64_t)(int64_t)a)                               \
	X(narrow_b64, uint32_t, uint64_t, (uint32_t)a)                                      \
	X(extend_u8, uint32_t, uint32_t, a & 0xff)                                          \
	X(extend_s8, uint32_t, uint32_t, (uint32_t)(int8_t)a)                               \
	X(extend_u16, uint32_t, uint32_t, a & 0xffff)                                       \
	X(extend_s16, uint32_t, uint32_t, (uint32_t)(int16_t)a)                             \
	X(widen_u16, uint64_t, uint32_t, a & 0xffff)                                        \
	X(widen_s16, uint64_t, uint32_t, (uint64_t)(int64_t)(int16_t)a)                     \
	X(neg_f32, uint32_t, uint32_t, a ^ 0x80000000u)                                     \
	X(abs_f32, uint32_t, uint32_t, a & 0x7fffffffu)                                     \
	X(neg_f64, uint64_t, uint64_t, a ^ UINT64_C(0x8000000000000000))                    \
	X(abs_f64, uint64_t, uint64_t, a &UINT64_C(0x7fffffffffffffff))                     \
	X(f32_from_s32, float, int32_t, (float)a)                                           \
	X(f32_from_u32, float, uint32_t, (float)a)                                          \
	X(f64_from_s32, double, int32_t, (double)a)                                         \
	X(f64_from_u32, double, uint32_t, (double)a)                                        \
	X(f64_from_f32, double, float, (double)a)                                           \
	X(f32_from_f64, float, double, (float)a)                                            \
	X(s32_from_f32, int32_t, float, float_to_s32(a))                                    \
	X(u32_from_f32, uint32_t, float, float_to_u32(a))                                   \
	X(s32_from_f64, int32_t, double, double_to_s32(a))                                  \
	X(f32_from_f16, uint32_t, uint32_t, half_widen(a))                                  \
	X(f16_from_f32, uint32_t, uint32_t, half_narrow(a))                                 \
	X(f32_from_bf16, uint32_t, uint32_t, a << 16)                                       \
	X(bf16_from_f32, uint32_t, uint32_t, bfloat_narrow(a))                              \
	X(trunc_f32, float, float, __builtin_truncf(a))                                     \
	X(floor_f32, float, float, __builtin_floorf(a))                                     \
	X(ceil_f32, float, float, __builtin_ceilf(a))                                       \
	X(rint_f32, float, float, __builtin_rintf(a))                                       \
	X(trunc_f64, double, double, __builtin_trunc(a))                                    \
	X(floor_f64, double, double, __builtin_floor(a))                                    \
	X(ceil_f64, double, double, __builtin_ceil(a))                                      \
	X(rint_f64, double, double, __builtin_rint(a))                                      \
	X(sqrt_f32, float, float, __builtin_sqrtf(a))                                       \
	X(sqrt_f64, double, double, __builtin_sqrt(a))                                      \
	X(rcp_f32, float, float, 1.0f / a)                                                  \
	X(rcp_f64, double, double, 1.0 / a)                                                 \
	X(rsqrt_f32, float, float, 1.0f / __builtin_sqrtf(a))                               \
	X(rsqrt_ftz_f32, float, float, float_flush(1.0f / __builtin_sqrtf(float_flush(a)))) \
	X(rcp_ftz_f32, float, float, float_flush(1.0f / float_flush(a)))                    \
	X(saturate_f32, float, float, float_saturate(a))                                    \
	X(ex2_f32, float, float, float_exp2(a))                                             \
	X(ex2_ftz_f32, float, float, float_flush(float_exp2(float_flush(a))))

/* X(name, result type, type of a, type of b, expression) */
#define HANDLERS_BINARY(X)                                                                             \
	X(add_b32, uint32_t, uint32_t, uint32_t, a + b)                                                \
	X(add_b64, uint64_t, uint64_t, uint64_t, a + b)                                                \
	X(sub_b32, uint32_t, uint32_t, uint32_t, a - b)                                                \
	X(sub_b64, uint64_t, uint64_t, uint64_t, a - b)                                                \
	X(mul_b32, uint32_t, uint32_t, uint32_t, a *b)                                                 \
	X(mul_b64, uint64_t, uint64_t, uint64_t, a *b)                                                 \
	X(mulwide_u32, uint64_t, uint32_t, uint32_t, (uint64_t)a *b)                                   \
	X(mulwide_s32, uint64_t, int32_t, int32_t, (uint64_t)((int64_t)a * b))                         \
	X(mulwide_u16, uint32_t, uint32_t, uint32_t, (a & 0xffff) * (b & 0xffff))                      \
	X(mulwide_s16, uint32_t, uint32_t, uint32_t, (uint32_t)((int32_t)(int16_t)a * (int16_t)b))     \
	X(mulhi_u32, uint32_t, uint32_t, uint32_t, (uint32_t)((uint64_t)a * b >> 32))                  \
	X(mulhi_s32, uint32_t, int32_t, int32_t, (uint32_t)((uint64_t)((int64_t)a * b) >> 32))         \
	X(and_b32, uint32_t, uint32_t, uint32_t, a &b)                                                 \
	X(and_b64, uint64_t, uint64_t, uint64_t, a &b)                                                 \
	X(or_b32, uint32_t, uint32_t, uint32_t, a | b)                                                 \
	X(or_b64, uint64_t, uint64_t, uint64_t, a | b)                                                 \
	X(xor_b32, uint32_t, uint32_t, uint32_t, a ^ b)                                                \
	X(xor_b64, uint64_t, uint64_t, uint64_t, a ^ b)                                                \
	X(shl_b32, uint32_t, uint32_t, uint32_t, b > 31 ? 0 : a << (b & 31))                           \
	X(shl_b64, uint64_t, uint64_t, uint32_t, b > 63 ? 0 : a << (b & 63))                           \
	X(shl_b16, uint32_t, uint32_t, uint32_t, b > 15 ? 0 : a << (b & 15))                           \
	X(shr_u32, uint32_t, uint32_t, uint32_t, b > 31 ? 0 : a >> (b & 31))                           \
	X(shr_s32, uint32_t, int32_t, uint32_t, (uint32_t)(a >> (b > 31 ? 31 : b)))                    \
	X(shr_u64, uint64_t, uint64_t, uint32_t, b > 63 ? 0 : a >> (b & 63))                           \
	X(shr_s64, uint64_t, int64_t, uint32_t, (uint64_t)(a >> (b > 63 ? 63 : b)))                    \
	X(shr_u16, uint32_t, uint32_t, uint32_t, b > 15 ? 0 : (a & 0xffff) >> (b & 15))                \
	X(shr_s16, uint32_t, uint32_t, uint32_t, (uint32_t)((int32_t)(int16_t)a >> (b > 15 ? 15 : b))) \
	X(div_u32, uint32_t, uint32_t, uint32_t, integer_divide(a, b))                                 \
	X(rem_u32, uint32_t, uint32_t, uint32_t, a - integer_divide(a, b) * b)                         \
	X(div_s32, uint32_t, uint32_t, uint32_t, integer_divide_signed(a, b))                          \
	X(rem_s32, uint32_t, uint32_t, uint32_t, a - integer_divide_signed(a, b) * b)                  \
	X(min_u32, uint32_t, uint32_t, uint32_t, a < b ? a : b)                                        \
	X(min_s32, int32_t, int32_t, int32_t, a < b ? a : b)                                           \
	X(min_u64, uint64_t, uint64_t, uint64_t, a < b ? a : b)                                        \
	X(min_s64, int64_t, int64_t, int64_t, a < b ? a : b)                                           \
	X(max_u32, uint32_t, uint32_t, uint32_t, a > b ? a : b)                                        \
	X(max_s32, int32_t, int32_t, int32_t, a > b ? a : b)                                           \
	X(max_u64, uint64_t, uint64_t, uint64_t, a > b ? a : b)                                        \
	X(max_s64, int64_t, int64_t, int64_t, a > b ? a : b)                                           \
	X(add_f32, float, float, float, a + b)                                                         \
	X(sub_f32, float, float, float, a - b)                                                         \
	X(mul_f32, float, float, float, a *b)                                                          \
	X(div_f32, float, float, float, a / b)                                                         \
	X(min_f32, float, float, float, float_minimum(a, b))                                           \
	X(max_f32, float, float, float, float_maximum(a, b))                                           \
	X(add_ftz_f32, float, float, float, float_flush(float_flush(a) + float_flush(b)))              \
	X(sub_ftz_f32, float, float, float, float_flush(float_flush(a) - float_flush(b)))              \
	X(mul_ftz_f32, float, float, float, float_flush(float_flush(a) * float_flush(b)))              \
	X(div_ftz_f32, float, float, float, float_flush(float_flush(a) / float_flush(b)))              \
	X(min_ftz_f32, float, float, float, float_minimum(float_flush(a), float_flush(b)))             \
	X(max_ftz_f32, float, float, float, float_maximum(float_flush(a), float_flush(b)))             \
	X(add_f16, uint32_t, uint32_t, uint32_t, HALF_PAIR(half_add(x, y)))                            \
	X(sub_f16, uint32_t, uint32_t, uint32_t, HALF_PAIR(half_add(x, y ^ 0x8000)))                   \
	X(mul_f16, uint32_t, uint32_t, uint32_t, HALF_PAIR(half_mul(x, y)))                            \
	X(add_bf16, uint32_t, uint32_t, uint32_t, HALF_PAIR(bfloat_add(x, y)))                         \
	X(sub_bf16, uint32_t, uint32_t, uint32_t, HALF_PAIR(bfloat_add(x, y ^ 0x8000)))                \
	X(mul_bf16, uint32_t, uint32_t, uint32_t, HALF_PAIR(bfloat_mul(x, y)))                         \
	X(add_f64, double, double, double, a + b)                                                      \
	X(sub_f64, double, double, double, a - b)                                                      \
	X(mul_f64, double, double, double, a *b)                                                       \
	X(div_f64, double, double, double, a / b)                                                      \
	X(min_f64, double, double, double, double_minimum(a, b))                                       \
	X(max_f64, double, double, double, double_maximum(a, b))

/* X(name, result type, type of a, type of b, type of c, expression) */
#define HANDLERS_TERNARY(X)                                                                             \
	X(mad_b32, uint32_t, uint32_t, uint32_t, uint32_t, a *b + c)                                    \
	X(mad_b64, uint64_t, uint64_t, uint64_t, uint64_t, a *b + c)                                    \
	X(madwide_u32, uint64_t, uint32_t, uint32_t, uint64_t, (uint64_t)a *b + c)                      \
	X(madwide_s32, uint64_t, int32_t, int32_t, uint64_t, (uint64_t)((int64_t)a * b) + c)            \
	X(fma_f32, float, float, float, float, __builtin_fmaf(a, b, c))                                 \
	X(fma_ftz_f32, float, float, float, float,                                                      \
	  float_flush(__builtin_fmaf(float_flush(a), float_flush(b), float_flush(c))))                  \
	X(fma_f16, uint32_t, uint32_t, uint32_t, uint32_t,                                              \
	  half_fma(a & 0xffff, b & 0xffff, c & 0xffff) | half_fma(a >> 16, b >> 16, c >> 16) << 16)     \
	X(fma_bf16, uint32_t, uint32_t, uint32_t, uint32_t,                                             \
	  bfloat_fma(a & 0xffff, b & 0xffff, c & 0xffff) | bfloat_fma(a >> 16, b >> 16, c >> 16) << 16) \
	X(fma_rm_f32, float, float, float, float, float_fma_directed(a, b, c, ROUND_DOWN))              \
	X(fma_rp_f32, float, float, float, float, float_fma_directed(a, b, c, ROUND_UP))                \
	X(fma_rz_f32, float, float, float, float, float_fma_directed(a, b, c, ROUND_ZERO))              \
	X(fma_f64, double, double, double, double, __builtin_fma(a, b, c))

/* Comparisons; the rest follow from these by swapping operands or inverting the result. */
#define HANDLERS_COMPARE(X)                                                                      \
	X(eq_b16, uint32_t, (uint16_t)a == (uint16_t)b)                                          \
	X(lt_u16, uint32_t, (uint16_t)a < (uint16_t)b)                                           \
	X(lt_s16, uint32_t, (int16_t)a < (int16_t)b)                                             \
	X(le_u16, uint32_t, (uint16_t)a <= (uint16_t)b)                                          \
	X(le_s16, uint32_t, (int16_t)a <= (int16_t)b)                                            \
	X(eq_b32, uint32_t, a == b)                                                              \
	X(lt_u32, uint32_t, a < b)                                                               \
	X(lt_s32, int32_t, a < b)                                                                \
	X(le_u32, uint32_t, a <= b)                                                              \
	X(le_s32, int32_t, a <= b)                                                               \
	X(eq_b64, uint64_t, a == b)                                                              \
	X(lt_u64, uint64_t, a < b)                                                               \
	X(lt_s64, int64_t, a < b)                                                                \
	X(le_u64, uint64_t, a <= b)                                                              \
	X(le_s64, int64_t, a <= b)                                                               \
	X(eq_f32, float, a == b)                                                                 \
	X(ne_f32, float, a<b || a> b)                                                            \
	X(lt_f32, float, a < b)                                                                  \
	X(le_f32, float, a <= b)                                                                 \
	X(num_f32, float, a == a && b == b)                                                      \
	X(eq_ftz_f32, float, float_flush(a) == float_flush(b))                                   \
	X(ne_ftz_f32, float, float_flush(a) < float_flush(b) || float_flush(a) > float_flush(b)) \
	X(lt_ftz_f32, float, float_flush(a) < float_flush(b))                                    \
	X(le_ftz_f32, float, float_flush(a) <= float_flush(b))                                   \
	X(eq_f64, double, a == b)                                                                \
	X(ne_f64, double, a<b || a> b)                                                           \
	X(lt_f64, double, a < b)                                                                 \
	X(le_f64, double, a <= b)                                                                \
	X(num_f64, double, a == a && b == b)

/* X(space): loads and stores; "_b32" and "_b64" move one or more elements of a register's own width. */
#define HANDLERS_SPACES(X) \
	X(global)          \
	X(generic)         \
	X(shared)          \
	X(local)

#define HANDLERS_OTHER(X) \
	X(selp_b32)       \
	X(selp_b64)       \
	X(load_param)

#define HANDLER_LIST(X_UNARY, X_BINARY, X_TERNARY, X_COMPARE, X_SPACE, X_OTHER) \
	HANDLERS_UNARY(X_UNARY)                                                 \
	HANDLERS_BINARY(X_BINARY)                                               \
	HANDLERS_TERNARY(X_TERNARY)                                             \
	HANDLERS_COMPARE(X_COMPARE)                                             \
	HANDLERS_SPACES(X_SPACE)                                                \
	HANDLERS_OTHER(X_OTHER)

#define HANDLER_ENUM(name, ...) HANDLER_##name,
#define HANDLER_ENUM_SPACE(space)                                                             \
	HANDLER_load_##space##_b32, HANDLER_load_##space##_b64, HANDLER_load_##space##_other, \
		HANDLER_store_##space##_b32, HANDLER_store_##space##_b64, HANDLER_store_##space##_other,

enum handler {
	HANDLER_LIST(HANDLER_ENUM, HANDLER_ENUM, HANDLER_ENUM, HANDLER_ENUM, HANDLER_ENUM_SPACE, HANDLER_ENUM)
		HANDLER_COUNT
};

#endif
