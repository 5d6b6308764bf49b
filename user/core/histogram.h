/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reading the contract's histograms: edges, quantiles, sums. */
#ifndef PERCH_CORE_HISTOGRAM_H
#define PERCH_CORE_HISTOGRAM_H

#include <perch/abi.h>

/* Lower and upper edge of a bucket in seconds; the last one's upper is inf. */
double histogram_low(unsigned bucket);
double histogram_high(unsigned bucket);
__u64 histogram_count(const __u64 *h);
/* Quantile q in (0, 1) in seconds, interpolated within its bucket; NAN when
 * empty. */
double histogram_quantile(const __u64 *h, double q);
/* Estimate of the sum of all values, in seconds (bucket midpoints). */
double histogram_sum(const __u64 *h);

#endif
