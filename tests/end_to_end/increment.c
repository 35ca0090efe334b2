/* SPDX-License-Identifier: Apache-2.0 */
#include "increment.h"

CUcontext context;
CUfunction increment;

int increment_load(void)
{
	CUmodule module;

	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuModuleLoadData(&module, increment_image) || cuModuleGetFunction(&increment, module, "increment");
}
