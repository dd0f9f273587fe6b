package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/image/registry"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/image/recipe"
	"github.com/stackrun/stack/image/unpack"
	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/failpoint"
)

// layerRecord is layer.json beside a layer's fs.
type layerRecord struct {
	Version int     `json:"version"`
	DiffID  v1.Hash `json:"diffID"`
	unpack.Result

	// Stream is the size of the tar stream that the layer came as, bytes; 0 = not known: it was made here, or by a stack that kept no recipe.
	Stream int64 `json:"stream,omitempty"`
}

const layerVersion = 1

func (s *Store) layerDir(diff v1.Hash) string { return s.path("layers", diff.Algorithm, diff.Hex) }

func (s *Store) layerFS(diff v1.Hash) string { return filepath.Join(s.layerDir(diff), "fs") }

// readLayer returns fs.ErrNotExist when the layer is not there.
func (s *Store) readLayer(diff v1.Hash) (layerRecord, error) {
	var r layerRecord
	b, err := os.ReadFile(filepath.Join(s.layerDir(diff), "layer.json"))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil || r.Version != layerVersion {
		// Not of this program's time: as good as not there.
		return layerRecord{}, fs.ErrNotExist
	}
	return r, nil
}

// layerSource is a layer that can be read.
type layerSource struct {
	diff   v1.Hash
	digest v1.Hash         // of the stream as it comes; zero = not known, the diff id alone decides
	size   int64           // of the stream as it comes; 0 = not known
	media  types.MediaType // of the stream as it comes; "" = not known
	open   func(context.Context) (io.ReadCloser, error)
}

// ensureLayer makes the layer unless it is there. Concurrent calls for one layer are one.
func (s *Store) ensureLayer(ctx context.Context, src layerSource, tell func(progress.Report)) (layerRecord, error) {
	report := func(phase progress.Phase, current int64) {
		tell(progress.Report{Layer: content.Short(src.id()), Phase: phase, Current: current, Total: src.size})
	}
	r, err := s.readLayer(src.diff)
	if err == nil {
		report(progress.Done, src.size)
		return r, nil
	}
	return s.layers.Do(ctx, src.diff.String(), tell, func(ctx context.Context, tell func(progress.Report)) (layerRecord, error) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-ctx.Done():
			return layerRecord{}, context.Cause(ctx)
		}
		// The flight before this one may have made it.
		if r, err := s.readLayer(src.diff); err == nil {
			return r, nil
		}
		r, err := s.makeLayer(ctx, src, func(phase progress.Phase, n int64) {
			tell(progress.Report{Layer: content.Short(src.id()), Phase: phase, Current: n, Total: src.size})
		})
		if err != nil {
			return layerRecord{}, diskError(s.root, err)
		}
		tell(progress.Report{Layer: content.Short(src.id()), Phase: progress.Done, Current: src.size, Total: src.size})
		return r, nil
	})
}

// id is what progress calls the layer.
func (l layerSource) id() v1.Hash {
	if l.digest != (v1.Hash{}) {
		return l.digest
	}
	return l.diff
}

// makeLayer reads, verifies and unpacks in one go, in a scratch directory, and moves the whole layer to its place.
func (s *Store) makeLayer(ctx context.Context, src layerSource, report func(progress.Phase, int64)) (r layerRecord, err error) {
	tmp, err := s.scratch()
	if err != nil {
		return r, err
	}
	defer tmp.drop()
	root := filepath.Join(tmp.dir, "fs")
	// overlayfs shows the mode of the topmost layer's root; the snapshot's own says what is right for the whole.
	if err := os.Mkdir(root, 0o755); err != nil {
		return r, err
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return r, err
	}

	result, size, err := s.stream(ctx, src, report, tmp.dir)
	if err != nil {
		var pe *registry.PullError
		if errors.As(err, &pe) || ctx.Err() != nil {
			return r, err
		}
		return r, fmt.Errorf("cannot unpack layer %s: %w", content.Short(src.id()), err)
	}

	r = layerRecord{Version: layerVersion, DiffID: src.diff, Result: result, Stream: size}
	b, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	if err := atomicfile.Write(filepath.Join(tmp.dir, "layer.json"), b, 0o600, atomicfile.NoSync); err != nil {
		return r, err
	}
	if src.media != "" && manifest.Compressed(src.media) && src.digest != (v1.Hash{}) {
		writeForms(tmp.dir, []form{{Digest: src.digest, Size: src.size, Media: src.media}})
	}
	if err := ctx.Err(); err != nil {
		return r, context.Cause(ctx)
	}
	return r, s.place(tmp, src.diff)
}

// stream is the pipeline: bytes as they come, hashed | decompressed, hashed | unpacked below dir/fs. Each stage has a goroutine, so
// that one large layer uses more than one core. It leaves dir/recipe, and returns the size of the tar stream that this is of; 0 = there is none.
func (s *Store) stream(ctx context.Context, src layerSource, report func(progress.Phase, int64), dir string) (_ unpack.Result, size int64, _ error) {
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

	body, err := src.open(ctx)
	if err != nil {
		return unpack.Result{}, 0, err
	}
	stages = append(stages, body)
	in, err := content.NewMeter(body, src.digest, src.size, func(n int64, all bool) {
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
	limit := s.limits.Bytes
	if limit == 0 {
		limit = unpack.DefaultBytes
	}
	sum, err := newVerifier(plain, src.diff, limit)
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
	result, err := unpack.Layer(ctx, filepath.Join(dir, "fs"), archive, unpack.Options{Limits: s.limits, Contents: rec})
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

// discard takes a directory out of sight in one step and then removes it.
func (s *Store) discard(dir string) error {
	tmp, err := s.hide(dir)
	if tmp != nil {
		tmp.drop()
	}
	return err
}

// hide takes a directory out of sight in one step: into a scratch directory, which is for the caller to drop and for the next Store if this one
// does not live to do it. nil: there was no such directory.
func (s *Store) hide(dir string) (*scratch, error) {
	tmp, err := s.scratch()
	if err != nil {
		return nil, err
	}
	err = os.Rename(dir, filepath.Join(tmp.dir, "gone"))
	failpoint.Hit("image.discard.renamed")
	if err == nil {
		return tmp, nil
	}
	tmp.drop()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return nil, err
}
