# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What 20-ownership and 29-confirm share: a lab with a service of a file, one to
# be applied, and what a refusal must leave alone.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# web OPTION...: the file's own service
web() {
	cat <<-END
		  - name: web
		    listen: ["$VIP4:80/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"], labels: { commit: ab12, pipeline: "17" } }
		    rollout: { steps: [50, 100], interval: 10m, watch: 0s }
	END
}

# app PORT [VERSIONS]: one to be applied
app() {
	cat <<-END
		# made by hand
		name: app
		listen: ["$VIP4:$1/tcp"]
		affinity: connection
		versions:
		  - { name: v1, role: stable, backends: ["10.2.0.11:7000"], labels: { commit: cd34 } }
		${2:-}
	END
}

config() {
	web | perch_config "$MODE"
	printf 'include: services.d/*.yaml\n' >> "$LAB_DIR/perch.yaml"
}

state() {
	perch -j service show | jq -c '.[] | {name, listen, affinity, phase, epoch,
		versions: [.versions[] | {name, role, weight, labels, backends: [.backends[] | {address, state, weight}]}]}'
}

shown() {
	field "$(perch -j config show)" "$1"
}

# unchanged CMD...: CMD is refused and has changed nothing.
unchanged() {
	local before files
	before=$(state)
	files=$(cat "$LAB_DIR/perch.yaml")
	expect refused "$@" 2> "$LAB_DIR/refusal"
	cat "$LAB_DIR/refusal"
	expect [ "$(state)" = "$before" ]
	expect [ "$(cat "$LAB_DIR/perch.yaml")" = "$files" ]
}

# says PATTERN: the last refusal does.
says() {
	expect grep -qE -- "$1" "$LAB_DIR/refusal"
}

# status METHOD PATH [CURL...]: of the HTTP answer
status() {
	local method=$1 path=$2
	shift 2
	in_ns lb curl -s -o /dev/null -w '%{http_code}' -m 5 -X "$method" "$@" --unix-socket "$LAB_DIR/perch.sock" "http://perch$path"
}

reaches() {
	[ "$(count "$(short -w 500 -n 100 -j 100 -s 10.1.1.0 -m 100 "$VIP4" "$1")" "$2")" -gt 0 ]
}

last_event() {
	perch -j event show limit 50 | jq -c "[.[] | select($1)] | last"
}

loaded() {
	[ "$(shown .ok)" = "$1" ]
}

knows_no_service() {
	[ "$(status GET "/v1/services/$1")" = 404 ]
}

knows_service() {
	[ "$(status GET "/v1/services/$1")" = 200 ]
}

established() {
	[ "$(field "$(perch -j service show "$1")" '.[0].established')" = "$2" ]
}

# changed SED: perch.yaml with a change, to be applied
changed() {
	sed "$1" "$LAB_DIR/perch.yaml" > "$LAB_DIR/new.yaml"
}

# killed_at WINDOW CMD...: perchd sends itself SIGKILL there, in the midst of CMD,
# and another one starts.
killed_at() {
	local window=$1
	shift
	stop_perchd KILL
	PERCH_FAULT=$window start_perchd
	"$@" > "$LAB_DIR/refusal" 2>&1
	expect wait_for 10 is_gone "$PERCHD"
	wait "$PERCHD" 2>/dev/null
	start_perchd
}

is_affinity() {
	[ "$(field "$(perch -j service show web)" '.[0].affinity')" = "$1" ]
}

reverted() {
	is_affinity connection && cmp -s "$LAB_DIR/before.yaml" "$LAB_DIR/perch.yaml"
}

# owner_up: the lab, with perchd and the file's service at 30 percent.
owner_up() {
	lab_up 2
	lab_namesrv s1 v1 7000
	lab_namesrv s2 v2 7000
	mkdir "$LAB_DIR/services.d"
	config
	app 81 > "$LAB_DIR/app.yaml"
	start_perchd
	perch weight set service web canary 30 >/dev/null
}
