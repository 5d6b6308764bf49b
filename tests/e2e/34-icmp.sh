#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# ICMP errors about a service's connections find their way: path-MTU discovery
# through smaller links on both sides and through the balancer's own, hop counts
# that run out, routers that know no way.  Firewalls that drop what conntrack
# does not know stand on every router, so that a quote which is not turned
# right goes nowhere.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=paths.sh
. "$(dirname "$0")/paths.sh"

# far (client) -- c (router) -- lb -- s1 (router) -- app (backend)
lab_up 1
# join ROUTER NS NET: a host there, behind a firewall.
join() {
	behind "$@"
	in_ns "$1" nft -f - <<-END
		table inet filter {
			counter invalid {}
			chain forward {
				type filter hook forward priority 0; policy accept;
				ct state invalid counter name invalid drop
			}
		}
	END
}
join c far 4
join s1 app 3
lab_route lb 10.4.0.0/24 via 10.0.0.2 dev c onlink
lab_route lb fd04::/64 via fd00::2 dev c onlink
lab_route lb 10.3.0.0/24 via 10.2.0.11 dev s1 onlink
lab_route lb fd03::/64 via fd02::11 dev s1 onlink
lab_nginx app v1 8080
lab_namesrv app echo 7000
ECHO=$SPAWNED
service() {
	cat <<-END
		  - name: $1
		    listen: ["$2"]
		    versions:
		      - { name: v1, role: stable, backends: ["$3"] }
	END
}
{
	service web "$VIP4:80/tcp" 10.3.0.2:8080
	service web6 "[$VIP6]:80/tcp" "[fd03::2]:8080"
	service udp "$VIP4:7000/udp" 10.3.0.2
	service udp6 "[$VIP6]:7000/udp" "[fd03::2]"
} | perch_config "$MODE"
start_perchd
head -c 10M /dev/urandom > "$LAB_DIR/sent"

forget_all() {
	forget far app c s1
}

# small_links MTU: of the routers' links to their ends.
small_links() {
	forget_all
	small_link c far 4 "$1"
	small_link s1 app 3 "$1"
}

# found ADDRESS CLIENT MTU: both ends learn it.  A client that knows offers
# segments which fit: it forgets before it asks for some.
found() {
	upload "$1"
	expect [ "$(mtu_of far "${1//[][]/}")" = "$3" ]
	forget_all
	download "$1"
	expect [ "$(mtu_of app "$2")" = "$3" ]
}

# reason NAME: its count over all hooks.
reason() {
	field "$(perch -j reason show)" "[.[] | select(.name == \"$1\") | .count] | add // 0"
}

# grows NAME COUNT: the agent tells the count once a second.
grows() {
	[ "$(reason "$1")" -gt "$2" ]
}

test_a_smaller_link_on_either_side_is_found_over_ipv4() {
	small_links 1300
	found "$VIP4" 10.4.0.2 1300
	expect wait_for 5 grows icmp 0
}

test_a_smaller_link_on_either_side_is_found_over_ipv6() {
	small_links 1300
	found "[$VIP6]" fd04::2 1300
}

# The first datagram of 1273 bytes is lost, the next is refused by its sender.
test_a_datagram_that_must_not_be_fragmented_is_refused() {
	small_links 1300
	in_ns far "$TOOLS/udpsizes" "$VIP4" 7000 > "$LAB_DIR/sizes" 2>&1
	cat "$LAB_DIR/sizes"
	expect grep -q 'send of 1274 bytes: Message too long' "$LAB_DIR/sizes"
}

# The balancer says so itself.
test_the_balancers_own_link_is_found() {
	local had
	had=$(reason too_big_told)
	small_links 1500
	own_link s1 1400
	upload "$VIP4"
	expect [ "$(mtu_of far "$VIP4")" = 1400 ]
	upload "[$VIP6]"
	expect [ "$(mtu_of far "$VIP6")" = 1400 ]
	own_link s1 1500
	forget_all
	own_link c 1400
	download "$VIP4"
	expect [ "$(mtu_of app 10.4.0.2)" = 1400 ]
	download "[$VIP6]"
	expect [ "$(mtu_of app fd04::2)" = 1400 ]
	own_link c 1500
	expect wait_for 5 grows too_big_told "$((had + 3))"
}

# What is quoted has a checksum that a device is yet to fill in, and here one
# does: the error's own sum has to hold after that.
test_a_quoted_sum_may_be_filled_in_later() {
	small_links 1500
	own_link s1 1400
	in_ns lb ethtool -K c tx off > /dev/null
	upload "$VIP4"
	expect [ "$(mtu_of far "$VIP4")" = 1400 ]
	upload "[$VIP6]"
	expect [ "$(mtu_of far "$VIP6")" = 1400 ]
	no_checksum_errors far c lb s1 app
	[ "$MODE" = xdp ] || in_ns lb ethtool -K c tx on > /dev/null
	own_link s1 1500
}

# Its sender allows it to be taken apart: the balancer's stack does.
test_what_may_be_fragmented_is() {
	small_links 1500
	in_ns app nft -f - <<-END
		table inet filter {
			counter whole {}
			chain input {
				type filter hook input priority 0; policy accept;
				# what is in parts is put together before
				udp dport 7000 udp length 1458 counter name whole
			}
		}
	END
	own_link s1 1400
	in_ns far sysctl -qw net.ipv4.ip_no_pmtu_disc=1
	in_ns far bash -c "head -c 1450 /dev/zero > /dev/udp/$VIP4/7000"
	expect wait_for 5 arrived whole
	in_ns far sysctl -qw net.ipv4.ip_no_pmtu_disc=0
	own_link s1 1500
}

arrived() {
	[ "$(nft_counter app "$1")" = 1 ]
}

# connect_fails URL: curl says why within seconds; the kernel's own end of it
# would come after more than two minutes.
connect_fails() {
	in_ns far curl -gvsS -m 30 -o /dev/null "$1" > "$LAB_DIR/said" 2>&1
	local code=$?
	cat "$LAB_DIR/said"
	[ "$code" = 7 ] || echo "curl's exit code is $code"
	[ "$code" = 7 ]
}

# Only a quote with the listener's address and port finds the client's socket.
test_hops_that_run_out_are_told() {
	local ttl
	small_links 1500
	# at the balancer, and at the router behind it
	for ttl in 2 3; do
		in_ns far sysctl -qw net.ipv4.ip_default_ttl="$ttl" \
			net.ipv6.conf.all.hop_limit="$ttl" net.ipv6.conf.eth0.hop_limit="$ttl"
		expect connect_fails "http://$VIP4/"
		expect grep -q 'No route to host' "$LAB_DIR/said"
		expect connect_fails "http://[$VIP6]/"
		expect grep -q 'No route to host' "$LAB_DIR/said"
	done
	in_ns far sysctl -qw net.ipv4.ip_default_ttl=64 net.ipv6.conf.all.hop_limit=64 net.ipv6.conf.eth0.hop_limit=64
}

test_a_router_that_knows_no_way_fails_the_connect() {
	local before
	before=$(version web v1 .connectFailures)
	in_ns s1 ip route replace unreachable 10.3.0.2
	in_ns s1 ip -6 route replace unreachable fd03::2 metric 1
	expect connect_fails "http://$VIP4/"
	expect connect_fails "http://[$VIP6]/"
	expect wait_for 5 failed_since "$before"
	in_ns s1 ip route del unreachable 10.3.0.2
	in_ns s1 ip -6 route del unreachable fd03::2 metric 1
	expect in_ns far curl -gsSf -m 20 -o /dev/null "http://$VIP4/"
}

failed_since() {
	[ "$(version web v1 .connectFailures)" -gt "$1" ]
}

# Nobody listens there: the backend's own word, from the listener's address.
test_a_closed_port_is_told_as_the_listeners() {
	lab_kill TERM "$ECHO"
	in_ns far bash -c "exec 3<>/dev/udp/$VIP4/7000; echo one >&3; sleep 0.5; echo two >&3" > "$LAB_DIR/said" 2>&1
	cat "$LAB_DIR/said"
	expect grep -q 'Connection refused' "$LAB_DIR/said"
}

test_nobody_saw_an_error_that_fits_nothing() {
	expect [ "$(nft_counter c invalid)" = 0 ]
	expect [ "$(nft_counter s1 invalid)" = 0 ]
	expect [ "$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add // 0')" = 0 ]
}

run test_a_smaller_link_on_either_side_is_found_over_ipv4 test_a_smaller_link_on_either_side_is_found_over_ipv6 \
	test_a_datagram_that_must_not_be_fragmented_is_refused test_the_balancers_own_link_is_found \
	test_a_quoted_sum_may_be_filled_in_later test_what_may_be_fragmented_is test_hops_that_run_out_are_told \
	test_a_router_that_knows_no_way_fails_the_connect test_a_closed_port_is_told_as_the_listeners \
	test_nobody_saw_an_error_that_fits_nothing
finish
