/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Reading the contract's histograms, the inverse of perch_hist_bucket: values
 * were cut to whole microseconds, so bucket b holds [low, high) of them.
 */
#include <math.h>

#include "histogram.h"

double histogram_low(unsigned bucket)
{
	unsigned octave = bucket < 16 ? 0 : bucket / 8 - 1;

	return (double)((__u64)(bucket - octave * 8) << octave) * 1e-6;
}

double histogram_high(unsigned bucket)
{
	return bucket >= PERCH_HIST_BUCKETS - 1 ? INFINITY : histogram_low(bucket + 1);
}

__u64 histogram_count(const __u64 *h)
{
	__u64 n = 0;

	for (unsigned i = 0; i < PERCH_HIST_BUCKETS; i++)
		n += h[i];
	return n;
}

double histogram_quantile(const __u64 *h, double q)
{
	double rank = q * (double)histogram_count(h), below = 0, value = NAN;

	for (unsigned i = 0; i < PERCH_HIST_BUCKETS; i++) {
		if (!h[i])
			continue;
		/* the last bucket is open: its low edge is all that is known */
		if (i == PERCH_HIST_BUCKETS - 1)
			return histogram_low(i);
		value = histogram_high(i);
		if (below + (double)h[i] >= rank)
			return histogram_low(i) + (value - histogram_low(i)) * (rank - below) / (double)h[i];
		below += (double)h[i];
	}
	return value;
}

double histogram_sum(const __u64 *h)
{
	double sum = 0;

	for (unsigned i = 0; i < PERCH_HIST_BUCKETS - 1; i++)
		sum += (double)h[i] * (histogram_low(i) + histogram_high(i)) / 2;
	return sum + (double)h[PERCH_HIST_BUCKETS - 1] * histogram_low(PERCH_HIST_BUCKETS - 1);
}
