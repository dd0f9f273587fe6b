package layer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/flight"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/image/recipe"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/image/unpack"
	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/failpoint"
)

// Store keeps the unpacked layers. A layer directory appears by rename(2), when it is whole.
type Store struct {
	dir     *storage.Dir
	limits  unpack.Limits
	flights flight.Group[Record]
	slots   chan struct{} // bounds the layers that are fetched and unpacked at once

	syncs   sync.WaitGroup
	mu      sync.Mutex
	syncing *time.Timer // see Sync; guarded by mu
}

// Open makes the directories of layers, and removes those that a power cut may have harmed. limits bound one layer.
func Open(dir *storage.Dir, limits unpack.Limits) (*Store, error) {
	// More slots than there are cores: while one layer waits for the network another one is unpacked.
	l := &Store{dir: dir, limits: limits, slots: make(chan struct{}, max(4, runtime.GOMAXPROCS(0)))}
	if err := dir.Make("layers/sha256", "layers/sha512", "unsynced", "held"); err != nil {
		return nil, err
	}
	return l, l.recoverUnsynced()
}

// Close waits until what was fetched has reached the disk, or ctx ends.
func (l *Store) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.syncing != nil {
		l.syncing.Stop()
	}
	l.mu.Unlock()
	done := make(chan struct{})
	go func() { l.syncs.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Record is layer.json beside a layer's fs.
type Record struct {
	Version int     `json:"version"`
	DiffID  v1.Hash `json:"diffID"`
	unpack.Result

	// Stream is the size of the tar stream that the layer came as, bytes; 0 = not known: it was made here, or by a stack that kept no recipe.
	Stream int64 `json:"stream,omitempty"`
}

const layerVersion = 1

// recordName is the Record's file, beside fs.
const recordName = "layer.json"

// Dir is the directory of a layer, whether it is there or not.
func (l *Store) Dir(diff v1.Hash) string { return l.dir.Path("layers", diff.Algorithm, diff.Hex) }

// Dirs are the directories of all layers that are there.
func (l *Store) Dirs() ([]string, error) { return filepath.Glob(l.dir.Path("layers", "*", "*")) }

// Bytes is what the files of the layer in dir have together; 0 when that is no layer.
func Bytes(dir string) int64 {
	var r Record
	if b, err := os.ReadFile(filepath.Join(dir, recordName)); err != nil || json.Unmarshal(b, &r) != nil {
		return 0
	}
	return r.Bytes
}

// FS is what overlayfs mounts of a layer.
func (l *Store) FS(diff v1.Hash) string { return filepath.Join(l.Dir(diff), "fs") }

// Read returns fs.ErrNotExist when the layer is not there.
func (l *Store) Read(diff v1.Hash) (Record, error) {
	var r Record
	b, err := os.ReadFile(filepath.Join(l.Dir(diff), recordName))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil || r.Version != layerVersion {
		// Not of this program's time: as good as not there.
		return Record{}, fs.ErrNotExist
	}
	return r, nil
}

// Ensure makes the layer unless it is there. Concurrent calls for one layer are one.
func (l *Store) Ensure(ctx context.Context, src Source, tell func(progress.Report)) (Record, error) {
	report := func(phase progress.Phase, current int64) {
		tell(progress.Report{Layer: content.Short(src.ID()), Phase: phase, Current: current, Total: src.Size})
	}
	r, err := l.Read(src.Diff)
	if err == nil {
		report(progress.Done, src.Size)
		return r, nil
	}
	return l.flights.Do(ctx, src.Diff.String(), tell, func(ctx context.Context, tell func(progress.Report)) (Record, error) {
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-ctx.Done():
			return Record{}, context.Cause(ctx)
		}
		// The flight before this one may have made it.
		if r, err := l.Read(src.Diff); err == nil {
			return r, nil
		}
		r, err := l.makeLayer(ctx, src, func(phase progress.Phase, n int64) {
			tell(progress.Report{Layer: content.Short(src.ID()), Phase: phase, Current: n, Total: src.Size})
		})
		if err != nil {
			return Record{}, l.dir.Explain(err)
		}
		tell(progress.Report{Layer: content.Short(src.ID()), Phase: progress.Done, Current: src.Size, Total: src.Size})
		return r, nil
	})
}

// makeLayer reads, verifies and unpacks in one go, in a scratch directory, and moves the whole layer to its place.
func (l *Store) makeLayer(ctx context.Context, src Source, report func(progress.Phase, int64)) (r Record, err error) {
	tmp, err := l.dir.Scratch()
	if err != nil {
		return r, err
	}
	defer tmp.Drop()
	root := filepath.Join(tmp.Dir, "fs")
	// overlayfs shows the mode of the topmost layer's root; the snapshot's own says what is right for the whole.
	if err := os.Mkdir(root, 0o755); err != nil {
		return r, err
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return r, err
	}

	result, size, err := l.stream(ctx, src, report, tmp.Dir)
	if err != nil {
		var whole interface{ Complete() bool }
		if errors.As(err, &whole) && whole.Complete() || ctx.Err() != nil {
			return r, err
		}
		return r, fmt.Errorf("cannot unpack layer %s: %w", content.Short(src.ID()), err)
	}

	if r, err = writeRecord(tmp.Dir, Record{DiffID: src.Diff, Result: result, Stream: size}); err != nil {
		return r, err
	}
	if src.Media != "" && manifest.Compressed(src.Media) && src.Digest != (v1.Hash{}) {
		writeForms(tmp.Dir, []Form{{Digest: src.Digest, Size: src.Size, Media: src.Media}})
	}
	if err := ctx.Err(); err != nil {
		return r, context.Cause(ctx)
	}
	return r, l.place(tmp, src.Diff)
}

// stream is the pipeline: bytes as they come, hashed | decompressed, hashed | unpacked below dir/fs. Each stage has a goroutine, so
// that one large layer uses more than one core. It leaves dir/recipe, and returns the size of the tar stream that this is of; 0 = there is none.
func (l *Store) stream(ctx context.Context, src Source, report func(progress.Phase, int64), dir string) (_ unpack.Result, size int64, _ error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var stages []io.Closer
	defer func() {
		// A stage that waits for the network goes on only when its request ends; so first that, then
		// the last stage, which reads from the one before it.
		cancel(nil)
		for i := len(stages) - 1; i >= 0; i-- {
			stages[i].Close()
		}
	}()

	body, err := src.Open(ctx)
	if err != nil {
		return unpack.Result{}, 0, err
	}
	stages = append(stages, body)
	in, err := content.NewMeter(body, src.Digest, src.Size, func(n int64, all bool) {
		phase := progress.Downloading
		if all {
			phase = progress.Extracting // what remains is to write it
		}
		report(phase, n)
	})
	if err != nil {
		return unpack.Result{}, 0, err
	}
	packed := content.ReadAhead(ctx, in)
	stages = append(stages, packed)
	plain, err := content.Decompress(packed)
	if err != nil {
		return unpack.Result{}, 0, err
	}
	stages = append(stages, plain)
	limit := l.limits.Bytes
	if limit == 0 {
		limit = unpack.DefaultBytes
	}
	sum, err := newVerifier(plain, src.Diff, limit)
	if err != nil {
		return unpack.Result{}, 0, err
	}
	ahead := content.ReadAhead(ctx, sum)
	stages = append(stages, ahead)

	file, err := os.OpenFile(filepath.Join(dir, recipeName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return unpack.Result{}, 0, err
	}
	defer file.Close()
	rec, err := recipe.NewRecorder(file, 0)
	if err != nil {
		return unpack.Result{}, 0, err
	}
	archive := rec.Tee(ahead)
	result, err := unpack.Layer(ctx, filepath.Join(dir, "fs"), archive, unpack.Options{Limits: l.limits, Contents: rec})
	if err != nil {
		return result, 0, err
	}
	// What follows the archive's end is part of what the digests are of.
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return result, 0, err
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return result, 0, err
	}
	if err := sum.verify("unpacked"); err != nil {
		return result, 0, err
	}
	if err := in.Verify(); err != nil {
		return result, 0, err
	}
	switch err := rec.Close(); {
	case errors.Is(err, recipe.ErrNoRecipe):
		// The layer is as good as any; what cannot be given on is told to whoever asks for it.
		return result, 0, os.Remove(file.Name())
	case err != nil:
		return result, 0, err
	}
	return result, rec.Total(), file.Close()
}

// Adopt makes the layer diff, held from then on, of the directory upper, which is moved: what result says is in it. upper stays where there is such a layer. Sync is for the caller to
// call, who may have more of them.
func (l *Store) Adopt(upper string, diff v1.Hash, result unpack.Result) error {
	if err := l.NoteUnsynced(diff); err != nil {
		return err
	}
	if err := l.Hold(diff); err != nil {
		return err
	}
	failpoint.Hit("image.commit.held")
	if _, err := l.Read(diff); err == nil {
		return nil // it was made before
	}
	tmp, err := l.dir.Scratch()
	if err != nil {
		return err
	}
	defer tmp.Drop()
	if _, err := writeRecord(tmp.Dir, Record{DiffID: diff, Result: result}); err != nil {
		return err
	}
	if err := os.Rename(upper, filepath.Join(tmp.Dir, "fs")); err != nil {
		return err
	}
	failpoint.Hit("image.commit.moved")
	return l.place(tmp, diff)
}

// writeRecord writes what r says of the layer in dir, and returns it with its version.
func writeRecord(dir string, r Record) (Record, error) {
	r.Version = layerVersion
	b, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	return r, atomicfile.Write(filepath.Join(dir, recordName), b, 0o600, atomicfile.NoSync)
}

// place moves a layer that is whole to where it belongs.
func (l *Store) place(tmp *storage.Scratch, diff v1.Hash) error {
	err := os.Rename(tmp.Dir, l.Dir(diff))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Somebody else made the same layer. A damaged one is replaced: whoever has it mounted keeps its inodes.
	if _, have := l.Read(diff); have == nil {
		return nil
	}
	if err = l.dir.Discard(l.Dir(diff)); err == nil {
		err = os.Rename(tmp.Dir, l.Dir(diff))
	}
	return err
}
