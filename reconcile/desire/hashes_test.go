package desire

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

var newHashes = flag.Bool("new-hashes", false, "write the hashes of services that testdata/hashes/hashes.txt does not have")

// TestHashesStay: a container bears the hash of its configuration, and one that differs is made anew. A version of the program that gives
// another hash for the same file recreates everything that people have running, so the hashes of a file with every attribute are kept.
// A line of hashes.txt is never changed; what is added to the file gets a line by -new-hashes.
func TestHashesStay(t *testing.T) {
	text, err := os.ReadFile("testdata/hashes/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, list := spec.Load(context.Background(), spec.Input{
		FS:    fstest.MapFS{"srv/compose.yaml": {Data: text}, "srv/e.env": {Data: []byte("K=v\n")}},
		Files: []string{"/srv/compose.yaml"}, Dir: "/srv", Name: "shop", Env: map[string]string{"S": "secret"}, Profiles: []string{"*"},
	})
	if p == nil {
		t.Fatal(list.Err())
	}
	got, faults := Hashes(p)
	if faults.HasErrors() {
		t.Fatal(faults.Err())
	}
	kept := map[string]string{}
	lines, err := os.ReadFile("testdata/hashes/hashes.txt")
	if err != nil && !*newHashes {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		name, hash, _ := strings.Cut(strings.TrimSpace(line), " ")
		kept[name] = hash
	}
	if *newHashes {
		var b strings.Builder
		for name, hash := range got {
			if kept[name] == "" {
				kept[name] = hash
			}
		}
		for _, name := range slices.Sorted(maps.Keys(kept)) {
			fmt.Fprintln(&b, name, kept[name])
		}
		if err := os.WriteFile("testdata/hashes/hashes.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(kept, got); diff != "" {
		t.Errorf("containers of an earlier version would be made anew (-then +now):\n%s", diff)
	}
	if len(got) < 100 {
		t.Errorf("only %d services", len(got))
	}
}

// TestZeroIsLeftOut: a field that a later version adds is not in the encoding of what was made before it.
func TestZeroIsLeftOut(t *testing.T) {
	for v, want := range map[any]string{&plan.Spec{}: `{"image":""}`, &plan.NetworkSpec{}: "{}", &plan.VolumeSpec{}: "{}"} {
		text, err := json.Marshal(v)
		if err != nil || string(text) != want {
			t.Errorf("%T: %s %v", v, text, err)
		}
	}
}
