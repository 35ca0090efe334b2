/* SPDX-License-Identifier: Apache-2.0 */
/*
 * __managed__ variables: initial values, both sides in turn, addresses, attributes and copies; loaded when they are
 * first used, and, in a process of its own, at once. Also compiled with -rdc=true.
 */
#include "program.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const program_name = "managed_variables";

struct pair {
	int first;
	double second;
};

__managed__ int scalar = 42;
__managed__ int zeroed;
__managed__ float table[1000] = {1, 2, 3};
__managed__ pair both = {1, 2.5};
static __managed__ long hidden = 3;
__managed__ int *pointer;
__device__ int plain = 9;

__device__ __noinline__ int scalar_add(int value)
{
	scalar += value;
	return zeroed;
}

__global__ static void change(int *answer)
{
	*answer = scalar_add(5);
	zeroed = plain;
	table[2] *= 2;
	table[999] = 7;
	both.second += 1;
	hidden++;
	*pointer = 11;
}

__global__ static void addresses(void **to)
{
	to[0] = &scalar;
	to[1] = &table[500];
	to[2] = &both;
}

__global__ static void count()
{
	atomicAdd(&scalar, 1);
}

static void attributes_check(const void *variable, const char *name)
{
	cudaPointerAttributes attributes;

	CHECK(cudaPointerGetAttributes(&attributes, variable));
	if (attributes.type != cudaMemoryTypeManaged || attributes.devicePointer != variable ||
	    attributes.hostPointer != variable)
		fail("%s: type %d at %p, on the device %p, on the host %p", name, attributes.type, variable,
		     attributes.devicePointer, attributes.hostPointer);
}

static void symbol_check()
{
	void *address = NULL;
	size_t bytes = 0;
	int value = 0;

	CHECK(cudaGetSymbolAddress(&address, scalar));
	if (address != &scalar)
		fail("cudaGetSymbolAddress says %p, it is at %p", address, (void *)&scalar);
	CHECK(cudaGetSymbolSize(&bytes, table));
	if (bytes != sizeof(table))
		fail("cudaGetSymbolSize says %zu", bytes);
	scalar = 1;
	CHECK(cudaMemcpyFromSymbol(&value, scalar, sizeof(value)));
	if (value != 1)
		fail("copied from the symbol: %d", value);
	value = 2;
	CHECK(cudaMemcpyToSymbol(scalar, &value, sizeof(value)));
	CHECK(cudaDeviceSynchronize());
	if (scalar != 2)
		fail("copied to the symbol: %d", scalar);
	CHECK(cudaMemset(&scalar, 0, sizeof(scalar)));
	CHECK(cudaDeviceSynchronize());
	if (scalar)
		fail("filled: %d", scalar);
	if (cudaFree(&scalar) == cudaSuccess)
		fail("a variable was freed");
	(void)cudaGetLastError();
}

static void kernels_check()
{
	void *seen[3], **to;
	int answer = 0, own, *result;

	CHECK(cudaMalloc(&result, sizeof(*result)));
	CHECK(cudaMalloc(&to, sizeof(seen)));
	CHECK(cudaMallocManaged(&pointer, sizeof(*pointer)));
	scalar = 100;
	zeroed = 77;
	change<<<1, 1>>>(result);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(&answer, result, sizeof(answer), cudaMemcpyDeviceToHost));
	if (answer != 77 || scalar != 105 || zeroed != 9 || table[2] != 6 || table[999] != 7 || both.second != 3.5 ||
	    hidden != 4 || *pointer != 11)
		fail("after the kernel: %d %d %d %g %g %g %ld %d", answer, scalar, zeroed, (double)table[2],
		     (double)table[999], both.second, hidden, *pointer);
	addresses<<<1, 1>>>(to);
	CHECK(cudaMemcpy(seen, to, sizeof(seen), cudaMemcpyDeviceToHost));
	if (seen[0] != &scalar || seen[1] != &table[500] || seen[2] != &both)
		fail("the kernel has them at %p %p %p", seen[0], seen[1], seen[2]);
	for (int turn = 1; turn <= 5; turn++) {
		own = scalar;
		count<<<4, 32>>>();
		CHECK(cudaDeviceSynchronize());
		if (scalar != own + 128)
			fail("turn %d: %d after %d", turn, scalar, own);
		scalar = turn;
	}
	CHECK(cudaFree(pointer));
	CHECK(cudaFree(to));
	CHECK(cudaFree(result));
}

int main()
{
	int supported = 0, status;
	pid_t child;

	if (!getenv("CUDA_MODULE_LOADING")) {
		child = fork();
		if (child == 0) {
			setenv("CUDA_MODULE_LOADING", "EAGER", 1);
			execl("/proc/self/exe", program_name, NULL);
			_exit(126);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
			fail("no process to load eagerly in");
		if (WEXITSTATUS(status))
			return WEXITSTATUS(status);
	}
	CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrManagedMemory, 0));
	if (!supported)
		skip("no managed memory");
	if (scalar != 42 || zeroed != 0 || table[0] != 1 || table[2] != 3 || table[3] != 0 || both.first != 1 ||
	    both.second != 2.5 || hidden != 3 || pointer)
		fail("at first: %d %d %g %g %g %d %g %ld %p", scalar, zeroed, (double)table[0], (double)table[2],
		     (double)table[3], both.first, both.second, hidden, (void *)pointer);
	attributes_check(&scalar, "scalar");
	attributes_check(&table[3], "table[3]");
	attributes_check(&hidden, "hidden");
	symbol_check();
	kernels_check();
	pass();
}
