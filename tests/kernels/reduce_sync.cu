/* SPDX-License-Identifier: Apache-2.0 */
/* Warp reductions in one instruction.  architecture: compute_80 */

extern "C" __global__ void warp_reductions(const unsigned *input, unsigned *output)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	output += i * 8;
	output[0] = __reduce_add_sync(0xffffffffu, input[i]);
	output[1] = __reduce_min_sync(0xffffffffu, input[i]);
	output[2] = __reduce_max_sync(0xffffffffu, input[i]);
	output[3] = (unsigned)__reduce_min_sync(0xffffffffu, (int)input[i]);
	output[4] = (unsigned)__reduce_max_sync(0xffffffffu, (int)input[i]);
	output[5] = __reduce_and_sync(0xffffffffu, input[i] | 0xff);
	output[6] = __reduce_or_sync(0xffffffffu, input[i] & 0xf0f0);
	output[7] = __reduce_xor_sync(0xffffffffu, input[i]);
}
