/* SPDX-License-Identifier: Apache-2.0 */
/* What crosses XenStore and the first page of a channel over grants, right and as a hostile side writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vgpu_xen_grants.h"

static bool request_is_taken(const char *text)
{
	struct vgpu_grants_request request;

	return grants_request_parse(text, strlen(text), &request);
}

static void texts_come_back(void **state)
{
	const struct vgpu_grants_offer offer = {.version = 1, .instance = UINT64_MAX, .pages = VGPU_GRANTS_PAGES_MAX};
	const struct vgpu_grants_request request = {
		.version = UINT32_MAX,
		.instance = UINT64_MAX,
		.nonce = UINT64_MAX - 1,
		.pages = VGPU_GRANTS_PAGES_MIN,
		.reference = UINT32_MAX,
	};
	struct vgpu_grants_offer offer_back;
	struct vgpu_grants_request request_back = {0};
	char text[VGPU_GRANTS_TEXT_BYTES];

	(void)state;
	grants_offer_print(&offer, text);
	assert_true(grants_offer_parse(text, strlen(text), &offer_back));
	assert_int_equal(offer_back.instance, offer.instance);
	assert_int_equal(offer_back.pages, offer.pages);
	grants_request_print(&request, text);
	assert_true(grants_request_parse(text, strlen(text), &request_back));
	assert_int_equal(request_back.version, request.version);
	assert_int_equal(request_back.instance, request.instance);
	assert_int_equal(request_back.nonce, request.nonce);
	assert_int_equal(request_back.pages, request.pages);
	assert_int_equal(request_back.reference, request.reference);
}

static void answers(void **state)
{
	struct vgpu_grants_answer answer = {.nonce = UINT64_MAX, .state = VGPU_CHANNEL_FAILED, .error = UINT32_MAX};
	struct vgpu_grants_answer back;
	char text[VGPU_GRANTS_TEXT_BYTES];

	(void)state;
	strcpy(answer.text, "no such 3 thing");
	grants_answer_print(&answer, text);
	assert_true(grants_answer_parse(text, strlen(text), &back));
	assert_int_equal(back.nonce, answer.nonce);
	assert_int_equal(back.error, answer.error);
	assert_string_equal(back.text, answer.text);
	/* A long text is cut, the numbers are not. */
	memset(answer.text, 'x', sizeof(answer.text) - 1);
	grants_answer_print(&answer, text);
	assert_true(strlen(text) < sizeof(text));
	assert_true(grants_answer_parse(text, strlen(text), &back));
	assert_int_equal(back.error, answer.error);
	assert_false(grants_answer_parse("5 1 0 opening", 13, &back));
	assert_false(grants_answer_parse("5 2", 3, &back));
	assert_true(grants_answer_parse("5 2 0", 5, &back));
	assert_string_equal(back.text, "");
}

static void requests_that_are_none(void **state)
{
	struct vgpu_grants_request request = {.nonce = 42};
	char longest[VGPU_GRANTS_TEXT_BYTES + 1];

	(void)state;
	assert_true(request_is_taken("1 ab cd 1024 7"));
	assert_false(request_is_taken(""));
	assert_false(request_is_taken("1 ab cd 1024"));
	assert_false(request_is_taken("1 ab cd 1024 7 8"));
	assert_false(request_is_taken(" 1 ab cd 1024 7"));
	assert_false(request_is_taken("1  ab cd 1024 7"));
	assert_false(request_is_taken("+1 ab cd 1024 7"));
	assert_false(request_is_taken("-1 ab cd 1024 7"));
	assert_false(request_is_taken("1 AB cd 1024 7"));
	assert_false(request_is_taken("1 0xab cd 1024 7"));
	assert_false(request_is_taken("1 ab cd 1024 7a"));
	assert_false(request_is_taken("1 ab cd 1024 7\n"));
	/* One more than fits. */
	assert_false(request_is_taken("4294967296 ab cd 1024 7"));
	assert_false(request_is_taken("1 10000000000000000 cd 1024 7"));
	assert_false(request_is_taken("1 ab cd 1024 4294967296"));
	assert_false(request_is_taken("1 ab cd 99999999999999999999999 7"));
	/* Sizes that no channel has. */
	assert_false(request_is_taken("1 ab cd 0 7"));
	assert_false(request_is_taken("1 ab cd 1023 7"));
	assert_false(request_is_taken("1 ab cd 65537 7"));
	assert_true(request_is_taken("1 ab cd 65536 7"));
	/* A value has no end of its own. */
	assert_false(grants_request_parse("1 ab cd 1024 7\0007", 16, &request));
	memset(longest, '1', sizeof(longest));
	assert_false(grants_request_parse(longest, sizeof(longest), &request));
	assert_false(grants_request_parse(longest, VGPU_GRANTS_TEXT_BYTES, &request));
	assert_int_equal(request.nonce, 42);
}

static bool port_of(const char *path, uint32_t *ret_port)
{
	return grants_port_parse(path, ret_port);
}

static void ports(void **state)
{
	uint32_t port = 0;

	(void)state;
	assert_true(port_of("/local/domain/3/data/vgpu-grants/channel/17/request", &port));
	assert_int_equal(port, 17);
	assert_true(port_of("data/vgpu-grants/channel/131071", &port));
	assert_int_equal(port, 131071);
	assert_false(port_of("/local/domain/3/data/vgpu-grants/channel", &port));
	assert_false(port_of("/local/domain/3/data/vgpu-grants/channel/", &port));
	assert_false(port_of("/local/domain/3/data/vgpu-grants/channel/0", &port));
	assert_false(port_of("/local/domain/3/data/vgpu-grants/channel/017", &port));
	assert_false(port_of("/local/domain/3/data/vgpu-grants/channel/131072", &port));
	assert_false(port_of("/local/domain/3/data/vgpu-grants/channel/17a/request", &port));
	assert_false(port_of("/local/domain/3/data/vgpu-grants/channel/-1", &port));
	assert_false(port_of("/local/domain/3/data/vgpu-grants/channel/99999999999999999999", &port));
	assert_false(port_of("@releaseDomain", &port));
	assert_int_equal(port, 131071);
}

static void heads(void **state)
{
	const struct vgpu_grants_request request = {.version = 1, .nonce = 5, .pages = 1025, .reference = 8};
	const struct vgpu_grants_head good = {
		.magic = VGPU_GRANTS_MAGIC,
		.version = 1,
		.nonce = 5,
		.pages = 1025,
		.table_pages = 2,
		.guest_lives = 1,
	};
	struct vgpu_grants_head head = good;

	(void)state;
	assert_null(grants_head_check(&head, &request));
	head.magic = 0;
	assert_non_null(grants_head_check(&head, &request));
	head = good;
	head.version = 2;
	assert_non_null(grants_head_check(&head, &request));
	head = good;
	head.nonce = 6;
	assert_non_null(grants_head_check(&head, &request));
	head = good;
	head.pages = 2048;
	assert_non_null(grants_head_check(&head, &request));
	head = good;
	head.table_pages = VGPU_GRANTS_TABLE_PAGES_MAX + 1;
	assert_non_null(grants_head_check(&head, &request));
	head = good;
	head.guest_lives = VGPU_GRANTS_GONE;
	assert_non_null(grants_head_check(&head, &request));
	head.guest_lives = VGPU_GRANTS_LEAVES;
	assert_non_null(grants_head_check(&head, &request));
}

static void tables(void **state)
{
	(void)state;
	assert_int_equal(grants_table_pages(1024), 1);
	assert_int_equal(grants_table_pages(1025), 2);
	assert_int_equal(grants_table_pages(VGPU_GRANTS_PAGES_MAX), VGPU_GRANTS_TABLE_PAGES_MAX);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_come_back), cmocka_unit_test(answers), cmocka_unit_test(requests_that_are_none),
		cmocka_unit_test(ports),	   cmocka_unit_test(heads),   cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
