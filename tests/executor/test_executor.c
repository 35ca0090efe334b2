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

#include "peer.h"

static const char ptx[] = ".version 8.0\n.target sm_90\n.address_size 64\n";
static const char printing_ptx[] = ".version 8.0\n.target sm_90\n.address_size 64\n.extern .func vprintf;\n";

static struct peer peer;

static int setup(void **state)
{
	(void)state;
	peer_open(&peer);
	return 0;
}

/* Every test leaves an executor that ends cleanly when it is told to. */
static int teardown(void **state)
{
	struct peer_end end;

	(void)state;
	if (!peer.process)
		return 0;
	end = peer_close(&peer);
	return end.by_signal || end.status != 0;
}

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t allocate(uint32_t context, uint64_t bytes)
{
	struct wire_cuMemAlloc_v2 request = {.bytesize = bytes};
	struct wire_cuMemAlloc_v2_reply reply;

	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &request, sizeof(request)), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	return reply.dptr;
}

/* Stages an image of one piece. */
static void stage(const void *image, size_t bytes)
{
	struct {
		struct vgpu_stage stage;
		uint64_t piece_bytes;
		uint8_t bytes[4096];
	} record = {.stage.bytes = (uint32_t)(8 + ((bytes + 7) & ~(size_t)7)), .piece_bytes = bytes};

	assert_true(bytes <= sizeof(record.bytes));
	record.stage.total_bytes = record.stage.bytes;
	memcpy(record.bytes, image, bytes);
	assert_true(peer_post(&peer, VGPU_OPCODE_STAGE, 0, 0, &record, sizeof(record.stage) + record.stage.bytes));
}

static uint32_t module_load(uint32_t context, uint32_t index, uint32_t kind)
{
	struct wire_cuModuleLoadDataEx request = {.module = VGPU_ID(VGPU_KIND_MODULE, index), .image_kind = kind};

	return peer_call(&peer, VGPU_CALL_cuModuleLoadDataEx, context, &request, sizeof(request));
}

static uint32_t function_get(uint32_t context, uint32_t index, uint32_t module, const char *name)
{
	struct {
		struct wire_cuModuleGetFunction request;
		char name[16];
	} record = {.request = {.hfunc = VGPU_ID(VGPU_KIND_FUNCTION, index), .hmod = module}};

	record.request.name_bytes = (uint32_t)strlen(name) + 1;
	snprintf(record.name, sizeof(record.name), "%s", name);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleGetFunction, context, &record,
				   sizeof(record.request) + record.request.name_bytes),
			 CUDA_SUCCESS);
	return record.request.hfunc;
}

/* A module and one of its functions. */
static uint32_t function_make(uint32_t context, const char *name)
{
	const char *text = strcmp(name, "print") == 0 || strcmp(name, "flood") == 0 ? printing_ptx : ptx;

	stage(text, strlen(text));
	assert_int_equal(module_load(context, 0, 1), CUDA_SUCCESS);
	return function_get(context, 0, VGPU_ID(VGPU_KIND_MODULE, 0), name);
}

static void launch(uint32_t context, uint32_t function, uint32_t stream, uint32_t blocks, uint64_t target, uint64_t a,
		   uint64_t b)
{
	struct {
		struct vgpu_launch launch;
		uint64_t parameters[3];
	} record = {
		.launch = {.function = function,
			   .stream = stream,
			   .grid = {blocks, 1, 1},
			   .block = {32, 1, 1},
			   .parameter_bytes = 24},
		.parameters = {target, a, b},
	};

	assert_true(peer_post(&peer, VGPU_OPCODE_LAUNCH, 0, context, &record, sizeof(record)));
}

static uint32_t stream_make(uint32_t context, uint32_t index)
{
	struct wire_cuStreamCreate request = {.phStream = VGPU_ID(VGPU_KIND_STREAM, index), .Flags = 1};

	assert_true(peer_post(&peer, VGPU_CALL_cuStreamCreate, 0, context, &request, sizeof(request)));
	return request.phStream;
}

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
				  "memory=268435456 pci=0000:01:00.0\n");
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
		double deadline = now_seconds() + 10;

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

/* One thread's wait for 300 ms of kernel must not hold up another's calls. */
static void waits_do_not_block(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	uint32_t slow = stream_make(context, 1);
	uint32_t quick = stream_make(context, 2);
	struct wire_cuStreamSynchronize request = {.hStream = slow};
	uint32_t slow_sequence;
	double start = now_seconds();
	struct vgpu_record header;

	(void)state;
	launch(context, function, slow, 300000, address, 1, 2);
	assert_true(
		peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &request, sizeof(request)));
	slow_sequence = peer.sequence;
	launch(context, function, quick, 1000, address, 1, 2);
	request.hStream = quick;
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, context, &request, sizeof(request)),
			 CUDA_SUCCESS);
	assert_true(now_seconds() - start < 0.29);
	/* What is issued later in the slow stream is not waited for. */
	launch(context, function, slow, 1000000, address, 1, 2);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.sequence, slow_sequence);
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	assert_true(now_seconds() - start > 0.29 && now_seconds() - start < 0.9);
}

/* More threads that copy than there are buffers: they wait, none is refused. */
static void copies_for_any_number_of_threads(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	struct vgpu_download_inline down = {.source = address, .bytes = 8};
	struct vgpu_record header;

	(void)state;
	launch(context, function, 0, 200000, address, 40, 2);
	for (int i = 0; i < 200; i++)
		assert_true(
			peer_post(&peer, VGPU_OPCODE_DOWNLOAD_INLINE, VGPU_FLAG_REPLY, context, &down, sizeof(down)));
	for (int i = 0; i < 200; i++) {
		uint64_t sum;

		assert_true(peer_take(&peer, &header));
		assert_int_equal(header.context_or_result, CUDA_SUCCESS);
		memcpy(&sum, peer.reply, sizeof(sum));
		assert_int_equal(sum, 42);
	}
	assert_int_equal(peer.counters->bytes_from_device, 200 * 8);
}

/* Waits for very many streams take memory here: there is an end to it. */
static void waits_are_bounded(void **state)
{
	enum { STREAMS = 1000, WAITS = 300 };
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	uint32_t last = 0;
	int refused = 0;
	struct vgpu_record header;

	(void)state;
	for (uint32_t i = 1; i <= STREAMS; i++)
		last = stream_make(context, i);
	/* Longer than a loaded machine takes to get at all waits. */
	for (int i = 0; i < 4; i++)
		launch(context, function, last, 1000000, address, 1, 2);
	for (int i = 0; i < WAITS; i++)
		assert_true(peer_post(&peer, VGPU_CALL_cuCtxSynchronize, VGPU_FLAG_REPLY, context, NULL, 0));
	for (int i = 0; i < WAITS; i++) {
		assert_true(peer_take(&peer, &header));
		if (header.context_or_result == CUDA_ERROR_OUT_OF_MEMORY)
			refused++;
		else
			assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	}
	assert_int_equal(refused, WAITS - (256 << 10) / STREAMS);
}

/* Memory is freed when the device is done, and until then it is not this process that waits, unless it needs the room.
 */
static void frees_wait(void **state)
{
	enum { BYTES = 1 << 20 };
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, BYTES);
	uint32_t function = function_make(context, "add");
	struct wire_cuMemFree_v2 release = {.dptr = address};
	uint32_t stream = stream_make(context, 1);
	struct vgpu_record header;

	(void)state;
	launch(context, function, stream, 500000, address, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuMemFree_v2, VGPU_FLAG_REPLY, context, &release, sizeof(release)));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxGetApiVersion, 0, &(struct wire_cuCtxGetApiVersion){0},
				   sizeof(struct wire_cuCtxGetApiVersion)),
			 CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(peer.counters->memory_bytes, BYTES);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuMemFree_v2);
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	assert_int_equal(peer.counters->memory_bytes, 0);

	release.dptr = allocate(context, BYTES);
	peer.permit->limits.memory_bytes = peer.tenant->memory_bytes;
	launch(context, function, stream, 1000000, release.dptr, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuMemFree_v2, 0, context, &release, sizeof(release)));
	(void)allocate(context, BYTES);
	assert_int_equal(peer.counters->memory_bytes, BYTES);
}

static void waits_survive_destruction(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	uint32_t stream = stream_make(context, 1);
	struct wire_cuStreamSynchronize wait = {.hStream = stream};
	struct wire_cuStreamDestroy_v2 destroy = {.hStream = stream};
	struct vgpu_record header;

	(void)state;
	launch(context, function, stream, 50000, address, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &wait, sizeof(wait)));
	assert_true(peer_post(&peer, VGPU_CALL_cuStreamDestroy_v2, 0, context, &destroy, sizeof(destroy)));
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	/* And of the context: the wait ends, with an error. */
	stream = stream_make(context, 2);
	wait.hStream = stream;
	launch(context, function, stream, 1000000, address, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &wait, sizeof(wait)));
	{
		struct wire_cuCtxDestroy_v2 end = {.ctx = context};

		assert_true(peer_post(&peer, VGPU_CALL_cuCtxDestroy_v2, VGPU_FLAG_REPLY, 0, &end, sizeof(end)));
	}
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuStreamSynchronize);
	assert_int_equal(header.context_or_result, CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	assert_int_equal(peer.counters->memory_bytes, 0);
	/* What belonged to it is gone. */
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, 0, &wait, sizeof(wait)),
			 CUDA_ERROR_INVALID_HANDLE);
}

/* An event of one context, waited for in another, when the first is destroyed. */
static void waits_end_with_the_event(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	uint64_t address = allocate(context, 8);
	uint32_t function = function_make(context, "add");
	uint32_t stream = stream_make(context, 1);
	struct wire_cuEventCreate create = {.phEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	struct wire_cuEventRecord record = {.hEvent = create.phEvent, .hStream = stream};
	struct wire_cuEventSynchronize wait = {.hEvent = create.phEvent};
	struct wire_cuCtxDestroy_v2 destroy = {.ctx = context};
	uint32_t other = peer_context_make(&peer, 2);
	struct vgpu_record header;

	(void)state;
	launch(context, function, stream, 1000000, address, 1, 2);
	assert_true(peer_post(&peer, VGPU_CALL_cuEventCreate, 0, context, &create, sizeof(create)));
	assert_true(peer_post(&peer, VGPU_CALL_cuEventRecord, 0, context, &record, sizeof(record)));
	assert_true(peer_post(&peer, VGPU_CALL_cuEventSynchronize, VGPU_FLAG_REPLY, other, &wait, sizeof(wait)));
	usleep(20000);
	assert_true(peer_post(&peer, VGPU_CALL_cuCtxDestroy_v2, VGPU_FLAG_REPLY, other, &destroy, sizeof(destroy)));
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuEventSynchronize);
	assert_int_equal(header.context_or_result, CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_true(peer_take(&peer, &header));
	assert_int_equal(header.opcode, VGPU_CALL_cuCtxDestroy_v2);
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	/* A last question, so that a stale event would have been looked at. */
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, other, NULL, 0), CUDA_SUCCESS);
}

static void defers_the_first_error(void **state)
{
	uint32_t context = peer_context_make(&peer, 1);
	struct wire_cuMemFree_v2 nonsense = {.dptr = 0x1234};
	uint32_t first;
	uint64_t deferred;

	(void)state;
	assert_true(peer_post(&peer, VGPU_CALL_cuMemFree_v2, 0, context, &nonsense, sizeof(nonsense)));
	first = peer.sequence;
	assert_true(peer_post(&peer, VGPU_CALL_cuMemFree_v2, 0, context, &nonsense, sizeof(nonsense)));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, context, NULL, 0), CUDA_SUCCESS);
	deferred = __atomic_exchange_n(&peer.header->deferred_error, 0, __ATOMIC_ACQ_REL);
	assert_int_equal((uint32_t)deferred, CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(deferred >> 32, first);
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
	double deadline = now_seconds() + 10;
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
	peer_descriptor_pass(&peer, file);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	peer_descriptor_pass(&peer, file);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_SUCCESS);
	assert_int_equal(peer.counters->pinned_bytes, 8192);
	/* The place is taken now. */
	peer_descriptor_pass(&peer, file);
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HOST_MAP, context, &map, sizeof(map)), CUDA_ERROR_ALREADY_MAPPED);
	/* Larger than the file. */
	map.address += 1 << 20;
	map.bytes = 1 << 20;
	peer_descriptor_pass(&peer, file);
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
	double before;

	(void)state;
	usleep(100000);
	before = processor_seconds(peer.process);
	sleep(2);
	assert_true(processor_seconds(peer.process) - before <= 0.02);
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
	/* While a kernel of a second runs. */
	launch(context, function, 0, 1000000, address, 1, 2);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemFree_v2, context, &nonsense, sizeof(nonsense)),
			 CUDA_ERROR_INVALID_VALUE);
	start = now_seconds();
	end = peer_close(&peer);
	assert_false(end.by_signal);
	assert_int_equal(end.status, 0);
	assert_true(now_seconds() - start < 0.9);
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
		cmocka_unit_test_setup_teardown(waits_do_not_block, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_for_any_number_of_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(frees_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_survive_destruction, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_end_with_the_event, setup, teardown),
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
