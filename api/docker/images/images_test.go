package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
)

// engine answers what a test says, and keeps what it was asked.
type engine struct {
	Engine
	images []image.Info
	told   []image.Progress
	err    error
	auth   *image.Auth
	asked  []string
	build  reconcile.ImageBuild
	steps  []reconcile.BuildProgress
	commit ask.CommitOptions
}

func (e *engine) ask(format string, args ...any) {
	e.asked = append(e.asked, fmt.Sprintf(format, args...))
}

func (e *engine) ListImages(context.Context) ([]image.Info, error) { return e.images, e.err }

func (e *engine) InspectImage(_ context.Context, ref string, _ v1.Platform) (reconcile.InspectedImage, error) {
	for _, i := range e.images {
		for _, name := range i.Refs {
			if name == ref {
				return reconcile.InspectedImage{Info: i, File: &v1.ConfigFile{Config: i.Config, History: []v1.History{{CreatedBy: "ADD"}, {CreatedBy: "CMD", EmptyLayer: true, Comment: "last"}}}, Layers: []image.LayerInfo{{DiffID: hash("a"), Bytes: 5}, {DiffID: hash("b"), Bytes: 7}}}, nil
			}
		}
	}
	return reconcile.InspectedImage{}, errdefs.With(errdefs.ErrNotFound, errors.New("No such image: "+ref))
}

func (e *engine) PullImage(_ context.Context, ref string, p v1.Platform, auth *image.Auth, progress func(image.Progress)) (image.Info, bool, error) {
	e.ask("pull %s %s", ref, p.String())
	e.auth = auth
	for _, pr := range e.told {
		progress(pr)
	}
	return image.Info{Digest: hash("d")}, true, e.err
}

func (e *engine) PushImage(_ context.Context, ref string, o image.PushOptions, progress func(image.Progress)) (image.Pushed, error) {
	e.ask("push %s", ref)
	e.auth = o.Auth
	for _, pr := range e.told {
		progress(pr)
	}
	return image.Pushed{Digest: hash("d"), Size: 17}, e.err
}

func (e *engine) TagImage(_ context.Context, ref, name string) error {
	e.ask("tag %s %s", ref, name)
	return e.err
}

func (e *engine) RemoveImage(_ context.Context, ref string, force bool) (image.Removal, error) {
	e.ask("remove %s %v", ref, force)
	return image.Removal{Untagged: []string{"x:1"}, Deleted: []v1.Hash{hash("a")}}, e.err
}

func (e *engine) PruneImages(_ context.Context, all bool, fits func(image.Info) bool) (image.Removal, error) {
	gone := image.Removal{Bytes: 9}
	for _, i := range e.images {
		if fits(i) {
			gone.Deleted = append(gone.Deleted, i.ID)
		}
	}
	e.ask("prune %v", all)
	return gone, e.err
}

func (e *engine) SaveImages(_ context.Context, w io.Writer, _ v1.Platform, refs ...string) error {
	e.ask("save %s", strings.Join(refs, " "))
	if e.err == nil {
		io.WriteString(w, "archive")
	}
	return e.err
}

func (e *engine) LoadImages(_ context.Context, r io.Reader, progress func(image.Progress)) ([]image.Info, error) {
	_, err := io.Copy(io.Discard, r)
	return e.images, errors.Join(err, e.err)
}

func (e *engine) ImportImage(_ context.Context, r io.Reader, p v1.Platform, ref, comment string, changes []string) (image.Info, error) {
	e.ask("import %s %q %q", ref, comment, changes)
	_, err := io.Copy(io.Discard, r)
	return image.Info{ID: hash("f")}, errors.Join(err, e.err)
}

func (e *engine) CheckAuth(_ context.Context, host string, auth image.Auth) error {
	e.ask("auth %s", host)
	e.auth = &auth
	return e.err
}

func (e *engine) RemoteImage(context.Context, string, *image.Auth) (image.RemoteManifest, error) {
	return image.RemoteManifest{Digest: hash("d"), MediaType: "m", Size: 3, Platforms: []v1.Platform{{OS: "linux", Architecture: "arm64"}}}, e.err
}

func (e *engine) BuildImage(_ context.Context, b reconcile.ImageBuild, progress func(reconcile.BuildProgress)) (image.Info, error) {
	e.build = b
	if _, err := io.Copy(io.Discard, b.Context); err != nil {
		return image.Info{}, err
	}
	for _, p := range e.steps {
		progress(p)
	}
	return image.Info{ID: hash("e")}, e.err
}

func (e *engine) PruneBuilds(context.Context) (int64, error) { return 11, e.err }

func (e *engine) CommitContainer(_ context.Context, ref string, o ask.CommitOptions) (image.Info, error) {
	e.ask("commit %s", ref)
	e.commit = o
	return image.Info{ID: hash("c")}, e.err
}

func hash(hex string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(hex, 64)} }

func (e *engine) serve(method, target string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	m := &wire.Mux{}
	m.Add(Routes(e)...)
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

func authHeader(text string) string { return base64.URLEncoding.EncodeToString([]byte(text)) }

func TestList(t *testing.T) {
	e := &engine{images: []image.Info{
		{ID: hash("1"), Refs: []string{"busybox:1", "localhost:5000/shop/web:2"}, Created: time.Unix(100, 0), Config: v1.Config{Labels: map[string]string{"a": "b"}}},
		{ID: hash("2"), Digests: []string{"x@" + hash("d").String()}, Created: time.Unix(200, 0), Dangling: true},
		{ID: hash("3"), Refs: []string{"nginx:1"}, Created: time.Unix(300, 0)},
	}}
	for filters, want := range map[string]string{
		``:                                       "3 2 1",
		`{"dangling":["true"]}`:                  "2",
		`{"dangling":["false"]}`:                 "3 1",
		`{"label":["a"]}`:                        "1",
		`{"label":["a=c"]}`:                      "",
		`{"label!":["a"]}`:                       "3 2",
		`{"reference":["busybox"]}`:              "1",
		`{"reference":["*:1"]}`:                  "3 1",
		`{"reference":["localhost:5000/*/web"]}`: "1",
		`{"before":["nginx:1"]}`:                 "2 1",
		`{"since":["busybox:1"]}`:                "3 2",
		`{"until":["150"]}`:                      "1",
	} {
		w := e.serve("GET", "/v1.51/images/json?filters="+url.QueryEscape(filters), nil)
		var list []struct {
			Id       string
			RepoTags []string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
			t.Fatal(err, w.Body)
		}
		var got []string
		for _, i := range list {
			got = append(got, i.Id[7:8])
			if i.RepoTags == nil {
				t.Errorf("%s: no list of names", filters)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", filters, got, want)
		}
	}
	if w := e.serve("GET", "/images/json?filters="+url.QueryEscape(`{"colour":["red"]}`), nil); w.Code != 400 || !strings.Contains(w.Body.String(), "colour") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := e.serve("GET", "/v1.42/images/json", nil); !strings.Contains(w.Body.String(), `"\u003cnone\u003e:\u003cnone\u003e"`) {
		t.Errorf("for an old client: %s", w.Body)
	}
}

func TestInspectAndHistory(t *testing.T) {
	e := &engine{images: []image.Info{{ID: hash("1"), Refs: []string{"busybox:1"}, Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Config: v1.Config{Cmd: []string{"sh"}, Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "x"}, Interval: 5}}}}}
	w := e.serve("GET", "/images/busybox:1/json", nil)
	for _, want := range []string{`"Cmd":["sh"]`, `"Interval":5`, `"Architecture":"amd64"`, `"Comment":"last"`, `"Layers":["sha256:aa`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
	}
	if w := e.serve("GET", "/images/a/b/c/json", nil); w.Code != 404 || !strings.Contains(w.Body.String(), "No such image: a/b/c") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := e.serve("GET", "/images/busybox:1/json?platform=arm64", nil); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var items []struct {
		Id, CreatedBy string
		Size          int
		Tags          []string
	}
	w = e.serve("GET", "/images/busybox:1/history", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &items); err != nil || len(items) != 3 || items[0].Size != 7 || items[0].Id != hash("1").String() || len(items[0].Tags) != 1 || items[1].CreatedBy != "CMD" || items[2].Size != 5 {
		t.Errorf("%+v, %v", items, err)
	}
}

func TestPull(t *testing.T) {
	e := &engine{told: []image.Progress{{Phase: image.Resolving}, {Layer: "l1", Phase: image.Downloading, Current: 1, Total: 4}, {Layer: "l1", Phase: image.Extracting, Current: 4, Total: 4}, {Layer: "l1", Phase: image.Done}, {Layer: "l2", Phase: image.Done}}}
	w := e.serve("POST", "/images/create?fromImage=shop/web&tag=2&platform=linux/arm64", nil, "X-Registry-Auth", authHeader(`{"username":"u","password":"p"}`))
	text := w.Body.String()
	at := 0
	for _, want := range []string{`"status":"Pulling from shop/web"`, `"status":"Pulling fs layer"`, `"status":"Downloading","progressDetail":{"current":1,"total":4}`, `"progress":"[============\u003e `, "Download complete", "Pull complete", "Already exists", "Digest: sha256:ddd", "Downloaded newer image for shop/web:2"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("no %s, in its order, in %s", want, text)
		}
		at += i
	}
	if e.asked[0] != "pull shop/web:2 linux/arm64" || e.auth == nil || e.auth.Username != "u" || e.auth.Password != "p" {
		t.Errorf("%q, %+v", e.asked, e.auth)
	}
	// What is wrong before anything was told has a status.
	for err, code := range map[error]int{errdefs.ErrNotFound: 404, image.ErrDenied: 404, errdefs.ErrUnavailable: 503} {
		e := &engine{err: err}
		if w := e.serve("POST", "/images/create?fromImage=x", nil); w.Code != code {
			t.Errorf("%v: %d %s", err, w.Code, w.Body)
		}
	}
	e.err = errdefs.ErrUnavailable
	if w := e.serve("POST", "/images/create?fromImage=x", nil); w.Code != 200 || !strings.Contains(w.Body.String(), `"errorDetail"`) {
		t.Errorf("in the middle: %d %s", w.Code, w.Body)
	}
	for target, code := range map[string]int{"/images/create": 400, "/images/create?fromSrc=http://x/y": 501, "/images/create?fromImage=BAD": 400, "/images/create?fromImage=x&platform=a/b/c/d": 400} {
		if w := e.serve("POST", target, nil); w.Code != code {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	// Credentials that say nothing are none.
	e = &engine{}
	for _, header := range []string{"", authHeader("{}"), authHeader(`{"serveraddress":"x"}`)} {
		if e.serve("POST", "/images/create?fromImage=x", nil, "X-Registry-Auth", header); e.auth != nil {
			t.Errorf("%q: %+v", header, e.auth)
		}
	}
	if w := e.serve("POST", "/images/create?fromImage=x", nil, "X-Registry-Auth", "secret"); w.Code != 400 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPush(t *testing.T) {
	e := &engine{images: []image.Info{{Refs: []string{"shop/web:1", "other:1", "shop/web:2"}}}, told: []image.Progress{{Layer: "l", Phase: image.Preparing}, {Layer: "l", Phase: image.Sending, Current: 1, Total: 2}, {Layer: "l", Phase: image.Sent}, {Layer: "m", Phase: image.Mounted, From: "a/b"}, {Layer: "n", Phase: image.Exists}}}
	w := e.serve("POST", "/images/shop/web/push?tag=1", nil, "X-Registry-Auth", authHeader(`{"identitytoken":"t"}`))
	for _, want := range []string{"refers to repository [docker.io/shop/web]", `"Pushing","progressDetail":{"current":1,"total":2}`, `"Pushed"`, "Mounted from a/b", "Layer already exists", "1: digest: sha256:ddd", "size: 17", `"aux":{"Digest":"sha256:ddd`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
	}
	if e.auth == nil || e.auth.IdentityToken != "t" {
		t.Errorf("%+v", e.auth)
	}
	if e.serve("POST", "/images/shop/web/push", nil); strings.Join(e.asked, ",") != "push shop/web:1,push shop/web:1,push shop/web:2" {
		t.Errorf("all tags: %q", e.asked)
	}
	if w := e.serve("POST", "/images/none/push", nil); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := e.serve("POST", "/images/x@"+hash("d").String()+"/push", nil); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	e.err = image.ErrDenied
	if w := e.serve("POST", "/images/shop/web/push?tag=1", nil); !strings.Contains(w.Body.String(), `"error":"access denied"`) {
		t.Errorf("%s", w.Body)
	}
}

func TestSmall(t *testing.T) {
	e := &engine{images: []image.Info{{ID: hash("1"), Refs: []string{"x:1"}, Created: time.Unix(100, 0)}, {ID: hash("2"), Created: time.Unix(300, 0)}}}
	for _, c := range []struct {
		method, target, body string
		code                 int
		text                 string
	}{
		{"POST", "/images/a/b:1/tag?repo=c/d&tag=2", "", 201, ""},
		{"POST", "/images/a/tag", "", 400, "without the name"},
		{"DELETE", "/images/a/b:1?force=1", "", 200, `[{"Untagged":"x:1"},{"Deleted":"sha256:aaa`},
		{"DELETE", `/images/a?platforms={"os":"linux","architecture":"amd64"}`, "", 501, "platform"},
		{"POST", "/images/prune?filters=" + url.QueryEscape(`{"until":["200"],"dangling":["0"]}`), "", 200, `{"ImagesDeleted":[{"Deleted":"sha256:111`},
		{"GET", "/images/get?names=a&names=b", "", 200, "archive"},
		{"GET", "/images/get", "", 400, "no name"},
		{"GET", "/images/a/b:1/get", "", 200, "archive"},
		{"POST", "/images/load", "tar", 200, `{"stream":"Loaded image: x:1\n"}`},
		{"POST", "/images/create?fromSrc=-&repo=r&tag=2&message=m&changes=CMD+x", "tar", 200, `{"status":"sha256:fff`},
		{"POST", "/auth", `{"username":"u","password":"p","serveraddress":"h"}`, 200, "Login Succeeded"},
		{"POST", "/auth", `{}`, 400, "neither"},
		{"GET", "/distribution/a/b:1/json", "", 200, `"Platforms":[{"architecture":"arm64","os":"linux"}]`},
		{"POST", "/build/prune", "", 200, `"SpaceReclaimed":11`},
		{"POST", "/build/prune?keep-storage=5", "", 501, "keep-storage=5"},
		{"POST", "/commit?container=box&repo=r&tag=1&author=A&comment=C&pause=0&changes=CMD+x&changes=ENV+a%3D1", "null", 201, `{"Id":"sha256:ccc`},
		{"POST", "/commit?container=box", `{"Cmd":["x"]}`, 400, "Cmd"},
	} {
		header := []string{}
		if c.body != "" {
			header = append(header, "Content-Type", "application/json")
		}
		if w := e.serve(c.method, c.target, strings.NewReader(c.body), header...); w.Code != c.code || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Body)
		}
	}
	if got := strings.Join(e.asked, ", "); got != "tag a/b:1 c/d:2, remove a/b:1 true, prune true, save a b, save a/b:1, import r:2 \"m\" [\"CMD x\"], auth h, commit box" {
		t.Error(got)
	}
	if e.commit.Ref != "r:1" || e.commit.Author != "A" || e.commit.Comment != "C" || !e.commit.NoPause || strings.Join(e.commit.Changes, "|") != "CMD x|ENV a=1" {
		t.Errorf("%+v", e.commit)
	}
	e.err = image.ErrDenied
	if w := e.serve("POST", "/auth", strings.NewReader(`{"username":"u","password":"p"}`), "Content-Type", "application/json"); w.Code != 401 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	e.err = errdefs.ErrNotFound
	if w := e.serve("GET", "/images/a/get", nil); w.Code != 404 || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func sources(t *testing.T) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "Dockerfile", Size: 0}), w.Close()); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestBuild(t *testing.T) {
	// Two stages side by side: what the second says waits for the end of the first.
	e := &engine{steps: []reconcile.BuildProgress{
		{Phase: reconcile.BuildDone, Stage: "web", Step: 1, Steps: 2, At: 4, Of: 5, Text: "FROM stage"},
		{Phase: reconcile.BuildDone, Stage: "stage-0", Step: 1, Steps: 3, At: 1, Of: 5, Text: "FROM x"},
		{Phase: reconcile.BuildStarted, Stage: "stage-0", Step: 2, Steps: 3, At: 2, Of: 5, Text: "RUN y"},
		{Phase: reconcile.BuildStarted, Stage: "web", Step: 2, Steps: 2, At: 5, Of: 5, Text: "RUN z"},
		{Phase: reconcile.BuildOutput, Stage: "web", Step: 2, Steps: 2, At: 5, Of: 5, Text: "RUN z", Output: []byte("early\n")},
		{Phase: reconcile.BuildOutput, Stage: "stage-0", Step: 2, Steps: 3, At: 2, Of: 5, Text: "RUN y", Output: []byte("out\n")},
		{Phase: reconcile.BuildDone, Stage: "web", Step: 2, Steps: 2, At: 5, Of: 5, Text: "RUN z"},
		{Phase: reconcile.BuildWarning, Text: "odd"},
		{Phase: reconcile.BuildDone, Stage: "stage-0", Step: 2, Steps: 3, At: 2, Of: 5, Text: "RUN y"},
		{Phase: reconcile.BuildCached, Stage: "stage-0", Step: 3, Steps: 3, At: 3, Of: 5, Text: "CMD z"},
	}}
	q := url.Values{"t": {"a:1", "b"}, "dockerfile": {"d/File"}, "buildargs": {`{"A":"1","B":null}`}, "labels": {`{"l":"m"}`}, "target": {"web"}, "nocache": {"1"}, "pull": {"1"}, "networkmode": {"host"},
		"shmsize": {"1000"}, "ulimits": {`[{"Name":"nofile","Soft":1,"Hard":-1}]`}, "extrahosts": {"a:1.2.3.4", "b=::1"}, "platform": {"linux/amd64"}, "version": {"1"}, "memory": {"0"}, "cachefrom": {`["x"]`}, "rm": {"1"}}
	w := e.serve("POST", "/build?"+q.Encode(), sources(t), "X-Registry-Config", authHeader(`{"https://index.docker.io/v1/":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("u:p:q"))+`"},"other:5000":{}}`))
	want := `{"stream":"Step 1/5 : FROM x\n"}
{"stream":"Step 2/5 : RUN y\n"}
{"stream":"out\n"}
{"stream":"[Warning] odd\n"}
{"stream":"Step 3/5 : CMD z\n"}
{"stream":" ---\u003e Using cache\n"}
{"stream":"Step 4/5 : FROM stage\n"}
{"stream":"Step 5/5 : RUN z\n"}
{"stream":"early\n"}
{"aux":{"ID":"` + hash("e").String() + `"}}
{"stream":"Successfully built eeeeeeeeeeee\n"}
{"stream":"Successfully tagged a:1\n"}
{"stream":"Successfully tagged b:latest\n"}
`
	if got := strings.ReplaceAll(w.Body.String(), "\r", ""); got != want {
		t.Errorf("got\n%s", got)
	}
	b := e.build
	if b.Dockerfile != "d/File" || len(b.Tags) != 2 || b.Args["A"] != "1" || len(b.Args) != 1 || b.Labels["l"] != "m" || b.Target != "web" || !b.NoCache || !b.Pull || !slices.Equal(b.CacheFrom, []buildcache.Place{{Type: buildcache.Registry, Ref: "x"}}) || b.Network != "host" || b.ShmSize != 1000 || b.Platform.Architecture != "amd64" {
		t.Errorf("%+v", b)
	}
	if len(b.Ulimits) != 1 || b.Ulimits[0].Hard != 1<<64-1 || len(b.ExtraHosts) != 2 || b.ExtraHosts[1].Addr.String() != "::1" {
		t.Errorf("%+v", b)
	}
	if a := b.Auths["docker.io"]; len(b.Auths) != 1 || a == nil || a.Password != "p:q" {
		t.Errorf("%+v", b.Auths)
	}
	if w := e.serve("POST", "/build?q=1", sources(t)); strings.Contains(w.Body.String(), "Step") || !strings.Contains(w.Body.String(), hash("e").String()+`\n`) {
		t.Errorf("quiet: %s", w.Body)
	}
	for query, text := range map[string]string{
		"version=2": "DOCKER_BUILDKIT=0", "session=x": "DOCKER_BUILDKIT=0", "remote=http://x": "remote=http://x", "memory=5": "memory", "squash=1": "squash", "networkmode=mine": "networkmode", "outputs=x": "outputs",
		"t=BAD": "lower case", "buildargs={": "buildargs", "labels=1": "labels", "ulimits=x": "ulimits", "shmsize=-1": "shmsize", "extrahosts=a": "extrahosts", "extrahosts=a:host-gateway": "host-gateway", "t=x@" + hash("d").String(): "digest",
	} {
		if w := e.serve("POST", "/build?"+query, sources(t)); w.Code < 400 || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	e.steps, e.err = nil, errdefs.With(errdefs.ErrInvalidArgument, errors.New("Dockerfile:2: unknown"))
	if w := e.serve("POST", "/build", sources(t)); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// FuzzParameters: whatever a client sends as parameters and credentials, it is read or refused.
func FuzzParameters(f *testing.F) {
	f.Add("t=a&buildargs={}&ulimits=[]&extrahosts=a:1.2.3.4", authHeader("{}"))
	f.Add("labels={\"a\":\"b\"}&platform=linux/arm/v7", "e30")
	f.Fuzz(func(t *testing.T, query, header string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"X-Registry-Config": {header}, "X-Registry-Auth": {header}}}
		if b, err := buildRequest(r); err != nil && !errors.Is(err, errdefs.ErrInvalidArgument) && !errors.Is(err, errdefs.ErrNotSupported) {
			t.Errorf("%+v, %v", b, err)
		}
		if _, err := credentials(r); err != nil && (!errors.Is(err, errdefs.ErrInvalidArgument) || len(header) > 10 && strings.Contains(err.Error(), header)) {
			t.Error(err)
		}
	})
}
