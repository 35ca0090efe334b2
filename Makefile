# A thin layer over meson and ninja. `make demo` and `make check` need nothing installed before but make and
# a Debian 12 (or newer) system; they install what is missing from the distribution when run as root.

BUILD ?= build
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
# The distribution's tools first: QEMU's headers and meson must be configured by the python they were packaged for.
export PATH := /usr/sbin:/usr/bin:/sbin:/bin:$(PATH)

HOST_SIDE := host/mediator/mediator_phase3 host/executor/cuda-executor softgpu/driver/libsoftgpu.so.1 \
	host/worker/vgpu-relay host/worker/vgpu-worker host/jobs/vgpu-jobs host/jobs/vgpu-job-runner host/admin/vgpu-admin
# Where Xen's libraries are.
XEN_SIDE := host/xen/vgpu-xen host/xen/vgpu-xen-grants host/xen/vgpu-xen-jobs
GUEST_LIBRARIES := guest/libcuda/libcuda.so.1 guest/libnvml/libnvidia-ml.so.1
GUEST_TOOLS := guest/jobs/vgpu-run
# For programs that send jobs.
JOBS_LIBRARY := guest/jobs/libvgpujob.so.1
HOST_PAGES := $(addprefix packaging/man/,mediator_phase3.8 vgpu-admin.8 vgpu-worker.8 vgpu-jobs.8)
XEN_PAGES := $(addprefix packaging/man/,vgpu-xen.8 vgpu-xen-grants.8 vgpu-xen-jobs.8)
GUEST_PAGES := packaging/man/vgpu-run.1
MAN = $(DESTDIR)$(PREFIX)/share/man
# What an operator copies or imports, and compares his settings with.
SHARE = $(DESTDIR)$(PREFIX)/share/vgpu-cuda
UNITS = $(DESTDIR)/etc/systemd/system
# One that is masked stays so: an empty file, or a link to /dev/null (systemd.unit(5)).
INSTALL_UNIT = if test -e $(UNITS)/$$unit && ! test -s $(UNITS)/$$unit; then echo "$$unit is masked, and stays so"; else \
	install -D -m 644 -t $(UNITS) packaging/systemd/$$unit && \
	sed -i 's|^ExecStart=/usr/local/|ExecStart=$(PREFIX)/|' $(UNITS)/$$unit; fi

.PHONY: all packages configure build host install guest install-guest demo check check-sanitized check-systemd check-xen fuzz lint soak bench coverage clean

all: build

packages:
	@scripts/install-packages.sh

configure: packages
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

build: configure
	@echo "building in $(BUILD)"
	@ninja -C $(BUILD) --quiet

# The host side as the operations guide has it: leaves ./mediator_phase3 here.
host: configure
	@ninja -C $(BUILD) --quiet $(HOST_SIDE) $(GUEST_LIBRARIES) $(HOST_PAGES)
	@! grep -q '^build host/xen/vgpu-xen:' $(BUILD)/build.ninja || ninja -C $(BUILD) --quiet $(XEN_SIDE) $(XEN_PAGES)
	@ln -sf $(BUILD)/host/mediator/mediator_phase3 mediator_phase3
	@echo "built ./mediator_phase3, $(BUILD)/host/executor/cuda-executor"

# The one way to install; meson's own has none of it. The mediator finds the other two by their places beside it, and
# libraries for programs are not among the system's: programs are pointed to them. Processes whose program nobody but
# root may read are none that others of their user may look into, from their first instruction on.
install: host
	install -D -m 755 $(BUILD)/host/mediator/mediator_phase3 $(DESTDIR)$(PREFIX)/sbin/mediator_phase3
	install -D -m 711 $(BUILD)/host/executor/cuda-executor $(DESTDIR)$(PREFIX)/libexec/vgpu/cuda-executor
	install -D -m 755 $(BUILD)/host/worker/vgpu-relay $(DESTDIR)$(PREFIX)/libexec/vgpu/vgpu-relay
	install -D -m 755 $(BUILD)/host/worker/vgpu-worker $(DESTDIR)$(PREFIX)/sbin/vgpu-worker
	install -D -m 755 $(BUILD)/host/jobs/vgpu-jobs $(DESTDIR)$(PREFIX)/sbin/vgpu-jobs
	install -D -m 755 $(BUILD)/host/admin/vgpu-admin $(DESTDIR)$(PREFIX)/bin/vgpu-admin
	install -D -m 644 -t $(MAN)/man8 $(addprefix $(BUILD)/,$(HOST_PAGES))
	install -D -m 644 -t $(MAN)/man5 packaging/man/mediator.conf.5
	install -D -m 644 -t $(MAN)/man1 packaging/man/vgpu-qemu.1
	install -D -m 644 packaging/bash-completion/vgpu-admin \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/vgpu-admin
	install -D -m 644 packaging/grafana/vgpu-cuda.json $(SHARE)/grafana.json
	install -D -m 644 -t $(SHARE) packaging/mediator.conf
	for folder in mediator.service.d vgpu-worker.service.d; do \
		install -D -m 644 -t $(SHARE)/systemd/$$folder packaging/systemd/$$folder/*.conf || exit 1; done
	install -D -m 711 $(BUILD)/host/jobs/vgpu-job-runner $(DESTDIR)$(PREFIX)/libexec/vgpu/vgpu-job-runner
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/vgpu-cuda $(addprefix $(BUILD)/,$(GUEST_LIBRARIES))
	install -D -m 755 host/qemu/vgpu-qemu $(DESTDIR)$(PREFIX)/bin/vgpu-qemu
	install -D -m 644 $(BUILD)/softgpu/driver/libsoftgpu.so.1 $(DESTDIR)$(PREFIX)/lib/vgpu/libsoftgpu.so.1
	install -D -m 644 packaging/sysusers.d/vgpu-cuda.conf $(DESTDIR)/usr/lib/sysusers.d/vgpu-cuda.conf
	install -D -m 644 packaging/tmpfiles.d/vgpu-cuda.conf $(DESTDIR)/usr/lib/tmpfiles.d/vgpu-cuda.conf
	for unit in mediator.service vgpu-worker.service vgpu-jobs.service; do $(INSTALL_UNIT) || exit 1; done
	test ! -e $(BUILD)/host/xen/vgpu-xen || { \
		install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(addprefix $(BUILD)/,$(XEN_SIDE)) && \
		install -D -m 644 -t $(MAN)/man8 $(addprefix $(BUILD)/,$(XEN_PAGES)) && \
		install -D -m 755 host/xen/vgpu-xen-qemu $(DESTDIR)$(PREFIX)/libexec/vgpu/vgpu-xen-qemu && \
		for unit in vgpu-xen-grants.service vgpu-xen-jobs.service; do $(INSTALL_UNIT) || exit 1; done; }
	test -e $(DESTDIR)/etc/vgpu/mediator.conf || \
		install -D -m 644 packaging/mediator.conf $(DESTDIR)/etc/vgpu/mediator.conf

# The guest's libraries, and vgpu.ko for the kernel whose headers are in KDIR (default: the running one).
guest: configure
	@ninja -C $(BUILD) --quiet $(GUEST_LIBRARIES) $(GUEST_TOOLS) $(JOBS_LIBRARY)
	@$(MAKE) --no-print-directory -C guest/driver OUTPUT=$(abspath $(BUILD))/guest/driver
	@echo "built $(BUILD)/guest/libcuda/libcuda.so.1, $(BUILD)/guest/libnvml/libnvidia-ml.so.1," \
		"$(BUILD)/guest/jobs/vgpu-run, $(BUILD)/$(JOBS_LIBRARY), $(BUILD)/guest/driver/vgpu.ko"

# Where the guest builds for itself, or DESTDIR is its file system. The driver's sources are for DKMS.
DKMS_SOURCES = $(DESTDIR)/usr/src/vgpu-cuda-$(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' guest/driver/dkms.conf)
install-guest: configure
	@ninja -C $(BUILD) --quiet $(GUEST_LIBRARIES) $(GUEST_TOOLS) $(JOBS_LIBRARY) $(GUEST_PAGES)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/vgpu-cuda $(addprefix $(BUILD)/,$(GUEST_LIBRARIES))
	install -D -m 755 $(BUILD)/guest/jobs/vgpu-run $(DESTDIR)$(PREFIX)/bin/vgpu-run
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib $(BUILD)/$(JOBS_LIBRARY)
	ln -sf libvgpujob.so.1 $(DESTDIR)$(PREFIX)/lib/libvgpujob.so
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include guest/jobs/vgpu_job.h
	install -D -m 644 -t $(MAN)/man1 $(addprefix $(BUILD)/,$(GUEST_PAGES))
	install -D -m 644 guest/driver/dkms.conf $(DKMS_SOURCES)/dkms.conf
	install -D -m 644 -t $(DKMS_SOURCES)/protocol protocol/vgpu_device.h protocol/vgpu_uapi.h
	install -D -m 644 -t $(DKMS_SOURCES)/guest/driver guest/driver/Kbuild guest/driver/Makefile guest/driver/*.[ch]
	install -m 755 guest/driver/build-module.sh $(DKMS_SOURCES)/guest/driver/build-module.sh

demo: configure
	@echo "building in $(BUILD)"
	@ninja -C $(BUILD) --quiet $(HOST_SIDE) $(GUEST_LIBRARIES) examples/vector_add
	@$(PYTHON) examples/demo.py --build $(BUILD)

check: build
	@$(PYTHON) tests/run.py --build $(BUILD)

# The same tests of the C code under AddressSanitizer and UndefinedBehaviourSanitizer.
check-sanitized: packages
	@test -f $(BUILD)-sanitized/build.ninja || \
		meson setup $(BUILD)-sanitized -Db_sanitize=address,undefined -Db_lundef=false >$(BUILD).log 2>&1 || \
		{ cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@ninja -C $(BUILD)-sanitized --quiet
	@$(PYTHON) tests/run.py --build $(BUILD)-sanitized --suite sanitized

# What reads the bytes of guests and other strangers, under libFuzzer: a number of inputs, or for SECONDS each.
FUZZERS := $(addprefix tests/fuzz/fuzz_,executor image job lane mediator mirror relay seeds telemetry) softgpu/driver/fuzz_fatbin \
	softgpu/engine/tests/fuzz_engine_module tests/executor/libstrict_driver.so
fuzz: packages
	@scripts/install-packages.sh clang
	@scripts/install-packages.sh libclang-rt-$$(clang -dumpversion | cut -d. -f1)-dev
	@test -f $(BUILD)-fuzz/build.ninja || \
		CC=clang meson setup $(BUILD)-fuzz -Db_sanitize=address,undefined -Db_lundef=false >$(BUILD).log 2>&1 || \
		{ cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@ninja -C $(BUILD)-fuzz --quiet $(FUZZERS)
	@tests/fuzz/run.sh $(BUILD)-fuzz $(SECONDS)

# Xen, a dom0 and its guests under emulation; minutes. Not part of check.
check-xen: build
	@VGPU_BUILD=$(abspath $(BUILD)) $(PYTHON) tests/xen/test_xen.py

# The installed units on a Debian host with systemd, under emulation; minutes. As root; not part of check.
check-systemd: build
	@for test in tests/systemd/test_*.py; do \
		PYTHONPATH=tests:tests/vm:tests/end_to_end VGPU_BUILD=$(abspath $(BUILD)) $(PYTHON) $$test || exit 1; done

# 64 tenants with 4 processes each for ten minutes. Not part of check, which has a short one.
soak: build
	@$(PYTHON) tests/soak/soak.py --build $(BUILD)

lint: build
	@scripts/lint.sh $(BUILD)

bench: configure
	@ninja -C $(BUILD) --quiet $(HOST_SIDE) $(GUEST_LIBRARIES) bench/launch_bench softgpu/engine/bench/engine_bench
	@$(PYTHON) bench/run.py --build $(BUILD)

# docs/coverage*.md are generated; this refreshes the committed copies.
coverage: configure
	@ninja -C $(BUILD) --quiet api/coverage.md api/coverage-nvml.md
	@cp $(BUILD)/api/coverage.md $(BUILD)/api/coverage-nvml.md docs/

clean:
	rm -rf $(BUILD) $(BUILD)-sanitized $(BUILD)-fuzz mediator_phase3
