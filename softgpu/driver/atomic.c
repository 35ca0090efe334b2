/* SPDX-License-Identifier: Apache-2.0 */
/* Which atomic operations reach other memory: kernels run on the host's processors, so all that the engine has. */
#include "device_table.h"
#include "entry.h"

static unsigned int capabilities_of(CUatomicOperation operation)
{
	unsigned int scalar = CU_ATOMIC_CAPABILITY_SCALAR_32 | CU_ATOMIC_CAPABILITY_SCALAR_64;
	unsigned int integer = CU_ATOMIC_CAPABILITY_UNSIGNED | CU_ATOMIC_CAPABILITY_REDUCTION;

	switch (operation) {
	case CU_ATOMIC_OPERATION_INTEGER_ADD:
	case CU_ATOMIC_OPERATION_INTEGER_MIN:
	case CU_ATOMIC_OPERATION_INTEGER_MAX:
		return scalar | integer | CU_ATOMIC_CAPABILITY_SIGNED;
	case CU_ATOMIC_OPERATION_INTEGER_INCREMENT:
	case CU_ATOMIC_OPERATION_INTEGER_DECREMENT:
		return CU_ATOMIC_CAPABILITY_SCALAR_32 | integer;
	case CU_ATOMIC_OPERATION_FLOAT_ADD:
		return scalar | CU_ATOMIC_CAPABILITY_SIGNED | CU_ATOMIC_CAPABILITY_REDUCTION;
	case CU_ATOMIC_OPERATION_FLOAT_MIN:
	case CU_ATOMIC_OPERATION_FLOAT_MAX:
		return 0;
	case CU_ATOMIC_OPERATION_EXCHANGE:
	case CU_ATOMIC_OPERATION_CAS:
		return scalar | CU_ATOMIC_CAPABILITY_UNSIGNED;
	default:
		return scalar | integer;
	}
}

static CUresult capabilities_answer(unsigned int *capabilities, const CUatomicOperation *operations, unsigned int count)
{
	if (!capabilities || !operations || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++) {
		if ((int)operations[i] < CU_ATOMIC_OPERATION_INTEGER_ADD || operations[i] >= CU_ATOMIC_OPERATION_MAX)
			return CUDA_ERROR_INVALID_VALUE;
		capabilities[i] = capabilities_of(operations[i]);
	}
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetHostAtomicCapabilities,
      (unsigned int *capabilities, const CUatomicOperation *operations, unsigned int count, CUdevice device))
{
	CUresult result = device_check(device);

	return result ? result : capabilities_answer(capabilities, operations, count);
}

ENTRY(cuDeviceGetP2PAtomicCapabilities, (unsigned int *capabilities, const CUatomicOperation *operations,
					 unsigned int count, CUdevice source, CUdevice destination))
{
	CUresult result = device_check(source);

	if (!result)
		result = device_check(destination);
	if (!result && source == destination)
		result = CUDA_ERROR_INVALID_DEVICE;
	return result ? result : capabilities_answer(capabilities, operations, count);
}
