package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
)

// hashes remembers the sums of the files of one directory by what cannot stay the same when the content changes: inode, size and the times of the
// content and of the inode. A tree that has not changed costs only looking at it. The file may be lost at any moment.
type hashes struct {
	path string

	mu    sync.Mutex
	have  map[fileState][32]byte // as it was read
	seen  map[fileState][32]byte // of use in this build
	fresh bool                   // seen has what the file has not
}

// fileState is one state of one file. A user can set mtime, nobody ctime.
type fileState struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64 // ns
}

func stateOf(st *unix.Stat_t) fileState {
	return fileState{Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano()}
}

const (
	hashesMagic = "stack hashes 1\n"
	recordSize  = 5*8 + 32
	// settled is how old a change must be for the next one to have another time for certain: file systems count in
	// ticks of 10 ms, or of whole seconds, or two.
	settled = 3 * time.Second
	// maxHashes bounds the memory that a damaged file can ask for: two million files.
	maxHashes = 2 << 20
)

// openHashes reads what is known of the directory dir.
func openHashes(state, dir string) *hashes {
	sum := sha256.Sum256([]byte(dir))
	h := &hashes{path: filepath.Join(state, hex.EncodeToString(sum[:])), have: map[fileState][32]byte{}, seen: map[fileState][32]byte{}}
	b, err := os.ReadFile(h.path)
	rest, ok := bytes.CutPrefix(b, []byte(hashesMagic))
	if err != nil || !ok || len(rest) < 32 || len(rest) > maxHashes*recordSize {
		return h
	}
	body := rest[32:]
	if sha256.Sum256(body) != [32]byte(rest[:32]) {
		return h
	}
	for ; len(body) >= recordSize; body = body[recordSize:] {
		var s fileState
		binary.Decode(body[:5*8], binary.LittleEndian, &s)
		h.have[s] = [32]byte(body[5*8 : recordSize])
	}
	return h
}

// known fills in the sum of e, if there is one. h may be nil.
func (h *hashes) known(e *entry) bool {
	if h == nil {
		return false
	}
	s := stateOf(&e.st)
	h.mu.Lock()
	defer h.mu.Unlock()
	sum, ok := h.seen[s]
	if !ok {
		if sum, ok = h.have[s]; !ok {
			return false
		}
		h.seen[s] = sum
	}
	e.sum = sum
	return true
}

func (h *hashes) learn(e *entry) {
	if h == nil || time.Since(time.Unix(e.st.Ctim.Unix())) < settled {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[stateOf(&e.st)] = e.sum
	h.fresh = true
}

// save writes what this build has seen, if that is more than was known, and ends the use of h. What nobody asks about is forgotten in the end.
func (h *hashes) save() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fresh {
		return nil
	}
	if len(h.have) < 4*len(h.seen)+1024 {
		// Another Dockerfile of this context may ask about the others.
		maps.Copy(h.have, h.seen)
		h.seen = h.have
	}
	body := make([]byte, 0, len(h.seen)*recordSize)
	for s, sum := range h.seen {
		body, _ = binary.Append(body, binary.LittleEndian, &s) // fixed-size fields
		body = append(body, sum[:]...)
	}
	sum := sha256.Sum256(body)
	b := append(append([]byte(hashesMagic), sum[:]...), body...)
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(h.path, b, 0o600, atomicfile.NoSync)
}

// hash reads the content of e. A file that changes meanwhile is noticed when it is copied.
func (t *tree) hash(ctx context.Context, e *entry) error {
	f, st, err := t.root.OpenFile(e.name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("cannot read /%s of %s: %w", e.name, t.name, err)
	}
	var after unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &after); err != nil {
		return err
	}
	e.st = st
	sum.Sum(e.sum[:0])
	if stateOf(&after) == stateOf(&st) {
		t.hashes.learn(e)
	}
	return nil
}
