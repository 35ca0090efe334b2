/* SPDX-License-Identifier: Apache-2.0 */
/* Device printf must reach this process's standard output, in one piece, by the time of the synchronise. */
#include <cstring>
#include <unistd.h>

#include "program.h"

const char *const program_name = "device_printf";

__global__ static void speak(const char *name, double number)
{
	if (threadIdx.x < 3)
		printf("block %d thread %d: %s %.2f %llu\n", (int)blockIdx.x, (int)threadIdx.x, name, number,
		       1234567890123456789ull);
}

int main()
{
	char *name, text[4096] = {};
	CHECK(cudaMalloc(&name, 16));
	CHECK(cudaMemcpy(name, "device", 7, cudaMemcpyHostToDevice));
	size_t limit = 0;
	CHECK(cudaDeviceGetLimit(&limit, cudaLimitPrintfFifoSize));
	if (limit == 0)
		fail("the printf buffer has no size");
	FILE *file = tmpfile();
	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	if (file == nullptr || saved < 0 || dup2(fileno(file), STDOUT_FILENO) < 0)
		fail("standard output cannot be redirected");
	speak<<<2, 32>>>(name, 2.5);
	cudaError_t error = cudaDeviceSynchronize();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	CHECK(error);
	rewind(file);
	size_t length = fread(text, 1, sizeof(text) - 1, file);
	size_t expected = 0;
	for (int block = 0; block < 2; block++)
		for (int thread = 0; thread < 3; thread++) {
			char line[128];
			expected += snprintf(line, sizeof(line),
					     "block %d thread %d: device 2.50 1234567890123456789\n", block, thread);
			if (strstr(text, line) == nullptr)
				fail("no line \"%.40s\" in %zu bytes of output", line, length);
		}
	if (length != expected)
		fail("%zu bytes printed, expected %zu", length, expected);
	pass();
}
