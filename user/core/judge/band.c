/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Distributions seen through a sample that grows. */
#include <math.h>

#include "band.h"
#include "beta.h"

#define A 0.85
#define BISECTIONS 80
#define ETAS 4000

/* What the band of constant C misses at most: the least bound over eta of
 * 4 exp(-gamma^2 C) (1 + 1 / ((gamma^2 - 1) ln eta)). */
static double missed(double c)
{
	double least = INFINITY;

	for (int i = 1; i < ETAS; i++) {
		double eta = 1 + (2 * A * A - 1) * i / ETAS, g = A - sqrt(2 * (eta - 1) / c), gamma2 = 2 / eta * g * g;

		if (g > 0 && gamma2 > 1)
			least = fmin(least, 4 * exp(-gamma2 * c) * (1 + 1 / ((gamma2 - 1) * log(eta))));
	}
	return least;
}

double band_constant(double alpha)
{
	double low = 1, high = 200;

	for (int i = 0; i < BISECTIONS; i++) {
		double middle = (low + high) / 2;

		if (missed(middle) > alpha)
			low = middle;
		else
			high = middle;
	}
	return high;
}

double band_radius(double t, double t_min, double alpha)
{
	return A * sqrt((log(1 + log(t / t_min)) + band_constant(alpha)) / t);
}

double band_best_rho(double v, double alpha)
{
	double l = 2 * log(1 / alpha);

	return v / (l + log1p(l));
}

double band_log_martingale(double s, double v, double rho, double g, double h)
{
	double r = fmax(rho - g * h, 1e-3 * g * h);
	double up = (v + h * s) / (h * (g + h)), down = (v - g * s) / (g * (g + h));
	double a = r / (h * (g + h)), b = r / (g * (g + h));

	return log_beta(a + up, b + down) - log_beta(a, b) - up * log(g / (g + h)) - down * log(h / (g + h));
}

/* How far a share between f_below and f_at, of n, is from q. */
static double martingale_at(double below, double at, double n, double q, double t_opt, double alpha_opt)
{
	double share = fmin(fmax(q, below / n), at / n);

	return band_log_martingale((share - q) * n, q * (1 - q) * n, band_best_rho(q * (1 - q) * t_opt, alpha_opt), q, 1 - q);
}

double band_quantile_p(const double *a, size_t n_a, const double *b, size_t n_b, double q, double t_opt, double alpha_opt)
{
	double least = INFINITY;
	size_t i = 0, j = 0;

	while (i < n_a || j < n_b) {
		double x = j >= n_b || (i < n_a && a[i] <= b[j]) ? a[i] : b[j], sum;
		size_t a_at = i, b_at = j;

		while (a_at < n_a && a[a_at] == x)
			a_at++;
		while (b_at < n_b && b[b_at] == x)
			b_at++;
		sum = martingale_at((double)i, (double)a_at, (double)n_a, q, t_opt, alpha_opt) +
		      martingale_at((double)j, (double)b_at, (double)n_b, q, t_opt, alpha_opt);
		least = fmin(least, sum);
		i = a_at;
		j = b_at;
	}
	return fmin(1, exp(-least));
}
