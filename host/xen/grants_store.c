/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#define PATH_BYTES 128

static void path_make(char path[PATH_BYTES], unsigned domain, const char *key)
{
	snprintf(path, PATH_BYTES, "/local/domain/%u/%s", domain, key);
}

static void port_path_make(char path[PATH_BYTES], unsigned domain, uint32_t port, const char *node)
{
	snprintf(path, PATH_BYTES, "/local/domain/%u/data/" VGPU_GRANTS_CHANNEL "/%u%s%s", domain, port,
		 *node ? "/" : "", node);
}

static void uuid_parse(const char *text, uint8_t uuid[16])
{
	unsigned count = 0;

	memset(uuid, 0, 16);
	for (; *text && count < 16; text++) {
		unsigned byte;

		if (*text == '-')
			continue;
		if (sscanf(text, "%2x", &byte) != 1)
			break;
		uuid[count++] = (uint8_t)byte;
		text++;
		if (!*text)
			break;
	}
	if (count < 16)
		memset(uuid, 0, 16);
}

bool grants_store_identity(struct xs_handle *store, unsigned domain, struct grants_identity *ret_identity)
{
	struct grants_identity identity = {0};
	char path[PATH_BYTES];
	char *name;
	char *vm;

	path_make(path, domain, "name");
	name = xs_read(store, XBT_NULL, path, NULL);
	/* "/vm/UUID" */
	path_make(path, domain, "vm");
	vm = xs_read(store, XBT_NULL, path, NULL);
	if (name)
		snprintf(identity.name, sizeof(identity.name), "%s", name);
	if (vm) {
		const char *text = strrchr(vm, '/');

		snprintf(identity.uuid_text, sizeof(identity.uuid_text), "%s", text ? text + 1 : vm);
		uuid_parse(identity.uuid_text, identity.uuid);
	}
	free(name);
	free(vm);
	if (!identity.name[0] && !identity.uuid_text[0])
		return false;
	*ret_identity = identity;
	return true;
}

bool grants_store_watch(struct xs_handle *store, unsigned domain)
{
	char path[PATH_BYTES];

	path_make(path, domain, "data/" VGPU_GRANTS_CHANNEL);
	return xs_watch(store, path, "channel");
}

bool grants_store_offer(struct xs_handle *store, unsigned domain, const struct vgpu_grants_offer *offer)
{
	char text[VGPU_GRANTS_TEXT_BYTES];
	char path[PATH_BYTES];
	unsigned count;
	char **nodes;

	/* Its nodes are the guest's, for they have the rights of the one above. */
	path_make(path, domain, "data");
	nodes = xs_directory(store, XBT_NULL, path, &count);
	if (!nodes)
		return false;
	free(nodes);
	grants_store_withdraw(store, domain);
	grants_offer_print(offer, text);
	path_make(path, domain, "data/" VGPU_GRANTS_OFFER);
	return xs_write(store, XBT_NULL, path, text, (unsigned)strlen(text));
}

void grants_store_withdraw(struct xs_handle *store, unsigned domain)
{
	char path[PATH_BYTES];

	path_make(path, domain, "data/" VGPU_GRANTS);
	xs_rm(store, XBT_NULL, path);
}

static enum grants_store_status request_read(struct xs_handle *store, xs_transaction_t transaction, unsigned domain,
					     uint32_t port, struct vgpu_grants_request *ret_request)
{
	enum grants_store_status status = GRANTS_STORE_BROKEN;
	char path[PATH_BYTES];
	unsigned length;
	char *value;

	port_path_make(path, domain, port, VGPU_GRANTS_REQUEST);
	value = xs_read(store, transaction, path, &length);
	if (!value)
		return GRANTS_STORE_NONE;
	if (grants_request_parse(value, length, ret_request))
		status = GRANTS_STORE_REQUEST;
	free(value);
	return status;
}

enum grants_store_status grants_store_request(struct xs_handle *store, unsigned domain, uint32_t port,
					      struct vgpu_grants_request *ret_request)
{
	return request_read(store, XBT_NULL, domain, port, ret_request);
}

void grants_store_answer(struct xs_handle *store, unsigned domain, uint32_t port,
			 const struct vgpu_grants_answer *answer)
{
	char text[VGPU_GRANTS_TEXT_BYTES];
	struct vgpu_grants_request request;
	char path[PATH_BYTES];

	/* Who has given up is not given nodes that nobody removes. */
	if (request_read(store, XBT_NULL, domain, port, &request) != GRANTS_STORE_REQUEST ||
	    request.nonce != answer->nonce)
		return;
	grants_answer_print(answer, text);
	port_path_make(path, domain, port, VGPU_GRANTS_ANSWER);
	/* It fails when the guest has used its quota up, or is gone: either is the guest's affair. */
	xs_write(store, XBT_NULL, path, text, (unsigned)strlen(text));
}

bool grants_store_forget(struct xs_handle *store, unsigned domain, uint32_t port, uint64_t nonce)
{
	char path[PATH_BYTES];
	bool is_other;

	port_path_make(path, domain, port, "");
	/* The port may be another process's already, which may write its request at this moment. */
	for (unsigned attempt = 0; attempt < 10; attempt++) {
		xs_transaction_t transaction = xs_transaction_start(store);
		struct vgpu_grants_request request;
		enum grants_store_status status;

		if (transaction == XBT_NULL)
			return false;
		status = request_read(store, transaction, domain, port, &request);
		is_other = status == GRANTS_STORE_REQUEST && request.nonce != nonce;
		if (!is_other && !xs_rm(store, transaction, path) && errno != ENOENT) {
			xs_transaction_end(store, transaction, true);
			return false;
		}
		if (xs_transaction_end(store, transaction, is_other))
			return is_other;
		if (errno != EAGAIN)
			return false;
	}
	return false;
}
