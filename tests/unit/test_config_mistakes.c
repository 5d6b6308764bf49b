// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the table of mistakes: each is refused with its line, its key, what is
 * wrong and what would be right, and leaves nothing behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/config/config.h"

/* Lines 1 and 2, 3 to 6, 7 and 8: what a mistake is added to. */
#define TOP "schema: 1\ninterfaces: [{ name: eth0 }]\n"
#define NAMED "services:\n  - name: web\n    listen: [\"192.0.2.10:80/tcp\"]\n    versions:\n"
#define STABLE "      - { name: v1, role: stable, backends: [10.0.1.2] }\n"
#define CANARY "      - { name: v2, role: canary, backends: [10.0.1.3] }\n"
#define WEB TOP NAMED STABLE CANARY
#define SECOND(name_, listen_, backend_)                                                         \
	"  - name: " name_ "\n    listen: [\"" listen_ "\"]\n    versions:\n"                       \
	"      - { name: v1, role: stable, backends: [\"" backend_ "\"] }\n"
/* A service at 192.0.2.10:80 and [2001:db8::10]:80, lines 6 and 7, its
 * versions from line 9 on. */
#define BOTH TOP "services:\n  - name: web\n    listen:\n      - 192.0.2.10:80/tcp\n"             \
	"      - \"[2001:db8::10]:80/tcp\"\n    versions:\n"
#define STABLE_BOTH "      - { name: v1, role: stable, backends: [10.0.1.2, \"[2001:db8:1::2]\"] }\n"
/* A service with every port at 192.0.2.10, up to line 6. */
#define EVERY TOP "services:\n  - name: web\n    listen: [192.0.2.10:0/tcp]\n"                     \
	"    versions: [{ name: v1, role: stable, backends: [10.0.1.2] }]\n"
#define RULE WEB "    rules: ["
#define ROLLOUT WEB "    rollout:\n"
#define GATE ROLLOUT "      gates:\n"

static const struct mistake {
	const char *text;
	int line;
	const char *key;	/* NULL: no key stands there */
	const char *says;
} mistakes[] = {
	/* the file */
	{ "", 1, "schema", "the file is empty" },
	{ "# nothing\n---\n", 1, "schema", "the file is empty" },
	{ "just text\n", 1, NULL, "is a single value; a configuration is a mapping" },
	{ "- schema: 1\n", 1, NULL, "is a list; a configuration is a mapping" },
	{ "schema: 1\nagent:\n\tsocket: /x\n", 3, NULL, "a tab indents this line; YAML wants spaces" },
	{ "schema: 1\nagent: { socket: /x\nlisten: 1\n", 3, NULL, "is not YAML" },
	{ "schema: 1\n\x01\n", 2, NULL, "is not text" },
	{ "schema: 1\nagent: { socket: /x\xff }\n", 2, NULL, "write the file in UTF-8" },
	{ "schema: 1\n---\nschema: 1\n", 2, NULL, "a second document" },
	{ "schema: 1\nagent: &a { socket: /x }\n", 2, NULL, "anchor ('&a')" },
	{ "schema: 1\nagent: *a\n", 2, NULL, "alias ('*a')" },
	{ "schema: !!int 1\n", 1, NULL, "tag ('tag:yaml.org,2002:int')" },
	{ "schema: 1\nagent: { socket: \"/x\\0y\" }\n", 2, NULL, "NUL" },
	{ "[[[[[[[[[[[[[[[[[\n", 1, NULL, "nested more than 16 deep" },
	{ "schema: 1\n? [a]\n: 1\n", 2, NULL, "has a list as a key" },

	/* the top */
	{ "interfaces: []\n", 1, "schema", "is missing; a configuration needs it" },
	{ "rules: {}\nschema: 2\n", 2, "schema", "'2' is not known to this perch; write schema: 1" },
	{ TOP "sevrices: []\n", 3, "sevrices", "did you mean 'services'? keys here: schema, agent, interfaces, services" },
	{ TOP "schema: 1\n", 3, "schema", "is given twice, first on line 1; keep one" },
	{ TOP "services:\n", 3, "services", "has no value" },
	{ TOP "include: { file: a }\n", 3, "include", "is a mapping; write a file or a pattern, like services.d/*.yaml" },
	{ TOP "defaults: client\n", 3, "defaults", "is a single value; defaults is a mapping" },
	{ TOP "fleet: { etcd: x }\n", 3, "fleet", "is not supported yet" },

	/* agent */
	{ TOP "agent: []\n", 3, "agent", "is a list; the agent is a mapping" },
	{ TOP "agent:\n  socket: perch.sock\n", 4, "agent.socket", "not an absolute path" },
	{ TOP "agent:\n  socket: /123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
	  "12345678901234567\n", 4, "agent.socket", "is 108 bytes long; at most 107" },
	{ TOP "agent:\n  listen: localhost:9911\n", 4, "agent.listen", "'localhost:9911' is not understood; write ADDRESS:PORT" },
	{ TOP "agent:\n  listen: 127.0.0.1\n", 4, "agent.listen", "is not understood; write ADDRESS:PORT" },
	{ TOP "agent:\n  stateDir: [/var]\n", 4, "agent.stateDir", "is a list; write an absolute path" },
	{ TOP "agent:\n  sampleInterval: 100\n", 4, "agent.sampleInterval", "'100' is not understood; write a duration like 100ms" },
	{ TOP "agent:\n  sampleInterval: 1ms\n", 4, "agent.sampleInterval", "must be from 10ms to 10s" },
	{ TOP "agent:\n  sampleInterval: 11s\n", 4, "agent.sampleInterval", "must be from 10ms to 10s" },
	{ TOP "agent:\n  flowTableSize: 1000000\n", 4, "agent.flowTableSize", "write 524288 or 1048576" },
	{ TOP "agent:\n  flowTableSize: 512\n", 4, "agent.flowTableSize", "must be from 1024 to 67108864" },
	{ TOP "agent:\n  flowTableSize: \"1024\"\n", 4, "agent.flowTableSize", "is text in quotes" },
	{ TOP "agent:\n  flowTableSize: 1e6\n", 4, "agent.flowTableSize", "'1e6' is not understood; write a whole number" },
	{ TOP "agent:\n  flowTableSize: 02000\n", 4, "agent.flowTableSize", "'02000' is not understood; write a whole number" },
	{ TOP "agent:\n  deadman: 1s\n", 4, "agent.deadman", "it must be from 2s to 24h, or 0 for off" },
	{ TOP "agent:\n  deadman: 25h\n", 4, "agent.deadman", "must be from 0s to 24h" },
	{ TOP "agent:\n  pinTableSize: 0\n", 4, "agent.pinTableSize", "must be from 1 to 16777216" },
	{ TOP "agent:\n  metricsTokenFile: token\n", 4, "agent.metricsTokenFile", "'token' is not an absolute path; begin with /" },

	/* interfaces */
	{ "schema: 1\ninterfaces: eth0\n", 2, "interfaces", "is a single value; write a list of interfaces" },
	{ "schema: 1\ninterfaces: [eth0]\n", 2, "interfaces[0]", "an interface is a mapping: { name: ... }" },
	{ "schema: 1\ninterfaces:\n  - attach: xdp\n", 3, "interfaces[0].name", "is missing" },
	{ "schema: 1\ninterfaces:\n  - name: eth[0\n", 3, "interfaces[0].name", "'eth[0' has a '[' without ']'; a pattern is like" },
	{ "schema: 1\ninterfaces:\n  - name: eth*\n  - name: eth0\n", 4, "interfaces[1].name",
	  "'eth0' is matched by 'eth*' on line 3, and the first match wins; put it before that" },
	{ "schema: 1\ninterfaces:\n  - name: averyverylongname\n", 3, "interfaces[0].name", "not the name of an interface" },
	{ "schema: 1\ninterfaces: [{ name: a, attach: native }]\n", 2, "interfaces[0].attach",
	  "'native' is not known; write auto, xdp, xdp-generic or tc" },
	{ "schema: 1\ninterfaces: [{ name: a, foreign: displace }]\n", 2, "interfaces[0].foreign",
	  "'displace' is not known; write refuse, tc or replace" },
	{ "schema: 1\ninterfaces: [{ name: a, decap: 1 }]\n", 2, "interfaces[0].decap", "'1' is not known; write true or false" },
	{ "schema: 1\ninterfaces:\n  - name: a\n  - name: a\n", 4, "interfaces[1].name", "twice, first on line 3" },
	{ "schema: 1\n" NAMED STABLE, 3, "interfaces", "none is given" },

	/* a service */
	{ TOP "services:\n  - listen: [\"192.0.2.10:80/tcp\"]\n", 4, "services[0].name", "is missing; a service needs it" },
	{ TOP "services:\n  - name: my web\n", 4, "services[0].name", "'my web' is not a name" },
	{ TOP "services:\n  - name: -web\n", 4, "services[0].name", "'-web' is not a name" },
	{ TOP "services:\n  - name: a23456789012345678901234567890123456789012345678901234567890123x\n", 4,
	  "services[0].name", "'a2345678901234567890123456789012...' is not a name" },
	{ TOP "services:\n  - name: all\n", 4, "services[0].name", "'all' means every service" },
	{ TOP "services:\n  - name: web\n    versions: []\n", 5, "services[0].versions", "has 0 versions; it must have from 1" },
	{ TOP "services:\n  - name: web\n    listen: []\n", 5, "services[0].listen", "has 0 addresses" },
	{ WEB "    afinity: client\n", 9, "services[0].afinity", "did you mean 'affinity'? keys here: name, listen" },
	{ WEB "    drain_timeout: 5s\n", 9, "services[0].drain_timeout", "is not a key of a service; keys here" },
	{ WEB "    affinity: source\n", 9, "services[0].affinity", "write client or connection" },
	{ WEB "    affinity: client\n    affinity: client\n", 10, "services[0].affinity", "twice, first on line 9" },
	{ WEB "    forward: masq\n", 9, "services[0].forward", "'masq' is not known; write nat" },
	{ WEB "    fullnat: { ports: 61000-65000 }\n", 9, "services[0].fullnat", "is for forward: fullnat, and this is nat; take it out" },
	{ WEB "    forward: fullnat\n    fullnat: { ports: 65000-61000 }\n", 10, "services[0].fullnat.ports",
	  "65000 is above 61000; write 61000-65000" },
	{ WEB "    forward: fullnat\n    fullnat: { ports: 61000 }\n", 10, "services[0].fullnat.ports",
	  "two ports from 1 to 65535, like 61000-65000" },
	{ WEB "    forward: fullnat\n    fullnat: { ports: 0-9 }\n", 10, "services[0].fullnat.ports", "like 61000-65000" },
	{ WEB "    forward: fullnat\n    fullnat: { ports: 1-65536 }\n", 10, "services[0].fullnat.ports", "like 61000-65000" },
	{ WEB "    forward: fullnat\n    fullnat: { port: 1-2 }\n", 10, "services[0].fullnat.port", "did you mean 'ports'?" },
	{ WEB "    forward: fullnat\n    fullnat: { sources: [] }\n", 10, "services[0].fullnat.sources", "has 0 sources" },
	{ WEB "    forward: fullnat\n    fullnat: { sources: [127.0.0.1] }\n", 10, "services[0].fullnat.sources[0]",
	  "is a loopback address" },
	{ WEB "    forward: fullnat\n    fullnat: { sources: [here] }\n", 10, "services[0].fullnat.sources[0]",
	  "an address that leads back to this host" },
	{ WEB "    forward: fullnat\n    fullnat: { sources: [10.0.0.9, 10.0.0.9] }\n", 10, "services[0].fullnat.sources",
	  "10.0.0.9 is there twice; keep one" },
	{ WEB "    forward: fullnat\n    fullnat: { sources: [\"2001:db8::9\"] }\n", 10, "services[0].fullnat.sources",
	  "none is IPv4, as the clients of 192.0.2.10:80/tcp are; name one, or leave the key out" },
	{ WEB "    tunnel: { source: 10.0.0.9 }\n", 9, "services[0].tunnel", "is for forward: ipip or gue, and this is nat; take it out" },
	{ WEB "    forward: gue\n    tunnel: { source: eth0 }\n", 10, "services[0].tunnel.source",
	  "'eth0' is not understood; write an address of this host" },
	{ WEB "    forward: gue\n    tunnel: { source: 127.0.0.1 }\n", 10, "services[0].tunnel.source", "is a loopback address" },
	{ WEB "    forward: ipip\n    tunnel: { source: [10.0.0.9, 10.0.0.8] }\n", 10, "services[0].tunnel.source[1]",
	  "'10.0.0.8' is the second of its family; a tunnel has one source for IPv4 and one for IPv6" },
	{ WEB "    forward: dsr\n    rollout: { gates: [{ signal: reset, max: 1 }] }\n", 10, "services[0].rollout.gates[0]",
	  "reset is blind with forward: dsr, whose replies do not pass this host; take the gate out" },
	{ TOP "defaults: { forward: dsr, rollout: { gates: [{ signal: reset, max: 1 }] } }\nservices:\n  - name: web\n"
	  "    listen: [\"192.0.2.10:80/tcp\"]\n    versions:\n" STABLE, 5, "services[0].rollout.gates",
	  "those of defaults are blind with forward: dsr, whose replies do not pass this host; write rollout: { gates: [] } here" },
	{ TOP NAMED "      - { name: v1, role: stable, backends: [\"10.0.1.2:8080\"] }\n    forward: dsr\n", 7,
	  "services[0].versions[0].backends[0]",
	  "10.0.1.2:8080 has another port than 192.0.2.10:80/tcp, and forward: dsr changes none; let the server listen there" },
	{ TOP NAMED "      - { name: v1, role: stable, backends: [\"[2001:db8::2]\"] }\n    forward: dsr\n", 7,
	  "services[0].versions[0].backends[0]", "dsr does not translate between families" },
	{ WEB "    fragments: true\n    forward: fullnat\n", 5, "services[0].listen[0]",
	  "takes fragments, which forward: fullnat can't lead back to their client" },
	{ WEB "    fragments: maybe\n", 9, "services[0].fragments", "'maybe' is not known; write true or false" },
	{ WEB "    fragments: true\n" SECOND("api", "192.0.2.10:81/tcp", "10.0.1.9") "    fragments: true\n", 11,
	  "services[1].listen[0]", "'web' takes the fragments of 192.0.2.10 already (services[0].listen[0])" },
	{ WEB "      - { name: v3, door: [\"192.0.2.10:81/tcp\"], backends: [10.0.1.4] }\n    fragments: true\n", 9,
	  "services[0].versions[2].door[0]", "have no port to tell it from services[0].listen[0], line 5" },
	{ WEB "    observe: [http2]\n", 9, "services[0].observe[0]", "'http2' is not known; write http1 or udpReply" },
	{ WEB "    observe: [http1, http1]\n", 9, "services[0].observe[1]", "is here twice; keep one" },
	{ WEB "    observe: http1\n", 9, "services[0].observe", "write a list of what to look at" },
	{ WEB "    forward: dsr\n    observe: [http1]\n", 10, "services[0].observe", "whose replies do not pass here; write []" },
	{ WEB "    rollout: { gates: [{ signal: http_5xx }] }\n", 4, "services[0].observe", "lacks http1" },
	{ WEB "    rollout: { gates: [{ signal: udp_no_reply }] }\n", 4, "services[0].observe", "lacks udpReply" },
	{ WEB "    adopt: 25h\n", 9, "services[0].adopt", "must be from 0s to 24h" },
	{ WEB "    onStableDown: accept\n", 9, "services[0].onStableDown", "'accept' is not known; write reject or canary" },
	{ WEB "    rollback: { established: kill }\n", 9, "services[0].rollback.established", "write keep, drain or sever" },
	{ WEB "    rollback: { drainTimeout: -5s }\n", 9, "services[0].rollback.drainTimeout", "'-5s' is not understood; write a duration" },
	{ WEB "    rollback: { drainTimeout: 25h }\n", 9, "services[0].rollback.drainTimeout", "must be from 0s to 24h" },
	{ WEB "    rollback: drain\n", 9, "services[0].rollback", "rollback is a mapping: { established: ... }" },
	{ WEB SECOND("web", "192.0.2.10:81/tcp", "10.0.1.9"), 9, "services[1].name", "twice, first on line 4" },

	/* addresses */
	{ TOP "services:\n  - name: w\n    listen: [192.0.2.10]\n", 5, "services[0].listen[0]",
	  "'192.0.2.10' is not understood; write ADDRESS:PORT/PROTOCOL" },
	{ TOP "services:\n  - name: w\n    listen: [\"192.0.2.10:80/sctp\"]\n", 5, "services[0].listen[0]", "use tcp or udp" },
	{ TOP "services:\n  - name: w\n    listen: [\"0.0.0.0:80/tcp\"]\n", 5, "services[0].listen[0]", "unspecified" },
	{ TOP "services:\n  - name: w\n    listen:\n      - [2001:db8::1]:80/tcp\n", 6, NULL, "is not YAML" },
	{ TOP "services:\n  - name: w\n    listen: [[a]]\n", 5, "services[0].listen[0]", "is a list; write ADDRESS:PORT/PROTOCOL" },
	{ TOP "services:\n  - name: w\n    listen:\n      - 192.0.2.1:80/tcp\n      - 192.0.2.1:80/tcp\n    versions:\n" STABLE,
	  7, "services[0].listen[1]", "192.0.2.1:80/tcp is used already by services[0].listen[0] on line 6" },
	{ WEB SECOND("api", "192.0.2.10:80/tcp", "10.0.1.9"), 10, "services[1].listen[0]",
	  "192.0.2.10:80/tcp is used already by services[0].listen[0] on line 5" },
	{ WEB "      - { name: v3, door: [\"192.0.2.10:80/tcp\"], backends: [10.0.1.4] }\n", 9, "services[0].versions[2].door[0]",
	  "is used already by services[0].listen[0] on line 5" },

	/* versions and backends */
	{ TOP NAMED "      - { role: stable, backends: [10.0.1.2] }\n", 7, "services[0].versions[0].name", "is missing" },
	{ TOP NAMED "      - { name: v1, role: stable }\n", 7, "services[0].versions[0].backends", "is missing" },
	{ TOP NAMED "      - { name: canary, role: stable }\n", 7, "services[0].versions[0].name", "'canary' is a role" },
	{ TOP NAMED "      - { name: v1, role: previous }\n", 7, "services[0].versions[0].role", "write stable, canary or baseline" },
	{ WEB STABLE, 9, "services[0].versions[2].name", "'v1' is there twice, first on line 7" },
	{ WEB CANARY CANARY CANARY, 7, "services[0].versions", "has 5 versions; it must have from 1 to 4" },
	{ TOP NAMED "      - { name: v1, labels: { a: 1, a: 2 } }\n", 7, "services[0].versions[0].labels.a", "twice" },
	{ TOP NAMED "      - { name: v1, labels: [a] }\n", 7, "services[0].versions[0].labels", "is not a mapping" },
	{ TOP NAMED "      - name: v1\n        backends:\n          - host.example\n", 9,
	  "services[0].versions[0].backends[0]", "'host.example' is not understood; write ADDRESS or ADDRESS:PORT" },
	{ TOP NAMED "      - name: v1\n        backends:\n          - 127.0.0.1:8080\n", 9,
	  "services[0].versions[0].backends[0]", "loopback" },
	{ TOP NAMED "      - name: v1\n        backends:\n          - \"[::1]:8080\"\n", 9,
	  "services[0].versions[0].backends[0]", "loopback" },
	{ TOP NAMED "      - name: v1\n        backends: [224.0.0.1]\n", 8, "services[0].versions[0].backends[0]", "multicast" },
	{ TOP NAMED "      - name: v1\n        backends: [255.255.255.255]\n", 8, "services[0].versions[0].backends[0]",
	  "broadcast" },
	{ TOP NAMED "      - name: v1\n        backends: [\"[fe80::1]\"]\n", 8, "services[0].versions[0].backends[0]",
	  "link-local" },
	{ TOP NAMED "      - name: v1\n        backends: [\"fd00::1:80\"]\n", 8, "services[0].versions[0].backends[0]",
	  "could be an address or an address with a port; write \"[ADDRESS]\"" },
	{ TOP NAMED "      - name: v1\n        backends: [10.0.1.2:99999]\n", 8, "services[0].versions[0].backends[0]",
	  "is not understood; write ADDRESS" },
	{ TOP NAMED "      - name: v1\n        backends: [{ address: 10.0.1.2, weight: 0 }]\n", 8,
	  "services[0].versions[0].backends[0].weight", "must be from 1 to 256" },
	{ TOP NAMED "      - name: v1\n        backends: [{ weight: 2 }]\n", 8, "services[0].versions[0].backends[0].address",
	  "is missing; a backend needs it" },
	{ TOP NAMED "      - name: v1\n        backends: [10.0.1.2, 10.0.1.2]\n", 8, "services[0].versions[0].backends[1]",
	  "10.0.1.2 is there twice" },
	{ TOP NAMED "      - name: v1\n        backends: [\"[2001:db8::2]\"]\n", 8, "services[0].versions[0].backends[0]",
	  "2001:db8::2 is IPv6, and no listener or door of that family leads here; add one or take it out" },
	{ TOP "services:\n  - name: w\n    listen: [\"[2001:db8::1]:80/tcp\"]\n    versions:\n"
	  "      - { name: v1, role: stable, backends: [\"[2001:db8::2]\", 10.0.1.2:80] }\n", 7,
	  "services[0].versions[0].backends[1]", "10.0.1.2:80 is IPv4, and no listener or door of that family" },

	/* both families: whoever reaches a version finds a backend there */
	{ BOTH STABLE, 9, "services[0].versions[0].backends",
	  "none is IPv6, and [2001:db8::10]:80/tcp leads here (services[0].listen[1], line 7); add one" },
	{ BOTH STABLE_BOTH CANARY, 10, "services[0].versions[1].backends", "none is IPv6, and [2001:db8::10]:80/tcp leads" },
	{ BOTH STABLE_BOTH "      - name: v2\n        backends:\n          - \"[2001:db8:1::3]\"\n", 12,
	  "services[0].versions[1].backends", "none is IPv4, and 192.0.2.10:80/tcp leads here (services[0].listen[0], line 6)" },
	{ WEB "      - name: v3\n        door: [\"[2001:db8::10]:81/tcp\"]\n        backends: [10.0.1.4]\n", 11,
	  "services[0].versions[2].backends",
	  "none is IPv6, and [2001:db8::10]:81/tcp leads here (services[0].versions[2].door[0], line 10)" },
	/* a door leads to its own version only */
	{ WEB "      - { name: v3, door: [\"[2001:db8::10]:81/tcp\"], backends: [10.0.1.4, \"[2001:db8:1::4]\"] }\n"
	  "      - { name: v4, backends: [10.0.1.5, \"[2001:db8:1::5]\"] }\n", 10, "services[0].versions[3].backends[1]",
	  "2001:db8:1::5 is IPv6, and no listener or door" },
	{ BOTH STABLE_BOTH SECOND("api", "[2001:db8::11]:80/tcp", "[2001:db8::10]"), 13, "services[1].versions[0].backends[0]",
	  "2001:db8::10 is an address that perch splits (services[0].listen[1], line 7)" },
	{ WEB SECOND("api", "192.0.2.11:80/tcp", "192.0.2.10"), 12, "services[1].versions[0].backends[0]",
	  "192.0.2.10 is an address that perch splits (services[0].listen[0], line 5)" },
	{ WEB SECOND("api", "192.0.2.11:81/tcp", "192.0.2.10:80"), 12, "services[1].versions[0].backends[0]",
	  "192.0.2.10:80 is an address that perch splits" },
	/* from the door's port, which the backend takes over */
	{ WEB "      - { name: v3, door: [\"192.0.2.10:81/tcp\"], backends: [192.0.2.11] }\n"
	  SECOND("api", "192.0.2.11:81/tcp", "10.0.1.9"), 9, "services[0].versions[2].backends[0]",
	  "192.0.2.11 is an address that perch splits (services[1].listen[0], line 11)" },

	/* port 0: every port */
	{ WEB "    exclude: [22]\n", 9, "services[0].exclude", "no listener has port 0 (every port); take it out, or listen like" },
	{ EVERY "    exclude: [0]\n", 7, "services[0].exclude[0]", "must be from 1 to 65535" },
	{ EVERY "    exclude: [65536]\n", 7, "services[0].exclude[0]", "must be from 1 to 65535" },
	{ EVERY "    exclude: [22, 22]\n", 7, "services[0].exclude", "22 is there twice; keep one" },
	{ EVERY "    exclude: 22\n", 7, "services[0].exclude", "write a list of ports" },
	{ EVERY "    exclude: [ssh]\n", 7, "services[0].exclude[0]", "'ssh' is not understood; write a whole number" },
	{ TOP "services:\n  - name: web\n    listen: [192.0.2.10:0/tcp, 192.0.2.10:80/tcp]\n    exclude: [80]\n"
	  "    versions: [{ name: v1, role: stable, backends: [10.0.1.2] }]\n", 6, "services[0].exclude",
	  "80 is a listener of its own here (192.0.2.10:80/tcp); take it out here or there" },
	{ EVERY SECOND("api", "192.0.2.10:0/tcp", "10.0.1.9"), 8, "services[1].listen[0]", "192.0.2.10:0/tcp is used already" },
	{ WEB "      - { name: v3, door: [192.0.2.10:0/tcp], backends: [10.0.1.4] }\n", 9, "services[0].versions[2].door[0]",
	  "a door is one port, not every port; name the port" },
	{ EVERY SECOND("api", "192.0.2.11:80/tcp", "192.0.2.10:8080"), 10, "services[1].versions[0].backends[0]",
	  "192.0.2.10:8080 is an address whose every port perch splits (services[0].listen[0], line 5); give the server's own, or "
	  "exclude: [8080] there" },
	{ EVERY SECOND("api", "192.0.2.11:80/tcp", "192.0.2.10"), 10, "services[1].versions[0].backends[0]",
	  "192.0.2.10 is an address whose every port perch splits" },
	{ TOP "services:\n  - name: web\n    listen: [192.0.2.10:0/tcp]\n    versions:\n"
	  "      - { name: v1, role: stable, backends: [192.0.2.10:8080] }\n", 7, "services[0].versions[0].backends[0]",
	  "192.0.2.10:8080 is an address whose every port perch splits" },
	{ TOP "services:\n  - name: web\n    listen: [192.0.2.10:0/tcp]\n    versions:\n"
	  "      - { name: v1, role: stable, backends: [192.0.2.11] }\n" SECOND("api", "192.0.2.11:80/tcp", "10.0.1.9"), 7,
	  "services[0].versions[0].backends[0]", "192.0.2.11 is an address that perch splits (services[1].listen[0], line 9)" },

	/* health checks */
	{ WEB "    healthCheck: tcp\n", 9, "services[0].healthCheck", "a health check is a mapping: { type: ... }" },
	{ WEB "    healthCheck: { type: icmp }\n", 9, "services[0].healthCheck.type", "'icmp' is not known; write none, tcp or http" },
	{ WEB "    healthCheck: { port: 80 }\n", 9, "services[0].healthCheck.port", "keys here: type, interval, timeout, fall, rise" },
	{ WEB "    healthCheck: { interval: 10ms }\n", 9, "services[0].healthCheck.interval", "must be from 100ms to 1h" },
	{ WEB "    healthCheck: { timeout: 1ms }\n", 9, "services[0].healthCheck.timeout", "must be from 10ms to 1m" },
	{ WEB "    healthCheck:\n      interval: 1s\n      timeout: 2s\n", 11, "services[0].healthCheck.timeout",
	  "2s is longer than interval (1s)" },
	{ WEB "    healthCheck: { fall: 0 }\n", 9, "services[0].healthCheck.fall", "must be from 1 to 100" },
	{ WEB "    healthCheck: { rise: 101 }\n", 9, "services[0].healthCheck.rise", "must be from 1 to 100" },
	{ WEB "    healthCheck: { path: /healthz }\n", 9, "services[0].healthCheck.path", "is for http only; write type: http" },
	{ WEB "    healthCheck: { type: tcp, expect: 200 }\n", 9, "services[0].healthCheck.expect", "is for http only" },
	{ WEB "    healthCheck: { type: http, path: healthz }\n", 9, "services[0].healthCheck.path", "begin with /, like /healthz" },
	{ WEB "    healthCheck: { type: http, path: /a b }\n", 9, "services[0].healthCheck.path", "what a URL writes as %XX" },
	{ WEB "    healthCheck: { type: http, expect: ok }\n", 9, "services[0].healthCheck.expect", "write a status from 100 to 599" },
	{ WEB "    healthCheck: { type: http, expect: 200-600 }\n", 9, "services[0].healthCheck.expect", "from 100 to 599" },
	{ WEB "    healthCheck: { type: http, expect: 300-200 }\n", 9, "services[0].healthCheck.expect",
	  "'300-200' ends before it begins; write 200-300" },
	{ TOP "services:\n" SECOND("dns", "192.0.2.10:53/udp", "10.0.1.2") "    healthCheck: { type: tcp }\n", 8,
	  "services[0].healthCheck", "tcp connects by TCP, and no listener is TCP; write healthCheck: { type: none }" },
	{ TOP "defaults: { healthCheck: { type: http } }\nservices:\n" SECOND("dns", "192.0.2.10:53/udp", "10.0.1.2"), 5,
	  "services[0].healthCheck", "http connects by TCP, and no listener is TCP; write healthCheck: { type: none }" },
	{ TOP "services:\n" SECOND("web", "192.0.2.10:0/tcp", "10.0.1.2") "    healthCheck: {}\n", 8, "services[0].healthCheck",
	  "backend 10.0.1.2 (line 7) has no port to check, nor has the listener; give the backend one" },

	/* rules */
	{ WEB "    rules: { dscp: 10 }\n", 9, "services[0].rules", "is not a list; write [{ source: " },
	{ RULE "{ dscp: 10 }]\n", 9, "services[0].rules[0].version", "is missing; a rule needs it" },
	{ RULE "{ version: canary }]\n", 9, "services[0].rules[0]", "has none of source, sourceFile and dscp; write {" },
	{ RULE "{ source: 10.0.0.0/8, dscp: 1, version: canary }]\n", 9, "services[0].rules[0]", "has more than one of source" },
	{ RULE "{ cookie: a, version: canary }]\n", 9, "services[0].rules[0].cookie", "keys here: source, sourceFile, dscp, version" },
	{ RULE "{ dscp: 64, version: canary }]\n", 9, "services[0].rules[0].dscp", "must be from 0 to 63" },
	{ RULE "{ source: 10.0.0.1/8, version: canary }]\n", 9, "services[0].rules[0].source",
	  "'10.0.0.1/8' has bits set behind its prefix; write 10.0.0.0/8, or the address alone" },
	{ RULE "{ source: 10.0.0.0/33, version: canary }]\n", 9, "services[0].rules[0].source", "write an address or CIDR" },
	{ RULE "{ source: \"::/0\", version: canary }]\n", 9, "services[0].rules[0].source", "would hold all of IPv4 too; write 2000::/3" },
	{ RULE "{ source: 10.0.0.0/8, version: v7 }]\n", 9, "services[0].rules",
	  "'v7' is no version of 'web'; write a role (stable, canary, baseline or previous) or add the version" },
	{ RULE "{ source: 10.0.0.0/8, version: v1 },\n      { source: 10.0.0.0/8, version: v2 }]\n", 10, "services[0].rules",
	  "10.0.0.0/8 is there twice, first on line 9; keep one" },
	{ RULE "{ dscp: 10, version: v1 },\n      { dscp: 10, version: v2 }]\n", 10, "services[0].rules",
	  "dscp 10 is there twice, first on line 9" },
	{ RULE "{ sourceFile: /none/there, version: v1 }]\n", 9, "services[0].rules[0].sourceFile",
	  "/none/there can't be read: No such file or directory; name a file" },

	/* defaults */
	{ TOP "defaults: { name: web }\n", 3, "defaults.name", "does not belong here; each service has its own" },
	{ TOP "defaults: { listen: [] }\n", 3, "defaults.listen", "does not belong here" },
	{ TOP "defaults: { versions: [] }\n", 3, "defaults.versions", "does not belong here" },
	{ TOP "defaults: { afinity: client }\n", 3, "defaults.afinity", "is not a key of defaults; did you mean 'affinity'?" },
	{ TOP "defaults:\n  rollback: { established: kill }\n", 4, "defaults.rollback.established", "write keep, drain or sever" },
	{ TOP "defaults:\n  rollout:\n    interval: 1h\n", 5, "defaults.rollout.maxStepTime", "30m is shorter than interval (1h)" },
	{ TOP "defaults: { affinity: client }\ndefaults: {}\n", 4, "defaults", "is given twice, first on line 3" },
	{ TOP "defaults: { rollout: { interval: 20m } }\n" NAMED STABLE "    rollout: { maxStepTime: 10m }\n", 9,
	  "services[0].rollout.maxStepTime", "10m is shorter than interval (20m)" },

	/* a rollout */
	{ WEB "    rollout: [5, 100]\n", 9, "services[0].rollout", "is a list; a rollout is a mapping" },
	{ ROLLOUT "      strategy: red\n", 10, "services[0].rollout.strategy", "write canary, blueGreen or experiment" },
	{ ROLLOUT "      strategy: blueGreen\n      steps: [5, 100]\n", 11, "services[0].rollout.steps", "does not belong to strategy blueGreen" },
	{ ROLLOUT "      stepWeight: 10\n      strategy: blueGreen\n", 10, "services[0].rollout.stepWeight", "does not belong to strategy" },
	{ ROLLOUT "      mode: watch\n", 10, "services[0].rollout.mode", "write act or observe" },
	{ ROLLOUT "      onInconclusive: wait\n", 10, "services[0].rollout.onInconclusive", "write hold, advance or rollback" },
	{ ROLLOUT "      steps: []\n", 10, "services[0].rollout.steps", "from 1 to 32" },
	{ ROLLOUT "      steps: [5, 25, 25]\n", 10, "services[0].rollout.steps[2]", "25 is not above the step before (25)" },
	{ ROLLOUT "      steps:\n        - 5\n        - { weight: 3, pause: manual }\n", 12, "services[0].rollout.steps[1]",
	  "3 is not above the step before (5)" },
	{ ROLLOUT "      steps: [5, 101]\n", 10, "services[0].rollout.steps[1]", "'101' is not understood; write a number from 0 to 100" },
	{ ROLLOUT "      steps: [1.125]\n", 10, "services[0].rollout.steps[0]", "with up to 2 decimals" },
	{ ROLLOUT "      steps: [5%]\n", 10, "services[0].rollout.steps[0]", "'5%' is not understood; write a number" },
	{ ROLLOUT "      steps: [.nan]\n", 10, "services[0].rollout.steps[0]", "'.nan' is not understood; write a number" },
	{ ROLLOUT "      steps: [-5]\n", 10, "services[0].rollout.steps[0]", "'-5' is not understood; write a number" },
	{ ROLLOUT "      steps: [\"5\"]\n", 10, "services[0].rollout.steps[0]", "without quotes" },
	{ ROLLOUT "      steps: [0, 100]\n", 10, "services[0].rollout.steps[0]", "{ weight: 0, pause: manual }" },
	{ ROLLOUT "      steps: [50, 97, 100]\n", 10, "services[0].rollout.steps[1]", "97 is above 100 - holdback (95), the last step" },
	{ ROLLOUT "      steps: [{ weight: 5, pause: ever }]\n", 10, "services[0].rollout.steps[0].pause", "a duration like" },
	{ ROLLOUT "      steps: [{ weight: 5, pause: 1h }]\n", 10, "services[0].rollout.steps[0]",
	  "a pause of 1h is longer than maxStepTime (30m)" },
	{ ROLLOUT "      interval: 5 m\n", 10, "services[0].rollout.interval", "'5 m' is not understood; write a duration" },
	{ ROLLOUT "      interval: 10ms\n", 10, "services[0].rollout.interval", "must be from 100ms to 8760h" },
	{ ROLLOUT "      interval: 1m\n      maxStepTime: 30s\n", 11, "services[0].rollout.maxStepTime",
	  "30s is shorter than interval (1m)" },
	{ ROLLOUT "      minConnections: 0\n", 10, "services[0].rollout.minConnections", "must be from 1" },
	{ ROLLOUT "      minConnections: 12.5\n", 10, "services[0].rollout.minConnections", "write a whole number" },
	{ ROLLOUT "      holdback: 60\n", 10, "services[0].rollout.steps[4]", "50 is above 100 - holdback (40)" },
	{ ROLLOUT "      holdback: 100\n", 10, "services[0].rollout.holdback", "must be from 0 to 99.99 percent" },
	{ ROLLOUT "      alpha: 0\n", 10, "services[0].rollout.alpha", "must be from 0.000001 to 0.5" },
	{ ROLLOUT "      alpha: 1e-3\n", 10, "services[0].rollout.alpha", "'1e-3' is not understood; write a number below 1" },
	{ ROLLOUT "      reflex: { connectFailures: 70000 }\n", 10, "services[0].rollout.reflex.connectFailures", "to 1000" },
	{ ROLLOUT "      warmup: 60\n", 10, "services[0].rollout.warmup", "'60' is not understood" },
	{ ROLLOUT "      beta: 0.6\n", 10, "services[0].rollout.beta", "must be from 0.000001 to 0.5" },
	{ ROLLOUT "      maxRatio: 0.9\n", 10, "services[0].rollout.maxRatio", "must be from 1 to 1000" },
	{ ROLLOUT "      maxSlowdown: fast\n", 10, "services[0].rollout.maxSlowdown", "'fast' is not understood; write a number like 1.5" },
	{ ROLLOUT "      maxLoss: 101\n", 10, "services[0].rollout.maxLoss", "write a number from 0 to 100 with up to 2 decimals" },
	{ ROLLOUT "      maxLossPerHour: -1\n", 10, "services[0].rollout.maxLossPerHour", "write a whole number" },
	{ ROLLOUT "      stepWeight: 1\n", 10, "services[0].rollout.stepWeight", "1 makes more than 32 steps; write 3.13 or more" },
	{ ROLLOUT "      stepWeight: 60\n      maxWeight: 50\n", 10, "services[0].rollout.stepWeight", "60 is above maxWeight (50)" },
	{ ROLLOUT "      steps: [5, 100]\n      stepWeight: 10\n", 11, "services[0].rollout.stepWeight", "is given beside steps" },
	{ ROLLOUT "      maxWeight: 50\n", 10, "services[0].rollout.maxWeight", "write stepWeight too, or steps" },
	{ ROLLOUT "      freeze: [\"Fri 16:00-Mon 08:00\", \"Fri-Mon\"]\n", 10, "services[0].rollout.freeze[1]",
	  "'Fri-Mon' is not understood; write a time of the week like" },
	{ ROLLOUT "      freeze: [\"Sat 25:00-Mon 08:00\"]\n", 10, "services[0].rollout.freeze[0]", "write a time of the week" },

	/* gates */
	{ GATE "        - { max: 2 }\n", 11, "services[0].rollout.gates[0].signal", "is missing" },
	{ GATE "        - { signal: http_5xx, max: 2 }\n", 11, "services[0].rollout.gates[0].max",
	  "is not for http_5xx, which is compared with stable; leave it out" },
	{ GATE "        - { signal: reset, max: 0 }\n", 11, "services[0].rollout.gates[0].max", "must be from 0.01 to 99.99" },
	{ GATE "        - { signal: reset, max: 5s }\n", 11, "services[0].rollout.gates[0].max", "'5s' is not understood; write a number" },
	{ GATE "        - { signal: reset, max: 5, quantile: 0.5 }\n", 11, "services[0].rollout.gates[0].quantile",
	  "is for response_time only" },
	{ GATE "        - { signal: response_time, max: 1s }\n", 11, "services[0].rollout.gates[0].quantile", "is missing" },
	{ GATE "        - { signal: response_time, quantile: 1, max: 1s }\n", 11, "services[0].rollout.gates[0].quantile",
	  "must be from 0.000001 to 0.999999" },
	{ GATE "        - { signal: response_time, quantile: 0.5, max: 2m }\n", 11, "services[0].rollout.gates[0].max",
	  "must be from 0.01ms to 1m" },
	{ GATE "        - { signal: reset, max: 1 }\n        - { signal: reset, max: 2 }\n", 12, "services[0].rollout.gates[1]",
	  "reset has a gate already, on line 11" },
	{ GATE "        - { signal: response_time, quantile: 0.5, max: 1s }\n"
	  "        - { signal: response_time, quantile: 0.9, max: 1s }\n"
	  "        - { signal: response_time, quantile: 0.95, max: 1s }\n"
	  "        - { signal: response_time, quantile: 0.99, max: 1s }\n"
	  "        - { signal: response_time, quantile: 0.999, max: 1s }\n", 15, "services[0].rollout.gates[4]", "fifth gate" },
	{ GATE "        - { signal: reset, maxRatio: 0 }\n", 11, "services[0].rollout.gates[0].maxRatio", "must be from 1 to 1000" },
	{ GATE "        - { signal: reset, maxSlowdown: 2 }\n", 11, "services[0].rollout.gates[0].maxSlowdown", "for reset write maxRatio" },
	{ GATE "        - { signal: connect_time, maxRatio: 2 }\n", 11, "services[0].rollout.gates[0].maxRatio", "for connect_time write maxSlowdown" },
	{ GATE "        - { signal: response_time, quantile: 0.9 }\n", 11, "services[0].rollout.gates[0].quantile", "goes with max" },
	{ GATE "        - { signal: no_response, max: 2 }\n", 11, "services[0].rollout.gates[0].max", "is not for no_response" },
	{ GATE "        - { signal: reset, max: 2, maxRatio: 2 }\n", 11, "services[0].rollout.gates[0].maxRatio", "write two gates" },
	{ GATE "        - { signal: reset }\n        - { signal: reset, maxRatio: 2 }\n", 12, "services[0].rollout.gates[1]",
	  "reset is compared by a gate already" },
};

static void test_config_mistake_is_refused_with_line_and_key(void **state)
{
	char error[CONFIG_ERROR], start[256];
	int failed = 0;

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];
		struct model_config *c = NULL;
		int err = config_parse("perch.yaml", m->text, strlen(m->text), &c, error);

		snprintf(start, sizeof(start), "perch.yaml:%d: %s%s", m->line, m->key ?: "", m->key ? ": " : "");
		if (err == -EINVAL && !c && !strncmp(error, start, strlen(start)) && strstr(error, m->says) &&
		    !strchr(error, '\n') && strchr(error, ';'))
			continue;
		print_error("%zu: %d, expected \"%s\" and \"%s\", got \"%s\" for\n%s\n", i, err, start, m->says, error, m->text);
		config_free(c);
		failed++;
	}
	assert_int_equal(failed, 0);
	print_message("%zu mistakes, each refused\n", sizeof(mistakes) / sizeof(mistakes[0]));
}

/* Without its mistakes, what the table is built from is right. */
static void test_config_without_mistake_is_taken(void **state)
{
	static const char *const right[] = {
		"schema: 1\n", TOP, WEB, ROLLOUT "      steps: [5]\n", GATE "        - { signal: reset, max: 1 }\n",
		WEB SECOND("api", "192.0.2.11:80/tcp", "10.0.1.2"),
		ROLLOUT "      steps: [{ weight: 0, pause: manual }, 50, 97]\n",
		ROLLOUT "      steps: [97, 100]\n      watch: 0\n",
		ROLLOUT "      steps: [50, { weight: 100, pause: 2h }]\n",
		/* the same address for tcp and udp, a backend on a listener's other port */
		WEB SECOND("api", "192.0.2.10:80/udp", "192.0.2.10:81"),
		/* what has its own listener is not for the one of every port, whose excluded ports are free */
		EVERY SECOND("api", "192.0.2.10:80/tcp", "10.0.1.9"),
		EVERY SECOND("api", "192.0.2.10:0/udp", "10.0.1.9"),
		EVERY "    exclude: [8080]\n" SECOND("api", "192.0.2.11:80/tcp", "192.0.2.10:8080"),
		EVERY "    exclude: [80]\n" SECOND("api", "192.0.2.10:80/tcp", "10.0.1.9"),
		EVERY SECOND("api", "192.0.2.11:80/udp", "192.0.2.10:8080"),
		EVERY "    exclude: [80]\n" SECOND("api", "10.0.1.2:80/tcp", "10.0.1.9"),
		/* checks of a service that has TCP too, and rules by roles that none has yet */
		TOP "services:\n  - name: web\n    listen: [192.0.2.10:443/udp, 192.0.2.10:443/tcp]\n    healthCheck: {}\n"
		"    versions: [{ name: v1, role: stable, backends: [10.0.1.2] }]\n",
		WEB "    healthCheck: { type: none, interval: 5s }\n",
		RULE "{ source: 10.0.0.0/8, version: previous }, { source: 10.0.0.0/9, version: v2 },\n"
		"      { source: 0.0.0.0/0, version: baseline }, { source: \"2000::/3\", version: stable }]\n",
		"schema: 1\ninterfaces: [{ name: eth0 }, { name: eth*, foreign: replace }, { name: \"veth[0-9]\", foreign: tc }]\n",
		TOP "agent: { deadman: 0, pinTableSize: 1 }\ndefaults: {}\ninclude: []\n",
		/* both families in one service, or one of them by a door alone */
		BOTH STABLE_BOTH "      - { name: v2, backends: [\"[2001:db8:1::3]:8080\", 10.0.1.3] }\n",
		WEB "      - { name: v3, door: [\"[2001:db8::10]:81/tcp\"], backends: [\"[2001:db8:1::4]\", 10.0.1.4] }\n",
		/* no packet of IPv4 comes to the backend of IPv6: port 81 leads elsewhere */
		BOTH STABLE_BOTH "      - { name: v2, door: [192.0.2.10:81/tcp], backends: [10.0.1.3, \"[2001:db8::11]\"] }\n"
		SECOND("api", "[2001:db8::11]:81/tcp", "[2001:db8:1::2]"),
	};
	char error[CONFIG_ERROR];

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		struct model_config *c = NULL;

		if (config_parse("perch.yaml", right[i], strlen(right[i]), &c, error))
			fail_msg("%s", error);
		config_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_mistake_is_refused_with_line_and_key),
		cmocka_unit_test(test_config_without_mistake_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
