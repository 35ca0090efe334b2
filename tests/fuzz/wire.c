/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include <sanitizer/asan_interface.h>

#include "records.h"

#define ROOM_UNIT 64

static struct {
	struct steps steps;
	wire_act *act;
	bool poisons;
	const uint8_t *data; /* of a step, what is left of it */
	size_t bytes;
	size_t room; /* SIZE_MAX: any */
	bool is_full;
	int error; /* of the last call, for SSL_get_error() */
} wire;

void wire_begin(const uint8_t *input, size_t bytes, wire_act *act, bool poisons)
{
	memset(&wire, 0, sizeof(wire));
	if (bytes > STEPS_FLAGS_BYTES)
		wire.steps = (struct steps){.data = input + STEPS_FLAGS_BYTES, .bytes = bytes - STEPS_FLAGS_BYTES};
	wire.act = act;
	wire.poisons = poisons;
	wire.room = SIZE_MAX;
}

int wire_socket(void)
{
	int socket = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	if (socket < 0)
		abort();
	return socket;
}

SSL_CTX *wire_context(void)
{
	static SSL_CTX *context;

	if (!context)
		context = SSL_CTX_new(TLS_method());
	if (!context)
		abort();
	return context;
}

int __wrap_SSL_read_ex(SSL *ssl, void *buffer, size_t bytes, size_t *ret_read);
int __wrap_SSL_write_ex(SSL *ssl, const void *data, size_t bytes, size_t *ret_written);
int __wrap_SSL_get_error(const SSL *ssl, int result);

/* True: some bytes wait. Else a step was another's, or it is the end. */
static bool bytes_are_there(void)
{
	struct step step;

	if (wire.bytes)
		return true;
	wire.error = SSL_ERROR_WANT_READ;
	if (!steps_next(&wire.steps, &step, &wire.data)) {
		wire.error = SSL_ERROR_ZERO_RETURN;
		wire.room = SIZE_MAX;
	} else if (step.kind == WIRE_BYTES) {
		wire.bytes = step.bytes;
	} else if (step.kind == WIRE_ROOM) {
		wire.room = (step.value + 1u) * ROOM_UNIT;
	} else {
		wire.act(&step, wire.data);
	}
	return wire.bytes != 0;
}

int __wrap_SSL_read_ex(SSL *ssl, void *buffer, size_t bytes, size_t *ret_read)
{
	size_t some = 0;

	(void)ssl;
	if (bytes_are_there())
		some = wire.bytes < bytes ? wire.bytes : bytes;
	if (wire.poisons) {
		ASAN_UNPOISON_MEMORY_REGION(buffer, some);
		ASAN_POISON_MEMORY_REGION((uint8_t *)buffer + some, bytes - some);
	}
	if (!some)
		return 0;
	memcpy(buffer, wire.data, some);
	wire.data += some;
	wire.bytes -= some;
	*ret_read = some;
	return 1;
}

int __wrap_SSL_write_ex(SSL *ssl, const void *data, size_t bytes, size_t *ret_written)
{
	size_t some = wire.is_full ? 0 : bytes < wire.room ? bytes : wire.room;
	static uint8_t volatile sum;

	(void)ssl;
	wire.is_full = !wire.is_full && wire.room != SIZE_MAX;
	/* Read, as if it were encrypted, so that the sanitizer sees what leaves. */
	for (size_t i = 0; i < some; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
	wire.error = SSL_ERROR_WANT_WRITE;
	*ret_written = some;
	return some != 0;
}

int __wrap_SSL_get_error(const SSL *ssl, int result)
{
	(void)ssl;
	(void)result;
	errno = 0;
	return wire.error;
}

bool __real_records_hold(struct records_in *in, const uint8_t *records, uint32_t bytes);
bool __wrap_records_hold(struct records_in *in, const uint8_t *records, uint32_t bytes);

/* What is behind the records that have come is not to be taken for one. */
bool __wrap_records_hold(struct records_in *in, const uint8_t *records, uint32_t bytes)
{
	bool is_held;

	ASAN_UNPOISON_MEMORY_REGION(in->bytes, sizeof(in->bytes));
	is_held = __real_records_hold(in, records, bytes);
	ASAN_POISON_MEMORY_REGION(in->bytes + in->end, sizeof(in->bytes) - in->end);
	return is_held;
}

void wire_record_post(struct ring *ring, const struct step *step, const uint8_t *data)
{
	uint32_t length = (uint32_t)(step->bytes + VGPU_RECORD_ALIGNMENT - 1) & ~(VGPU_RECORD_ALIGNMENT - 1);
	void *place;

	if (length < sizeof(struct vgpu_record) || ring_reserve(ring, length, &place) != RING_OK)
		return;
	memset(place, 0, length);
	memcpy(place, data, step->bytes);
	memcpy(place, &length, sizeof(length));
	ring_commit(ring);
}
