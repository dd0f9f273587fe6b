// Package elf makes programs of code that Go's assembler has made: static ELF files of less than a kilobyte, without a library or the runtime of any language. They
// are for processes that stay as long as a container does and do next to nothing. There is no binary in the tree and no other tool in the build.
package elf
