/* SPDX-License-Identifier: Apache-2.0 */
/* The linker and the error log, with any libcuda.so.1. Run by test_streams.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "stream_calls.h"

CUresult cuLinkCreate_v2(unsigned int count, CUjit_option *options, void **values, CUlinkState *state);
CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t bytes, const char *name,
			  unsigned int count, CUjit_option *options, void **values);
CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char *path, unsigned int count,
			  CUjit_option *options, void **values);
CUresult cuLinkComplete(CUlinkState state, void **image, size_t *bytes);
CUresult cuLinkDestroy(CUlinkState state);
CUresult cuLogsRegisterCallback(CUlogsCallback callback, void *data, CUlogsCallbackHandle *handle);
CUresult cuLogsUnregisterCallback(CUlogsCallbackHandle handle);
CUresult cuLogsCurrent(CUlogIterator *iterator, unsigned int flags);
CUresult cuLogsDumpToMemory(CUlogIterator *iterator, char *buffer, size_t *size, unsigned int flags);
CUresult cuLogsDumpToFile(CUlogIterator *iterator, const char *path, unsigned int flags);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

#define HEADER ".version 7.0\n.target sm_70\n.address_size 64\n"

/* A kernel, and the function that it calls. */
static char kernel_text[] = HEADER ".extern .func (.param .b32 r) answer();\n"
				   ".visible .entry ask(.param .u64 to)\n{\n"
				   "\t.reg .b32 %r<2>; .reg .b64 %d<2>;\n"
				   "\tld.param.u64 %d1, [to];\n\tcvta.to.global.u64 %d1, %d1;\n"
				   "\t{\n\t.param .b32 result;\n\tcall (result), answer;\n"
				   "\tld.param.b32 %r1, [result];\n\t}\n"
				   "\tst.global.u32 [%d1], %r1;\n\tret;\n}\n";
static char function_text[] = HEADER ".visible .func (.param .b32 r) answer()\n{\n"
				     "\t.reg .b32 %r<2>;\n\tmov.u32 %r1, 42;\n\tst.param.b32 [r], %r1;\n\tret;\n}\n";

static int setup(void **state)
{
	CUcontext context;

	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context);
}

/* Loads the image, which the link still owns, and asks the kernel. */
static void answer_check(CUlinkState state, const void *image)
{
	CUdeviceptr to;
	void *parameters[] = {&to};
	uint32_t got = 0;
	CUfunction function;
	CUmodule module;

	WORKS(cuModuleLoadData(&module, image));
	WORKS(cuLinkDestroy(state));
	WORKS(cuModuleGetFunction(&function, module, "ask"));
	WORKS(cuMemAlloc_v2(&to, sizeof(got)));
	WORKS(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
	WORKS(cuMemcpyDtoH_v2(&got, to, sizeof(got)));
	assert_int_equal(got, 42);
	WORKS(cuMemFree_v2(to));
	WORKS(cuModuleUnload(module));
}

static void test_two_texts(void **state)
{
	float milliseconds = -1;
	char information[512] = "", error[512] = "";
	CUjit_option ids[] = {
		CU_JIT_WALL_TIME,
		CU_JIT_INFO_LOG_BUFFER,
		CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
		CU_JIT_ERROR_LOG_BUFFER,
		CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
		CU_JIT_LOG_VERBOSE,
	};
	void *values[] = {NULL, information, (void *)sizeof(information), error, (void *)sizeof(error), (void *)1};
	CUlinkState link;
	void *image = NULL, *again = NULL;
	size_t bytes = 0;

	(void)state;
	WORKS(cuLinkCreate_v2(sizeof(ids) / sizeof(ids[0]), ids, values, &link));
	WORKS(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, kernel_text, sizeof(kernel_text), "kernel", 0, NULL, NULL));
	WORKS(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, function_text, sizeof(function_text), "function", 0, NULL,
			       NULL));
	WORKS(cuLinkComplete(link, &image, &bytes));
	assert_true(bytes > 0);
	memcpy(&milliseconds, &values[0], sizeof(milliseconds));
	assert_true(milliseconds >= 0);
	assert_true((uintptr_t)values[2] <= sizeof(information));
	assert_true(memchr(information, 0, sizeof(information)) != NULL);
	assert_true(cuLinkComplete(link, &again, NULL) != CUDA_SUCCESS || again == image);
	answer_check(link, image);
}

static void test_file(void **state)
{
	char path[] = "/tmp/vgpu-link-XXXXXX";
	int file = mkstemp(path);
	CUlinkState link;
	void *image = NULL;
	size_t bytes = 0;

	(void)state;
	assert_true(file >= 0);
	assert_int_equal(write(file, function_text, sizeof(function_text) - 1), sizeof(function_text) - 1);
	close(file);
	WORKS(cuLinkCreate_v2(0, NULL, NULL, &link));
	assert_int_equal(cuLinkAddFile_v2(link, CU_JIT_INPUT_PTX, "/nowhere/at/all", 0, NULL, NULL),
			 CUDA_ERROR_FILE_NOT_FOUND);
	WORKS(cuLinkAddFile_v2(link, CU_JIT_INPUT_PTX, path, 0, NULL, NULL));
	unlink(path);
	WORKS(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, kernel_text, sizeof(kernel_text), NULL, 0, NULL, NULL));
	WORKS(cuLinkComplete(link, &image, &bytes));
	answer_check(link, image);
}

static void test_errors(void **state)
{
	static char broken[] = HEADER ".visible .entry broken()\n{\n\tret\n}\n";
	char error[1024] = "";
	CUjit_option ids[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {error, (void *)sizeof(error)};
	CUlinkState link;
	CUresult result;
	void *image = NULL;
	size_t bytes = 0;

	(void)state;
	/* The driver may notice at either step. */
	WORKS(cuLinkCreate_v2(2, ids, values, &link));
	result = cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, broken, sizeof(broken), "broken", 0, NULL, NULL);
	if (!result)
		result = cuLinkComplete(link, &image, &bytes);
	assert_int_equal(result, CUDA_ERROR_INVALID_PTX);
	assert_true(strlen(error) > 0);
	WORKS(cuLinkDestroy(link));
	/* Driver 580 itself crashes on what is gone, and on what is not there. */
	if (getenv("VGPU_NATIVE"))
		return;
	assert_int_equal(cuLinkDestroy(link), CUDA_ERROR_INVALID_HANDLE);

	WORKS(cuLinkCreate_v2(0, NULL, NULL, &link));
	assert_int_equal(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, NULL, 10, "", 0, NULL, NULL),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_not_equal(cuLinkAddData_v2(link, CU_JIT_INPUT_CUBIN, broken, sizeof(broken), "", 0, NULL, NULL),
			     CUDA_SUCCESS);
	assert_int_not_equal(cuLinkAddData_v2(link, CU_JIT_INPUT_LIBRARY, broken, sizeof(broken), "", 0, NULL, NULL),
			     CUDA_SUCCESS);
	WORKS(cuLinkDestroy(link));
}

/* More than one reply carries. */
static void test_large_image(void **state)
{
	enum { FILLER = 200000 };
	char *text = malloc(sizeof(function_text) + FILLER);
	size_t length = 0;
	CUlinkState link;
	void *image = NULL;
	size_t bytes = 0;

	(void)state;
	assert_non_null(text);
	length = (size_t)sprintf(text, "%s", function_text);
	for (int i = 0; i < 2000; i++)
		length += (size_t)sprintf(text + length, ".visible .global .align 4 .u32 filler_%d = %d;\n", i, i + 1);
	WORKS(cuLinkCreate_v2(0, NULL, NULL, &link));
	WORKS(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, text, length + 1, "large", 0, NULL, NULL));
	WORKS(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, kernel_text, sizeof(kernel_text), "kernel", 0, NULL, NULL));
	WORKS(cuLinkComplete(link, &image, &bytes));
	assert_true(bytes > 65536);
	answer_check(link, image);
	free(text);
}

/* What the driver says of a failure is in its log, once. */
static void test_error_log(void **state)
{
	static char broken[] = HEADER ".visible .entry broken()\n{\n\tret\n}\n";
	char path[] = "/tmp/vgpu-log-XXXXXX", text[4096];
	CUlogIterator iterator = 0, end = 0;
	CUmodule module;
	size_t size = sizeof(text);
	int file;
	CUresult result = cuLogsCurrent(&iterator, 0);

	(void)state;
	/* Drivers before 12.9. */
	if (result == CUDA_ERROR_NOT_SUPPORTED)
		skip();
	WORKS(result);
	assert_int_not_equal(cuModuleLoadData(&module, broken), CUDA_SUCCESS);
	end = iterator;
	WORKS(cuLogsDumpToMemory(&end, text, &size, 0));
	assert_true(size < sizeof(text));
	assert_int_equal(strlen(text), size);
	assert_true(size == 0 || text[size - 1] == '\n');
	file = mkstemp(path);
	assert_true(file >= 0);
	WORKS(cuLogsDumpToFile(&iterator, path, 0));
	assert_int_equal(lseek(file, 0, SEEK_END), size);
	assert_int_equal(iterator, end);
	close(file);
	unlink(path);
	size = sizeof(text);
	WORKS(cuLogsDumpToMemory(&end, text, &size, 0));
	assert_int_equal(size, 0);
	assert_int_not_equal(cuLogsDumpToMemory(&end, NULL, &size, 0), CUDA_SUCCESS);
}

struct heard {
	unsigned int messages;
	unsigned int warnings;
	size_t bytes;
	CUlogsCallbackHandle handle; /* unregisters itself, if it is set */
};

static void hear(void *data, CUlogLevel level, char *message, size_t length)
{
	struct heard *heard = data;

	heard->messages += strlen(message) == length;
	heard->warnings += level == CU_LOG_LEVEL_WARNING;
	heard->bytes += length;
	if (heard->handle)
		(void)cuLogsUnregisterCallback(heard->handle);
}

/* Who has registered is told what the log has of a failure before the call returns. */
static void test_error_callbacks(void **state)
{
	static char broken[] = HEADER ".visible .entry broken()\n{\n\tret\n}\n";
	struct heard first = {0}, second = {0};
	CUlogsCallbackHandle handle, other;
	CUlogIterator iterator;
	unsigned int before;
	CUmodule module;
	char text[4096];
	size_t size = sizeof(text);
	CUresult result = cuLogsRegisterCallback(hear, &first, &handle);

	(void)state;
	/* Drivers before 12.9. */
	if (result == CUDA_ERROR_NOT_SUPPORTED)
		skip();
	WORKS(result);
	WORKS(cuLogsRegisterCallback(hear, &second, &other));
	WORKS(cuLogsCurrent(&iterator, 0));
	assert_int_equal(first.messages, 0);
	assert_int_not_equal(cuModuleLoadData(&module, broken), CUDA_SUCCESS);
	before = first.messages;
	assert_int_equal(second.messages, before);
	assert_int_equal(first.warnings, second.warnings);
	WORKS(cuLogsDumpToMemory(&iterator, text, &size, 0));
	assert_int_equal(before == 0, size == 0);
	assert_int_equal(first.bytes == 0, size == 0);
	WORKS(cuLogsUnregisterCallback(handle));
	/* What the real driver does where a callback ends itself is not documented. */
	if (!getenv("VGPU_NATIVE"))
		second.handle = other;
	assert_int_not_equal(cuModuleLoadData(&module, broken), CUDA_SUCCESS);
	assert_int_equal(first.messages, before);
	if (getenv("VGPU_NATIVE"))
		WORKS(cuLogsUnregisterCallback(other));
	before = second.messages;
	assert_int_not_equal(cuModuleLoadData(&module, broken), CUDA_SUCCESS);
	assert_int_equal(second.messages, before);
	assert_int_not_equal(cuLogsRegisterCallback(NULL, NULL, &handle), CUDA_SUCCESS);
}

/* A context takes its links along. */
static void test_end_of_context(void **state)
{
	CUcontext former, context;
	CUlinkState link;

	(void)state;
	WORKS(cuCtxGetCurrent(&former));
	WORKS(cuCtxCreate_v2(&context, 0, 0));
	WORKS(cuLinkCreate_v2(0, NULL, NULL, &link));
	WORKS(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, function_text, sizeof(function_text), "", 0, NULL, NULL));
	WORKS(cuCtxDestroy_v2(context));
	WORKS(cuCtxSetCurrent(former));
	WORKS(cuCtxSynchronize());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_texts),      cmocka_unit_test(test_file),
		cmocka_unit_test(test_errors),	       cmocka_unit_test(test_large_image),
		cmocka_unit_test(test_error_log),      cmocka_unit_test(test_error_callbacks),
		cmocka_unit_test(test_end_of_context),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
