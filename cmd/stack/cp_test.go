package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/reconcile"
)

func TestCopyLinesThatAreNone(t *testing.T) {
	u := newPerson(t, nil)
	for line, want := range map[string]string{
		"cp":                   "cp needs what is copied and where to",
		"cp a":                 "cp needs what is copied and where to",
		"cp a b":               "unknown copy direction",
		"cp web:/a db:/b":      "copying between services is not supported",
		"cp --index -1 a db:/": "--index -1",
		"cp /nope/a db:/":      "cannot copy /nope/a",
		"export":               "export needs one service",
		"export web db":        "export needs one service",
	} {
		if code, _, errs := u.run(line); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("stack %s: code %d, %q", line, code, errs)
		}
	}
}

// TestExportToAFile: the file is there when it is whole, and what goes wrong is said of it and not of what stands in for it.
func TestExportToAFile(t *testing.T) {
	failed := error(nil)
	u := newPerson(t, &apitest.Engine{OnExport: func(_ context.Context, _ string, _ reconcile.ExportOptions, w io.Writer, _ reconcile.Sink) error {
		io.WriteString(w, "tar")
		return failed
	}})
	file := filepath.Join(u.dir, "web.tar")
	if code, _, errs := u.run("export -o " + file + " web"); code != 0 {
		t.Fatalf("code %d, %q", code, errs)
	}
	failed = io.ErrUnexpectedEOF
	if code, _, errs := u.run("export -o " + file + " web"); code != 1 || !strings.Contains(errs, failed.Error()) {
		t.Errorf("broken off: code %d, %q", code, errs)
	}
	if got, err := os.ReadFile(file); string(got) != "tar" {
		t.Errorf("the file has %q, %v", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(u.dir, ".web.tar*")); len(left) > 0 || err != nil {
		t.Errorf("left over: %q, %v", left, err)
	}
	none := filepath.Join(u.dir, "none", "web.tar")
	want := "cannot write " + none + ": no such file or directory\n"
	if code, _, errs := u.run("export -o " + none + " web"); code != 1 || !strings.HasSuffix(errs, want) {
		t.Errorf("code %d, %q, expected %q", code, errs, want)
	}
}
