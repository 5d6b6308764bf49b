#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Who owns what: services of files, services that were applied, a configuration
# that is applied and confirmed, or not.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
mkdir "$LAB_DIR/services.d"

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

config
start_perchd
perch weight set service web canary 30 >/dev/null

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

test_applied_service_serves_beside_the_files() {
	app 81 > "$LAB_DIR/app.yaml"
	expect perch service apply "$LAB_DIR/app.yaml" comment "first one"
	expect reaches 81 v1
	expect reaches 80 v1
	expect [ "$(shown '.services[] | select(.name == "app").owner')" = api ]
	expect [ "$(shown '.services[] | select(.name == "web").owner')" = file ]
	expect grep -q 'made by hand' <<< "$(shown '.services[] | select(.name == "app").text')"
	expect [ "$(field "$(last_event '.service == "app" and .to == "applied"')" .comment)" = "first one" ]
	# again the same is no change
	expect perch service apply "$LAB_DIR/app.yaml" comment again
	expect [ "$(field "$(last_event '.service == "app" and .to == "applied"')" .comment)" = "first one" ]
}

test_json_body_and_stdin_are_taken_too() {
	local json='{"name":"extra","listen":["'$VIP4':90/tcp"],"versions":[{"name":"v1","role":"stable","backends":["10.2.0.12:7000"]}]}'
	expect [ "$(status PUT /v1/services/extra -d "$json")" = 200 ]
	expect reaches 90 v2
	expect [ "$(status DELETE /v1/services/extra)" = 200 ]
	expect perch service apply - <<< "$json"
	expect reaches 90 v2
	expect perch service delete extra
	expect [ "$(status GET /v1/services/extra)" = 404 ]
}

test_services_of_files_are_changed_in_files_alone() {
	local line
	line=$(grep -n 'name: web' "$LAB_DIR/perch.yaml" | cut -d: -f1)
	sed 's/name: app/name: web/' "$LAB_DIR/app.yaml" > "$LAB_DIR/web.yaml"
	unchanged perch service apply "$LAB_DIR/web.yaml"
	says "'web' is written in $LAB_DIR/perch.yaml:$line; change it there"
	unchanged perch service delete web
	says "perch.yaml:$line"
	unchanged perch version add service web v3 backend 10.2.0.12:7001
	says "perch.yaml:$line"
	unchanged perch version delete service web v2
	says "perch.yaml:$line"
	expect [ "$(status PUT /v1/services/web --data-binary "@$LAB_DIR/web.yaml")" = 409 ]
	expect [ "$(status DELETE /v1/services/web)" = 409 ]
	expect [ "$(status DELETE /v1/services/web/versions/v2)" = 409 ]
	expect [ "$(status POST /v1/services/web/versions -d '{"name":"v3","backends":["10.2.0.12:7001"]}')" = 409 ]
}

test_mistakes_in_what_is_applied_change_nothing() {
	sed 's/affinity/afinity/' "$LAB_DIR/app.yaml" > "$LAB_DIR/bad.yaml"
	unchanged perch service apply "$LAB_DIR/bad.yaml"
	says "service app:4: afinity.*did you mean 'affinity'"
	expect [ "$(status PUT /v1/services/app --data-binary "@$LAB_DIR/bad.yaml")" = 400 ]
	# the file's listener
	app 80 > "$LAB_DIR/bad.yaml"
	unchanged perch service apply "$LAB_DIR/bad.yaml"
	says "service app:3: listen\[0\].*perch.yaml"
	# a new one without stable
	sed 's/name: app/name: new/; s/role: stable/role: canary/; s/:81/:82/' "$LAB_DIR/app.yaml" > "$LAB_DIR/bad.yaml"
	unchanged perch service apply "$LAB_DIR/bad.yaml"
	says 'service new:.*stable'
	# another name than the path
	expect [ "$(status PUT /v1/services/other --data-binary "@$LAB_DIR/app.yaml")" = 400 ]
	expect [ "$(status PUT /v1/services/other)" = 400 ]
	unchanged perch service apply "$LAB_DIR/perch.yaml"
	says 'perch.yaml:.*config apply'
	unchanged perch service apply "$LAB_DIR/nowhere.yaml"
	says 'nowhere.yaml.*No such file'
	expect [ "$(perch service apply >/dev/null 2>&1; echo $?)" = 2 ]
	expect [ "$(perch service delete >/dev/null 2>&1; echo $?)" = 2 ]
	unchanged perch service delete nobody
	says "no service 'nobody'"
}

test_versions_are_added_with_labels_and_taken_out() {
	local seen
	expect perch version add service app v2 backend 10.2.0.12:7000 10.2.0.12:7001 label commit=ef56 pipeline=18 comment new
	expect perch version show service app
	expect grep -q 'commit=ef56 pipeline=18' <<< "$(perch version show service app)"
	expect [ "$(version app v2 .role)" = canary ]
	expect [ "$(version app v2 '.backends | length')" = 2 ]
	expect [ "$(field "$(last_event '.kind == "version" and .reason == "v2"')" .labels.commit)" = ef56 ]
	unchanged perch version add service app v2 backend 10.2.0.12:7000
	says "version 'v2' is there already"
	unchanged perch version add service app v3 backend 10.2.0.300
	says 'service app:.*10.2.0.300'
	expect [ "$(perch version add service app v3 >/dev/null 2>&1; echo $?)" = 2 ]
	expect [ "$(perch version add service app v3 backend 10.0.0.1 label commit >/dev/null 2>&1; echo $?)" = 2 ]
	expect perch weight set service app v2 20
	expect [ "$(field "$(last_event '.kind == "weights"')" .labels.commit)" = ef56 ]
	unchanged perch version delete service app v2
	says 'perch weight set service app v2 0'
	unchanged perch version delete service app v1
	says 'is stable'
	unchanged perch version delete service app v9
	says "no version 'v9'"
	expect perch weight set service app v2 0
	expect perch version delete service app v2
	seen=$(version app v2 .role)
	expect [ "$seen" = retiring ] || [ -z "$seen" ]
}

test_labels_are_in_the_events_of_a_rollout() {
	expect perch weight set service web canary 0
	expect perch rollout start web
	expect perch rollback web
	perch -j event show limit 20 | jq -c '.[] | select(.service == "web") | [.kind, .labels]'
	expect [ "$(field "$(last_event '.kind == "rollback"')" .labels.commit)" = ab12 ]
	expect [ "$(field "$(last_event '.kind == "step"')" .labels.pipeline)" = 17 ]
	expect [ "$(field "$(last_event '.kind == "start"')" .labels)" = null ]
}

test_applied_service_survives_restarts_with_its_state() {
	expect perch version add service app v2 backend 10.2.0.12:7000
	expect perch weight set service app canary 40
	stop_perchd KILL
	start_perchd
	expect [ "$(version app v2 .weight)" = 40 ]
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 1000 "$VIP4" 81)" v2)" 330 470
	stop_perchd TERM
	# the maps are gone as after a reboot
	expect in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach
	expect refused reaches 81 v2
	start_perchd
	expect [ "$(version app v2 .weight)" = 40 ]
	expect reaches 81 v2
}

# A file that comes to name it: both places are said, nothing moves.
test_file_that_names_an_applied_service_is_refused() {
	local before error
	before=$(state)
	{ echo 'services:'; sed '1d; 2s/^/- /; 2!s/^/  /' "$LAB_DIR/app.yaml"; } > "$LAB_DIR/services.d/app.yaml"
	cat "$LAB_DIR/services.d/app.yaml"
	expect wait_for 5 loaded false
	error=$(shown .error)
	echo "$error"
	expect grep -q 'services.d/app.yaml:2' <<< "$error"
	expect grep -q 'service app' <<< "$error"
	expect [ "$(state)" = "$before" ]
	rm "$LAB_DIR/services.d/app.yaml"
	expect wait_for 5 loaded true
	expect [ "$(state)" = "$before" ]
}

loaded() {
	[ "$(shown .ok)" = "$1" ]
}

knows_service() {
	[ "$(status GET "/v1/services/$1")" = 200 ]
}

knows_no_service() {
	[ "$(status GET "/v1/services/$1")" = 404 ]
}

# included NAME PORT: services.d/NAME.yaml
included() {
	printf 'services:\n  - name: %s\n    listen: ["%s:%s/tcp"]\n    versions: [{ name: v1, role: stable, backends: ["10.2.0.12:7000"] }]\n' \
		"$1" "$VIP4" "$2"
}

test_included_files_are_watched_as_they_come_change_and_go() {
	included one 85 > "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 knows_service one
	expect reaches 85 v2
	included one 86 > "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 reaches 86 v2
	# a mistake in it, and its remedy
	included one 80 > "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 loaded false
	expect grep -q 'services.d/one.yaml:3' <<< "$(shown .error)"
	expect reaches 86 v2
	included one 86 > "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 loaded true
	rm "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 knows_no_service one
}

# ..data leads to a folder that is swapped by one rename.
test_swapped_link_of_a_configmap_is_seen() {
	local d=$LAB_DIR/services.d
	mkdir "$d/..1" "$d/..2"
	included one 85 > "$d/..1/one.yaml"
	included one 86 > "$d/..2/one.yaml"
	ln -s ..1 "$d/..data"
	ln -s ..data/one.yaml "$d/one.yaml"
	expect wait_for 5 reaches 85 v2
	ln -s ..2 "$d/..new"
	mv -T "$d/..new" "$d/..data"
	rm -r "$d/..1"
	expect wait_for 5 reaches 86 v2
	mkdir "$d/..3"
	included one 87 > "$d/..3/one.yaml"
	ln -s ..3 "$d/..new"
	mv -T "$d/..new" "$d/..data"
	expect wait_for 5 reaches 87 v2
	rm -r "$d"
	expect wait_for 5 knows_no_service one
	mkdir "$d"
	included two 88 > "$d/two.yaml"
	expect wait_for 5 knows_service two
	rm "$d/two.yaml"
	expect wait_for 5 knows_no_service two
}

# changed SED: perch.yaml with a change, to be applied
changed() {
	sed "$1" "$LAB_DIR/perch.yaml" > "$LAB_DIR/new.yaml"
}

test_diff_says_what_would_change() {
	local seen
	changed 's/10.2.0.12:7000/10.2.0.12:7001/; s/affinity: connection/affinity: client/'
	seen=$(perch -j config diff "$LAB_DIR/new.yaml")
	echo "$seen"
	expect [ "$(field "$seen" length)" = 2 ]
	expect [ "$(field "$seen" '.[] | select(.path == "services.web.affinity") | .from + " " + .to')" = "connection client" ]
	expect grep -q '^- services.web.affinity: connection' <<< "$(perch config diff "$LAB_DIR/new.yaml")"
	expect grep -q '^+ services.web.affinity: client' <<< "$(perch config diff "$LAB_DIR/new.yaml")"
	expect [ "$(perch -j config diff)" = '[]' ]
	expect [ -z "$(perch config diff)" ]
	unchanged perch config diff "$LAB_DIR/app.yaml"
	says 'perch.yaml:'
}

test_show_tells_what_is_in_force_and_where_it_is_from() {
	local seen
	seen=$(perch config show)
	echo "$seen"
	expect grep -q '^services.web.listen: .*192.0.2.10:80/tcp' <<< "$seen"
	expect grep -q '^services.app.listen: .*192.0.2.10:81/tcp' <<< "$seen"
	expect grep -q "^# service web: $LAB_DIR/perch.yaml:[0-9]*$" <<< "$seen"
	expect grep -q '^# service app: applied through the API$' <<< "$seen"
	seen=$(perch config show text)
	expect grep -q '^include: services.d/\*.yaml$' <<< "$seen"
}

inode() {
	stat -c %i "$LAB_DIR/perch.yaml"
}

# The file is another afterwards, whole, with the mode that it had.
test_applied_configuration_is_in_force_and_in_the_file() {
	chmod 640 "$LAB_DIR/perch.yaml"
	changed 's/affinity: connection/affinity: client/'
	expect perch config apply "$LAB_DIR/new.yaml" comment "by hash"
	expect cmp "$LAB_DIR/new.yaml" "$LAB_DIR/perch.yaml"
	expect [ "$(stat -c %a "$LAB_DIR/perch.yaml")" = 640 ]
	expect [ "$(field "$(perch -j service show web)" '.[0].affinity')" = client ]
	expect [ "$(shown .pending)" = null ]
	expect [ "$(field "$(last_event '.kind == "config"')" '.to + " " + .comment + " " + .actor.via')" = "applied by hash socket" ]
	changed 's/affinity: client/affinity: connection/'
	expect perch config apply - < "$LAB_DIR/new.yaml"
	expect [ "$(field "$(perch -j service show web)" '.[0].affinity')" = connection ]
	# written by perchd itself: no news for perchd
	sleep 0.5
	expect [ "$(field "$(last_event '.kind == "config"')" .to)" = applied ]
}

test_mistakes_in_an_applied_configuration_change_nothing() {
	changed 's/affinity: connection/affinity: clint/'
	unchanged perch config apply "$LAB_DIR/new.yaml"
	says 'perch.yaml:[0-9]*: services\[0\].affinity'
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/new.yaml")" = 400 ]
	changed '/name: v1,/d'
	unchanged perch config apply "$LAB_DIR/new.yaml" confirm 60s
	says 'is stable'
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/new.yaml")" = 409 ]
	expect [ "$(shown .pending)" = null ]
	changed 's/:80\/tcp/:81\/tcp/'
	unchanged perch config apply "$LAB_DIR/new.yaml"
	says 'service app'
	expect [ "$(status PUT "/v1/config?confirm=0s" --data-binary "@$LAB_DIR/perch.yaml")" = 400 ]
	expect [ "$(perch config apply "$LAB_DIR/perch.yaml" confirm soon >/dev/null 2>&1; echo $?)" = 2 ]
	unchanged perch config confirm
	says 'nothing waits'
	expect [ "$(status POST /v1/config/confirm)" = 409 ]
	expect [ "$(find "$LAB_DIR" -maxdepth 1 -name '.perch.yaml*' | wc -l)" = 0 ]
}

# A large text is taken here, and nowhere else.
test_body_limit_is_raised_for_configurations_alone() {
	{ cat "$LAB_DIR/perch.yaml"; head -c 3000000 /dev/zero | tr '\0' '#'; } > "$LAB_DIR/new.yaml"
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/new.yaml")" = 200 ]
	expect [ "$(stat -c %s "$LAB_DIR/perch.yaml")" -gt 3000000 ]
	expect [ "$(status PUT /v1/services/web/weights --data-binary "@$LAB_DIR/new.yaml")" = 413 ]
	{ cat "$LAB_DIR/new.yaml"; head -c 2000000 /dev/zero | tr '\0' '#'; } > "$LAB_DIR/newer.yaml"
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/newer.yaml")" = 413 ]
	changed 's/##*$//'
	expect perch config apply "$LAB_DIR/new.yaml"
}

established() {
	[ "$(field "$(perch -j service show "$1")" '.[0].established')" = "$2" ]
}

test_defaults_of_the_file_hold_for_applied_services_too() {
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	expect established app drain
	{ cat "$LAB_DIR/perch.yaml"; echo 'defaults: { rollback: { established: sever } }'; } > "$LAB_DIR/new.yaml"
	expect perch config apply "$LAB_DIR/new.yaml"
	expect established app sever
	expect established web sever
	expect perch config apply "$LAB_DIR/before.yaml"
	expect established app drain
}

test_files_that_do_not_load_are_named_to_who_applies_a_service() {
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	sed -i 's/affinity: connection/affinity: clint/' "$LAB_DIR/perch.yaml"
	expect wait_for 5 loaded false
	unchanged perch version add service app v7 backend 10.2.0.12:7000
	says 'perch.yaml:[0-9]*: .*clint.*; mend the files first'
	cp "$LAB_DIR/before.yaml" "$LAB_DIR/perch.yaml"
	expect wait_for 5 loaded true
}

test_link_and_read_only_file_are_refused_with_the_remedy() {
	mv "$LAB_DIR/perch.yaml" "$LAB_DIR/elsewhere.yaml"
	ln -s elsewhere.yaml "$LAB_DIR/perch.yaml"
	cp "$LAB_DIR/elsewhere.yaml" "$LAB_DIR/new.yaml"
	unchanged perch config apply "$LAB_DIR/new.yaml"
	says 'symbolic link.*change it where it comes from'
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/new.yaml")" = 409 ]
	mv "$LAB_DIR/elsewhere.yaml" "$LAB_DIR/perch.yaml"
	expect wait_for 5 loaded true
}

is_affinity() {
	[ "$(field "$(perch -j service show web)" '.[0].affinity')" = "$1" ]
}

# apply_client SECONDS: what is to be confirmed
apply_client() {
	changed 's/affinity: connection/affinity: client/'
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	expect perch config apply "$LAB_DIR/new.yaml" confirm "$1" comment trial
	expect is_affinity client
}

reverted() {
	is_affinity connection && cmp -s "$LAB_DIR/before.yaml" "$LAB_DIR/perch.yaml"
}

# Weights are state: they stay as they are whatever becomes of the file.
test_unconfirmed_configuration_is_taken_back() {
	local event
	apply_client 2s
	expect [ "$(shown .pending.user)" = root ]
	expect grep -q 'not confirmed' <<< "$(perch status)"
	expect perch weight set service app canary 25
	expect wait_for 5 reverted
	event=$(last_event '.kind == "config"')
	echo "$event"
	expect [ "$(field "$event" '.to + " " + .comment + " " + .actor.user')" = "reverted trial root" ]
	expect grep -q 'not confirmed within 2 s' <<< "$event"
	expect [ "$(version app v2 .weight)" = 25 ]
	expect [ "$(shown .pending)" = null ]
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
	sleep 0.5
	expect [ "$(field "$(last_event '.kind == "config"')" .to)" = reverted ]
}

test_confirmed_configuration_stays() {
	apply_client 2s
	expect perch config confirm comment good
	expect [ "$(field "$(last_event '.kind == "config"')" '.to + " " + .comment')" = "confirmed good" ]
	stop_perchd KILL
	sleep 2
	start_perchd
	expect is_affinity client
	expect perch config apply "$LAB_DIR/before.yaml"
}

# One after the other, the second in time: back to what was confirmed last.
test_second_trial_goes_back_to_what_was_before_the_first() {
	apply_client 30s
	sed 's/commit: ab12/commit: ab13/' "$LAB_DIR/new.yaml" > "$LAB_DIR/newer.yaml"
	expect perch config apply "$LAB_DIR/newer.yaml" confirm 1s
	expect [ "$(version web v2 .labels.commit)" = ab13 ]
	expect wait_for 5 reverted
	expect [ "$(version web v2 .labels.commit)" = ab12 ]
}

test_killed_agent_takes_it_back_at_its_start_when_overdue() {
	apply_client 2s
	stop_perchd KILL
	sleep 2
	expect cmp "$LAB_DIR/new.yaml" "$LAB_DIR/perch.yaml"
	start_perchd
	expect reverted
	expect [ "$(field "$(last_event '.kind == "config"')" .to)" = reverted ]
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
}

test_killed_agent_goes_on_waiting_after_its_start() {
	apply_client 8s
	stop_perchd KILL
	start_perchd
	expect is_affinity client
	expect [ "$(shown .pending.user)" = root ]
	expect wait_for 15 reverted
	apply_client 60s
	stop_perchd TERM
	start_perchd
	expect perch config confirm
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
	expect perch config apply "$LAB_DIR/before.yaml"
}

test_hand_that_writes_the_file_meanwhile_is_not_undone() {
	apply_client 2s
	sed 's/commit: ab12/commit: ab14/' "$LAB_DIR/new.yaml" > "$LAB_DIR/perch.yaml"
	expect wait_for 2 has_commit ab14
	sleep 2
	expect has_commit ab14
	expect is_affinity client
	expect [ "$(field "$(last_event '.kind == "config"')" .to)" = superseded ]
	cp "$LAB_DIR/before.yaml" "$LAB_DIR/perch.yaml"
	expect wait_for 5 is_affinity connection
}

has_commit() {
	[ "$(version web v2 .labels.commit)" = "$1" ]
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

# Neither half of a configuration: the old one, or the new one that waits.
test_killed_inside_config_apply_it_is_the_old_or_the_new() {
	local window
	changed 's/affinity: connection/affinity: client/'
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	for window in kept unwritten; do
		killed_at "config/$window" perch config apply "$LAB_DIR/new.yaml" confirm 60s
		expect reverted
		expect [ "$(field "$(last_event '.kind == "config"')" .to)" = lost ]
		expect [ "$(shown .pending)" = null ]
		expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
	done
	expect [ ! -e "$LAB_DIR/.perch.yaml.new" ]
	killed_at config/written perch config apply "$LAB_DIR/new.yaml" confirm 60s
	expect is_affinity client
	expect cmp "$LAB_DIR/new.yaml" "$LAB_DIR/perch.yaml"
	expect [ "$(shown .pending.user)" = root ]
	expect perch config apply "$LAB_DIR/before.yaml"
	killed_at revert/written perch config apply "$LAB_DIR/new.yaml" confirm 1s
	expect reverted
	expect [ "$(shown .pending)" = null ]
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
}

test_killed_while_a_service_is_applied_or_deleted_it_is_one_or_none() {
	sed 's/commit: cd34/commit: cd35/' "$LAB_DIR/app.yaml" > "$LAB_DIR/app35.yaml"
	killed_at service/stored perch service apply "$LAB_DIR/app35.yaml"
	expect [ "$(version app v1 .labels.commit)" = cd35 ]
	expect reaches 81 v1
	killed_at service/forgotten perch service delete app
	expect knows_no_service app
	expect refused reaches 81 v1
	expect perch service apply "$LAB_DIR/app.yaml"
}

alarm() {
	perch -j status | jq -e --arg kind "$1" '.alarms[] | select(.kind == $kind)'
}

no_alarm() {
	! alarm "$1"
}

# The kernel still steers it, and says what it can.
test_applied_service_outlives_the_state_directory() {
	sed 's/affinity: connection/affinity: connection\nrollback: { established: sever }/' "$LAB_DIR/app.yaml" > "$LAB_DIR/app2.yaml"
	expect perch weight set service app canary 0
	expect perch service apply "$LAB_DIR/app2.yaml"
	expect perch version add service app v2 backend 10.2.0.12:7000 label commit=ef56
	expect perch weight set service app canary 30
	stop_perchd KILL
	rm -r "$LAB_DIR/state"
	start_perchd
	expect [ "$(field "$(alarm applied)" .service)" = app ]
	expect [ "$(version app v2 .weight)" = 30 ]
	expect [ "$(field "$(perch -j service show app)" '.[0] | .affinity + " " + .established')" = "connection sever" ]
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 1000 "$VIP4" 81)" v2)" 230 370
	expect [ "$(shown '.services[] | select(.name == "app").owner')" = api ]
	stop_perchd KILL
	start_perchd
	expect [ "$(version app v2 .weight)" = 30 ]
	sed '$a\  - { name: v2, backends: ["10.2.0.12:7000"], labels: { commit: ef56 } }' "$LAB_DIR/app2.yaml" > "$LAB_DIR/app3.yaml"
	expect perch service apply "$LAB_DIR/app3.yaml"
	expect [ "$(version app v2 .labels.commit)" = ef56 ]
	expect no_alarm applied
}

# Not gone, but out of reach at the start: the text counts again when it is back.
test_applied_text_is_taken_back_from_a_store_that_returns() {
	stop_perchd KILL
	mv "$LAB_DIR/state" "$LAB_DIR/away"
	touch "$LAB_DIR/state"
	start_perchd
	expect alarm applied
	expect reaches 81 v1
	expect [ "$(version app v2 .labels.commit)" = null ]
	sed 's/:81/:83/; s/name: app/name: more/' "$LAB_DIR/app.yaml" > "$LAB_DIR/more.yaml"
	unchanged perch service apply "$LAB_DIR/more.yaml"
	says 'nothing was changed'
	rm "$LAB_DIR/state"
	mv "$LAB_DIR/away" "$LAB_DIR/state"
	expect wait_for 10 no_alarm applied
	expect [ "$(version app v2 .labels.commit)" = ef56 ]
	expect [ "$(version app v2 .weight)" = 30 ]
	expect grep -q 'made by hand' <<< "$(shown '.services[] | select(.name == "app").text')"
}

test_delete_is_refused_in_a_rollout_unless_forced() {
	app 81 '  - { name: v5, role: canary, backends: ["10.2.0.12:7000"] }
rollout: { steps: [50, 100], interval: 10m }' > "$LAB_DIR/app5.yaml"
	expect perch service apply "$LAB_DIR/app5.yaml"
	expect perch rollout start app
	unchanged perch service delete app
	says 'rollout of .v5. is under way; .*abort app'
	unchanged perch service apply "$LAB_DIR/app.yaml"
	says 'perch rollout abort app'
	expect perch service delete app force comment "not needed"
	expect knows_no_service app
	expect refused reaches 81 v1
	expect [ "$(field "$(last_event '.service == "app" and .kind == "service"')" .comment)" = "not needed" ]
	# gone for good, and a name that comes back begins anew
	stop_perchd KILL
	start_perchd
	expect knows_no_service app
	sed 's/v1,/v9,/' "$LAB_DIR/app.yaml" > "$LAB_DIR/app9.yaml"
	expect perch service apply "$LAB_DIR/app9.yaml"
	expect [ "$(version app v9 .role)" = stable ]
}

test_delete_with_drain_lets_connections_end() {
	start_long leave -n 100 -i 50 -s 10.1.1.0 -m 100 "$VIP4" 81
	expect wait_for 10 long_ready
	expect perch service delete app drain 20s
	expect [ "$(field "$(perch -j service show app)" '.[0].phase')" = Leaving ]
	expect refused reaches 81 v1
	unchanged perch service delete app
	says 'leaving already'
	sleep 0.5
	expect [ "$(field "$(long_state)" '.open')" = 100 ]
	lab_kill TERM "$LONG"
	expect wait_for 10 knows_no_service app
}

run test_applied_service_serves_beside_the_files test_json_body_and_stdin_are_taken_too \
	test_services_of_files_are_changed_in_files_alone test_mistakes_in_what_is_applied_change_nothing \
	test_versions_are_added_with_labels_and_taken_out test_labels_are_in_the_events_of_a_rollout \
	test_applied_service_survives_restarts_with_its_state test_file_that_names_an_applied_service_is_refused \
	test_included_files_are_watched_as_they_come_change_and_go test_swapped_link_of_a_configmap_is_seen \
	test_diff_says_what_would_change test_show_tells_what_is_in_force_and_where_it_is_from \
	test_applied_configuration_is_in_force_and_in_the_file test_mistakes_in_an_applied_configuration_change_nothing \
	test_body_limit_is_raised_for_configurations_alone \
	test_defaults_of_the_file_hold_for_applied_services_too \
	test_files_that_do_not_load_are_named_to_who_applies_a_service test_link_and_read_only_file_are_refused_with_the_remedy \
	test_unconfirmed_configuration_is_taken_back test_confirmed_configuration_stays \
	test_second_trial_goes_back_to_what_was_before_the_first \
	test_killed_agent_takes_it_back_at_its_start_when_overdue test_killed_agent_goes_on_waiting_after_its_start \
	test_hand_that_writes_the_file_meanwhile_is_not_undone test_applied_service_outlives_the_state_directory \
	test_applied_text_is_taken_back_from_a_store_that_returns \
	test_killed_inside_config_apply_it_is_the_old_or_the_new \
	test_killed_while_a_service_is_applied_or_deleted_it_is_one_or_none test_delete_is_refused_in_a_rollout_unless_forced \
	test_delete_with_drain_lets_connections_end
finish
