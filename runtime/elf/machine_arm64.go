package elf

const machine = 183 // EM_AARCH64, elf(5)
