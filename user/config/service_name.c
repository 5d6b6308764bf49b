// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns the question which service a text is about, for who passes it on to
 * where it is read. */
#include <errno.h>

#include "config.h"
#include "document.h"
#include "parts.h"

int config_service_name(const char *name, const char *text, size_t length, char ret[PERCH_NAME_LEN],
			char error[CONFIG_ERROR])
{
	yaml_document_t document;
	struct reader r = { .name = name, .document = &document, .error = error };
	yaml_node_t *root, *value;
	int err = document_load(&r, text, length);

	if (err)
		return err;
	root = yaml_document_get_root_node(&document);
	value = root ? schema_value(&r, root, "name") : NULL;
	reader_enter(&r, "name");
	if (value)
		err = name_read(&r, value, ret);
	else if (root && schema_value(&r, root, "services"))
		err = reader_fail_line(&r, 1, "is missing: this is a whole configuration, for `perch config apply`; a service is one element of its services");
	else
		err = reader_fail_line(&r, 1, "is missing; write name, listen and versions, as an element of services in perch.yaml has them");
	yaml_document_delete(&document);
	return err;
}
