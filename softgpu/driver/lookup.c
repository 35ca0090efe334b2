/* SPDX-License-Identifier: Apache-2.0 */
/* cuGetProcAddress: entry points by name and version, among our own exports. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"
#include "entry.h"

/*
 * Names whose meaning changed: which export a version stands for (CUDA driver
 * API, the versions of each function's typedef).  In rising order for each name;
 * "" is the name itself.  Others are exported under their name alone.
 */
struct variant {
	const char *name;
	int version;
	const char *suffix;
};

static const struct variant variants[] = {
	{"cuArray3DCreate", 3020, "_v2"},
	{"cuArray3DGetDescriptor", 3020, "_v2"},
	{"cuArrayCreate", 3020, "_v2"},
	{"cuArrayGetDescriptor", 3020, "_v2"},
	{"cuCtxCreate", 3020, "_v2"},
	{"cuCtxCreate", 11040, "_v3"},
	{"cuCtxCreate", 12050, "_v4"},
	{"cuCtxDestroy", 4000, "_v2"},
	{"cuCtxGetDevice", 2000, ""},
	{"cuCtxGetDevice", 13000, "_v2"},
	{"cuCtxPopCurrent", 4000, "_v2"},
	{"cuCtxPushCurrent", 4000, "_v2"},
	{"cuCtxSynchronize", 2000, ""},
	{"cuCtxSynchronize", 13000, "_v2"},
	{"cuDeviceGetUuid", 9020, ""},
	{"cuDeviceGetUuid", 11040, "_v2"},
	{"cuDevicePrimaryCtxRelease", 11000, "_v2"},
	{"cuDevicePrimaryCtxReset", 11000, "_v2"},
	{"cuDevicePrimaryCtxSetFlags", 11000, "_v2"},
	{"cuDeviceTotalMem", 3020, "_v2"},
	{"cuEventDestroy", 4000, "_v2"},
	{"cuEventElapsedTime", 2000, ""},
	{"cuEventElapsedTime", 12080, "_v2"},
	{"cuGetProcAddress", 11030, ""},
	{"cuGetProcAddress", 12000, "_v2"},
	{"cuGraphExecUpdate", 12000, "_v2"},
	{"cuLinkAddData", 6050, "_v2"},
	{"cuLinkAddFile", 6050, "_v2"},
	{"cuLinkCreate", 6050, "_v2"},
	{"cuMemAdvise", 8000, ""},
	{"cuMemAdvise", 12020, "_v2"},
	{"cuMemAlloc", 3020, "_v2"},
	{"cuMemAllocHost", 3020, "_v2"},
	{"cuMemAllocPitch", 3020, "_v2"},
	{"cuMemFree", 3020, "_v2"},
	{"cuMemGetAddressRange", 3020, "_v2"},
	{"cuMemGetInfo", 3020, "_v2"},
	{"cuMemHostGetDevicePointer", 3020, "_v2"},
	{"cuMemHostRegister", 6050, "_v2"},
	{"cuMemPrefetchAsync", 8000, ""},
	{"cuMemPrefetchAsync", 12020, "_v2"},
	{"cuMemcpy2D", 3020, "_v2"},
	{"cuMemcpy2DAsync", 3020, "_v2"},
	{"cuMemcpy2DUnaligned", 3020, "_v2"},
	{"cuMemcpy3D", 3020, "_v2"},
	{"cuMemcpy3DAsync", 3020, "_v2"},
	{"cuMemcpyAtoA", 3020, "_v2"},
	{"cuMemcpyAtoD", 3020, "_v2"},
	{"cuMemcpyAtoH", 3020, "_v2"},
	{"cuMemcpyAtoHAsync", 3020, "_v2"},
	{"cuMemcpyDtoA", 3020, "_v2"},
	{"cuMemcpyDtoD", 3020, "_v2"},
	{"cuMemcpyDtoDAsync", 3020, "_v2"},
	{"cuMemcpyDtoH", 3020, "_v2"},
	{"cuMemcpyDtoHAsync", 3020, "_v2"},
	{"cuMemcpyHtoA", 3020, "_v2"},
	{"cuMemcpyHtoAAsync", 3020, "_v2"},
	{"cuMemcpyHtoD", 3020, "_v2"},
	{"cuMemcpyHtoDAsync", 3020, "_v2"},
	{"cuMemsetD16", 3020, "_v2"},
	{"cuMemsetD2D16", 3020, "_v2"},
	{"cuMemsetD2D32", 3020, "_v2"},
	{"cuMemsetD2D8", 3020, "_v2"},
	{"cuMemsetD32", 3020, "_v2"},
	{"cuMemsetD8", 3020, "_v2"},
	{"cuModuleGetGlobal", 3020, "_v2"},
	{"cuStreamBatchMemOp", 8000, "_v2"},
	{"cuStreamBeginCapture", 10010, "_v2"},
	{"cuStreamDestroy", 4000, "_v2"},
	{"cuStreamGetCaptureInfo", 10010, ""},
	{"cuStreamGetCaptureInfo", 11030, "_v2"},
	{"cuStreamGetCaptureInfo", 12030, "_v3"},
	{"cuStreamGetCtx", 9020, ""},
	{"cuStreamGetCtx", 12050, "_v2"},
	{"cuStreamWaitValue32", 8000, "_v2"},
	{"cuStreamWaitValue64", 9000, "_v2"},
	{"cuStreamWriteValue32", 8000, "_v2"},
	{"cuStreamWriteValue64", 9000, "_v2"},
};

static void *self;
static pthread_once_t self_once = PTHREAD_ONCE_INIT;

static void self_open(void)
{
	Dl_info info;

	if (dladdr((void *)(uintptr_t)self_open, &info) && info.dli_fname)
		self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
}

/* An export of this library, not of another one that the process has loaded. */
static void *export_find(const char *name)
{
	void *symbol = self ? dlsym(self, name) : NULL;
	Dl_info own, other;

	if (!symbol || !dladdr(symbol, &other) || !dladdr((void *)(uintptr_t)self_open, &own) ||
	    own.dli_fbase != other.dli_fbase)
		return NULL;
	return symbol;
}

static void *entry_find(const char *name, int version, cuuint64_t flags, CUdriverProcAddressQueryResult *ret_status)
{
	const char *suffix = NULL;
	bool known = false;
	void *symbol = NULL;
	char full[128];

	for (size_t index = 0; index < sizeof(variants) / sizeof(variants[0]); index++) {
		if (strcmp(variants[index].name, name) != 0)
			continue;
		known = true;
		if (variants[index].version <= version)
			suffix = variants[index].suffix;
	}
	if (known && !suffix) {
		*ret_status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
		return NULL;
	}
	if (!suffix)
		suffix = "";
	if (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) {
		snprintf(full, sizeof(full), "%s%s_ptsz", name, suffix);
		symbol = export_find(full);
		if (!symbol) {
			snprintf(full, sizeof(full), "%s%s_ptds", name, suffix);
			symbol = export_find(full);
		}
	}
	if (!symbol) {
		snprintf(full, sizeof(full), "%s%s", name, suffix);
		symbol = export_find(full);
	}
	*ret_status = symbol ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	return symbol;
}

/* Answers before cuInit. */
ENTRY(cuGetProcAddress_v2, (const char *name, void **ret_function, int version, cuuint64_t flags,
			    CUdriverProcAddressQueryResult *ret_status))
{
	const cuuint64_t known = CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
	CUdriverProcAddressQueryResult status;
	void *symbol;

	if (!name || !ret_function || flags & ~known)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_once(&self_once, self_open);
	symbol = strlen(name) < 100 ? entry_find(name, version, flags, &status) : NULL;
	if (strlen(name) >= 100)
		status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	if (ret_status)
		*ret_status = status;
	*ret_function = symbol;
	/* With a status to tell, a name that is not found is no error (CUDA 12). */
	return symbol || ret_status ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

ENTRY(cuGetProcAddress, (const char *name, void **ret_function, int version, cuuint64_t flags))
{
	return cuGetProcAddress_v2(name, ret_function, version, flags, NULL);
}
