/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PSK_BYTES_MIN	32
#define PSK_BYTES_MAX	SSL_MAX_MASTER_KEY_LENGTH
#define PSK_IDENTITY	"vgpu"
#define PSK_PREFIX	"psk "
#define AUTHORITIES_MAX 64

/* The suite of a pre-shared key names its hash: TLS_AES_128_GCM_SHA256 (RFC 8446, B.4). */
static const unsigned char psk_suite[2] = {0x13, 0x01};

/* A process has one role and one set of credentials; the callbacks of a key get no argument of ours. */
static unsigned char psk[PSK_BYTES_MAX];
static size_t psk_bytes;

static SSL_SESSION *psk_session(SSL *ssl)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, psk_suite);
	SSL_SESSION *session = SSL_SESSION_new();

	if (session && cipher && SSL_SESSION_set1_master_key(session, psk, psk_bytes) == 1 &&
	    SSL_SESSION_set_cipher(session, cipher) == 1 &&
	    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

static int psk_use(SSL *ssl, const EVP_MD *hash, const unsigned char **ret_identity, size_t *ret_identity_bytes,
		   SSL_SESSION **ret_session)
{
	SSL_SESSION *session = psk_session(ssl);

	if (!session)
		return 0;
	if (hash && SSL_CIPHER_get_handshake_digest(SSL_SESSION_get0_cipher(session)) != hash) {
		SSL_SESSION_free(session);
		session = NULL;
	}
	*ret_session = session;
	*ret_identity = (const unsigned char *)PSK_IDENTITY;
	*ret_identity_bytes = strlen(PSK_IDENTITY);
	return 1;
}

static int psk_find(SSL *ssl, const unsigned char *identity, size_t identity_bytes, SSL_SESSION **ret_session)
{
	*ret_session = NULL;
	if (identity_bytes != strlen(PSK_IDENTITY) || memcmp(identity, PSK_IDENTITY, identity_bytes) != 0)
		return 1;
	*ret_session = psk_session(ssl);
	return *ret_session != NULL;
}

/* 0, or -1 with the reason. */
static int psk_load(SSL_CTX *context, const char *line, bool is_server, char *text, size_t text_bytes)
{
	size_t digits = strspn(line, "0123456789abcdefABCDEF");

	if (digits % 2 || digits / 2 < PSK_BYTES_MIN || digits / 2 > PSK_BYTES_MAX ||
	    line[digits + strspn(line + digits, " \r\n")] != '\0') {
		snprintf(text, text_bytes, "the pre-shared key is not %d to %d bytes in hexadecimal", PSK_BYTES_MIN,
			 PSK_BYTES_MAX);
		return -1;
	}
	psk_bytes = digits / 2;
	for (size_t i = 0; i < psk_bytes; i++) {
		char byte[3] = {line[2 * i], line[2 * i + 1], '\0'};

		psk[i] = (unsigned char)strtoul(byte, NULL, 16);
	}
	if (SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1) {
		snprintf(text, text_bytes, "TLS_AES_128_GCM_SHA256 is not available");
		return -1;
	}
	if (is_server) {
		SSL_CTX_set_psk_find_session_callback(context, psk_find);
	} else {
		/* Without its key a server could fall back to a certificate; a client must not accept any. */
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_psk_use_session_callback(context, psk_use);
	}
	return 0;
}

static int pem_fail(const char *what, char *text, size_t text_bytes)
{
	unsigned long error = ERR_peek_last_error();

	snprintf(text, text_bytes, "%s%s%s", what, error ? ": " : "", error ? ERR_reason_error_string(error) : "");
	ERR_clear_error();
	return -1;
}

static int pem_load(SSL_CTX *context, const char *pem, size_t bytes, bool is_server, char *text, size_t text_bytes)
{
	BIO *certificates = BIO_new_mem_buf(pem, (int)bytes);
	BIO *keys = BIO_new_mem_buf(pem, (int)bytes);
	X509 *certificate = certificates ? PEM_read_bio_X509(certificates, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = keys ? PEM_read_bio_PrivateKey(keys, NULL, NULL, NULL) : NULL;
	unsigned authorities = 0;
	int result = 0;

	if (!certificate || !key || SSL_CTX_use_certificate(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1)
		result = pem_fail("there are no certificate and private key that belong together", text, text_bytes);
	X509_free(certificate);
	while (!result && authorities < AUTHORITIES_MAX &&
	       (certificate = PEM_read_bio_X509(certificates, NULL, NULL, NULL))) {
		if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1)
			authorities++;
		X509_free(certificate);
	}
	ERR_clear_error();
	if (!result && authorities == 0)
		result = pem_fail("there is no authority's certificate after the own one", text, text_bytes);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (is_server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	EVP_PKEY_free(key);
	BIO_free(keys);
	BIO_free(certificates);
	return result;
}

SSL_CTX *credentials_load(int file, bool is_server, char *text, size_t text_bytes)
{
	SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	char *content = calloc(1, CREDENTIALS_BYTES_MAX + 1);
	ssize_t got = content ? pread(file, content, CREDENTIALS_BYTES_MAX, 0) : -1;
	int result = -1;

	if (!context || got <= 0 || got == CREDENTIALS_BYTES_MAX) {
		snprintf(text, text_bytes, "the file of credentials is empty, too long or cannot be read");
	} else {
		SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
		SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		/* One connection, one handshake: nothing is resumed. */
		SSL_CTX_set_num_tickets(context, 0);
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
		if (strncmp(content, PSK_PREFIX, strlen(PSK_PREFIX)) == 0)
			result = psk_load(context, content + strlen(PSK_PREFIX), is_server, text, text_bytes);
		else
			result = pem_load(context, content, (size_t)got, is_server, text, text_bytes);
	}
	if (content)
		OPENSSL_cleanse(content, CREDENTIALS_BYTES_MAX);
	free(content);
	if (!result)
		return context;
	SSL_CTX_free(context);
	return NULL;
}

int credentials_expect(SSL *ssl, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ? 0 : -1;
	return SSL_set1_host(ssl, host) == 1 ? 0 : -1;
}
