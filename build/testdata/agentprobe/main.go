// Command agentprobe asks the SSH agent at SSH_AUTH_SOCK for what a command of a build may want of it, and says what it is answered.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

func main() {
	if err := run(os.Getenv("SSH_AUTH_SOCK")); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	fmt.Printf("%s %v %d:%d\n", path, info.Mode(), st.Uid, st.Gid)
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	for _, request := range []byte{11, 18, 13, 17, 22, 27} { // identities, remove, sign, add, lock, extension
		if _, err := c.Write([]byte{0, 0, 0, 1, request}); err != nil {
			return err
		}
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return err
		}
		m := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, m); err != nil {
			return err
		}
		fmt.Printf("%d: %d\n", request, m[0])
	}
	return nil
}
