# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# make, make demo, make test, make fuzz, make vm-test, make bench.  O=DIR builds elsewhere,
# SAN=1 with ASan and UBSan, W= without warnings as errors.

O ?= build
PREFIX ?= /usr
DESTDIR ?=
CLANG ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
W ?= -Werror
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
WARN = -Wall -Wextra -Wno-unused-parameter $(W)
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -fno-strict-aliasing $(CFLAGS) $(WARN) -Iinclude -I$(O) -DPERCH_VERSION='"$(VERSION)"' -MMD -MP $(SAN_FLAGS)
ifdef SAN
# the checks that are put in lead gcc to see reads beyond an end where none is
SAN_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -Wno-stringop-overread
endif
BPF_CFLAGS = -O2 -g -target bpf -mcpu=v3 -fno-strict-aliasing $(WARN) -Iinclude -Ibpf -I/usr/include/$(MULTIARCH) -MMD -MP

CONFIG_SRC := $(wildcard user/config/*.c)
CORE_SRC := $(wildcard user/core/*.c user/core/*/*.c)
DATAPATH_SRC := $(wildcard user/datapath/*.c)
AGENT_SRC := $(wildcard user/agent/*.c user/agent/*/*.c)
CLI_SRC := $(wildcard user/cli/*.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
PROG_SRC := $(wildcard tests/prog/test_*.c)
BENCH_SRC := $(wildcard tests/bench/bench_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
TOOL_SRC := $(wildcard tests/e2e/tools/*.c)
TEST_BPF := $(wildcard tests/*/*.bpf.c)

obj = $(patsubst %.c,$(O)/%.o,$(1))
CORE := $(O)/libcore.a
DATAPATH := $(O)/libdatapath.a
CONFIG := $(O)/libconfig.a
AGENT := $(O)/libagent.a
CLI := $(O)/libcli.a
CLI_LINK ?= -static-pie
DATAPATH_LIBS = -lbpf -lelf -lz -lmnl
AGENT_LIBS = -luv -lyaml -ljansson -lmicrohttpd -lcurl -lcrypto -lsqlite3
UNITS := $(patsubst %.c,$(O)/%,$(UNIT_SRC))
PROGS := $(patsubst %.c,$(O)/%,$(PROG_SRC))
BENCHES := $(patsubst %.c,$(O)/%,$(BENCH_SRC))
FUZZ := $(O)/tests/fuzz/fuzz
TOOLS := $(patsubst %.c,$(O)/%,$(TOOL_SRC))
TEST_SKELETONS := $(patsubst %.bpf.c,$(O)/%.skel.h,$(TEST_BPF))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all everything deps demo test vm-test lint fuzz bench install clean

all: deps
	@$(MAKE) --no-print-directory $(O)/perch $(O)/perchd

everything: $(O)/perch $(O)/perchd $(UNITS) $(PROGS) $(BENCHES) $(FUZZ) $(TOOLS) $(TEST_SKELETONS)

deps:
	@scripts/install-deps build

demo: all
	@scripts/install-deps test
	@$(MAKE) --no-print-directory $(TOOLS)
	@BUILD=$(O) scripts/demo

test:
	@scripts/install-deps build test bench
	@$(MAKE) --no-print-directory everything
	@BUILD=$(O) scripts/test

vm-test:
	@scripts/install-deps build test vm
	@$(MAKE) --no-print-directory everything
	@BUILD=$(O) scripts/vm-test

lint:
	@scripts/install-deps build lint
	@BUILD=$(O) scripts/lint

# Ten million inputs, and bugs that have to be found: FUZZ_INPUTS, FUZZ_SEED.
fuzz:
	@scripts/install-deps build test
	@$(MAKE) --no-print-directory $(FUZZ)
	@BUILD=$(O) scripts/fuzz

bench:
	@scripts/install-deps build test bench
	@$(MAKE) --no-print-directory everything
	@BUILD=$(O) scripts/bench

# The configuration is the administrator's; an example is beside it.
install: all
	install -D -m 755 $(O)/perchd $(DESTDIR)$(PREFIX)/sbin/perchd
	install -D -m 755 $(O)/perch $(DESTDIR)$(PREFIX)/bin/perch
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 docs/man/perch.yaml.5
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/perch.8 docs/man/perchd.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/bash-completion/completions deploy/completion/perch
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/perch/examples deploy/perch.yaml
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/perch/examples deploy/prometheus/perch.rules.yaml
	install -D -m 644 deploy/grafana/perch.json $(DESTDIR)$(PREFIX)/share/doc/perch/examples/grafana.json
	install -D -m 644 deploy/systemd/perch.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/perch.conf
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/sbin/perchd|$(PREFIX)/sbin/perchd|' deploy/systemd/perchd.service > \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/perchd.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/perchd.service
	install -d -m 750 $(DESTDIR)/etc/perch $(DESTDIR)/etc/perch/services.d
	@# what is there is the operator's
	[ -e $(DESTDIR)/etc/perch/perch.yaml ] || install -m 640 deploy/start.yaml $(DESTDIR)/etc/perch/perch.yaml

clean:
	rm -rf $(O)

$(O)/perchd: $(O)/user/agent/main.o $(AGENT) $(CONFIG) $(DATAPATH) $(CORE)
	$(CC) $(CFLAGS) $(SAN_FLAGS) -o $@ $^ $(DATAPATH_LIBS) $(AGENT_LIBS) -lm -lpthread

# Without a loader and libraries to find, perch is where a rollback begins in
# half the time; sanitizers can't have it so, nor can a distribution without
# static libraries: CLI_LINK= there.
$(O)/perch: $(O)/user/cli/main.o $(CLI) $(CONFIG) $(DATAPATH) $(CORE)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(if $(SAN),,$(CLI_LINK)) -o $@ $^ -lbpf -lelf -lz -lyaml -ljansson -lm

$(CORE): $(call obj,$(CORE_SRC))
$(DATAPATH): $(call obj,$(DATAPATH_SRC))
$(CONFIG): $(call obj,$(CONFIG_SRC))
$(AGENT): $(call obj,$(filter-out user/agent/main.c,$(AGENT_SRC)))
$(CLI): $(call obj,$(filter-out user/cli/main.c,$(CLI_SRC)))
$(O)/%.a:
	@rm -f $@
	$(AR) rcs $@ $^

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(O)/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(O)/%.skel.h: $(O)/%.bpf.o
	{ echo '/* NOLINTBEGIN: generated */' && $(BPFTOOL) gen skeleton $< name $(subst -,_,$(notdir $*))_bpf && echo '/* NOLINTEND */'; } > $@

# perch.bpf.o becomes perch.skel.h at the top of the build folder.
$(O)/perch.skel.h: $(O)/bpf/perch.bpf.o
	{ echo '/* NOLINTBEGIN: generated */' && $(BPFTOOL) gen skeleton $< name perch_bpf && echo '/* NOLINTEND */'; } > $@

$(call obj,$(DATAPATH_SRC)) $(call obj,$(PROG_SRC)) $(call obj,$(BENCH_SRC)): | $(O)/perch.skel.h
$(call obj,$(PROG_SRC)) $(call obj,$(BENCH_SRC)) $(call obj,$(TOOL_SRC)) $(call obj,$(filter-out %.bpf.c,$(wildcard tests/prog/*.c tests/bench/*.c))): | $(TEST_SKELETONS)

TEST_LIB := $(call obj,$(filter-out $(PROG_SRC) %.bpf.c,$(wildcard tests/prog/*.c)))
BENCH_LIB := $(call obj,$(filter-out $(BENCH_SRC) %.bpf.c,$(wildcard tests/bench/*.c)))
$(UNITS) : $(O)/tests/unit/%: $(O)/tests/unit/%.o $(AGENT) $(CLI) $(CONFIG) $(DATAPATH) $(CORE)
	$(CC) $(CFLAGS) $(SAN_FLAGS) -o $@ $^ $(DATAPATH_LIBS) $(AGENT_LIBS) -lcmocka -lm -lpthread
$(PROGS) : $(O)/tests/prog/%: $(O)/tests/prog/%.o $(TEST_LIB) $(DATAPATH) $(CORE)
	$(CC) $(CFLAGS) $(SAN_FLAGS) -o $@ $^ $(DATAPATH_LIBS) -lcmocka -lm -lpthread
$(BENCHES) : $(O)/tests/bench/%: $(O)/tests/bench/%.o $(BENCH_LIB) $(TEST_LIB) $(DATAPATH) $(CORE)
	$(CC) $(CFLAGS) $(SAN_FLAGS) -o $@ $^ $(DATAPATH_LIBS) -lcmocka -lm -lpthread
$(FUZZ): $(call obj,$(FUZZ_SRC)) $(TEST_LIB) $(DATAPATH) $(CORE)
	$(CC) $(CFLAGS) $(SAN_FLAGS) -o $@ $^ $(DATAPATH_LIBS) -lcmocka -lm -lpthread
$(TOOLS) : $(O)/tests/e2e/tools/%: $(O)/tests/e2e/tools/%.o
	$(CC) $(CFLAGS) $(SAN_FLAGS) -o $@ $^ -lbpf -lsqlite3 -lpthread

# not in the root file system of virtual machines
# A bug of tests/fuzz/bugs in a copy of the programs, and the fuzzer with it.
$(O)/bugs/%/fuzz: tests/fuzz/bugs/%.sed $(FUZZ) $(wildcard bpf/*)
	@rm -rf $(@D) && mkdir -p $(@D) && cp -r bpf $(@D)
	sed -i -f $< $(@D)/$$(sed -n 's/^# \(bpf[^:]*\):.*/\1/p' $<)
	@! diff -rq bpf $(@D)/bpf > /dev/null || { echo "$<: nothing to change"; exit 1; }
	$(CLANG) $(BPF_CFLAGS) -c -o $(@D)/perch.bpf.o $(@D)/bpf/perch.bpf.c
	$(BPFTOOL) gen skeleton $(@D)/perch.bpf.o name perch_bpf > $(@D)/perch.skel.h
	$(CC) $(subst -I$(O),-I$(@D),$(ALL_CFLAGS)) -c -o $(@D)/load.o user/datapath/load.c
	$(CC) $(subst -I$(O),-I$(@D),$(ALL_CFLAGS)) -c -o $(@D)/datapath.o user/datapath/datapath.c
	$(CC) $(CFLAGS) $(SAN_FLAGS) -o $@ $(@D)/load.o $(@D)/datapath.o $(call obj,$(FUZZ_SRC)) $(TEST_LIB) $(DATAPATH) $(CORE) $(DATAPATH_LIBS) -lcmocka -lm -lpthread

-include $(shell find $(O) -path $(O)/vm -prune -o -name '*.d' -print 2>/dev/null)
