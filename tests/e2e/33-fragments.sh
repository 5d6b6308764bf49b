#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Datagrams larger than the MTU, to real servers and back, byte for byte; then
# with jumbo frames from end to end, where they fit again.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

CLIENTS=(10.1.1.{1..24})
CLIENTS6=(fd01::{1..24})
lab_up 2
lab_namesrv s1 echo 7000
lab_namesrv s2 echo2 7000
lab_nginx s1 v1 8080
service() {
	cat <<-END
		  - name: $1
		    listen: ["$2"]
		    fragments: $3
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: [$4] }
	END
}
{
	service udp "$VIP4:53/udp" true '"10.2.0.11:7000", "10.2.0.12:7000"'
	service udp6 "[$VIP6]:53/udp" true '"[fd02::11]:7000", "[fd02::12]:7000"'
	service whole "$VIP4:54/tcp" false '"10.2.0.12:7000"'
	service none 192.0.2.20:53/udp false '"10.2.0.12:7000"'
	service web "$VIP4:80/tcp" false '"10.2.0.11:8080"'
} | perch_config "$MODE"
start_perchd
head -c 20M /dev/urandom > "$LAB_DIR/sent"

# Of so many that both backends get some, whatever the secret.
# sizes LEAST LARGEST ADDRESS CLIENT...: with fragments, of each client.
sizes() {
	local least=$1 largest=$2 to=$3 client
	shift 3
	for client in "$@"; do
		expect in_ns c "$TOOLS/udpsizes" -s "$client" -l "$least" -m "$largest" -f 97 "$to" 53
	done
}

# Both backends have got some.
both_served() {
	local backend
	for backend in 0 1; do
		[ "$(field "$(perch -j service show "$1")" ".[0].versions[0].backends[$backend].packets")" -gt 100 ] || return
	done
}

test_datagrams_in_fragments_come_back_identical() {
	sizes 1 9000 "$VIP4" "${CLIENTS[@]}"
	sizes 65000 65507 "$VIP4" 10.1.1.1
	expect wait_for 3 both_served udp
	no_checksum_errors c lb s1 s2
}

test_datagrams_in_fragments_come_back_identical_over_ipv6() {
	sizes 1 9000 "$VIP6" "${CLIENTS6[@]}"
	sizes 65000 65487 "$VIP6" fd01::1
	expect wait_for 3 both_served udp6
	no_checksum_errors c lb s1 s2
}

test_the_programs_did_it() {
	local reasons
	reasons=$(perch -j reason show)
	expect [ "$(field "$reasons" '.[] | select(.name == "fragment") | .count')" = 0 ]
	expect [ "$(field "$reasons" '[.[] | select(.verdict == "drop") | .count] | add // 0')" = 0 ]
	expect [ "$(field "$reasons" '.[] | select(.name == "forwarded") | .count')" -gt 5000 ]
}

# Fragments of a service that takes none go where the host's routes lead.
test_fragments_pass_where_they_are_not_taken() {
	local before
	before=$(field "$(perch -j reason show)" '.[] | select(.name == "fragment") | .count')
	refused in_ns c "$TOOLS/udpsizes" -l 3000 -m 3000 -f 1 192.0.2.20 53
	expect [ "$(field "$(perch -j reason show)" '.[] | select(.name == "fragment") | .count')" -ge $((before + 3)) ]
}

mtu() {
	local i
	in_ns lb ip link set c mtu "$1"
	in_ns c ip link set eth0 mtu "$1"
	for i in 1 2; do
		in_ns lb ip link set "s$i" mtu "$1"
		in_ns "s$i" ip link set eth0 mtu "$1"
	done
}

# Without -f a datagram that does not fit is refused by the client's kernel.
test_jumbo_frames_are_steered_whole() {
	local before
	mtu 9000
	before=$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add // 0')
	wait_for 10 in_ns c "$TOOLS/udpsizes" -l 8972 -m 8972 "$VIP4" 53
	expect in_ns c "$TOOLS/udpsizes" -s 10.1.1.1 -l 8800 -m 8972 "$VIP4" 53
	expect in_ns c "$TOOLS/udpsizes" -s fd01::1 -l 8800 -m 8952 "$VIP6" 53
	upload_and_download "$VIP4"
	expect wait_for 3 through web 40000000
	no_checksum_errors c lb s1 s2
	expect [ "$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add // 0')" = "$before" ]
}

run test_datagrams_in_fragments_come_back_identical test_datagrams_in_fragments_come_back_identical_over_ipv6 \
	test_the_programs_did_it test_fragments_pass_where_they_are_not_taken test_jumbo_frames_are_steered_whole
finish
