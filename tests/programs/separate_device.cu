/* SPDX-License-Identifier: Apache-2.0 */
/* The other half of separate_main.cu. */

__device__ int shared_total = 100;
__constant__ int scale;

__device__ int transform(int value)
{
	return value % 3 == 0 ? value / 3 : value * 2 + 1;
}
