// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The objects of the command line: what perch, a batch and the help know. */
#include <stddef.h>

#include "cli.h"

const struct command objects[] = {
	COMMAND("status", do_status, "[service NAME] [quiet]",
		"one screen: services, phase, shares, agent, alarms; quiet: only what is wrong, and exit 1 then"),
	COMMANDS("service", service_commands),
	COMMANDS("version", version_commands),
	COMMANDS("backend", backend_commands),
	COMMANDS("weight", weight_commands),
	COMMAND("rollback", do_rollback, "NAME|all [keep|drain|sever] [comment TEXT] [--direct]",
		"take the canary out now; writes the pinned map itself when perchd is silent",
		.whole = true, .takes_direct = true),
	COMMANDS("rollout", rollout_commands),
	COMMANDS("pin", pin_commands),
	COMMANDS("flow", flow_commands),
	COMMANDS("event", event_commands),
	COMMAND("explain", do_explain, "CLIENT:PORT LISTENER:PORT [tcp|udp] [dscp N]",
		"which version and backend a packet gets, by what, and why not another"),
	COMMAND("trace", do_trace, "[service NAME] [client IP] [limit N]",
		"packets as they pass, until interrupted; a document each with -j"),
	COMMANDS("reason", reason_commands),
	COMMAND("top", do_top, "[service NAME] [interval DURATION] [count N]", "live view; q leaves"),
	COMMAND("doctor", do_doctor, NULL, "what this host lacks and how to mend it; exit 1 on errors"),
	COMMANDS("datapath", datapath_commands),
	COMMANDS("config", config_commands),
	COMMANDS("batch", batch_commands),
	COMMANDS("metric", metric_commands),
	COMMANDS("judge", judge_commands),
	{}
};
