/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Random numbers for simulations. */
#include <math.h>

#include "normal.h"
#include "random.h"

#define POISSON_EXACT 500.0

/* splitmix64 fills the state, as its authors advise. */
void random_seed(struct random *r, __u64 seed)
{
	for (int i = 0; i < 4; i++) {
		__u64 z = seed += 0x9e3779b97f4a7c15ull;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		r->word[i] = z ^ z >> 31;
	}
}

static __u64 rotate(__u64 x, int n)
{
	return x << n | x >> (64 - n);
}

__u64 random_word(struct random *r)
{
	__u64 *s = r->word, out = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return out;
}

double random_uniform(struct random *r)
{
	return ((double)(random_word(r) >> 11) + 0.5) * 0x1p-53;
}

double random_normal(struct random *r)
{
	return normal_quantile(random_uniform(r));
}

static __u64 rounded(double x, double most)
{
	return (__u64)fmin(fmax(round(x), 0), most);
}

__u64 random_binomial(struct random *r, __u64 n, double p)
{
	double mean = (double)n * p, at = 0;
	__u64 k = 0;

	if (!n || p <= 0)
		return 0;
	if (p >= 1)
		return n;
	if (p > 0.5)
		return n - random_binomial(r, n, 1 - p);
	if (mean > RANDOM_EXACT)
		return rounded(mean + sqrt(mean * (1 - p)) * random_normal(r), (double)n);
	for (;;) {
		at += floor(log(random_uniform(r)) / log1p(-p)) + 1;
		if (at > (double)n)
			return k;
		k++;
	}
}

__u64 random_poisson(struct random *r, double mean)
{
	double product = 1, least = exp(-mean);
	__u64 k = 0;

	if (mean > POISSON_EXACT)
		return rounded(mean + sqrt(mean) * random_normal(r), 1e18);
	while ((product *= random_uniform(r)) > least)
		k++;
	return k;
}
