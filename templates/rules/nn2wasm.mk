# nn2wasm.mk - compiles ONNX models as a part of your build, with GNU make:
#
#   include $(shell nn2wasm rules)/nn2wasm.mk
#
#   firmware.elf: main.o digits.o
#   main.o: digits.h
#
# digits.c and digits.h are made from digits.onnx beside them, and again when that or its external data changes.
# For other folders write the rule yourself:
#
#   build/%.c build/%.h: models/%.onnx
#   	$(nn2wasm)
#
# NN2WASM is the command (also in the include, where it is not on PATH), NN2WASMFLAGS its options: those of all models, or
# of one by `digits.c digits.h: NN2WASMFLAGS += --io int8`.
NN2WASM ?= nn2wasm
NN2WASMFLAGS ?=

# nn2wasm leaves outputs that did not change alone; make goes by times, also by those of prerequisites that you add.
nn2wasm = $(NN2WASM) $< -o $(basename $@).c --quiet --depfile $(basename $@).onnx.d $(NN2WASMFLAGS) \
  && touch $(basename $@).c $(basename $@).h

# Your own first rule stays the one that `make` makes.
NN2WASM_GOAL := $(.DEFAULT_GOAL)

%.c %.h: %.onnx
	$(nn2wasm)

# What was compiled stays, even if only an object was asked for.
.PRECIOUS: %.c %.h

# External data of models. List the files here where they are further down.
NN2WASM_DEPFILES ?= $(wildcard *.onnx.d */*.onnx.d)
-include $(NN2WASM_DEPFILES)

.DEFAULT_GOAL := $(NN2WASM_GOAL)
