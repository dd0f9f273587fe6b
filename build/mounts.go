package build

import (
	"context"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/runtime/mount"
)

// mountPlan is a --mount with everything known of it that its step's key depends on.
type mountPlan struct {
	*instructions.Mount
	target  string
	layers  []v1.Hash // of a bind, or of what a cache begins with
	subpath string
	secret  *Secret
	env     string // of a secret
	agent   *Agent
}

// stepMount is a mount of a step's container.
type stepMount struct {
	mount.Mount        // without a Target: only env
	agent       bool   // it is an SSH agent's socket
	view        int    // which of the layers beside the root it shows; -1 = none
	env, value  string // of a secret that is a variable
}

// mountPlans looks up what mounts take, and adds to k what they mean.
func (w *worker) mountPlans(ctx context.Context, mounts []*instructions.Mount, k key) ([]mountPlan, error) {
	var plans []mountPlan
	agents := 0
	for _, m := range mounts {
		p := mountPlan{Mount: m}
		if m.Target != "" {
			p.target = w.state.inWorkdir(m.Target)
			if p.target == "/" {
				return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("--mount=type=%s: nothing can be mounted at /", m.Type))
			}
		}
		k.add("mount", string(m.Type), p.target, fmt.Sprint(m.ReadOnly))
		var err error
		switch m.Type {
		case instructions.MountTypeBind:
			err = w.planBind(ctx, &p)
			k.layers(p.layers)
			k.add(p.subpath)
		case instructions.MountTypeCache:
			if p.CacheID == "" {
				p.CacheID = path.Clean(p.target)
			}
			if m.From != "" {
				err = w.planBind(ctx, &p)
			}
			k.add(p.CacheID, string(p.CacheSharing))
		case instructions.MountTypeTmpfs:
			k.add(fmt.Sprint(m.SizeLimit))
		case instructions.MountTypeSecret:
			err = w.planSecret(&p)
			k.add(secretID(m), p.env, fmt.Sprint(p.secret != nil))
		case instructions.MountTypeSSH:
			if p.target == "" {
				p.target = agentDir + strconv.Itoa(agents)
			}
			agents++
			p.agent, err = w.r.agent(agentID(m))
			k.add(agentID(m), p.target, fmt.Sprint(p.agent != nil))
		}
		if err != nil {
			return nil, fmt.Errorf("--mount=type=%s,target=%s: %w", m.Type, m.Target, err)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// planBind finds the layers that p shows a part of. A part of a context is made a layer first: as a COPY has it, without what is ignored, and
// nobody's but root's.
func (w *worker) planBind(ctx context.Context, p *mountPlan) error {
	dir := w.r.Context
	if p.From != "" {
		w.planMu.Lock()
		o := w.l.origin(w.r, w.l.all[:w.stage.index], p.From, true)
		w.planMu.Unlock()
		if o.dir == "" {
			var err error
			if o.stage == nil && o.image == "" {
				return nil // scratch
			}
			p.layers, err = w.layersOf(ctx, o)
			p.subpath = strings.Trim(path.Clean("/"+p.Source), "/")
			return err
		}
		dir = o.dir
	}
	src, err := w.context(dir)
	if err != nil {
		return err
	}
	source := p.Source
	if source == "" {
		source = "."
	}
	f, ok, err := src.find(path.Join(".", path.Clean("/" + source)[1:]))
	if err == nil && !ok {
		err = src.missing(source)
	}
	if err != nil {
		return err
	}
	stage := *w.stage
	stage.noCache = false
	aside := &worker{job: w.job, stage: &stage, state: scratch(v1.Platform{}), words: w.words}
	if _, err := aside.fromContext(ctx, transfer{verb: "COPY", dest: "/", asDir: true, sources: []string{source}}, Progress{}, dir); err != nil {
		return err
	}
	p.layers = aside.state.layers()
	if !f.dir {
		p.subpath = path.Base(f.named)
	}
	return nil
}

// maxSecret is docker's bound too.
const maxSecret = 500 << 10

// secretID is what a secret mount asks for.
func secretID(m *instructions.Mount) string {
	switch {
	case m.CacheID != "":
		return m.CacheID
	case m.Source != "":
		return path.Base(m.Source)
	}
	return path.Base(m.Target)
}

// secret finds one; nil = it was not given.
func (r *Request) secret(id string) (*Secret, error) {
	for i := range r.Secrets {
		if r.Secrets[i].ID == id {
			return &r.Secrets[i], nil
		}
	}
	if r.FindSecret == nil {
		return nil, nil
	}
	s, err := r.FindSecret(id)
	if err != nil {
		return nil, fmt.Errorf("cannot get secret %q: %w", id, err)
	}
	return s, nil
}

// planSecret finds the secret. One that was not given and is not required is not there.
func (w *worker) planSecret(p *mountPlan) (err error) {
	id := secretID(p.Mount)
	p.secret, err = w.r.secret(id)
	if p.Env != nil {
		if p.env = *p.Env; p.env == "" {
			p.env = id
		}
		return err
	}
	if p.target == "" {
		p.target = "/run/secrets/" + path.Base(id)
	}
	return err
}

// openMounts makes what the plans mount. beside are the layers that the step's snapshot is to hold, and show.
func (w *worker) openMounts(ctx context.Context, plans []mountPlan) (list []stepMount, beside [][]v1.Hash, release func(), err error) {
	var releases []func()
	release = func() {
		for i := len(releases) - 1; i >= 0; i-- {
			releases[i]()
		}
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	for _, p := range plans {
		m := stepMount{view: -1, Mount: mount.Mount{Target: p.target}}
		switch p.Type {
		case instructions.MountTypeBind:
			if p.ReadOnly {
				m.view = len(beside)
				beside = append(beside, p.layers)
				m.Mount = mount.Mount{Type: "overlay", Source: "overlay", Target: p.target, Subpath: p.subpath}
				break
			}
			// What is written there is for the command alone.
			key := keyPrefix + objectid.New()
			mounts, err := w.prepare(ctx, key, p.layers)
			if err != nil {
				return nil, nil, nil, err
			}
			releases = append(releases, func() { _ = w.b.opt.Images.Remove(context.WithoutCancel(ctx), key) }) // swept later if not now
			m.Mount = rootfs.Writable(mounts[0])
			m.Target, m.Subpath = p.target, p.subpath
		case instructions.MountTypeTmpfs:
			m.Type, m.Source, m.Options = "tmpfs", "tmpfs", []string{"nosuid", "nodev"}
			if p.SizeLimit > 0 {
				m.Options = append(m.Options, fmt.Sprintf("size=%d", p.SizeLimit))
			}
		case instructions.MountTypeCache:
			dir, done, err := w.cacheDir(ctx, p)
			if err != nil {
				return nil, nil, nil, err
			}
			releases = append(releases, done)
			m.Type, m.Source = "bind", dir
			if p.ReadOnly {
				m.Options = []string{"ro"}
			}
		case instructions.MountTypeSSH:
			if p.agent == nil {
				continue
			}
			path, done, err := w.lendAgent(ctx, p)
			if err != nil {
				return nil, nil, nil, fmt.Errorf("cannot lend SSH agent %q: %w", p.agent.ID, err)
			}
			releases = append(releases, done)
			m.Type, m.Source, m.agent = "bind", path, true
		case instructions.MountTypeSecret:
			if p.secret == nil {
				continue
			}
			content, err := p.secret.read()
			if err != nil {
				return nil, nil, nil, err
			}
			if p.env != "" {
				m.env, m.value = p.env, string(content)
			}
			if p.target != "" {
				m.Type, m.File = "file", p.file(content)
			}
		}
		list = append(list, m)
	}
	return list, beside, release, nil
}

// read returns the bytes of a secret, which are nowhere but in memory and in the container that is given them.
func (s *Secret) read() ([]byte, error) {
	content := s.Value
	if s.Source != "" {
		var err error
		if content, err = os.ReadFile(s.Source); err != nil {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read secret %q: %w", s.ID, err))
		}
	}
	if len(content) > maxSecret {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("secret %q has %d bytes; at most %d are allowed", s.ID, len(content), maxSecret))
	}
	return content, nil
}

// file is the secret as the RUN asks for it, or as it was given, or root's alone.
func (p *mountPlan) file(content []byte) *mount.File {
	f := &mount.File{Content: content, Mode: 0o400}
	if p.secret.UID != nil {
		f.UID = *p.secret.UID
	}
	if p.secret.GID != nil {
		f.GID = *p.secret.GID
	}
	if p.secret.Mode != nil {
		f.Mode = uint32(p.secret.Mode.Perm())
	}
	if p.UID != nil {
		f.UID = int(*p.UID)
	}
	if p.GID != nil {
		f.GID = int(*p.GID)
	}
	if p.Mode != nil {
		f.Mode = uint32(*p.Mode) & 0o7777
	}
	return f
}
