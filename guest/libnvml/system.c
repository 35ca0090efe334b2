/* SPDX-License-Identifier: Apache-2.0 */
/* The system, as the guest has it. */
#include "cuda_abi.h"
#include "entry.h"
#include "library.h"
#include "remote.h"

/* As cuDriverGetVersion of libcuda.so.1 in the guest, which has the calls of one version of CUDA. */
NVML_API(nvmlSystemGetCudaDriverVersion_v2, int *version)
{
	int host = 0;
	const uint64_t arguments[] = {(uintptr_t)&host};
	int result;

	if (!version)
		return library_refuse(NVML_ERROR_INVALID_ARGUMENT);
	result = remote_call(NVML_FUNCTION_nvmlSystemGetCudaDriverVersion_v2, arguments);
	if (!result)
		*version = host < CUDA_VERSION ? host : CUDA_VERSION;
	return result;
}

/* The real library answers without being initialised. */
NVML_API(nvmlSystemGetCudaDriverVersion, int *version)
{
	if (!version)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (nvmlSystemGetCudaDriverVersion_v2(version) != NVML_SUCCESS)
		*version = CUDA_VERSION;
	return NVML_SUCCESS;
}

/* S-class units are of the host. */
NVML_API(nvmlUnitGetCount, unsigned int *count)
{
	return library_count(count, 0);
}

/* Devices that the host's driver excludes are nowhere in the guest. */
NVML_API(nvmlGetExcludedDeviceCount, unsigned int *count)
{
	return library_count(count, 0);
}
