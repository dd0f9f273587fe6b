// Gen writes docs/compat.md and schema/compose.schema.json from the support table.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/stackrun/stack/schema"
)

func main() {
	out := flag.String("o", "docs/compat.md", "the file to write")
	editors := flag.String("schema", "schema/compose.schema.json", "the JSON schema to write")
	flag.Parse()
	for file, text := range map[string]func(io.Writer) error{*out: schema.WriteCompat, *editors: schema.WriteJSON} {
		if err := write(file, text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func write(file string, text func(io.Writer) error) error {
	var b bytes.Buffer
	if err := text(&b); err != nil {
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("cannot write what is generated: %w", err)
	}
	return nil
}
