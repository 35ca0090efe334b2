/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child forked before CUDA starts uses it as any process.  A child forked
 * after that gets errors, does not hang, and leaves its parent unharmed.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

const char *const program_name = "fork_child";

__global__ static void triple(int *values)
{
	values[threadIdx.x] *= 3;
}

/* Returns 0 if the GPU computed rightly, else the error. */
static int compute()
{
	int host[64], *device;
	for (int i = 0; i < 64; i++)
		host[i] = i;
	cudaError_t error = cudaMalloc(&device, sizeof(host));
	if (error == cudaSuccess)
		error = cudaMemcpy(device, host, sizeof(host), cudaMemcpyHostToDevice);
	if (error == cudaSuccess) {
		triple<<<1, 64>>>(device);
		error = cudaGetLastError();
	}
	if (error == cudaSuccess)
		error = cudaMemcpy(host, device, sizeof(host), cudaMemcpyDeviceToHost);
	if (error == cudaSuccess)
		error = cudaFree(device);
	for (int i = 0; i < 64 && error == cudaSuccess; i++)
		if (host[i] != 3 * i)
			return 120;
	return (int)error;
}

/* The child's status: 0 right, 1 an error that is none of CUDA's results, 2 an error of CUDA. */
static int in_child(int seconds)
{
	int status = 0;
	fflush(stdout);
	pid_t child = fork();
	if (child < 0)
		fail("fork failed");
	if (child == 0) {
		alarm(seconds);
		int error = compute();
		_exit(error == 0 ? 0 : (error == 120 ? 1 : 2));
	}
	if (waitpid(child, &status, 0) != child)
		fail("waitpid failed");
	if (WIFSIGNALED(status))
		fail("the child was ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

int main()
{
	int status = in_child(120);
	if (status != 0)
		fail("the child that came before CUDA ended with %d", status);
	int error = compute();
	if (error != 0)
		fail("the parent: error %d", error);
	status = in_child(120);
	if (status != 2)
		fail("the child that came after CUDA ended with %d, not with an error", status);
	error = compute();
	if (error != 0)
		fail("the parent after its child: error %d", error);
	pass();
}
