/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may talk to whom: a TLS 1.3 context from one file of credentials.
 *
 * Either PEM: the side's own certificate first, its private key, then the
 * authorities whose certificates the other side must have; a dedicated authority
 * is meant, for whoever has a client's certificate of it may use the worker.
 * Or, for a lab, one line "psk HEX" with a key of at least 32 bytes that both
 * sides have.
 */
#ifndef WORKER_CREDENTIALS_H
#define WORKER_CREDENTIALS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#define CREDENTIALS_BYTES_MAX (256u << 10)

/* Reads the file from its start; the descriptor stays the caller's. NULL: the reason is in 'text'. */
SSL_CTX *credentials_load(int file, bool is_server, char *text, size_t text_bytes);

/*
 * Has a client check, beside the signature, that the worker's certificate is for this host name or address. 0, or -1
 * out of memory.
 */
int credentials_expect(SSL *ssl, const char *host);

#endif
