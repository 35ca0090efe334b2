/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: any bytes as a guest's call of a function of NVML, which the library of tests/nvml then answers.
 * The reply is of the exact room that there is for one.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "nvml_functions.h"
#include "telemetry.h"

#define DEVICES	    3 /* of the library */
#define REPLY_BYTES (VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record))
/* The input's first byte: the number of the guest's virtual machine. */
#define FLAGS_BYTES 1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct executor executor;

void *telemetry_function(const struct telemetry *telemetry, const char *name)
{
	(void)telemetry;
	return dlsym(RTLD_DEFAULT, name);
}

static void library_open(void)
{
	struct telemetry *telemetry = &executor.telemetry;
	int (*init)(void) = (int (*)(void))telemetry_function(telemetry, "nvmlInit_v2");
	int (*handle)(unsigned, void **) =
		(int (*)(unsigned, void **))telemetry_function(telemetry, "nvmlDeviceGetHandleByIndex_v2");

	/* It has no rules for values that no library gives. */
	setenv("FAKE_NVML_ANY_VALUES", "1", 1);
	if (!init || init() || !handle)
		abort();
	for (unsigned i = 0; i < DEVICES; i++) {
		if (handle(i, &telemetry->devices[i].handle))
			abort();
	}
	telemetry->device_count = DEVICES;
	/* Something, for it is only looked whether there is one. */
	telemetry->library = telemetry;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct request request = {.opcode = VGPU_OPCODE_NVML_CALL};
	struct reply reply = {.capacity = REPLY_BYTES};
	uint8_t *payload;

	if (!executor.telemetry.library)
		library_open();
	if (bytes < FLAGS_BYTES)
		return 0;
	executor.vm_id = data[0];
	/* Records are multiples of 8 bytes. */
	request.payload_bytes = (bytes - FLAGS_BYTES) & ~(size_t)7;
	payload = malloc(request.payload_bytes ? request.payload_bytes : 1);
	reply.payload = malloc(REPLY_BYTES);
	if (!payload || !reply.payload)
		abort();
	request.payload = memcpy(payload, data + FLAGS_BYTES, request.payload_bytes);
	if (telemetry_call_execute(&executor, &request, &reply) == CUDA_SUCCESS && reply.bytes > REPLY_BYTES)
		abort();
	free(payload);
	free(reply.payload);
	return 0;
}
