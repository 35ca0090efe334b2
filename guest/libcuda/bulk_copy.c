/* SPDX-License-Identifier: Apache-2.0 */
#include "bulk_copy.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

#include <emmintrin.h>

#define BULK_BYTES_MIN (128u << 10)
#define LINE_BYTES     64u
#define PAGE_BYTES     4096u
#define PAGES	       4u
#define GROUP_BYTES    (PAGES * PAGE_BYTES)

void bulk_copy(void *to, const void *from, size_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;
	size_t head = -(uintptr_t)out % LINE_BYTES;

	if (bytes < BULK_BYTES_MIN) {
		memcpy(to, from, bytes);
		return;
	}
	memcpy(out, in, head);
	out += head;
	in += head;
	bytes -= head;
	for (; bytes >= LINE_BYTES; bytes -= LINE_BYTES) {
		__m128i a = _mm_loadu_si128((const __m128i *)in);
		__m128i b = _mm_loadu_si128((const __m128i *)(in + 16));
		__m128i c = _mm_loadu_si128((const __m128i *)(in + 32));
		__m128i d = _mm_loadu_si128((const __m128i *)(in + 48));

		_mm_stream_si128((__m128i *)out, a);
		_mm_stream_si128((__m128i *)(out + 16), b);
		_mm_stream_si128((__m128i *)(out + 32), c);
		_mm_stream_si128((__m128i *)(out + 48), d);
		out += LINE_BYTES;
		in += LINE_BYTES;
	}
	/* Streaming stores are not ordered with the release that follows. */
	_mm_sfence();
	memcpy(out, in, bytes);
}

static void group_copy_near(uint8_t *to, const uint8_t *from)
{
	for (size_t line = 0; line < PAGE_BYTES; line += LINE_BYTES)
		for (size_t at = line; at < GROUP_BYTES; at += PAGE_BYTES) {
			const __m128i *in = (const __m128i *)(from + at);
			__m128i *out = (__m128i *)(to + at);
			__m128i a = _mm_loadu_si128(in);
			__m128i b = _mm_loadu_si128(in + 1);
			__m128i c = _mm_loadu_si128(in + 2);
			__m128i d = _mm_loadu_si128(in + 3);

			/* Behind the memory's end it does nothing. */
			_mm_prefetch((const char *)in + GROUP_BYTES, _MM_HINT_T0);
			_mm_store_si128(out, a);
			_mm_store_si128(out + 1, b);
			_mm_store_si128(out + 2, c);
			_mm_store_si128(out + 3, d);
		}
}

void bulk_copy_near(void *to, const void *from, size_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;
	size_t head = -(uintptr_t)out % LINE_BYTES;

	if (bytes < GROUP_BYTES + head) {
		memcpy(to, from, bytes);
		return;
	}
	memcpy(out, in, head);
	out += head;
	in += head;
	bytes -= head;
	for (; bytes >= GROUP_BYTES; bytes -= GROUP_BYTES) {
		group_copy_near(out, in);
		out += GROUP_BYTES;
		in += GROUP_BYTES;
	}
	memcpy(out, in, bytes);
}

#else

void bulk_copy(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

void bulk_copy_near(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

#endif
