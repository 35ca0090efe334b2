/* SPDX-License-Identifier: Apache-2.0 */
/* Device printf: every kind of argument.  The host captures its standard output. */
#include <cstdio>

extern "C" __global__ void print_formats(const char *text, double number)
{
	printf("plain text\n");
	printf("int %d unsigned %u hex %x char %c percent %%\n", -42, 4000000000u, 0xbeef, 'V');
	printf("wide %lld %llu %llx\n", -1234567890123ll, 18000000000000000000ull, 0x123456789abcdefull);
	printf("float %.3f %e %g width [%8.2f] [%-6d] [%06d]\n", 3.14159, number, number, 2.5f, 17, 42);
	printf("string %s and %s\n", text, "literal");
}

extern "C" __global__ void print_threads(void)
{
	if (threadIdx.x % 2 == 0)
		printf("thread %d of block %d\n", (int)threadIdx.x, (int)blockIdx.x);
}
