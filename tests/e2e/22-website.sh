#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# A web site is one service: 80 and 443 over TCP and 443 over UDP, IPv4 and
# IPv6, with real nginx and TLS behind it.  One weight splits all six listeners,
# one rollback moves them, and the door leads to the canary all the while.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

N=400
ROUND=0
DOOR4=192.0.2.11
DOOR6=2001:db8::11
lab_up 2

# One key for both versions, so that a client can't tell them apart by it.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=www.example.net \
	-addext "subjectAltName=IP:$VIP4,IP:$VIP6,IP:$DOOR4,IP:$DOOR6" -keyout "$LAB_DIR/key.pem" \
	-out "$LAB_DIR/cert.pem" 2> "$LAB_DIR/openssl.err" || die "openssl: $(cat "$LAB_DIR/openssl.err")"

# site NS VERSION: nginx with TLS, and what answers over UDP
site() {
	local dir=$LAB_DIR/site-$2
	mkdir -p "$dir/body"
	cat > "$dir/nginx.conf" <<-END
		user root;
		worker_processes 1;
		worker_rlimit_nofile 16384;
		daemon off;
		pid $dir/pid;
		error_log $dir/error.log;
		events { worker_connections 8192; }
		http {
			access_log off;
			$(lab_nginx_paths "$dir")
			ssl_certificate $LAB_DIR/cert.pem;
			ssl_certificate_key $LAB_DIR/key.pem;
			server {
				listen 80 backlog=8192;
				listen [::]:80 backlog=8192;
				listen 443 ssl backlog=8192;
				listen [::]:443 ssl backlog=8192;
				default_type text/plain;
				location / { return 200 "$2\n"; }
			}
		}
	END
	lab_spawn "$1" "$dir/log" nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log"
	wait_for 10 in_ns "$1" curl -skf -o /dev/null https://127.0.0.1/ ||
		die "nginx $2 does not answer: $(cat "$dir/log.err" "$dir/error.log")"
	lab_spawn "$1" "$LAB_DIR/namesrv-$2" "$TOOLS/namesrv" -u "$2" 443
	wait_for 10 in_ns "$1" grep -qi ":01BB " /proc/net/udp || die "namesrv $2: $(cat "$LAB_DIR/namesrv-$2.err")"
}
site s1 v1
site s2 v2
perch_config "$MODE" <<-END
	  - name: www
	    listen: ["$VIP4:80/tcp", "$VIP4:443/tcp", "$VIP4:443/udp",
	             "[$VIP6]:80/tcp", "[$VIP6]:443/tcp", "[$VIP6]:443/udp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11", "[fd02::11]"] }
	      - name: v2
	        role: canary
	        door: ["$DOOR4:80/tcp", "$DOOR4:443/tcp", "$DOOR4:443/udp", "[$DOOR6]:443/tcp", "[$DOOR6]:443/udp"]
	        backends: ["10.2.0.12", "[fd02::12]"]
	    rollback: { established: keep }
END
start_perchd

# pages URL: N connections of their own, what each was answered
pages() {
	in_ns c curl -sS --fail --cacert "$LAB_DIR/cert.pem" -H 'Connection: close' --no-keepalive -m 60 \
		"$1?[1-$N]"
}

# datagrams ADDRESS: likewise, from clients that have not been there before:
# over UDP the same address and port is the same flow for a while
datagrams() {
	local source=10.1.$((ROUND * 2)).0
	[[ $1 != *:* ]] || source=fd01::$ROUND:1
	# shellcheck disable=SC2016 # jq's
	field "$(short -u -n "$N" -j 32 -w 1000 -s "$source" -m "$N" "$1" 443)" '.names | to_entries[] | range(.value.count) as $i | .key'
}

# canaries LIST: how many of them; fails unless all N are one of the two
canaries() {
	[ "$(grep -cxE 'v1|v2' <<< "$1")" = "$N" ] || return 1
	grep -cx v2 <<< "$1"
}

LISTENERS=("http://$VIP4/" "https://$VIP4/" "udp $VIP4" "http://[$VIP6]/" "https://[$VIP6]/" "udp $VIP6")
DOORS=("http://$DOOR4/" "https://$DOOR4/" "udp $DOOR4" "https://[$DOOR6]/" "udp $DOOR6")

# ask LISTENER...: new connections to each; the canary's number must be within
# LEAST and MOST
ask() {
	local least=$1 most=$2 listener answers n
	shift 2
	ROUND=$((ROUND + 1))
	for listener in "$@"; do
		if [[ $listener = udp* ]]; then
			answers=$(datagrams "${listener#udp }")
		else
			answers=$(pages "$listener")
		fi
		n=$(canaries "$answers")
		echo "$listener: ${n:-not all} of $N"
		expect within "${n:--1}" "$least" "$most"
	done
}

test_before_the_release_every_listener_is_stable() {
	ask 0 0 "${LISTENERS[@]}"
}

test_door_shows_the_canary_first() {
	ask "$N" "$N" "${DOORS[@]}"
}

# 4 standard deviations of 400 tries at 30 % are 37
test_one_weight_splits_every_listener() {
	expect perch weight set service www canary 30
	ask $((N * 30 / 100 - 37)) $((N * 30 / 100 + 37)) "${LISTENERS[@]}"
	expect perch weight set service www canary 100
	ask "$N" "$N" "${LISTENERS[@]}"
}

# Connections that are open keep their version over all of it, TLS and all:
# each asks again over the same connection.
test_rollback_moves_every_listener_at_once() {
	local fifo=$LAB_DIR/requests url pids=() i=0
	for url in "https://$VIP4/" "https://[$VIP6]/" "http://$VIP4/"; do
		# two requests on one connection, 4 s apart
		in_ns c curl -sSg --fail --cacert "$LAB_DIR/cert.pem" --rate 15/m \
			-w '%{num_connects}\n' "$url" "$url" > "$fifo-$i" 2>&1 &
		pids+=($!)
		i=$((i + 1))
	done
	sleep 1
	expect perch rollback www
	ask 0 0 "${LISTENERS[@]}"
	ask "$N" "$N" "${DOORS[@]}"
	for ((i = 0; i < ${#pids[@]}; i++)); do
		wait "${pids[i]}"
		expect [ "$(tr '\n' ' ' < "$fifo-$i")" = "v2 1 v2 0 " ]
	done
}

test_after_a_restart_it_is_still_back() {
	stop_perchd KILL
	start_perchd
	ask 0 0 "${LISTENERS[@]}"
}

run test_before_the_release_every_listener_is_stable test_door_shows_the_canary_first \
	test_one_weight_splits_every_listener test_rollback_moves_every_listener_at_once \
	test_after_a_restart_it_is_still_back
finish
