/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private tables that cuGetExportTable gives to NVIDIA's libraries: those
 * slots that are known to be called, with the meaning that was seen.  Any other
 * slot can be called and answers CUDA_ERROR_NOT_SUPPORTED, which its callers
 * take; without it they would jump to nowhere.  Sizes are those of driver 580.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "call.h"
#include "compile_cache.h"
#include "context.h"
#include "context_storage.h"
#include "debug.h"
#include "device.h"
#include "integrity.h"
#include "session.h"

typedef void (*slot)(void);

#define SLOT(function) ((slot)(function))
/* A table begins with its size in bytes. */
#define SIZE_OF(count) ((slot)(uintptr_t)((count) * sizeof(slot)))

#define CUDART_SLOTS	    13
#define HOOKS_SLOTS	    7
#define TLS_SLOTS	    3
#define CHECKS_SLOTS	    15
#define INTEGRITY_SLOTS	    3
#define TOOLS_CONTEXT_SLOTS 93
#define TOOLS_MODULE_SLOTS  99
#define HEURISTIC_SLOTS	    17
#define COMPILE_CACHE_SLOTS 7

static CUresult refused(void)
{
	return CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult done(void)
{
	return CUDA_SUCCESS;
}

/* CUDART_INTERFACE 2: the primary context, neither retained nor made current. */
static CUresult cudart_primary_context(CUcontext *ret_context, CUdevice device)
{
	struct object *context;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	context = context_primary(device);
	if (!ret_context)
		return CUDA_ERROR_INVALID_VALUE;
	if (!context)
		return CUDA_ERROR_INVALID_DEVICE;
	*ret_context = (CUcontext)context;
	return CUDA_SUCCESS;
}

/* TOOLS_RUNTIME_CALLBACK_HOOKS 2 and 6: places that a tool would fill; none is there. */
#define HOOK_BYTES 4096

static CUresult hooks_buffer(void **ret_buffer, size_t *ret_count)
{
	static _Alignas(16) unsigned char buffer[HOOK_BYTES];

	*ret_buffer = buffer;
	*ret_count = 1024;
	return CUDA_SUCCESS;
}

static CUresult hooks_buffer_small(void **ret_buffer, size_t *ret_count)
{
	static _Alignas(16) unsigned char buffer[HOOK_BYTES];

	*ret_buffer = buffer;
	*ret_count = 14;
	return CUDA_SUCCESS;
}

static CUresult hooks_number(void *unused, uint64_t *ret_number)
{
	(void)unused;
	if (ret_number)
		*ret_number = 0;
	return CUDA_SUCCESS;
}

/* TOOLS_TLS 2 */
static CUresult tls_current_context(CUcontext *ret_context)
{
	if (!ret_context)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_context = (CUcontext)thread_state.current;
	return CUDA_SUCCESS;
}

/* CONTEXT_LOCAL_STORAGE: no context and -1 mean the current one. */
static struct object *storage_context(CUcontext context)
{
	if (!context || (intptr_t)context == -1)
		return thread_state.current;
	return context_find(context);
}

static CUresult storage_put(CUcontext context, void *key, void *value, context_storage_destructor destructor)
{
	struct object *object = storage_context(context);

	return object ? context_storage_put(object, key, value, destructor) : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult storage_delete(CUcontext context, void *key)
{
	struct object *object = storage_context(context);

	return object ? context_storage_delete(object, key) : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult storage_get(void **ret_value, CUcontext context, void *key)
{
	struct object *object = storage_context(context);

	if (!ret_value)
		return CUDA_ERROR_INVALID_VALUE;
	return object ? context_storage_get(object, key, ret_value) : CUDA_ERROR_INVALID_HANDLE;
}

/* CONTEXT_CHECKS 2: nothing is wrong with the context. */
static CUresult checks_context(CUcontext context, uint32_t *ret_state, void **unused)
{
	(void)context;
	(void)unused;
	if (ret_state)
		*ret_state = 0;
	return CUDA_SUCCESS;
}

static CUresult integrity_check(uint32_t version, uint64_t unix_seconds, uint64_t ret_hash[2]);

/* Tools context 51 and 39: a stream's private face, and its number. Ours is the handle itself. */
static CUresult tools_stream_private(CUcontext context, CUstream stream, void **ret_private, uint32_t per_thread)
{
	(void)context;
	if (!ret_private)
		return CUDA_ERROR_INVALID_VALUE;
	if (!stream)
		stream = per_thread ? CU_STREAM_PER_THREAD : CU_STREAM_LEGACY;
	*ret_private = stream;
	return CUDA_SUCCESS;
}

extern CUresult cuStreamGetId(CUstream stream, unsigned long long *id);
extern CUresult cuCtxGetId(CUcontext context, unsigned long long *id);

static CUresult tools_stream_id(CUcontext context, void *stream, unsigned long long *ret_id)
{
	(void)context;
	return cuStreamGetId(stream, ret_id);
}

extern CUresult cuModuleGetFunctionCount(unsigned int *count, CUmodule module);
extern CUresult cuModuleEnumerateFunctions(CUfunction *functions, unsigned int wanted, CUmodule module);
extern CUresult cuFuncGetName(const char **name, CUfunction function);

typedef void (*module_visitor)(void *user, CUfunction function, const char *name);

/*
 * Tools module 7: tells each function of a module and its name, and answers how many they were.  Seen on driver 580
 * with cuFFT's modules, which have one function each: the answer was 1, so it is no CUresult.  cuFFT takes the
 * function that it launches from here.
 */
static uint64_t module_functions_visit(CUcontext context, CUmodule module, module_visitor visit, void *user)
{
	unsigned int count = 0, told = 0;
	CUfunction *functions;

	(void)context;
	if (!visit || cuModuleGetFunctionCount(&count, module) || !count)
		return 0;
	functions = calloc(count, sizeof(CUfunction));
	if (functions && !cuModuleEnumerateFunctions(functions, count, module)) {
		for (const char *name; told < count && !cuFuncGetName(&name, functions[told]); told++)
			visit(user, functions[told], name);
	}
	free(functions);
	return told;
}

static const slot cudart_table[CUDART_SLOTS] = {
	SIZE_OF(CUDART_SLOTS), SLOT(refused), SLOT(cudart_primary_context),
	SLOT(refused),	       SLOT(refused), SLOT(refused),
	SLOT(refused),	       SLOT(refused), SLOT(refused),
	SLOT(refused),	       SLOT(refused), SLOT(refused),
	SLOT(refused),
};

static const slot hooks_table[HOOKS_SLOTS] = {
	SIZE_OF(HOOKS_SLOTS), SLOT(done), SLOT(hooks_buffer),	    SLOT(done),
	SLOT(hooks_number),   SLOT(done), SLOT(hooks_buffer_small),
};

static const slot tls_table[TLS_SLOTS] = {SIZE_OF(TLS_SLOTS), SLOT(refused), SLOT(tls_current_context)};

static const slot storage_table[] = {SLOT(storage_put), SLOT(storage_delete), SLOT(storage_get), NULL};

static const slot checks_table[CHECKS_SLOTS] = {
	SIZE_OF(CHECKS_SLOTS), SLOT(refused), SLOT(checks_context), SLOT(done),	   SLOT(refused),
	SLOT(refused),	       SLOT(refused), SLOT(refused),	    SLOT(refused), SLOT(refused),
	SLOT(refused),	       SLOT(refused), SLOT(refused),	    SLOT(refused), SLOT(refused),
};

static const slot integrity_table[INTEGRITY_SLOTS] = {
	SIZE_OF(INTEGRITY_SLOTS),
	SLOT(integrity_check),
	SLOT(done),
};

static const slot tools_context_table[TOOLS_CONTEXT_SLOTS] = {
	[0] = SIZE_OF(TOOLS_CONTEXT_SLOTS),
	[1 ... 3] = SLOT(refused),
	[4] = SLOT(cuCtxGetId),
	[5 ... 38] = SLOT(refused),
	[39] = SLOT(tools_stream_id),
	[40 ... 50] = SLOT(refused),
	[51] = SLOT(tools_stream_private),
	[52 ... TOOLS_CONTEXT_SLOTS - 1] = SLOT(refused),
};

static const slot tools_module_table[TOOLS_MODULE_SLOTS] = {
	[0] = SIZE_OF(TOOLS_MODULE_SLOTS),
	[1 ... 6] = SLOT(refused),
	[7] = SLOT(module_functions_visit),
	[8 ... TOOLS_MODULE_SLOTS - 1] = SLOT(refused),
};

static const slot heuristic_table[HEURISTIC_SLOTS] = {
	[0] = SIZE_OF(HEURISTIC_SLOTS),
	[1 ... HEURISTIC_SLOTS - 1] = SLOT(refused),
};

/* NVRTC and nvJitLink call 1 to 4 and 6. */
static const slot compile_cache_table[COMPILE_CACHE_SLOTS] = {
	SIZE_OF(COMPILE_CACHE_SLOTS), SLOT(compile_cache_open),	 SLOT(compile_cache_close),
	SLOT(compile_cache_find),     SLOT(compile_cache_store), SLOT(refused),
	SLOT(compile_cache_give),
};

static CUresult integrity_check(uint32_t version, uint64_t unix_seconds, uint64_t ret_hash[2])
{
	struct integrity_device devices[SESSION_DEVICES_MAX];
	struct integrity_process process = {
		.runtime_version = version,
		.process_id = (uint32_t)getpid(),
		.thread = (uint32_t)pthread_self(),
		.cudart_table = (uintptr_t)cudart_table,
		.integrity_table = (uintptr_t)integrity_table,
		.integrity_function = (uintptr_t)integrity_table[1],
		.unix_seconds = unix_seconds,
	};
	uint32_t count = session_ready() ? session.device_count : 0;
	extern CUresult cuDriverGetVersion(int *version);
	int driver_version;
	CUresult result;

	if (!ret_hash)
		return CUDA_ERROR_INVALID_VALUE;
	result = cuDriverGetVersion(&driver_version);
	process.driver_version = (uint32_t)driver_version;
	for (uint32_t i = 0; i < count && !result; i++) {
		CUdevice device = (CUdevice)i;

		memcpy(devices[i].uuid, session.devices[i].uuid, sizeof(devices[i].uuid));
		result = device_attribute(device, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, &devices[i].pci_domain);
		if (!result)
			result = device_attribute(device, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, &devices[i].pci_bus);
		if (!result)
			result = device_attribute(device, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, &devices[i].pci_device);
	}
	if (!result)
		integrity_compute(&process, devices, count, ret_hash);
	return result;
}

static const struct export_table {
	uint8_t uuid[16];
	const void *table;
} tables[] = {
	{{0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9},
	 cudart_table},
	{{0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66}, hooks_table},
	{{0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47, 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec, 0xdc}, tls_table},
	{{0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93},
	 storage_table},
	{{0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa, 0x7e},
	 checks_table},
	{{0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b, 0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1, 0xf2},
	 integrity_table},
	{{0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48, 0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24, 0xc8, 0xf2},
	 tools_context_table},
	{{0x6e, 0x16, 0x3f, 0xbe, 0xb9, 0x58, 0x44, 0x4d, 0x83, 0x5c, 0xe1, 0x82, 0xaf, 0xf1, 0x99, 0x1e},
	 tools_module_table},
	{{0x17, 0x34, 0xdc, 0x26, 0x80, 0x0d, 0x47, 0x45, 0x87, 0x26, 0xc0, 0xf1, 0xe7, 0xdd, 0x8b, 0xca},
	 heuristic_table},
	{{0xda, 0x91, 0x51, 0xd3, 0x3a, 0xe6, 0xcc, 0x41, 0xa5, 0xc0, 0x4f, 0x26, 0xd5, 0x33, 0xe3, 0x28},
	 compile_cache_table},
};

/* An unknown table is worth knowing about, but libraries do without the ones they ask for in vain. */
static void unknown_log(const CUuuid *uuid)
{
	char text[2 * sizeof(uuid->bytes) + 1];

	for (size_t i = 0; i < sizeof(uuid->bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", (unsigned char)uuid->bytes[i]);
	debug_note("no export table %s", text);
}

API(cuGetExportTable, const void **table, const CUuuid *uuid)
{
	if (!table || !uuid)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (memcmp(tables[i].uuid, uuid->bytes, sizeof(tables[i].uuid)) == 0) {
			*table = tables[i].table;
			return CUDA_SUCCESS;
		}
	}
	unknown_log(uuid);
	*table = NULL;
	return CUDA_ERROR_NOT_FOUND;
}
