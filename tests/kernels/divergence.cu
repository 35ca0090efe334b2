/* SPDX-License-Identifier: Apache-2.0 */
/* Control flow torture: nested loops, switches, early returns, gotos, recursion, short circuits, loops that break. */

extern "C" __global__ void diverge_nested(const unsigned *input, unsigned *output, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index >= count)
		return;
	unsigned value = input[index], sum = 0;
	for (unsigned i = 0; i < (value & 7) + 1; i++) {
		for (unsigned j = 0; j < ((value >> 3) & 7) + 1; j++) {
			if ((i ^ j) & 1)
				continue;
			if (i * j > 20)
				break;
			unsigned k = 0;
			while (true) {
				sum += i * 31 + j * 7 + k;
				if (++k > ((value >> 6) & 3) || (sum & 15) == 13)
					break;
				do {
					sum ^= sum << 1;
				} while ((sum & 3) == 1 && sum < 1000);
			}
		}
		if (sum > 100000) {
			output[index] = ~sum;
			return;
		}
	}
	output[index] = sum;
}

extern "C" __global__ void diverge_switch(const unsigned *input, unsigned *output, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index >= count)
		return;
	unsigned value = input[index], state = value % 11, result = 1;
	for (unsigned steps = 0; steps < 40; steps++) {
		switch (state) {
		case 0:
			result += 3;
			state = 4;
			break;
		case 1:
			result *= 5;
			state = value & 1 ? 2 : 7;
			break;
		case 2:
			result ^= value;
			/* fall through */
		case 3:
			result = (result << 3) | (result >> 29);
			state = 9;
			break;
		case 4:
			if (result & 1)
				state = 6;
			else
				state = 5;
			break;
		case 5:
			result -= steps;
			state = 1;
			break;
		case 6:
			result ^= 0x55aa55aau;
			state = result % 11;
			break;
		case 7:
			for (unsigned i = 0; i < (value & 3); i++)
				result += i * i;
			state = 8;
			break;
		case 8:
			if (steps > 30)
				goto done;
			state = 10;
			break;
		case 9:
			result += value;
			state = (state + result) % 11;
			break;
		default:
			result = result * 1103515245u + 12345u;
			state = result % 9;
			if (state == 4 && steps > 20)
				goto done;
			break;
		}
	}
	result += 1000;
done:
	output[index] = result;
}

/* A loop entered in its middle: control flow that no structured reconvergence fits. */
extern "C" __global__ void diverge_goto(const unsigned *input, unsigned *output, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index >= count)
		return;
	unsigned value = input[index], sum = value, turns = 0;
	if (value & 1)
		goto middle;
start:
	sum = sum * 3 + 1;
	if (turns > 12)
		goto finish;
middle:
	sum ^= sum >> 3;
	turns++;
	if (sum & 2)
		goto start;
	if (turns > 9)
		goto finish;
	sum += 7;
	if (sum & 4)
		goto middle;
	goto start;
finish:
	output[index] = sum + turns;
}

__device__ __noinline__ static unsigned fibonacci(unsigned n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__device__ __noinline__ static unsigned ackermann(unsigned m, unsigned n)
{
	if (m == 0)
		return n + 1;
	if (n == 0)
		return ackermann(m - 1, 1);
	return ackermann(m - 1, ackermann(m, n - 1));
}

extern "C" __global__ void diverge_recursion(const unsigned *input, unsigned *output, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index >= count)
		return;
	unsigned value = input[index];
	output[index] = value & 1 ? fibonacci(value % 14) : ackermann(2, value % 5);
}

/* Lanes leave at different times, the rest go on to a barrier together and vote among themselves. */
extern "C" __global__ void diverge_votes(const unsigned *input, unsigned *output)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31;
	unsigned value = input[index], result = 0;
	if (lane % 3 == 0) {
		unsigned mask = __activemask();
		result = mask & (1u << lane) ? 1 : 99;
		__syncwarp(0x49249249u);
		result += __ballot_sync(0x49249249u, value & 1);
	} else {
		result = __ballot_sync(0xb6db6db6u, value & 2);
		if (lane & 1)
			result ^= 0xf0f0f0f0u;
	}
	__syncwarp();
	output[index] = result + __popc(__ballot_sync(0xffffffffu, value & 4));
}
