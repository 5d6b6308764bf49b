// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns the question which service a text is about, for who passes it on to
 * where it is read. */
#include <errno.h>

#include "config.h"
#include "document.h"
#include "parts.h"

static int read_root(struct reader *r, yaml_node_t *root, void *name)
{
	yaml_node_t *value = root ? schema_value(r, root, "name") : NULL;

	reader_enter(r, "name");
	if (value)
		return name_read(r, value, name);
	if (root && schema_value(r, root, "services"))
		return reader_fail_line(r, 1, "is missing: this is a whole configuration, for `perch config apply`; a service is one element of its services");
	return reader_fail_line(r, 1, "is missing; write name, listen and versions, as an element of services in perch.yaml has them");
}

int config_service_name(const char *name, const char *text, size_t length, char ret[PERCH_NAME_LEN],
			char error[CONFIG_ERROR])
{
	struct reader r = { .name = name, .error = error };

	return document_walk(&r, text, length, read_root, ret);
}
