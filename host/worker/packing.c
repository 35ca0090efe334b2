/* SPDX-License-Identifier: Apache-2.0 */
#include "packing.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "pause.h"

#define LEVEL 1
/* So much has to wait for the link: then it is not idle while a piece is packed. */
#define WAITING_BYTES (1u << 20)
/* Not measured: what came after a pause. */
#define LINK_PAUSE_NS	 100000000u
#define WEIGHT_OF_NEW	 0.125
#define SKIP_FIRST	 4u
#define SKIP_MOST	 256u
#define PACKED_BYTES_MAX ((uint32_t)ZSTD_COMPRESSBOUND(PACKING_PIECE_BYTES))

int packer_open(struct packer *packer)
{
	*packer = (struct packer){
		.context = ZSTD_createCCtx(),
		.piece = malloc(PACKING_PIECE_BYTES),
		.packed = malloc(PACKED_BYTES_MAX),
		.skip_next = SKIP_FIRST,
	};
	if (packer->context && packer->piece && packer->packed)
		return 0;
	ZSTD_freeCCtx(packer->context);
	free(packer->piece);
	free(packer->packed);
	*packer = (struct packer){0};
	return -1;
}

static size_t waiting_bytes(const struct link *link)
{
	return link->out_end - link->out_begin;
}

static void follow(double *average, double value)
{
	*average = *average > 0 ? *average + (value - *average) * WEIGHT_OF_NEW : value;
}

/* True: data waits for the link, whose rate is brought up to date. */
static bool link_is_behind(struct packer *packer, struct link *link)
{
	uint64_t now;

	/* What the kernel takes does not wait. A link that is lost is noticed by who flushes it next. */
	if (waiting_bytes(link) >= WAITING_BYTES)
		(void)link_flush(link);
	if (waiting_bytes(link) < WAITING_BYTES) {
		packer->looked_ns = 0;
		return false;
	}
	now = pause_now_ns();
	if (packer->looked_ns && now - packer->looked_ns < LINK_PAUSE_NS) {
		if (link->sent_bytes == packer->looked_sent)
			return true;
		follow(&packer->link_rate,
		       (double)(link->sent_bytes - packer->looked_sent) * 1e9 / (double)(now - packer->looked_ns + 1));
	}
	packer->looked_ns = now;
	packer->looked_sent = link->sent_bytes;
	return true;
}

/* Bytes of packer->packed, or 0: as it is. */
static uint32_t pack(struct packer *packer, struct link *link, const uint8_t *data, uint32_t bytes)
{
	uint64_t began;
	size_t packed;

	if (!packer->context || bytes != PACKING_PIECE_BYTES || !link_is_behind(packer, link) || packer->link_rate == 0)
		return 0;
	if (packer->skip) {
		packer->skip--;
		return 0;
	}
	/* A copy first: the guest may write there meanwhile. */
	memcpy(packer->piece, data, bytes);
	began = pause_now_ns();
	packed = ZSTD_compressCCtx(packer->context, packer->packed, PACKED_BYTES_MAX, packer->piece, bytes, LEVEL);
	if (ZSTD_isError(packed) || packed >= bytes)
		packed = bytes;
	follow(&packer->saving_rate, (double)(bytes - packed) * 1e9 / (double)(pause_now_ns() - began + 1));
	if (packer->saving_rate > packer->link_rate) {
		packer->skip_next = SKIP_FIRST;
	} else {
		packer->skip = packer->skip_next;
		packer->skip_next = 2 * packer->skip_next < SKIP_MOST ? 2 * packer->skip_next : SKIP_MOST;
		/* What comes then is judged for itself. */
		packer->saving_rate = 0;
	}
	return packed < bytes ? (uint32_t)packed : 0;
}

void bulk_put(struct packer *packer, struct link *link, enum link_frame_type type, enum link_frame_type packed_type,
	      uint64_t place, const uint8_t *data, uint32_t bytes)
{
	uint32_t packed = pack(packer, link, data, bytes);
	uint8_t *payload;

	if (packed) {
		const struct link_packed head = {.place = place, .bytes = bytes};

		payload = link_put(link, packed_type, (uint32_t)sizeof(head) + packed, false);
		memcpy(payload, &head, sizeof(head));
		memcpy(payload + sizeof(head), packer->packed, packed);
	} else {
		const struct link_place head = {.value = place};

		payload = link_put(link, type, (uint32_t)sizeof(head) + bytes, false);
		memcpy(payload, &head, sizeof(head));
		memcpy(payload + sizeof(head), data, bytes);
	}
}

const uint8_t *bulk_view(const struct link_view *view, uint64_t *ret_place, uint32_t *ret_bytes)
{
	struct link_place head;

	if (view->bytes < sizeof(head))
		return NULL;
	memcpy(&head, view->payload, sizeof(head));
	*ret_place = head.value;
	*ret_bytes = view->bytes - (uint32_t)sizeof(head);
	return view->payload + sizeof(head);
}

const uint8_t *bulk_unpack(struct unpacker *unpacker, const struct link_view *view, uint64_t *ret_place,
			   uint32_t *ret_bytes)
{
	struct link_packed head;
	size_t bytes;

	if (view->bytes < sizeof(head))
		return NULL;
	memcpy(&head, view->payload, sizeof(head));
	if (head.bytes > PACKING_PIECE_BYTES)
		return NULL;
	if (!unpacker->context)
		unpacker->context = ZSTD_createDCtx();
	if (!unpacker->piece)
		unpacker->piece = malloc(PACKING_PIECE_BYTES);
	if (!unpacker->context || !unpacker->piece)
		return NULL;
	/* Into a buffer of the largest piece, whatever zstd's own header says. */
	bytes = ZSTD_decompressDCtx(unpacker->context, unpacker->piece, head.bytes, view->payload + sizeof(head),
				    view->bytes - sizeof(head));
	if (ZSTD_isError(bytes) || bytes != head.bytes)
		return NULL;
	*ret_place = head.place;
	*ret_bytes = head.bytes;
	return unpacker->piece;
}
