/* SPDX-License-Identifier: Apache-2.0 */
/* A runtime program that reaches into the driver API through the runtime, as libraries do. */
#include <cstring>

#include <cuda.h>

#include "program.h"

const char *const program_name = "driver_entry";

template <typename function> static function *entry(const char *name, unsigned version)
{
	void *address = nullptr;
	cudaDriverEntryPointQueryResult found;
	CHECK(cudaGetDriverEntryPointByVersion(name, &address, version, cudaEnableDefault, &found));
	if (found != cudaDriverEntryPointSuccess || address == nullptr)
		fail("%s of version %u is not there", name, version);
	return (function *)address;
}

int main()
{
	CHECK(cudaFree(nullptr));
	auto current = entry<CUresult(CUcontext *)>("cuCtxGetCurrent", 4000);
	auto allocate = entry<CUresult(CUdeviceptr *, size_t)>("cuMemAlloc", 3020);
	auto release = entry<CUresult(CUdeviceptr)>("cuMemFree", 3020);
	auto set = entry<CUresult(CUdeviceptr, unsigned, size_t)>("cuMemsetD32", 3020);
	auto error_name = entry<CUresult(CUresult, const char **)>("cuGetErrorName", 6000);
	CUcontext context = nullptr;
	CUdeviceptr memory;
	if (current(&context) != CUDA_SUCCESS || context == nullptr)
		fail("the runtime left no current context");
	if (allocate(&memory, 4096) != CUDA_SUCCESS || set(memory, 0x01020304, 1024) != CUDA_SUCCESS)
		fail("memory of the driver API");
	unsigned words[1024];
	CHECK(cudaMemcpy(words, (void *)memory, sizeof(words), cudaMemcpyDeviceToHost));
	for (unsigned word : words)
		if (word != 0x01020304)
			fail("a word is %#x", word);
	if (release(memory) != CUDA_SUCCESS || release(memory) != CUDA_ERROR_INVALID_VALUE)
		fail("the second free of the same memory is no error");
	const char *name = nullptr;
	if (error_name(CUDA_ERROR_NOT_FOUND, &name) != CUDA_SUCCESS || strcmp(name, "CUDA_ERROR_NOT_FOUND") != 0)
		fail("error 500 has the name %s", name == nullptr ? "(none)" : name);
	void *nothing = nullptr;
	cudaDriverEntryPointQueryResult found;
	cudaError_t error =
		cudaGetDriverEntryPointByVersion("cuNoSuchFunction", &nothing, 12000, cudaEnableDefault, &found);
	if (nothing != nullptr || (error == cudaSuccess && found != cudaDriverEntryPointSymbolNotFound))
		fail("a function that does not exist was found");
	pass();
}
