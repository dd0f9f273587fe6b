// Gen writes docs/compat.md from the support table.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	"github.com/stackrun/stack/schema"
)

func main() {
	out := flag.String("o", "docs/compat.md", "the file to write")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string) error {
	var b bytes.Buffer
	if err := schema.WriteCompat(&b); err != nil {
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}
