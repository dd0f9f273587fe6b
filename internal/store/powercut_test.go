package store

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// commit is the file before and after one Update, and what is in the store then.
type commit struct {
	before, after       []byte
	was, is             map[string]string
	metaBegin, metaSize int // the meta page that the commit has written
}

// workload makes a store and returns its commits.
func workload(t *testing.T, r *rand.Rand) (commits []commit) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	s := mustOpen(t, path)
	if s.db.NoSync || s.db.NoGrowSync || s.db.NoFreelistSync {
		t.Fatal("the store does not sync what it writes")
	}
	read := func() []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	page := os.Getpagesize()
	content := map[string]string{}
	before := read()
	for range 20 {
		was := maps.Clone(content)
		if err := s.Update(func(tx *Tx) error {
			for range 1 + r.IntN(4) {
				bucket, key := fmt.Sprintf("b%d", r.IntN(3)), fmt.Sprintf("k%d", r.IntN(12))
				if r.IntN(4) == 0 {
					delete(content, bucket+"/"+key)
					if err := tx.Delete(bucket, key); err != nil {
						return err
					}
					continue
				}
				v := bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(6000)) // some take pages of their own
				content[bucket+"/"+key] = string(v)
				if err := tx.Put(bucket, key, v); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		c := commit{before: before, after: read(), was: was, is: maps.Clone(content), metaSize: page}
		if bytes.Equal(c.before[:page], c.after[:page]) {
			c.metaBegin = page
		}
		commits = append(commits, c)
		before = c.after
	}
	return commits
}

// some writes a random part of the sectors from begin to end of c.after into file. With all, every one.
func (c commit) some(r *rand.Rand, file []byte, begin, end int, all bool) {
	for at := begin; at < end; at += sector {
		if all || r.IntN(2) == 0 {
			copy(file[at:min(at+sector, end)], c.after[at:min(at+sector, end)])
		}
	}
}

func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer s.Close()
	out := map[string]string{}
	for i := range 3 {
		bucket := fmt.Sprintf("b%d", i)
		if err := s.Each(bucket, func(key string, v []byte) error { out[bucket+"/"+key] = string(v); return nil }); err != nil {
			t.Error(err)
		}
	}
	return out
}

// TestPowerCut cuts the power in each commit of a workload: what was written since the last sync is there, or is not, sector by sector,
// in any mixture. The store then holds what it held before the commit or after it.
//
// bbolt writes the pages of a commit, syncs, writes one of two meta pages, which point to them, and syncs again.
func TestPowerCut(t *testing.T) {
	seeds := uint64(2)
	if os.Getenv("STACK_TEST_LONG") != "" {
		seeds = 40
	}
	cuts, back := 0, 0
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		for i, c := range workload(t, r) {
			for cut := range 10 {
				file := bytes.Clone(c.before)
				if grown := len(c.after) - len(c.before); grown > 0 && cut%4 != 0 {
					file = append(file, make([]byte, grown)...) // the file is made larger, and that is synced, first
				}
				last := 2 * c.metaSize
				end := min(len(file), len(c.after))
				what := "in the pages"
				maySee := []map[string]string{c.was}
				switch {
				case cut < 5:
					c.some(r, file, last, end, false)
				case len(file) != len(c.after):
					continue
				default:
					what = "in the meta page"
					c.some(r, file, last, end, true)
					n := r.IntN(c.metaSize) // a disk that tears even a sector: the checksum is to tell
					copy(file[c.metaBegin:c.metaBegin+n], c.after[c.metaBegin:])
					maySee = append(maySee, c.is)
				}
				path := filepath.Join(t.TempDir(), "s.db")
				if err := os.WriteFile(path, file, 0o600); err != nil {
					t.Fatal(err)
				}
				got := contents(t, path)
				cuts++
				switch {
				case maps.Equal(got, c.was):
					back++
				case len(maySee) > 1 && maps.Equal(got, c.is):
				default:
					t.Fatalf("seed %d, commit %d, cut %d %s: neither the state before nor after: %d keys, before %d, after %d", seed, i, cut, what, len(got), len(c.was), len(c.is))
				}
			}
		}
	}
	t.Logf("%d cuts, %d of them one step back", cuts, back)
	if back == cuts || cuts < 300 {
		t.Error("the cuts are not where they should be")
	}
}
