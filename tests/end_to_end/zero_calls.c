/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every entry point, called with zeros, with any libcuda.so.1: one line each, so that the answers can be compared
 * with a GPU's. Ours must survive each of them. Run by test_local.py.
 */
#include <dlfcn.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call_list.h"
#include "cuda_abi.h"

#define NAME(symbol) #symbol,
static const char *const names[] = {VGPU_ENTRY_LIST(NAME)};
#define COUNT (sizeof(names) / sizeof(names[0]))

/* Seconds for one call, and for the start. */
#define PATIENCE 60

/* More than any call has, those that are handed structures by value included. */
typedef CUresult zero_call(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
			   uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
			   uint64_t, uint64_t);

/* Of graphics, which need a library of their own; and what stops or ends the process that calls it. */
static const char *const skipped[] = {
	"cuGL", "cuEGL", "cuVDPAU", "cuWGL", "cuGraphics", "cuCheckpoint", "cuCoredump", "cuLogs",
};

/* What the real driver (580.159.04) answers otherwise, by patterns: not compared. */
static const char *const unlike[] = {
	/* Not built: NOT_SUPPORTED, whatever the arguments are. */
	"cuMulticast*",
	"cuExternalMemory*",
	"*ExternalSemaphores*",
	"cuDeviceGetNvSciSyncAttributes",
	"cuDeviceUnregisterAsyncNotification",
	"cuFlushGPUDirectRDMAWrites",
	"cuMemGetHandleForAddressRange",
	"cuMemMapArrayAsync*",
	/* The forms of before CUDA 4 and of the first primary contexts: it wants a context of that time. */
	"cuArrayGetDescriptor",
	"cuArray3DGetDescriptor",
	"cuMemAllocHost",
	"cuMemGetInfo",
	"cuDevicePrimaryCtxSetFlags",
	/* Several arguments are wrong at once, and it names another one. */
	"cu*ArrayGetMemoryRequirements",
	"cu*ArrayGetSparseProperties",
	"cuDeviceGetP2PAtomicCapabilities",
	"cuEventElapsedTime*",
	"cuFuncGetAttribute",
	"cuFuncGetParamInfo",
	"cuFuncIsLoaded",
	"cuGreenCtxGet*",
	"cuGreenCtxStreamCreate",
	"cuKernelGetName",
	"cuKernelGetParamInfo",
	"cuLibraryEnumerateKernels",
	"cuLibraryGet*",
	"cuLinkAddFile*",
	"cuModuleEnumerateFunctions",
	"cuModuleGetFunctionCount",
	"cuOccupancyMaxPotentialBlockSize*",
	"cuStreamBeginCaptureToGraph",
	"cuStreamEndCapture*",
	/* It takes what does nothing. */
	"cuMemcpyPeer*",
	/* The thread's default stream is an ordinary one of the executor's: what waits fails with another error. */
	"cuStreamBeginCapture_ptsz",
	"cuStreamBeginCapture_v2_ptsz",
	/* They end the process. */
	"cuGetErrorName",
	"cuGetErrorString",
	"cuGetProcAddress*",
	"cuMemcpy3DPeer*",
	"cuModuleGetLoadingMode",
	"cuThreadExchangeStreamCaptureMode",
};

static void *library;
static volatile size_t *next; /* shared with the parent: the call that comes next */
static CUcontext context;

static bool is_skipped(const char *name)
{
	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++) {
		if (strncmp(name, skipped[i], strlen(skipped[i])) == 0)
			return true;
	}
	return false;
}

/* What the line of a call begins with: lines "result" are compared with the real driver's. */
static const char *word_of(const char *name)
{
	for (size_t i = 0; i < sizeof(unlike) / sizeof(unlike[0]); i++) {
		if (fnmatch(unlike[i], name, 0) == 0)
			return "unlike";
	}
	return "result";
}

#define ENTRY(name, ...) ((CUresult(*)(__VA_ARGS__))dlsym(library, #name))

/* The primary context of device 0 is current again, whatever a call has done. */
static bool prepare(void)
{
	CUcontext current = NULL;

	if (!context &&
	    (ENTRY(cuInit, unsigned int)(0) || ENTRY(cuDevicePrimaryCtxRetain, CUcontext *, CUdevice)(&context, 0)))
		return false;
	if (ENTRY(cuCtxGetCurrent, CUcontext *)(&current))
		return false;
	return current == context || !ENTRY(cuCtxSetCurrent, CUcontext)(context);
}

/* False: the process has no context any more. */
static bool zero_call_make(const char *name)
{
	zero_call *call = (zero_call *)dlsym(library, name);
	CUresult result, later;

	if (!call) {
		printf("%s zero %s missing\n", word_of(name), name);
		return true;
	}
	result = call(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	printf("%s zero %s %d\n", word_of(name), name, result);
	later = ENTRY(cuCtxSynchronize, void)();
	if (later)
		printf("%s zero %s later %d\n", word_of(name), name, later);
	return !later;
}

/* From the call that comes next on; 0: all were made, 1: this process is of no use any more. */
static int calls_make(void)
{
	alarm(PATIENCE);
	if (!prepare())
		return 2;
	while (*next < COUNT) {
		const char *name = names[*next];
		bool goes_on;

		alarm(PATIENCE);
		goes_on = is_skipped(name) || zero_call_make(name);
		fflush(stdout);
		(*next)++;
		if (!goes_on || !prepare())
			return 1;
	}
	return 0;
}

int main(void)
{
	const bool is_native = getenv("VGPU_NATIVE") != NULL;
	bool died = false;
	int status;

	next = mmap(NULL, sizeof(*next), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	library = dlopen("libcuda.so.1", RTLD_NOW);
	if (next == MAP_FAILED || !library)
		return 1;
	do {
		pid_t child = fork();

		if (child == 0)
			_exit(calls_make());
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 1;
		if (WIFSIGNALED(status)) {
			const char *name = *next < COUNT ? names[*next] : "end";

			printf("%s zero %s died %d\n", word_of(name), name, WTERMSIG(status));
			fflush(stdout);
			died = true;
			(*next)++;
		} else if (WEXITSTATUS(status) == 2) {
			return 1;
		}
	} while (*next < COUNT);
	return died && !is_native;
}
