# SPDX-License-Identifier: BSD-2-Clause
# The few commands that everybody needs; Meson does the building. Each installs the Debian packages that it lacks.
BUILD ?= build

.PHONY: all demo test check bench bench-guest lint fuzz clean

all:
	scripts/deps build
	scripts/build $(BUILD)

# A Debian guest with a disk and a network card behind the virtual IOMMU, and a DMA that is blocked.
demo:
	@echo 'demo: two minutes on two cores, and some more for packages' \
		"and the guest's kernel where they are missing"
	@scripts/deps build lab && echo 'demo: building' && scripts/build $(BUILD) || \
		{ echo 'demo: failed: cannot build (see above)'; exit 1; }
	@scripts/demo $(BUILD)

# Unit and model tests, in less than a minute. T=NAME: one of them (vtd_queue), or those that match a pattern (vtd_*).
test:
	@scripts/deps test
	@scripts/test $(BUILD) $(if $(T),'$(T)')

# Every test. FULL=1: the long forms too.
check:
	scripts/deps check
	scripts/check $(BUILD)

bench:
	scripts/deps bench
	scripts/build $(BUILD)
	scripts/bench $(BUILD)

# What an IOMMU costs a guest, in ten minutes. G='--full', G='viommu:inprocess:virtio:strict': scripts/bench-guest
# --help says what else.
bench-guest:
	@scripts/deps bench && scripts/build $(BUILD)
	@scripts/bench-guest $(BUILD) $(G)

lint:
	scripts/deps lint
	scripts/build $(BUILD)
	scripts/lint $(BUILD)

# Every fuzzer, each for so many seconds (ten minutes on two processors).
SECONDS ?= 60
fuzz:
	scripts/deps fuzz
	scripts/fuzz $(SECONDS) $(BUILD)/fuzz

clean:
	rm -rf $(BUILD)
