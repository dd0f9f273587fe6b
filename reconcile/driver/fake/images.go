package fake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/runtime/mount"
)

type images Host

func (i *images) host() *Host { return (*Host)(i) }

func hash(s string) v1.Hash {
	sum := sha256.Sum256([]byte(s))
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

func (i *images) Resolve(ctx context.Context, ref string, p v1.Platform) (info image.Info, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for name, have := range i.images {
		if name == ref || have.ID.String() == ref {
			return have, nil
		}
	}
	return info, notFound("image %s is not on this host", ref)
}

func (i *images) Find(ctx context.Context, ref string, p v1.Platform) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.Registry[ref]; !ok {
		return notFound("the registry has no %s", ref)
	}
	return nil
}

func (i *images) Pull(ctx context.Context, ref string, p v1.Platform, progress func(image.Progress)) (info image.Info, err error) {
	err = i.host().do(ctx, "Images.Pull", func() error {
		found, ok := i.Registry[ref]
		if !ok {
			return notFound("the registry has no %s", ref)
		}
		found.PulledAt = time.Now()
		i.images[ref], info = found, found
		return nil
	})
	if err == nil && progress != nil {
		progress(image.Progress{Ref: ref, Phase: image.Done})
	}
	return info, err
}

func (i *images) Prepare(ctx context.Context, key string, id v1.Hash) (mounts []mount.Mount, err error) {
	err = i.host().do(ctx, "Images.Prepare", func() error {
		if have, ok := i.snapshots[key]; ok && have != id {
			return conflict("snapshot %s is of another image", key)
		}
		i.snapshots[key] = id
		mounts = []mount.Mount{{Type: "overlay", Target: "/", Upper: "/fake/" + key}}
		return nil
	})
	return mounts, err
}

func (i *images) View(ctx context.Context, key string, id v1.Hash) (m mount.Mount, err error) {
	err = i.host().do(ctx, "Images.View", func() error {
		if _, ok := i.snapshots[key]; !ok {
			return notFound("there is no snapshot %s", key)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(i.images)), func(info image.Info) bool { return info.ID == id }) {
			return notFound("there is no image %s", id)
		}
		if !slices.Contains(i.views[key], id) {
			i.views[key] = append(i.views[key], id)
		}
		m = mount.Mount{Type: "overlay", Source: id.String(), Target: "/", Lower: []string{"/fake/" + key + "/" + id.Hex}}
		return nil
	})
	return m, err
}

func (i *images) Remove(ctx context.Context, key string) error {
	return i.host().do(ctx, "Images.Remove", func() error {
		delete(i.snapshots, key)
		delete(i.views, key)
		return nil
	})
}

func (i *images) Snapshots(ctx context.Context) ([]string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var keys []string
	for k := range i.snapshots {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys, nil
}

func (i *images) List(ctx context.Context) ([]image.Info, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var list []image.Info
	for _, info := range i.images {
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b image.Info) int { return strings.Compare(a.ID.Hex, b.ID.Hex) })
	return list, nil
}

// Load takes one reference per line for an archive.
func (i *images) Load(ctx context.Context, r io.Reader, progress func(image.Progress)) ([]image.Info, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var out []image.Info
	for line := range bytes.Lines(b) {
		out = append(out, i.host().AddImage(strings.TrimSpace(string(line)), v1.Config{Cmd: []string{"run"}}))
	}
	return out, nil
}

func (i *images) Delete(ctx context.Context, ref string) error {
	return i.host().do(ctx, "Images.Delete", func() error {
		info, ok := i.images[ref]
		if !ok {
			return notFound("image %s is not on this host", ref)
		}
		for key, id := range i.snapshots {
			if id == info.ID {
				return conflict("image %s is used by container %s", ref, key)
			}
		}
		for key, views := range i.views {
			if slices.Contains(views, info.ID) {
				return conflict("image %s is used by container %s", ref, key)
			}
		}
		delete(i.images, ref)
		return nil
	})
}

// Push puts the image into Registry under its name.
func (i *images) Push(ctx context.Context, ref string, o image.PushOptions, progress func(image.Progress)) (pushed image.Pushed, err error) {
	err = i.host().do(ctx, "Images.Push", func() error {
		info, ok := i.images[ref]
		if !ok {
			return notFound("image %s is not on this host", ref)
		}
		i.Registry[ref] = info
		pushed = image.Pushed{Ref: ref, Digest: info.ID}
		return nil
	})
	return pushed, err
}

func (i *images) CommitSnapshot(ctx context.Context, key string, change func(*v1.Config) error, author image.Author, refs ...string) (info image.Info, err error) {
	err = i.host().do(ctx, "Images.CommitSnapshot", func() error {
		id, ok := i.snapshots[key]
		if !ok {
			return notFound("there is no snapshot %s", key)
		}
		for _, have := range i.images {
			if have.ID == id {
				info.Config = *have.Config.DeepCopy()
			}
		}
		info.ID, info.Refs, info.Created = hash(key+author.Comment), refs, time.Now()
		if err := change(&info.Config); err != nil {
			return err
		}
		for _, ref := range refs {
			i.images[ref] = info
		}
		return nil
	})
	return info, err
}

func (h *Host) String() string { return fmt.Sprint(h.Left()) }
