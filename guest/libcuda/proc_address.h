/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VGPU_PROC_ADDRESS_H
#define VGPU_PROC_ADDRESS_H

#include <stdbool.h>

#include "cuda_abi.h"

/* The function that a caller compiled for 'version' gets for a name without suffixes. */
enum CUdriverProcAddressQueryResult_enum proc_address_find(const char *name, int version, bool per_thread,
							   void **ret_function);

#endif
