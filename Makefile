# Strongroom: one Makefile, no configure. `make help` lists the targets.
#
# Objects go to build/$(VARIANT)/; each folder of the house becomes one static library, and a unit
# test links only its own folder's library and those beneath it.

VARIANT ?= release
BUILD   ?= build
PREFIX  ?= /usr/local
CC      := $(if $(filter fuzz,$(VARIANT)),clang,$(if $(filter default,$(origin CC)),gcc,$(CC)))
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
OUT     := $(BUILD)/$(VARIANT)
GEN     := $(BUILD)/gen
VERSION := 0.1.0

# ---- the house: folders, and what each may use (scripts/lint/layers.sh checks the includes) -----

MODULES := base config jose http attest admin audit store builtins api pkcs11 policy
DIR_pkcs11 := pkcs11
DIR_policy := policy
folder = $(or $(DIR_$(1)),broker/$(1))

DEPS_base   :=
DEPS_policy :=
DEPS_jose   := base
DEPS_http   := base
DEPS_audit  := base
DEPS_pkcs11 := base
DEPS_store  := pkcs11 base
DEPS_admin  := jose base
DEPS_attest := jose policy base
DEPS_config := base
DEPS_builtins := jose policy base
DEPS_api    := builtins store attest admin audit jose pkcs11 policy base
DEPS_cmd    := api builtins config http store attest admin audit jose pkcs11 policy base

# ---- flags --------------------------------------------------------------------------------------

PKGS := libmicrohttpd gnutls libcjson p11-kit-1 libcrypto libfyaml libpcre2-8 libcurl libpq libprotobuf-c libseccomp
ifeq ($(shell pkg-config --exists libsystemd && echo yes),yes)
PKGS += libsystemd
DEFINES += -DHAVE_SYSTEMD
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS))
PKG_LIBS   := $(shell pkg-config --libs $(PKGS))

# The heap: with glibc's a release and a handshake cost a tenth more, and more yet with thousands of keys in
# SoftHSM. The sanitizers bring heaps of their own.
HEAP_release := -ljemalloc

cc-option = $(shell echo 'int main(void){return 0;}' | $(CC) -Werror $(1) -x c - -o /dev/null 2>/dev/null && echo $(1))

WARN := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wvla -Wstrict-prototypes \
        -Wmissing-prototypes -Wno-unused-parameter \
        $(call cc-option,-Wnull-dereference) $(call cc-option,-Wlogical-op)
ifeq ($(WERROR),1)
WARN += -Werror
endif
HARDEN := -fstack-protector-strong $(call cc-option,-fstack-clash-protection) \
          $(call cc-option,-fcf-protection) $(call cc-option,-ftrivial-auto-var-init=zero)
DEFINES += -D_GNU_SOURCE -DSTRONGROOM_VERSION='"$(VERSION)"'

CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=3 $(HARDEN)
CFLAGS_asan    := -O1 -g -DSTRONGROOM_TEST -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -DSTRONGROOM_TEST -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz    := -O1 -g -DSTRONGROOM_TEST -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan    := -fsanitize=address,undefined
LDFLAGS_tsan    := -fsanitize=thread
LDFLAGS_fuzz    := -fsanitize=address,undefined

ALL_CFLAGS  = -std=gnu11 $(if $(filter release,$(VARIANT)),-fPIE) $(CFLAGS_$(VARIANT)) $(WARN) \
              $(DEFINES) -I. -I"$(GEN)" $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(LDFLAGS_$(VARIANT)) $(LDFLAGS)
LIBS        = $(HEAP_$(VARIANT)) $(PKG_LIBS) -lpthread -ldl

# ---- rules --------------------------------------------------------------------------------------

.PHONY: all
all: $(OUT)/strongroom ## build the program (VARIANT=release|asan|tsan)

define module_rules
SRC_$(1) := $$(wildcard $$(call folder,$(1))/*.c)
OBJ_$(1) := $$(SRC_$(1):%.c=$$(OUT)/%.o) $$(patsubst %.proto,$$(OUT)/%.pb-c.o,$$(wildcard $$(call folder,$(1))/*.proto))
$$(OUT)/lib$(1).a: $$(OBJ_$(1))
	$$(Q)rm -f "$$@" && ar rcs "$$@" $$^
endef
$(foreach m,$(MODULES),$(eval $(call module_rules,$(m))))
libs = $(foreach m,$(1),$(OUT)/lib$(m).a)

SRC_cmd := $(wildcard broker/cmd/*.c)
OBJ_cmd := $(SRC_cmd:%.c=$(OUT)/%.o)
# Without main, for tests of single commands' parts.
$(OUT)/libcmd.a: $(filter-out $(OUT)/broker/cmd/main.o,$(OBJ_cmd))
	$(Q)rm -f "$@" && ar rcs "$@" $^

# Messages of services that we ask. Their code is generated, below build/ only, and not ours to warn of.
PROTO := $(wildcard broker/*/*.proto)
PROTO_H := $(PROTO:%.proto=$(GEN)/%.pb-c.h)
.SECONDARY: $(PROTO_H) $(PROTO_H:.h=.c)
$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h: %.proto
	@mkdir -p "$(GEN)"
	$(Q)protoc-c --c_out="$(GEN)" "$<"
$(OUT)/%.pb-c.o: $(GEN)/%.pb-c.c
	@mkdir -p "$(@D)"
	$(Q)$(CC) $(ALL_CFLAGS) -w -MMD -MP -c -o "$@" "$<"

$(OUT)/%.o: %.c | $(PROTO_H)
	@mkdir -p "$(@D)"
	$(if $(Q),@echo "  CC    $<")
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o "$@" "$<"

# The document lies in the program (.incbin), which -MMD does not see.
$(OUT)/broker/api/openapi.o: broker/api/openapi.json

$(OUT)/strongroom: $(OBJ_cmd) $(call libs,$(DEPS_cmd))
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o "$@" $(OBJ_cmd) $(call libs,$(DEPS_cmd)) $(LIBS)

# Unit tests: tests/unit/<folder>/test_<file>.c links its folder and what is beneath it.
UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(OUT)/%)
LIB_TEST_SRC := $(wildcard tests/lib/*.c)
LIB_TEST_OBJ := $(LIB_TEST_SRC:%.c=$(OUT)/%.o)
$(OUT)/libtest.a: $(LIB_TEST_OBJ)
	$(Q)rm -f "$@" && ar rcs "$@" $^

.SECONDEXPANSION:
module_of = $(notdir $(patsubst %/,%,$(dir $(1))))
$(UNIT_BIN): $(OUT)/%: $(OUT)/%.o $(OUT)/libtest.a \
             $$(call libs,$$(call module_of,$$*) $$(DEPS_$$(call module_of,$$*)))
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o "$@" $(filter %.o %.a,$^) $(LIBS) -lcmocka

# The fault module: a PKCS#11 module that forwards to a real token and fails where it is told to.
FAULT_SO  := $(OUT)/tests/fault/p11fault.so
FAULT_SRC := $(wildcard tests/fault/*.c)
$(FAULT_SO): $(FAULT_SRC) $(wildcard tests/fault/*.h)
	@mkdir -p "$(@D)"
	$(if $(Q),@echo "  CC    $@")
	$(Q)$(CC) -std=gnu11 -O1 -g -fPIC -fvisibility=hidden -shared $(WARN) $(DEFINES) -I. $(PKG_CFLAGS) -o "$@" $(FAULT_SRC) -ldl -lpthread

# Fuzz targets: tests/fuzz/fuzz_<name>.c, each names the functions it feeds in its first line.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(OUT)/%)
$(FUZZ_BIN): $(OUT)/%: $(OUT)/%.o $(call libs,cmd $(DEPS_cmd))
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o "$@" "$<" $(call libs,cmd $(DEPS_cmd)) $(LIBS)

# Benchmarks: tests/bench/bench_<name>.c with the load generator and the broker put together.
BENCH_SRC := $(wildcard tests/bench/bench_*.c)
BENCH_BIN := $(BENCH_SRC:%.c=$(OUT)/%)
BENCH_OBJ := $(patsubst %,$(OUT)/tests/bench/%.o,load open_load generator guests parts policy_texts) $(patsubst %,$(OUT)/broker/cmd/%.o,broker guest client)
$(BENCH_BIN): $(OUT)/%: $(OUT)/%.o $(BENCH_OBJ) $(OUT)/libtest.a $(call libs,$(DEPS_cmd))
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o "$@" "$<" $(BENCH_OBJ) $(OUT)/libtest.a $(call libs,$(DEPS_cmd)) $(LIBS)

-include $(shell find "$(OUT)" -name '*.d' 2>/dev/null | sed 's/ /\\ /g')

# ---- checks -------------------------------------------------------------------------------------

.PHONY: check check-unit check-codes check-tsan check-integration check-interop check-rego check-conformance lint fuzz fuzz-smoke bench bench-regorus check-differential
check: ## everything that CI runs: lint, unit (asan+ubsan, tsan), integration, conformance, fuzz smoke
	$(Q)$(MAKE) --no-print-directory lint
	$(Q)$(MAKE) --no-print-directory check-unit
	$(Q)$(MAKE) --no-print-directory check-tsan
	$(Q)$(MAKE) --no-print-directory check-integration
	$(Q)$(MAKE) --no-print-directory check-interop
	$(Q)$(MAKE) --no-print-directory check-rego
	$(Q)$(MAKE) --no-print-directory check-conformance
	$(Q)$(MAKE) --no-print-directory fuzz-smoke

check-unit: ## unit tests with AddressSanitizer and UBSan (UNIT=jose/test_jwe runs one)
	$(Q)$(MAKE) --no-print-directory VARIANT=asan run-unit
	$(Q)$(if $(UNIT),,$(MAKE) --no-print-directory VARIANT=asan run-directory)

# The store's tests once more, with its envelopes in a directory.
.PHONY: run-directory
run-directory: $(foreach t,list purge read restore rewrap write,$(OUT)/tests/unit/store/test_$(t))
	$(Q)STRONGROOM_TEST_DIRECTORY=1 tests/lib/run-unit.sh "$(OUT)" $^

check-codes: ## every CK_RV of PKCS#11 3.0 at every call that is made of a token (check-unit: one of each reaction)
	$(Q)STRONGROOM_ALL_CODES=1 $(MAKE) --no-print-directory VARIANT=asan run-codes

.PHONY: run-codes
RV_BIN = $(foreach t,opening recovery reading writing keks pairs,$(OUT)/tests/unit/pkcs11/test_rv_$(t))
run-codes: $(RV_BIN) $(FAULT_SO)
	$(Q)tests/lib/run-unit.sh "$(OUT)" $(RV_BIN)

check-tsan: ## unit tests that start threads, with ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory VARIANT=tsan TSAN_ONLY=1 run-unit

.PHONY: run-unit
UNIT_WANTED = $(if $(UNIT),$(OUT)/tests/unit/$(UNIT),$(if $(TSAN_ONLY),$(shell grep -l 'pthread_create' $(UNIT_SRC) | sed 's|\(.*\)\.c|$(OUT)/\1|'),$(UNIT_BIN)))
run-unit: $(UNIT_WANTED) $(if $(wildcard tests/fault/p11fault.c),$(FAULT_SO))
	$(Q)tests/lib/run-unit.sh "$(OUT)" $(UNIT_WANTED)

check-integration: ## the built program on a real SoftHSM token (STORY=test_x.py runs one)
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/release/tests/bench/bench_guests $(if $(wildcard tests/fault/p11fault.c),$(BUILD)/release/tests/fault/p11fault.so)
	$(Q)$(MAKE) --no-print-directory VARIANT=asan all
	$(Q)tests/integration/run "$(BUILD)" $(STORY)

# Debian's Python has the packages; another one first in PATH may not.
PYTHON ?= /usr/bin/python3
JOSE_DRIVER := $(OUT)/tests/interop/jose_driver
$(JOSE_DRIVER): $(OUT)/tests/interop/jose_driver.o $(call libs,jose base)
	$(Q)$(CC) $(ALL_LDFLAGS) -o "$@" $(filter %.o %.a,$^) $(LIBS)

# What takes too long for every change.
.PHONY: kill linear soak
kill: all $(FAULT_SO) ## kill -9 at every step of all that changes a token, then KILLS=1000 at random
	$(Q)STRONGROOM_VARIANT=release STRONGROOM_KILL_ALL=1 STRONGROOM_KILLS=$(or $(KILLS),1000) tests/integration/run "$(BUILD)" test_kill.py test_linear.py

linear: all ## readers and writers for SECONDS=60, and whether one order explains what they saw
	$(Q)STRONGROOM_VARIANT=release STRONGROOM_LINEAR_SECONDS=$(or $(SECONDS),60) tests/integration/run "$(BUILD)" test_linear.py

soak: all $(FAULT_SO) ## a token that fails every second for SECONDS=1800 (SEED=1, ISOLATION=in-process|helper); every answer is checked
	$(Q)$(PYTHON) tests/soak/soak.py "$(BUILD)" $(or $(SECONDS),1800) $(or $(SEED),1) $(or $(ISOLATION),in-process)

check-interop: $(JOSE_DRIVER) ## JOSE both ways against jwcrypto
	$(Q)$(PYTHON) tests/interop/jose.py "$(JOSE_DRIVER)"

REGO_RUN := $(OUT)/tests/rego/run
$(REGO_RUN): $(patsubst %,$(OUT)/tests/rego/%.o,run trial) $(call libs,builtins $(DEPS_builtins))
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o "$@" $(filter %.o %.a,$^) $(LIBS)

# Our engine driven like the reference's, for benchmarks and comparisons of answers.
REGO_BESIDE := $(OUT)/tests/rego/beside
$(REGO_BESIDE): $(OUT)/tests/rego/beside.o $(call libs,builtins $(DEPS_builtins))
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o "$@" $(filter %.o %.a,$^) $(LIBS)

bench-regorus: $(REGO_BESIDE) ## our policy engine beside the reference's, where a cargo is found
	$(Q)tests/bench/beside.py "$(OUT)"

check-differential: $(REGO_BESIDE) ## COUNT=10000 generated policies (SEED=1) through our engine, one by definition, and the reference's
	$(Q)tests/rego/differential/definition.py "$(OUT)" $(or $(COUNT),10000) $(or $(SEED),1)
	$(Q)tests/rego/differential/run.py "$(OUT)" $(or $(COUNT),10000) $(or $(SEED),1) $(or $(ISOLATION),in-process)

CASES ?= $(wildcard ../shared/rego-conformance)
check-rego: $(REGO_RUN) $(REGO_BESIDE) ## Rego: own conformance cases and those of CASES=DIR (default ../shared/rego-conformance, when there)
	$(Q)tests/rego/differential/definition.py "$(OUT)" 500
	$(Q)tests/rego/check.sh "$(REGO_RUN)" $(if $(CASES),"$(CASES)")

check-conformance: all ## the black-box KBS client suite, when ../shared/conformance is there (HTTPS=1: over TLS)
	$(Q)tests/interop/conformance $(if $(HTTPS),--https) "$(BUILD)/release/strongroom"

lint: ## layers, headers that compile alone, forbidden calls, sizes, shellcheck
	$(Q)scripts/lint/all.sh --self-test
	$(Q)scripts/lint/all.sh

fuzz-smoke: ## every fuzz target for some seconds
	$(Q)$(MAKE) --no-print-directory VARIANT=fuzz run-fuzz SECONDS_EACH=$(or $(SECONDS_EACH),6)

fuzz: ## every fuzz target for ten minutes (SECONDS_EACH=n changes that)
	$(Q)$(MAKE) --no-print-directory VARIANT=fuzz run-fuzz SECONDS_EACH=$(or $(SECONDS_EACH),600)

.PHONY: run-fuzz
run-fuzz: $(FUZZ_BIN)
	$(Q)$(PYTHON) tests/fuzz/seeds.py "$(BUILD)/fuzz-seeds" tests/rego/cases $(if $(CASES),"$(CASES)")
	$(Q)tests/fuzz/run.sh "$(OUT)" $(SECONDS_EACH) $(FUZZ_BIN)

bench: all $(BENCH_BIN) $(REGO_BESIDE) $(FAULT_SO) ## policies, handshakes, the wall, slow tokens, overload, many resources, releases: rates, parts and floors (BENCH=policy, =handshake, =wall, =pace, =overload, =scale or =release: only that)
	$(Q)$(if $(filter-out policy,$(BENCH)),,"$(OUT)/tests/bench/bench_policy" tests/vectors/kbs)
	$(Q)$(if $(BENCH),,tests/bench/beside.py "$(OUT)")
	$(Q)$(if $(filter-out handshake,$(BENCH)),,tests/bench/run "$(OUT)" handshake $(SECONDS_EACH))
	$(Q)$(if $(filter-out wall,$(BENCH)),,tests/bench/run "$(OUT)" wall $(or $(SECONDS_EACH),2))
	$(Q)$(if $(filter-out pace,$(BENCH)),,tests/bench/run "$(OUT)" pace $(or $(SECONDS_EACH),3))
	$(Q)$(if $(filter-out overload,$(BENCH)),,tests/bench/run "$(OUT)" overload $(or $(SECONDS_EACH),3))
	$(Q)$(if $(filter-out scale,$(BENCH)),,$(PYTHON) tests/bench/scale.py "$(BUILD)" $(or $(SECONDS_EACH),2))
	$(Q)$(if $(filter-out release,$(BENCH)),,tests/bench/run "$(OUT)" release $(or $(SECONDS_EACH),2) $(RESOURCES))

# ---- install ------------------------------------------------------------------------------------

.PHONY: man install uninstall clean help
man: $(BUILD)/man/strongroom.yaml.5 ## manual pages, made from the key table
$(BUILD)/man/strongroom.yaml.5: $(OUT)/strongroom scripts/share/man.sh
	@mkdir -p "$(@D)"
	$(Q)scripts/share/man.sh "$(OUT)/strongroom" > "$@"

install: all man ## install into $(DESTDIR)$(PREFIX)
	install -d "$(DESTDIR)$(PREFIX)/sbin" "$(DESTDIR)$(PREFIX)/share/man/man5" \
	    "$(DESTDIR)$(PREFIX)/share/strongroom" "$(DESTDIR)$(PREFIX)/lib/systemd/system"
	install -m 755 "$(OUT)/strongroom" "$(DESTDIR)$(PREFIX)/sbin/strongroom"
	install -m 644 "$(BUILD)/man/strongroom.yaml.5" "$(DESTDIR)$(PREFIX)/share/man/man5/"
	install -m 644 scripts/share/strongroom.yaml scripts/share/policy.rego \
	    scripts/share/default_cpu.rego scripts/share/default_gpu.rego broker/api/openapi.json "$(DESTDIR)$(PREFIX)/share/strongroom/"
	sed 's|@PREFIX@|$(PREFIX)|g' scripts/share/strongroom.service > "$(DESTDIR)$(PREFIX)/lib/systemd/system/strongroom.service"

uninstall: ## remove what install put there
	rm -f "$(DESTDIR)$(PREFIX)/sbin/strongroom" "$(DESTDIR)$(PREFIX)/share/man/man5/strongroom.yaml.5" \
	    "$(DESTDIR)$(PREFIX)/lib/systemd/system/strongroom.service"
	rm -rf "$(DESTDIR)$(PREFIX)/share/strongroom"

clean: ## remove build/
	rm -rf "$(BUILD)"

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 22
