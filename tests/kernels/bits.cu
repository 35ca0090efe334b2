/* SPDX-License-Identifier: Apache-2.0 */
/* Bit operations, 64-bit and 128-bit integers, packed bytes. */

extern "C" __global__ void bit_operations(const unsigned *a, const unsigned *b, unsigned *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	unsigned x = a[i], y = b[i];
	unsigned long long wide = (unsigned long long)x << 32 | y;
	results += i * 16;
	results[0] = __popc(x);
	results[1] = __clz(x);
	results[2] = __brev(x);
	results[3] = __ffs(y);
	results[4] = __funnelshift_l(x, y, x);
	results[5] = __funnelshift_r(x, y, y);
	results[6] = __byte_perm(x, y, y & 0x7777);
	results[7] = __popcll(wide);
	results[8] = __clzll(wide);
	results[9] = (unsigned)(__brevll(wide) >> 7);
	results[10] = __ffsll(wide);
	results[11] = __sad((int)x, (int)y, 5u);
	results[12] = __funnelshift_lc(x, y, y);
	/* Selectors with the top bit repeat the byte's sign. */
	asm("prmt.b32 %0, %1, %2, 0x8a9f;" : "=r"(results[13]) : "r"(x), "r"(y));
	results[14] = (x & ~y) ^ (x | y);
	results[15] = (int)x >> (y & 31);
}

extern "C" __global__ void packed_bytes(const unsigned *a, const unsigned *b, unsigned *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	results += i * 6;
	results[0] = __vadd4(a[i], b[i]);
	results[1] = __vmaxu4(a[i], b[i]);
	results[2] = __vabsdiffu4(a[i], b[i]);
	results[3] = __dp4a((int)a[i], (int)b[i], 100);
	results[4] = __dp4a(a[i], b[i], 7u);
	results[5] = __vcmpgts2(a[i], b[i]);
}

extern "C" __global__ void wide_integers(const long long *a, const long long *b, long long *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	long long x = a[i], y = b[i];
	unsigned long long ux = x, uy = y;
	results += i * 18;
	results[0] = x + y;
	results[1] = x - y;
	results[2] = ux * uy;
	results[3] = __mul64hi(x, y);
	results[4] = __umul64hi(ux, uy);
	results[5] = x / (y | 1);
	results[6] = x % (y | 1);
	results[7] = ux / (uy | 1);
	results[8] = ux % (uy | 1);
	results[9] = ux << (y & 63);
	results[10] = x >> (y & 63);
	results[11] = ux >> (y & 63);
	results[12] = __mulhi((int)x, (int)y);
	results[13] = __umulhi((unsigned)ux, (unsigned)uy);
	results[14] = (int)x / ((int)y | 1);
	results[15] = (unsigned)ux % ((unsigned)uy | 1);
	results[16] = x < y ? (ux < uy ? 3 : 2) : (ux < uy ? 1 : 0);
	results[17] = __mul24((int)x, (int)y) + __umul24((unsigned)ux, (unsigned)uy);
}

extern "C" __global__ void integers_128(const unsigned long long *a, const unsigned long long *b,
					unsigned long long *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	unsigned __int128 x = (unsigned __int128)a[2 * i] << 64 | a[2 * i + 1];
	unsigned __int128 y = (unsigned __int128)b[2 * i] << 64 | b[2 * i + 1];
	unsigned __int128 sum = x + y, product = x * y, difference = x - y, shifted = x << (b[2 * i] & 127);
	unsigned __int128 quotient = x / (y | 1);
	results += i * 11;
	results[0] = (unsigned long long)(sum >> 64);
	results[1] = (unsigned long long)sum;
	results[2] = (unsigned long long)(product >> 64);
	results[3] = (unsigned long long)product;
	results[4] = (unsigned long long)(difference >> 64);
	results[5] = (unsigned long long)difference;
	results[6] = (unsigned long long)(shifted >> 64);
	results[7] = (unsigned long long)shifted;
	results[8] = (unsigned long long)(quotient >> 64);
	results[9] = (unsigned long long)quotient;
	results[10] = x < y;
}
