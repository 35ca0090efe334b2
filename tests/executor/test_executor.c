/* SPDX-License-Identifier: Apache-2.0 */
/* The executor against the strict driver: what it does when the guest is honest. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "honest_calls.h"
#include "strict_limits.h"

static void starts_without_driver(void **state)
{
	struct peer lone;
	struct peer_end end;

	(void)state;
	assert_false(peer_start(&lone, "/nonexistent/libcuda.so.1", PEER_CHANNEL_BYTES));
	assert_int_equal(lone.result, VGPU_ERROR_NO_DRIVER);
	assert_non_null(strstr(lone.printed, "/nonexistent/libcuda.so.1"));
	end = peer_wait(&lone);
	assert_false(end.by_signal);
	assert_int_equal(end.status, 1);
}

/* Runs the executor with arguments; its output in 'text', its exit status as the result. */
static int output_of(const char *arguments, char *text, size_t text_bytes)
{
	char command[1024];
	size_t used;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "'%s' %s 2>&1", getenv("VGPU_TEST_EXECUTOR"), arguments);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	used = fread(text, 1, text_bytes - 1, pipe);
	text[used] = '\0';
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void probes_a_driver(void **state)
{
	char arguments[512];
	char text[4096];

	(void)state;
	snprintf(arguments, sizeof(arguments), "--probe '%s'", getenv("VGPU_TEST_DRIVER"));
	assert_int_equal(output_of(arguments, text, sizeof(text)), 0);
	assert_string_equal(text, "driver_version=13000\nsoftware=0\n"
				  "device=0 name=\"strict test driver\" uuid=GPU-abababab-abab-abab-abab-abababababab "
				  "memory=268435456 pci=0000:01:00.0 reaches_host=0\n");
	assert_int_equal(output_of("--probe /nonexistent.so", text, sizeof(text)), 1);
	assert_non_null(strstr(text, "/nonexistent.so"));
	/* A library that is no driver. */
	assert_int_equal(output_of("--probe libc.so.6", text, sizeof(text)), 1);
	assert_non_null(strstr(text, "cuInit"));
	assert_int_equal(output_of("--nonsense", text, sizeof(text)), 64);
}

static void refuses_a_small_channel(void **state)
{
	struct peer lone;

	(void)state;
	assert_false(peer_start(&lone, getenv("VGPU_TEST_DRIVER"), 1u << 20));
	assert_int_equal(lone.result, VGPU_ERROR_PROTOCOL);
	assert_false(peer_wait(&lone).by_signal);
}

static void tells_devices(void **state)
{
	struct vgpu_snapshot_request request = {0};
	struct vgpu_snapshot_reply reply;

	(void)state;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_SNAPSHOT, 0, &request, sizeof(request)), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	assert_string_equal(reply.name, "strict test driver");
	assert_int_equal(reply.attribute_values[10], 100010);
	assert_int_equal(reply.attribute_results[0], CUDA_ERROR_INVALID_VALUE);
	request.device = 1;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_SNAPSHOT, 0, &request, sizeof(request)),
			 CUDA_ERROR_INVALID_DEVICE);
}

static void copies_through_records(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 4096);
	struct {
		struct vgpu_upload_inline upload;
		uint8_t bytes[1000];
	} up = {.upload = {.destination = address + 8, .bytes = 1000}};
	struct vgpu_download_inline down = {.source = address + 8, .bytes = 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(up.bytes); i++)
		up.bytes[i] = (uint8_t)(i * 7);
	assert_true(peer_post(&peer, VGPU_OPCODE_UPLOAD_INLINE, 0, context, &up, sizeof(up)));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_DOWNLOAD_INLINE, context, &down, sizeof(down)), CUDA_SUCCESS);
	assert_memory_equal(peer.reply, up.bytes, sizeof(up.bytes));
	assert_int_equal(peer.counters->bytes_to_device, 1000);
	assert_int_equal(peer.counters->bytes_from_device, 1000);
}

/* Three times around the upload window, in pieces, and back. */
static void copies_through_windows(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint32_t window = peer.header->upload_bytes;
	uint32_t piece = window / 4;
	uint64_t address = allocate(context, window);
	uint64_t position = 0;
	struct vgpu_download down = {.bytes = piece, .window_offset = 4096};
	struct wire_cuStreamSynchronize synchronize = {0};

	(void)state;
	for (int turn = 0; turn < 12; turn++) {
		struct vgpu_upload up = {.destination = address + (uint64_t)(turn % 4) * piece,
					 .bytes = piece,
					 .window_position = position};
		double deadline = now_seconds() + 60;

		while (position + piece - __atomic_load_n(&peer.header->upload_released, __ATOMIC_ACQUIRE) > window)
			assert_true(now_seconds() < deadline);
		memset(peer.channel + peer.header->upload_offset + position % window, turn + 1, piece);
		assert_true(peer_post(&peer, VGPU_OPCODE_UPLOAD, 0, context, &up, sizeof(up)));
		position += piece;
		/* A piece that carries nothing. */
		if (turn == 7) {
			assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, context, &synchronize,
						   sizeof(synchronize)),
					 CUDA_SUCCESS);
		}
	}
	down.source = address + 2 * (uint64_t)piece;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_DOWNLOAD, context, &down, sizeof(down)), CUDA_SUCCESS);
	for (uint32_t i = 0; i < piece; i++)
		assert_int_equal(peer.channel[peer.header->download_offset + 4096 + i], 11);
}

static void launches_a_kernel(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	struct vgpu_function_info_request ask = {.function = function};
	struct vgpu_function_info_reply info;
	struct vgpu_download_inline down = {.source = address, .bytes = 8};
	uint64_t sum;

	(void)state;
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_FUNCTION_INFO, context, &ask, sizeof(ask)), CUDA_SUCCESS);
	memcpy(&info, peer.reply, sizeof(info));
	assert_int_equal(info.parameter_count, 3);
	assert_int_equal(info.parameter_bytes, 24);
	launch(context, function, 0, 10, address, 40, 2);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_DOWNLOAD_INLINE, context, &down, sizeof(down)), CUDA_SUCCESS);
	memcpy(&sum, peer.reply, sizeof(sum));
	assert_int_equal(sum, 42);
	assert_int_equal(peer.counters->launches, 1);
}

static void defers_the_first_error(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	struct wire_cuMemFree_v2 nonsense = {.dptr = 0x1234};
	uint64_t deferred;

	(void)state;
	assert_true(peer_post(&peer, VGPU_CALL_cuMemFree_v2, 0, context, &nonsense, sizeof(nonsense)));
	assert_true(peer_post(&peer, VGPU_CALL_cuMemFree_v2, 0, context, &nonsense, sizeof(nonsense)));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, context, NULL, 0), CUDA_SUCCESS);
	deferred = __atomic_exchange_n(&peer.header->deferred_error, 0, __ATOMIC_ACQ_REL);
	assert_int_equal((uint32_t)deferred, CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(deferred >> 32, context);
	assert_int_equal(peer.counters->errors, 2);
}

static void a_fault_sticks_to_its_context(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint32_t function = function_make(context, "fault");
	uint32_t other;
	struct wire_cuMemAlloc_v2 request = {.bytesize = 8};

	(void)state;
	launch(context, function, 0, 1, 0, 0, 0);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, context, NULL, 0), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &request, sizeof(request)),
			 CUDA_ERROR_ILLEGAL_ADDRESS);
	other = peer_context_make(&peer, 2);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, other, &request, sizeof(request)), CUDA_SUCCESS);
}

static void forwards_device_printf(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint32_t function = function_make(context, "print");
	struct wire_cuStreamSynchronize synchronize = {0};

	(void)state;
	launch(context, function, 0, 1, 0, 0, 0);
	launch(context, function, 0, 1, 0, 0, 0);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, context, NULL, 0), CUDA_SUCCESS);
	/* peer_call took the text before the reply. */
	assert_string_equal(peer.printed, "hello from the device\nhello from the device\n");
	/* Every call that waits brings the text along. */
	launch(context, function, 0, 1, 0, 0, 0);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, context, &synchronize, sizeof(synchronize)),
			 CUDA_SUCCESS);
	assert_string_equal(peer.printed, "hello from the device\nhello from the device\nhello from the device\n");
}

/* A kernel that prints without end fills neither the host's memory nor ends its program. */
static void bounds_device_printf(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	struct wire_cuStreamSynchronize synchronize = {0};
	double deadline = now_seconds() + 60;
	struct stat status;
	struct vgpu_record header = {0};
	uint32_t function;
	char path[64];

	(void)state;
	function = function_make(context, "flood");
	for (int i = 0; i < 3; i++)
		launch(context, function, 0, 100 << 10, 0, 0, 0);
	snprintf(path, sizeof(path), "/proc/%d/fd/1", peer.process);
	do
		assert_int_equal(stat(path, &status), 0);
	while ((status.st_size < 300 << 20 || status.st_blocks * 512ll > 40 << 20) && now_seconds() < deadline);
	assert_int_equal(status.st_size, 300 << 20);
	assert_true(status.st_blocks * 512ll <= 40 << 20);
	assert_true(peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &synchronize,
			      sizeof(synchronize)));
	do {
		peer.printed_bytes = 0;
		assert_true(peer_take(&peer, &header));
	} while (header.sequence != peer.sequence);
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
}

static void answers_compiler_logs(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	struct wire_cuModuleLoadDataEx request = {
		.module = VGPU_ID(VGPU_KIND_MODULE, 3), .image_kind = 1, .info_log_bytes = 100, .error_log_bytes = 100};
	struct wire_cuModuleLoadDataEx_reply reply;

	(void)state;
	stage(ptx, sizeof(ptx) - 1);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleLoadDataEx, context, &request, sizeof(request)),
			 CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	assert_int_equal(reply.logs_bytes, 11);
	assert_memory_equal(peer.reply + sizeof(reply), "all is well", 11);
}

static void unloading_forgets_functions(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint32_t function = function_make(context, "add");
	struct wire_cuModuleUnload unload = {.hmod = VGPU_ID(VGPU_KIND_MODULE, 0)};
	struct vgpu_function_info_request ask = {.function = function};

	(void)state;
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleUnload, context, &unload, sizeof(unload)), CUDA_SUCCESS);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_FUNCTION_INFO, context, &ask, sizeof(ask)),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleUnload, context, &unload, sizeof(unload)),
			 CUDA_ERROR_INVALID_HANDLE);
}

static void shares_pinned_memory(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t device = allocate(context, 8192);
	struct vgpu_host_map map = {.address = 0x300000000000, .bytes = 8192};
	struct vgpu_host_unmap unmap = {.address = map.address};
	struct wire_cuMemcpyHtoDAsync_v2 copy = {.dstDevice = device, .srcHost = map.address + 4, .ByteCount = 100};
	struct vgpu_download_inline down = {.source = device, .bytes = 100};
	int file = memfd_create("pinned", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *mapping;

	(void)state;
	assert_int_equal(ftruncate(file, 8192), 0);
	mapping = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	memset(mapping, 'x', 8192);
	/* Not sealed: the guest could take the pages away. */
	assert_true(peer_descriptor_pass(&peer, file));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_true(peer_descriptor_pass(&peer, file));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_SUCCESS);
	assert_int_equal(peer.counters->pinned_bytes, 8192);
	/* The place is taken now. */
	assert_true(peer_descriptor_pass(&peer, file));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_ERROR_ALREADY_MAPPED);
	/* Larger than the file. */
	map.address += 1 << 20;
	map.bytes = 1 << 20;
	assert_true(peer_descriptor_pass(&peer, file));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_ERROR_INVALID_VALUE);
	assert_true(peer_post(&peer, VGPU_CALL_cuMemcpyHtoDAsync_v2, 0, context, &copy, sizeof(copy)));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_DOWNLOAD_INLINE, context, &down, sizeof(down)), CUDA_SUCCESS);
	assert_memory_equal(peer.reply, mapping, 100);
	/* Beyond the mapping: the executor's own memory is not for the guest. */
	copy.ByteCount = 8190;
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemcpyHtoDAsync_v2, context, &copy, sizeof(copy)),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_UNMAP, context, &unmap, sizeof(unmap)), CUDA_SUCCESS);
	assert_int_equal(peer.counters->pinned_bytes, 0);
	munmap(mapping, 8192);
	close(file);
}

/* More replies than the ring holds, before the first is taken. */
static void keeps_replies_for_a_slow_guest(void **state)
{
	struct vgpu_snapshot_request request = {0};
	struct vgpu_record header;
	uint32_t first = peer.sequence + 1;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(peer_post(&peer, VGPU_OPCODE_SNAPSHOT, VGPU_FLAG_REPLY, 0, &request, sizeof(request)));
	usleep(100000);
	for (uint32_t i = 0; i < 1000; i++) {
		assert_true(peer_take(&peer, &header));
		assert_int_equal(header.sequence, first + i);
	}
}

static double processor_seconds(pid_t process)
{
	char path[64];
	char text[1024] = "";
	unsigned long user = 0, system = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", process);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_int_equal(
		sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void sleeps_when_idle(void **state)
{
	double used = 1;

	(void)state;
	/* On a busy machine it may still have had something to do at its start. */
	for (int i = 0; i < 3 && used > 0.02; i++) {
		usleep(100000);
		used = -processor_seconds(peer.process);
		sleep(2);
		used += processor_seconds(peer.process);
	}
	assert_true(used <= 0.02);
}

static void is_in_its_sandbox(void **state)
{
	char path[64];
	char line[256];
	FILE *file;
	int found = 0;

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/status", peer.process);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		unsigned long long value;

		if (sscanf(line, "CapEff: %llx", &value) == 1 || sscanf(line, "CapPrm: %llx", &value) == 1) {
			assert_int_equal(value, 0);
			found++;
		}
		if (sscanf(line, "NoNewPrivs: %llu", &value) == 1) {
			assert_int_equal(value, 1);
			found++;
		}
		if (sscanf(line, "Seccomp: %llu", &value) == 1) {
			assert_int_equal(value, 2);
			found++;
		}
	}
	fclose(file);
	assert_int_equal(found, 4);
}

static void ends_with_the_mediator(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	struct wire_cuMemFree_v2 nonsense = {.dptr = 1};
	double start;
	struct peer_end end;

	(void)state;
	/* While a kernel runs that is longer than an end may take on a busy machine. */
	launch(context, function, 0, STRICT_KERNEL_US_MAX, address, 1, 2);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemFree_v2, context, &nonsense, sizeof(nonsense)),
			 CUDA_ERROR_INVALID_VALUE);
	start = now_seconds();
	end = peer_close(&peer);
	assert_false(end.by_signal);
	assert_int_equal(end.status, 0);
	assert_true(now_seconds() - start < STRICT_KERNEL_US_MAX / 1e6 - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_without_driver),
		cmocka_unit_test(probes_a_driver),
		cmocka_unit_test(refuses_a_small_channel),
		cmocka_unit_test_setup_teardown(tells_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_through_records, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_through_windows, setup, teardown),
		cmocka_unit_test_setup_teardown(launches_a_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(defers_the_first_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fault_sticks_to_its_context, setup, teardown),
		cmocka_unit_test_setup_teardown(forwards_device_printf, setup, teardown),
		cmocka_unit_test_setup_teardown(bounds_device_printf, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_compiler_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(unloading_forgets_functions, setup, teardown),
		cmocka_unit_test_setup_teardown(shares_pinned_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_replies_for_a_slow_guest, setup, teardown),
		cmocka_unit_test_setup_teardown(sleeps_when_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(is_in_its_sandbox, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_with_the_mediator, setup, teardown),
	};

	return cmocka_run_group_tests_name("executor", tests, NULL, NULL);
}
