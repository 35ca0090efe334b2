/* SPDX-License-Identifier: Apache-2.0 */
#include "vgpu_xen_grants.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void grants_offer_print(const struct vgpu_grants_offer *offer, char *text)
{
	snprintf(text, VGPU_GRANTS_TEXT_BYTES, "%" PRIu32 " %" PRIx64 " %" PRIu32, offer->version, offer->instance,
		 offer->pages);
}

void grants_request_print(const struct vgpu_grants_request *request, char *text)
{
	snprintf(text, VGPU_GRANTS_TEXT_BYTES, "%" PRIu32 " %" PRIx64 " %" PRIx64 " %" PRIu32 " %" PRIu32,
		 request->version, request->instance, request->nonce, request->pages, request->reference);
}

void grants_answer_print(const struct vgpu_grants_answer *answer, char *text)
{
	int room = VGPU_GRANTS_TEXT_BYTES - 40; /* of the numbers: 16, 1, 10 digits and 3 spaces */

	snprintf(text, VGPU_GRANTS_TEXT_BYTES, "%" PRIx64 " %" PRIu32 " %" PRIu32 " %.*s", answer->nonce, answer->state,
		 answer->error, room, answer->text);
}

/* A copy with a NUL; false: it is too long, or has one within. */
static bool text_copy(const char *value, size_t length, char *text)
{
	if (length >= VGPU_GRANTS_TEXT_BYTES || memchr(value, '\0', length))
		return false;
	memcpy(text, value, length);
	text[length] = '\0';
	return true;
}

static unsigned digit_of(char character)
{
	if (character >= '0' && character <= '9')
		return (unsigned)(character - '0');
	if (character >= 'a' && character <= 'f')
		return 10 + (unsigned)(character - 'a');
	return 16;
}

/* One number at *text, which then points behind it and the space after it. */
static bool number_take(const char **text, unsigned base, uint64_t maximum, uint64_t *ret_number)
{
	const char *at = *text;
	uint64_t number = 0;

	if (digit_of(*at) >= base)
		return false;
	for (; digit_of(*at) < base; at++) {
		unsigned digit = digit_of(*at);

		if (number > (maximum - digit) / base)
			return false;
		number = number * base + digit;
	}
	if (*at != ' ' && *at != '\0')
		return false;
	*text = *at ? at + 1 : at;
	*ret_number = number;
	return true;
}

static bool number_take_32(const char **text, uint32_t *ret_number)
{
	uint64_t number;

	if (!number_take(text, 10, UINT32_MAX, &number))
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

static bool number_take_hexadecimal(const char **text, uint64_t *ret_number)
{
	return number_take(text, 16, UINT64_MAX, ret_number);
}

static bool pages_are_possible(uint32_t pages)
{
	return pages >= VGPU_GRANTS_PAGES_MIN && pages <= VGPU_GRANTS_PAGES_MAX;
}

bool grants_offer_parse(const char *value, size_t length, struct vgpu_grants_offer *ret_offer)
{
	char text[VGPU_GRANTS_TEXT_BYTES];
	const char *at = text;
	struct vgpu_grants_offer offer;

	if (!text_copy(value, length, text) || !number_take_32(&at, &offer.version) ||
	    !number_take_hexadecimal(&at, &offer.instance) || !number_take_32(&at, &offer.pages) || *at ||
	    !pages_are_possible(offer.pages))
		return false;
	*ret_offer = offer;
	return true;
}

bool grants_request_parse(const char *value, size_t length, struct vgpu_grants_request *ret_request)
{
	char text[VGPU_GRANTS_TEXT_BYTES];
	const char *at = text;
	struct vgpu_grants_request request;

	if (!text_copy(value, length, text) || !number_take_32(&at, &request.version) ||
	    !number_take_hexadecimal(&at, &request.instance) || !number_take_hexadecimal(&at, &request.nonce) ||
	    !number_take_32(&at, &request.pages) || !number_take_32(&at, &request.reference) || *at ||
	    !pages_are_possible(request.pages))
		return false;
	*ret_request = request;
	return true;
}

bool grants_answer_parse(const char *value, size_t length, struct vgpu_grants_answer *ret_answer)
{
	char text[VGPU_GRANTS_TEXT_BYTES];
	const char *at = text;
	struct vgpu_grants_answer answer;

	if (!text_copy(value, length, text) || !number_take_hexadecimal(&at, &answer.nonce) ||
	    !number_take_32(&at, &answer.state) || !number_take_32(&at, &answer.error) ||
	    (answer.state != VGPU_CHANNEL_READY && answer.state != VGPU_CHANNEL_FAILED))
		return false;
	snprintf(answer.text, sizeof(answer.text), "%s", at);
	*ret_answer = answer;
	return true;
}

bool grants_port_parse(const char *path, uint32_t *ret_port)
{
	const char *at = strstr(path, VGPU_GRANTS_CHANNEL "/");
	char digits[16];
	const char *number = digits;
	size_t length;
	uint64_t port;

	if (!at)
		return false;
	at += strlen(VGPU_GRANTS_CHANNEL "/");
	length = strcspn(at, "/");
	if (length >= sizeof(digits))
		return false;
	memcpy(digits, at, length);
	digits[length] = '\0';
	/* A number has one name only, so that nobody can make two nodes of one port. */
	if (!number_take(&number, 10, VGPU_GRANTS_PORT_MAX, &port) || *number || port == 0 || digits[0] == '0')
		return false;
	*ret_port = (uint32_t)port;
	return true;
}

uint32_t grants_table_pages(uint32_t pages)
{
	return (pages + VGPU_GRANTS_TABLE_REFS - 1) / VGPU_GRANTS_TABLE_REFS;
}

const char *grants_head_check(const struct vgpu_grants_head *head, const struct vgpu_grants_request *request)
{
	if (head->magic != VGPU_GRANTS_MAGIC || head->version != request->version)
		return "the first page is not that of a channel";
	if (head->nonce != request->nonce)
		return "the first page is of another request";
	if (head->pages != request->pages || head->table_pages != grants_table_pages(request->pages))
		return "the first page names another number of pages";
	if (head->guest_lives != VGPU_GRANTS_LIVES)
		return "the process has ended";
	return NULL;
}
