package containers_test

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

func TestCopyLinesThatAreNone(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
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
		if code, _, errs := u.Run(line); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("stack %s: code %d, %q", line, code, errs)
		}
	}
}

// TestExportToAFile: the file is there when it is whole, and what goes wrong is said of it and not of what stands in for it.
func TestExportToAFile(t *testing.T) {
	failed := error(nil)
	u := stacktest.NewPerson(t, &apitest.Engine{OnExport: func(_ context.Context, _ string, _ ask.ExportOptions, w io.Writer, _ event.Sink) error {
		io.WriteString(w, "tar")
		return failed
	}})
	file := filepath.Join(u.Dir, "web.tar")
	if code, _, errs := u.Run("export -o " + file + " web"); code != 0 {
		t.Fatalf("code %d, %q", code, errs)
	}
	failed = io.ErrUnexpectedEOF
	if code, _, errs := u.Run("export -o " + file + " web"); code != 1 || !strings.Contains(errs, failed.Error()) {
		t.Errorf("broken off: code %d, %q", code, errs)
	}
	if got, err := os.ReadFile(file); string(got) != "tar" {
		t.Errorf("the file has %q, %v", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(u.Dir, ".web.tar*")); len(left) > 0 || err != nil {
		t.Errorf("left over: %q, %v", left, err)
	}
	none := filepath.Join(u.Dir, "none", "web.tar")
	want := "cannot write " + none + ": no such file or directory\n"
	if code, _, errs := u.Run("export -o " + none + " web"); code != 1 || !strings.HasSuffix(errs, want) {
		t.Errorf("code %d, %q, expected %q", code, errs, want)
	}
}

// TestCopyWarnings: each thing that a copy is without is told, the daemon's and this side's.
func TestCopyWarnings(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnCopyOut: func(_ context.Context, _ string, _ ask.CopyOutOptions, w io.Writer, sink event.Sink) error {
		for _, text := range []string{"proc is left out", "sys is left out"} {
			sink(event.Event{Kind: "container", Name: "shop-web-1", Service: "web", Phase: event.Warning, Text: "Not whole", Detail: text})
		}
		stream := tar.NewWriter(w)
		for _, h := range []tar.Header{{Typeflag: tar.TypeDir, Name: "dev/", Mode: 0o755}, {Typeflag: tar.TypeChar, Name: "dev/null", Devmajor: 1, Devminor: 3}} {
			if err := stream.WriteHeader(&h); err != nil {
				return err
			}
		}
		return stream.Close()
	}})
	code, _, errs := u.Run("cp web:/dev " + filepath.Join(u.Dir, "copy"))
	if code != 0 {
		t.Errorf("code %d", code)
	}
	for _, want := range []string{"warning: shop-web-1: proc is left out\n", "warning: shop-web-1: sys is left out\n", "copy/null is a device, and left out\n"} {
		if !strings.Contains(errs, want) {
			t.Errorf("expected %q in\n%s", want, errs)
		}
	}
}
