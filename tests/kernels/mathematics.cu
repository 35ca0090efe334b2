/* SPDX-License-Identifier: Apache-2.0 */
/* Every function of the table in cases_mathematics.c, in its order, for one input pair a thread. */

extern "C" __global__ void mathematics_float(const float *a, const float *b, float *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	float x = a[i], y = b[i], positive = fabsf(x) + 0.001f, unit = y * 0.1f;
	results += i * 32;
	results[0] = sinf(x);
	results[1] = cosf(x);
	results[2] = tanf(x);
	results[3] = asinf(unit);
	results[4] = acosf(unit);
	results[5] = atanf(x);
	results[6] = atan2f(x, y);
	results[7] = sinhf(y);
	results[8] = coshf(y);
	results[9] = tanhf(y);
	results[10] = expf(y);
	results[11] = exp2f(y);
	results[12] = exp10f(y);
	results[13] = expm1f(y);
	results[14] = logf(positive);
	results[15] = log2f(positive);
	results[16] = log10f(positive);
	results[17] = log1pf(positive);
	results[18] = powf(positive, y);
	results[19] = sqrtf(positive);
	results[20] = rsqrtf(positive);
	results[21] = cbrtf(x);
	results[22] = hypotf(x, y);
	results[23] = erff(y);
	results[24] = erfcf(y);
	results[25] = tgammaf(fabsf(y) + 0.5f);
	results[26] = lgammaf(fabsf(y) + 2.5f);
	results[27] = fmodf(x, y);
	results[28] = x / y;
	results[29] = ldexpf(y, 5);
	results[30] = asinhf(x);
	results[31] = normcdff(unit);
}

extern "C" __global__ void mathematics_double(const double *a, const double *b, double *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	double x = a[i], y = b[i], positive = fabs(x) + 0.001, unit = y * 0.1;
	results += i * 32;
	results[0] = sin(x);
	results[1] = cos(x);
	results[2] = tan(x);
	results[3] = asin(unit);
	results[4] = acos(unit);
	results[5] = atan(x);
	results[6] = atan2(x, y);
	results[7] = sinh(y);
	results[8] = cosh(y);
	results[9] = tanh(y);
	results[10] = exp(y);
	results[11] = exp2(y);
	results[12] = exp10(y);
	results[13] = expm1(y);
	results[14] = log(positive);
	results[15] = log2(positive);
	results[16] = log10(positive);
	results[17] = log1p(positive);
	results[18] = pow(positive, y);
	results[19] = sqrt(positive);
	results[20] = rsqrt(positive);
	results[21] = cbrt(x);
	results[22] = hypot(x, y);
	results[23] = erf(y);
	results[24] = erfc(y);
	results[25] = tgamma(fabs(y) + 0.5);
	results[26] = lgamma(fabs(y) + 2.5);
	results[27] = fmod(x, y);
	results[28] = x / y;
	results[29] = ldexp(y, 5);
	results[30] = asinh(x);
	results[31] = normcdf(unit);
}

/* The hardware's approximations. */
extern "C" __global__ void mathematics_fast(const float *a, const float *b, float *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	float x = a[i], y = b[i], sine, cosine;
	results += i * 8;
	results[0] = __sinf(y);
	results[1] = __cosf(y);
	results[2] = __expf(y);
	results[3] = __logf(fabsf(x) + 2.0f);
	results[4] = __fdividef(x, y);
	results[5] = __powf(fabsf(x) + 0.5f, y * 0.2f);
	sincosf(x, &sine, &cosine);
	results[6] = sine;
	results[7] = cosine;
}

/* Large arguments: the slow path of the range reduction. */
extern "C" __global__ void mathematics_large(const float *a, const double *b, float *sines, double *cosines,
					     unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	sines[i] = sinf(a[i]);
	cosines[i] = cos(b[i]);
}

/* Operations that are exact by definition: roundings, fused products, minimum and maximum with NaN, signs. */
extern "C" __global__ void rounded_arithmetic(const float *a, const float *b, unsigned *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	float x = a[i], y = b[i];
	results += i * 24;
	results[0] = __float_as_uint(__fadd_rn(x, y));
	results[1] = __float_as_uint(__fadd_rz(x, y));
	results[2] = __float_as_uint(__fadd_ru(x, y));
	results[3] = __float_as_uint(__fadd_rd(x, y));
	results[4] = __float_as_uint(__fmul_rn(x, y));
	results[5] = __float_as_uint(__fmul_rz(x, y));
	results[6] = __float_as_uint(__fmul_ru(x, y));
	results[7] = __float_as_uint(__fmul_rd(x, y));
	results[8] = __float_as_uint(__fmaf_rn(x, y, x));
	results[9] = __float_as_uint(__fmaf_rz(x, y, x));
	results[10] = __float_as_uint(__fdiv_rn(x, y));
	results[11] = __float_as_uint(__fsqrt_rn(fabsf(x)));
	results[12] = __float_as_uint(__fdiv_rz(x, y));
	results[13] = __float_as_uint(__frcp_rn(y));
	results[14] = __float_as_uint(floorf(x));
	results[15] = __float_as_uint(ceilf(x));
	results[16] = __float_as_uint(truncf(x));
	results[17] = __float_as_uint(rintf(x));
	results[18] = __float_as_uint(roundf(x));
	results[19] = __float_as_uint(fminf(x, y));
	results[20] = __float_as_uint(fmaxf(x, y));
	results[21] = __float_as_uint(copysignf(x, y));
	results[22] = __float_as_uint(__saturatef(x));
	results[23] = (x < y) | (x == y) << 1 | (x >= y) << 2 | (x != y) << 3 | (isnan(x) ? 16 : 0) |
		      (isinf(y) ? 32 : 0) | (signbit(x) ? 64 : 0) | (isfinite(y) ? 128 : 0);
}
