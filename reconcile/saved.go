package reconcile

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/autoport"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// The file of a saved plan; docs/saved-plan.md describes it for its readers.
const (
	savedFormat  = "stack-plan"
	savedVersion = 1
)

// savedFile is the file. Seal is an HMAC-SHA256 over everything else, with a key that only this instance has: whoever carries the plan
// out does what was looked at when it was made, and not what somebody has made of the file since.
type savedFile struct {
	Format  string          `json:"format"`
	Version int             `json:"version"`
	Program string          `json:"program"` // version of stack: the project is in its own types
	Host    string          `json:"host"`    // the instance whose key it is
	Seal    string          `json:"seal"`
	Plan    json.RawMessage `json:"plan"`
}

// savedPlan is what was decided and what it was decided on.
type savedPlan struct {
	Made    time.Time     `json:"made"`
	Project *spec.Project `json:"project"`
	Options ask.UpOptions `json:"options"`
	Changes []plan.Change `json:"changes"`
	Steps   []savedStep   `json:"steps"`
	Facts   facts         `json:"facts"`
}

type savedStep struct {
	ID        int            `json:"id"`
	Kind      string         `json:"kind"` // the operation's name: CreateNetwork
	Operation plan.Operation `json:"operation"`
	Needs     []int          `json:"needs,omitempty"`
	After     []int          `json:"after,omitempty"`
	For       plan.ID        `json:"for"`
	Update    string         `json:"update,omitempty"`
	Cause     plan.Reason    `json:"cause"`
}

// writtenPlan is savedPlan as it is read: its steps are not carried out but compared, for which their text is enough. What is done is
// always what plan.Build says of the file's project.
type writtenPlan struct {
	Made    time.Time       `json:"made"`
	Project *spec.Project   `json:"project"`
	Options ask.UpOptions   `json:"options"`
	Changes json.RawMessage `json:"changes"`
	Steps   json.RawMessage `json:"steps"`
	Facts   facts           `json:"facts"`
}

func savedSteps(pl *plan.Plan) []savedStep {
	out := make([]savedStep, 0, len(pl.Steps))
	for _, s := range pl.Steps {
		out = append(out, savedStep{s.ID, reflect.TypeOf(s.Op).Name(), s.Op, s.Needs, s.After, s.For, s.Update, wording.Redact(s.Cause)})
	}
	return out
}

// Save is Plan, with a file that Apply can carry out. It changes nothing. Images that are on the host are taken as they are: what a
// registry has when the plan is carried out nobody can say now.
func (e *Engine) Save(ctx context.Context, p *spec.Project, o ask.UpOptions) (*ask.Saved, error) {
	release, err := e.loop.Pass(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	defer e.ports.Release(ctx, p.Name)
	c, pl, said, err := e.planner.Fixed(ctx, p, o)
	if err != nil {
		return nil, err
	}
	if o.Ports == ask.PortsAuto { // what is chosen is a part of the plan, also that nothing is
		if o.Chosen = autoport.Chosen(c.Want, nil); o.Chosen == nil {
			o.Chosen = map[string][]plan.Port{}
		}
	}
	for _, d := range tellProviders(p, c.Want, o) {
		d.Detail += "; apply does not"
		said = append(said, d)
	}
	out := &ask.Saved{Preview: planning.Preview(p.Name, pl, said)}
	sortChanges(out.Preview.Changes)
	if pl == nil || len(out.Preview.Faults) > 0 {
		return out, nil
	}
	body, err := json.Marshal(savedPlan{
		Made: time.Now().UTC().Round(0), Project: p, Options: o, Changes: out.Preview.Changes, Steps: savedSteps(pl), Facts: factsOf(c.Want, c.Have),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot save the plan of project %s: %w", p.Name, err)
	}
	f := savedFile{Format: savedFormat, Version: savedVersion, Program: e.version, Host: e.identity.name(), Plan: body}
	if f.Seal, err = e.identity.seal(f); err != nil {
		return nil, fmt.Errorf("cannot save the plan of project %s: %w", p.Name, err)
	}
	if out.File, err = json.MarshalIndent(f, "", "  "); err != nil {
		return nil, fmt.Errorf("cannot save the plan of project %s: %w", p.Name, err)
	}
	return out, nil
}

// Apply carries out a plan that Save made, exactly that, or nothing. It refuses a file that this instance did not make or that is not as it
// made it (ErrInvalidArgument), and a plan that was made of another state of the host (ErrConflict).
func (e *Engine) Apply(ctx context.Context, file []byte, o ask.ApplyOptions, sink event.Sink) error {
	saved, err := e.open(file)
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot apply this plan: %w", err))
	}
	if o.Project != "" && o.Project != saved.Project.Name {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot apply this plan: it is of project %q, and -p asks for %q; make another with `stack -p %[2]s plan -o FILE`", saved.Project.Name, o.Project))
	}
	up := saved.Options
	up.Command, up.Wait, up.WaitTimeout, up.Parallel = o.Command, o.Wait, o.WaitTimeout, o.Parallel
	up.Offline = up.Offline || o.Offline
	return e.bring(ctx, saved.Project, up, sink, func(ctx context.Context) (*planning.Comparison, *plan.Plan, diag.List, error) {
		c, pl, said, err := e.planner.Fixed(ctx, saved.Project, up)
		if err != nil {
			return nil, nil, nil, err
		}
		var moved []plan.Reason
		if moved = saved.Facts.moved(factsOf(c.Want, c.Have)); len(moved) == 0 && pl != nil {
			moved, err = otherSteps(saved.Steps, pl)
		}
		if err == nil && len(moved) > 0 {
			err = hasMoved(saved, moved)
		}
		return c, pl, said, err
	})
}

// hasMoved is the refusal, with each field that is not what it was.
func hasMoved(saved *writtenPlan, moved []plan.Reason) error {
	const most = 30
	lines := make([]string, 0, len(moved))
	for _, r := range moved {
		lines = append(lines, "  "+wording.Redact(r).String())
	}
	if n := len(lines); n > most {
		lines = append(lines[:most], fmt.Sprintf("  and %d more", n-most))
	}
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot apply this plan: this host is not what it was when the plan was made (%s):\n%s\nnothing was changed; make a new one with `stack plan -o FILE`",
		saved.Made.Format(time.RFC3339), strings.Join(lines, "\n")))
}

// otherSteps compares the steps of a file with those of a plan that was made of the same facts. They can still differ: whether a wait is
// needed depends on the health of the moment.
func otherSteps(written json.RawMessage, pl *plan.Plan) ([]plan.Reason, error) {
	now, err := json.Marshal(savedSteps(pl))
	if err != nil {
		return nil, fmt.Errorf("cannot compare the plan: %w", err)
	}
	if bytes.Equal(written, now) {
		return nil, nil
	}
	reasons := plan.Diff(plan.Encode(map[string]json.RawMessage{"steps": written}), plan.Encode(map[string]json.RawMessage{"steps": now}))
	return reasons, nil
}

// open reads and checks a file from who knows where.
func (e *Engine) open(file []byte) (*writtenPlan, error) {
	f, err := decodeSaved(file)
	if err != nil {
		return nil, err
	}
	if f.Program != e.version {
		return nil, fmt.Errorf("version %s of stack made it and this is version %s; make a new one with `stack plan -o FILE`", quoteShort(f.Program), e.version)
	}
	if f.Host != e.identity.name() {
		return nil, fmt.Errorf("another host, or another state root, made it (%s, and this one is %s); a plan holds for the host that it was made on", quoteShort(f.Host), e.identity.name())
	}
	seal, err := e.identity.seal(*f)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(seal), []byte(f.Seal)) {
		return nil, errors.New("it is not as it was saved: its seal does not fit; make a new one with `stack plan -o FILE`")
	}
	p, err := decodePlan(f.Plan)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// decodeSaved reads the outside of a file.
func decodeSaved(file []byte) (*savedFile, error) {
	if len(file) > ask.MaxSaved {
		return nil, fmt.Errorf("it is larger than %d MiB", ask.MaxSaved>>20)
	}
	f := new(savedFile)
	var probe struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	switch err := json.Unmarshal(file, &probe); {
	case err != nil, probe.Format != savedFormat:
		return nil, errors.New("it is not a plan that `stack plan -o` saved")
	case probe.Version != savedVersion:
		return nil, fmt.Errorf("its format is version %d and this program knows version %d", probe.Version, savedVersion)
	}
	if err := strictly(file, f); err != nil {
		return nil, err
	}
	return f, nil
}

// decodePlan reads the inside.
func decodePlan(raw json.RawMessage) (*writtenPlan, error) {
	p := new(writtenPlan)
	if err := strictly(raw, p); err != nil {
		return nil, err
	}
	if p.Project == nil {
		return nil, errors.New("it has no project")
	}
	var steps bytes.Buffer
	if err := json.Compact(&steps, p.Steps); err != nil {
		return nil, errors.New("it has no steps")
	}
	p.Steps = steps.Bytes()
	if err := spec.CheckProjectName(p.Project.Name); err != nil {
		return nil, err
	}
	return p, spec.CheckNames(p.Project)
}

func strictly(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("it cannot be read: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("it cannot be read: something follows the plan")
	}
	return nil
}

// quoteShort is a word of a file that nobody vouches for, fit to be shown.
func quoteShort(s string) string {
	const most = 40
	return fmt.Sprintf("%q", s[:min(len(s), most)])
}

// identity is the secret of one state root.
type identity []byte

const (
	bucketIdentity = "identity"
	keyIdentity    = "seal"
)

// loadIdentity reads the key, making it at the first start.
func loadIdentity(s driver.Store) (identity, error) {
	key, err := s.Get(bucketIdentity, keyIdentity)
	if err == nil && len(key) == sha256.Size {
		return key, nil
	}
	if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		return nil, err
	}
	key = make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: crypto/rand, Go 1.24
	return key, s.Put(bucketIdentity, keyIdentity, key)
}

func (k identity) mac(text []byte) []byte {
	m := hmac.New(sha256.New, k)
	m.Write(text) // never fails: hash.Hash
	return m.Sum(nil)
}

// name tells instances apart and gives nothing of the key away.
func (k identity) name() string { return hex.EncodeToString(k.mac([]byte("name"))[:8]) }

func (k identity) seal(f savedFile) (string, error) {
	f.Seal = ""
	text, err := json.Marshal(f) // it compacts Plan: spaces do not matter
	if err != nil {
		return "", fmt.Errorf("it cannot be read: %v", err)
	}
	return hex.EncodeToString(k.mac(text)), nil
}
