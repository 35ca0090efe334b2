/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels reach of their process: memory that is given to them, and standard output. */
#include "common.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

/* cmocka handles SIGSEGV while a test runs; the driver needs its own handler to catch what kernels do. */
static struct sigaction driver_segv, driver_bus;

static void driver_signals_keep(void)
{
	sigaction(SIGSEGV, NULL, &driver_segv);
	sigaction(SIGBUS, NULL, &driver_bus);
}

static void driver_signals_restore(void)
{
	sigaction(SIGSEGV, &driver_segv, NULL);
	sigaction(SIGBUS, &driver_bus, NULL);
}

/* What comes of a kernel that stores to 'address', in a context of its own. */
static CUresult store_to(CUdeviceptr address, uint32_t value)
{
	void *parameters[] = {&address, &value};
	CUfunction function;
	CUcontext context;
	CUmodule module;
	CUresult result;

	assert_ok(cuCtxCreate_v2(&context, 0, 0));
	function = kernel_load(&module, "store");
	assert_ok(launch_one(function, NULL, parameters));
	result = cuCtxSynchronize();
	assert_ok(cuCtxDestroy_v2(context));
	return result;
}

static void kernels_reach_only_what_is_given_to_them(void **state)
{
	uint32_t *pinned, *pages, on_stack = 5, *heap = malloc(4096);
	CUdeviceptr device, managed;

	(void)state;
	driver_signals_restore();
	assert_non_null(heap);
	*heap = 5;
	assert_ok(cuMemAllocHost_v2((void **)&pinned, 4096));
	assert_int_equal(store_to((CUdeviceptr)(uintptr_t)(pinned + 3), 77), CUDA_SUCCESS);
	assert_int_equal(pinned[3], 77);
	assert_ok(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
	assert_int_equal(store_to(managed, 78), CUDA_SUCCESS);
	assert_int_equal(*(uint32_t *)managed, 78);

	assert_int_equal(store_to((CUdeviceptr)(uintptr_t)&on_stack, 6), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(store_to((CUdeviceptr)(uintptr_t)heap, 6), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(store_to((CUdeviceptr)(uintptr_t)cuInit, 6), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(on_stack, 5);
	assert_int_equal(*heap, 5);

	/* The page after an allocation, and memory that was freed. */
	assert_ok(cuMemAlloc_v2(&device, 4096));
	assert_int_equal(store_to(device + 4092, 1), CUDA_SUCCESS);
	assert_int_equal(store_to(device + 4096, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_ok(cuMemFree_v2(device));
	assert_int_equal(store_to(device, 1), CUDA_ERROR_ILLEGAL_ADDRESS);

	/* Registered memory is the kernel's until it is unregistered, or taken away behind the driver's back. */
	pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(pages != MAP_FAILED);
	assert_ok(cuMemHostRegister_v2(pages, 4096, 0));
	assert_int_equal(store_to((CUdeviceptr)(uintptr_t)pages, 79), CUDA_SUCCESS);
	assert_int_equal(*pages, 79);
	assert_int_equal(store_to((CUdeviceptr)(uintptr_t)pages + 4096, 79), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_ok(cuMemHostUnregister(pages));
	assert_int_equal(store_to((CUdeviceptr)(uintptr_t)pages, 80), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(*pages, 79);
	assert_ok(cuMemHostRegister_v2(pages, 4096, 0));
	/* Not munmap(): another thread's new memory could take the place before the kernel runs. */
	assert_ptr_equal(mmap(pages, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), pages);
	assert_int_equal(store_to((CUdeviceptr)(uintptr_t)pages, 81), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_ok(cuMemHostUnregister(pages));
	assert_int_equal(munmap(pages, 8192), 0);
	assert_ok(cuMemFreeHost(pinned));
	free(heap);
}

#define HELLO_PTX                                                                                                    \
	".version 8.0\n.target sm_80\n.address_size 64\n"                                                            \
	".extern .func (.param .b32 result) vprintf (.param .b64 format, .param .b64 values);\n"                     \
	".global .align 1 .b8 text[9] = {115, 97, 121, 115, 32, 37, 100, 10, 0};\n" /* "says %d\n" */                \
	".visible .entry hello(.param .u32 number)\n{\n.local .align 8 .b8 depot[8];\n"                              \
	".reg .b64 %rd<5>;\n.reg .b32 %r<3>;\n"                                                                      \
	"mov.u64 %rd1, depot;\ncvta.local.u64 %rd2, %rd1;\nld.param.u32 %r1, [number];\n"                            \
	"st.local.u32 [%rd1], %r1;\nmov.u64 %rd3, text;\ncvta.global.u64 %rd4, %rd3;\n{\n"                           \
	".param .b64 param0;\nst.param.b64 [param0+0], %rd4;\n.param .b64 param1;\nst.param.b64 [param1+0], %rd2;\n" \
	".param .b32 retval0;\ncall.uni (retval0), vprintf, (param0, param1);\n"                                     \
	"ld.param.b32 %r2, [retval0+0];\n}\nret;\n}\n"

/* What the process has written to standard output since it was turned into a pipe. */
static size_t pipe_drain(int descriptor, char *text, size_t bytes)
{
	ssize_t count = read(descriptor, text, bytes - 1);

	text[count > 0 ? count : 0] = 0;
	return count > 0 ? (size_t)count : 0;
}

static void printf_arrives_at_synchronisation(void **state)
{
	int ends[2], output, number = 42;
	size_t before, after;
	void *parameters[] = {&number};
	char early[64], late[64];
	CUfunction function;
	CUresult result;
	CUmodule module;

	(void)state;
	assert_ok(cuModuleLoadData(&module, HELLO_PTX));
	assert_ok(cuModuleGetFunction(&function, module, "hello"));
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	fflush(stdout);
	output = dup(STDOUT_FILENO);
	assert_true(output >= 0);
	dup2(ends[1], STDOUT_FILENO);
	result = cuLaunchKernel(function, 1, 1, 1, 2, 1, 1, 0, NULL, parameters, NULL);
	sleep_ms(30);
	before = pipe_drain(ends[0], early, sizeof(early));
	if (!result)
		result = cuStreamSynchronize(NULL);
	after = pipe_drain(ends[0], late, sizeof(late));
	dup2(output, STDOUT_FILENO);
	close(output);
	close(ends[0]);
	close(ends[1]);
	assert_ok(result);
	assert_int_equal(before, 0);
	assert_int_equal(after, 16);
	assert_string_equal(late, "says 42\nsays 42\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kernels_reach_only_what_is_given_to_them),
		TEST(printf_arrives_at_synchronisation),
	};

	alarm(120);
	if (cuInit(0))
		return 1;
	driver_signals_keep();
	return cmocka_run_group_tests_name("softgpu reach", tests, NULL, NULL);
}
