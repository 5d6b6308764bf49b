/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What cppcheck has to know of libraries' macros to follow the code behind them. */
#define LIBBPF_OPTS(type, name, ...) struct type name = { 0 }
#define json_array_foreach(a, i, v) for (i = 0; i < json_array_size(a) && (v = json_array_get(a, i)); i++)
#define json_object_foreach(o, k, v)                                           \
	for (void *i_ = json_object_iter(o);                                   \
	     i_ && (k = json_object_iter_key(i_)) && (v = json_object_iter_value(i_)); \
	     i_ = json_object_iter_next(o, i_))
#define TAILQ_HEAD(name, type) struct name { struct type *tqh_first, **tqh_last; }
#define TAILQ_ENTRY(type) struct { struct type *tqe_next, **tqe_prev; }
