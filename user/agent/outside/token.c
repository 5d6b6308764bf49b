// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns how secrets come from files and how they are compared. */
#include "token.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SCHEME "Bearer "

/* -EINVAL in the text: it would end a header early, or cut the secret. */
static int token_trim(char *text, size_t n)
{
	size_t first = 0;

	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	while (first < n && isspace((unsigned char)text[first]))
		first++;
	memmove(text, text + first, n - first);
	n -= first;
	text[n] = 0;
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)text[i]))
			return -EINVAL;
	return n ? 0 : -ENODATA;
}

int token_read(const char *path, char out[TOKEN_BYTES])
{
	/* a pipe would keep the loop waiting */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	out[0] = 0;
	if (fd < 0)
		return -errno;
	n = read(fd, out, TOKEN_BYTES);
	close(fd);
	if (n < 0)
		return -EIO;
	if (n == TOKEN_BYTES) {
		out[0] = 0;
		return -EFBIG;
	}
	return token_trim(out, n);
}

bool token_equal(const char *a, const char *b)
{
	unsigned char x[EVP_MAX_MD_SIZE], y[EVP_MAX_MD_SIZE];
	unsigned n = 0, m = 0;

	/* of digests: not even the length shows in the time */
	return EVP_Digest(a, strlen(a), x, &n, EVP_sha256(), NULL) && EVP_Digest(b, strlen(b), y, &m, EVP_sha256(), NULL) &&
	       n == m && !CRYPTO_memcmp(x, y, n);
}

bool token_authorizes(const char *header, const char *token)
{
	return header && token[0] && !strncasecmp(header, SCHEME, sizeof(SCHEME) - 1) &&
	       token_equal(header + sizeof(SCHEME) - 1, token);
}
