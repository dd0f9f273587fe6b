package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"github.com/stackrun/stack/internal/layertest"
	imageregistry "github.com/stackrun/stack/internal/registry"
)

// messages reads a stream of progress to its end; the error is what the stream ends with.
func messages(t *testing.T, r io.ReadCloser, err error) (text string, _ error) {
	t.Helper()
	if err != nil {
		return "", err
	}
	defer r.Close()
	d := json.NewDecoder(r)
	for {
		var m struct {
			Status, Stream, ID, Error string
			Aux                       json.RawMessage
		}
		if err := d.Decode(&m); err == io.EOF {
			return text, nil
		} else if err != nil {
			t.Fatal(err)
		}
		if m.Error != "" {
			return text, errors.New(m.Error)
		}
		text += strings.TrimSpace(m.ID+" "+m.Status+m.Stream+string(m.Aux)) + "\n"
	}
}

// TestEngineAPIImages: an image's way through docker's client: pulled, tagged, pushed, removed, pulled again, saved and loaded.
func TestEngineAPIImages(t *testing.T) {
	to := imageregistry.Empty(t, "somebody", "word")
	h := theHost(t)
	c := h.dockerClient(t)
	ctx := t.Context()
	pulled, err := c.ImagePull(ctx, "redis:7", client.ImagePullOptions{})
	text, err := messages(t, pulled, err)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "pull", text, "Pulling from library/redis", "Digest: sha256:", "for redis:7")
	name := to.Host + "/team/redis:1"
	t.Cleanup(func() {
		for _, ref := range []string{name, "redis:7"} {
			c.ImageRemove(context.Background(), ref, client.ImageRemoveOptions{Force: true}) //nolint:errcheck // it may be gone
		}
	})
	inspected, err := c.ImageInspect(ctx, "redis:7")
	if err != nil || !slices.Contains(inspected.RepoTags, "redis:7") || len(inspected.RepoDigests) == 0 || inspected.Config == nil || len(inspected.Config.Cmd) == 0 || len(inspected.RootFS.Layers) == 0 {
		t.Fatalf("%+v, %v", inspected, err)
	}
	_, digest, _ := strings.Cut(inspected.RepoDigests[0], "@")
	if _, err := c.ImageTag(ctx, client.ImageTagOptions{Source: "redis:7", Target: name}); err != nil {
		t.Fatal(err)
	}

	// Without the right credentials the registry refuses; with them the image arrives by the digest that it was pulled with.
	_, err = c.RegistryLogin(ctx, client.RegistryLoginOptions{Username: "somebody", Password: "wrong", ServerAddress: to.Host})
	if err == nil || !strings.Contains(err.Error(), "refuses access") {
		t.Errorf("login: %v", err)
	}
	if _, err := c.RegistryLogin(ctx, client.RegistryLoginOptions{Username: "somebody", Password: "word", ServerAddress: to.Host}); err != nil {
		t.Errorf("login: %v", err)
	}
	auth := registry.AuthConfig{Username: "somebody", Password: "word"}
	header := encoded(t, auth)
	out, err := c.ImagePush(ctx, name, client.ImagePushOptions{})
	if _, err = messages(t, out, err); err == nil || !strings.Contains(err.Error(), "refuses access") {
		t.Errorf("push without credentials: %v", err)
	}
	out, err = c.ImagePush(ctx, name, client.ImagePushOptions{RegistryAuth: header})
	text, err = messages(t, out, err)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "push", text, "refers to repository ["+to.Host+"/team/redis]", "Pushed", "1: digest: "+digest, `"Tag":"1"`)
	remote, err := c.DistributionInspect(ctx, name, client.DistributionInspectOptions{EncodedRegistryAuth: header})
	if err != nil || remote.Descriptor.Digest.String() != digest || len(remote.Platforms) != 1 || remote.Platforms[0].OS != "linux" {
		t.Errorf("%+v, %v", remote, err)
	}

	removed, err := c.ImageRemove(ctx, name, client.ImageRemoveOptions{})
	if err != nil || len(removed.Items) != 1 || removed.Items[0].Untagged != name {
		t.Errorf("a name of two: %+v, %v", removed, err)
	}
	pulled, err = c.ImagePull(ctx, name, client.ImagePullOptions{RegistryAuth: header})
	text, err = messages(t, pulled, err)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "pull back", text, "Already exists", "Digest: "+digest)
	for ref, says := range map[string]string{to.Host + "/team/none:1": "pull access denied", "busybox:none": "does not have it"} {
		pulled, err = c.ImagePull(ctx, ref, client.ImagePullOptions{})
		if _, err := messages(t, pulled, err); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("pull of %s: %v", ref, err)
		}
	}

	saved, err := c.ImageSave(ctx, []string{"redis:7"})
	if err != nil {
		t.Fatal(err)
	}
	archive, err := io.ReadAll(saved)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{name, "redis:7"} {
		if _, err := c.ImageRemove(ctx, ref, client.ImageRemoveOptions{}); err != nil {
			t.Errorf("remove %s: %v", ref, err)
		}
	}
	if _, err := c.ImageInspect(ctx, inspected.ID); err == nil || !strings.Contains(err.Error(), "No such image") {
		t.Errorf("a removed image: %v", err)
	}
	loaded, err := c.ImageLoad(ctx, bytes.NewReader(archive))
	text, err = messages(t, loaded, err)
	if err != nil || !strings.Contains(text, "Loaded image: redis:7") {
		t.Errorf("%q, %v", text, err)
	}
	if again, err := c.ImageInspect(ctx, "redis:7"); err != nil || again.ID != inspected.ID {
		t.Errorf("it was %s and is %s: %v", inspected.ID, again.ID, err)
	}
	if items, err := c.ImageHistory(ctx, "redis:7"); err != nil || len(items.Items) == 0 || items.Items[0].ID != inspected.ID {
		t.Errorf("%+v, %v", items, err)
	}
	f := client.Filters{}.Add("reference", "red*")
	if list, err := c.ImageList(ctx, client.ImageListOptions{Filters: f}); err != nil || len(list.Items) != 1 || list.Items[0].ID != inspected.ID {
		t.Errorf("%+v, %v", list, err)
	}
	root := layertest.Tar(t, layertest.Dir("etc", 0o755), layertest.File("etc/name", "x"))
	imported, err := c.ImageImport(ctx, client.ImageImportSource{Source: bytes.NewReader(root), SourceName: "-"}, "imported:1", client.ImageImportOptions{Message: "from a test", Changes: []string{"CMD [\"/x\"]"}})
	if text, err = messages(t, imported, err); err != nil || !strings.HasPrefix(text, "sha256:") {
		t.Errorf("import: %q, %v", text, err)
	}
	if i, err := c.ImageInspect(ctx, "imported:1"); err != nil || i.Comment != "from a test" || !slices.Equal(i.Config.Cmd, []string{"/x"}) || len(i.RootFS.Layers) != 1 {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := c.ImageRemove(ctx, "imported:1", client.ImageRemoveOptions{}); err != nil {
		t.Error(err)
	}
	loaded, err = c.ImageLoad(ctx, strings.NewReader("no archive at all"))
	if _, err := messages(t, loaded, err); err == nil || !strings.Contains(err.Error(), "not an image archive") {
		t.Errorf("load of nothing: %v", err)
	}
	if _, err := c.ImageSave(ctx, []string{"nothing:1"}); err == nil || !strings.Contains(err.Error(), "nothing:1") {
		t.Errorf("save of nothing: %v", err)
	}
}

func encoded(t *testing.T, auth registry.AuthConfig) string {
	t.Helper()
	text, err := json.Marshal(auth)
	if err != nil {
		t.Fatal(err)
	}
	return base64.URLEncoding.EncodeToString(text)
}

// TestEngineAPIBuild: docker's classic builder is served by the same builds as those of files; an image in use stays; commit makes one of a container.
func TestEngineAPIBuild(t *testing.T) {
	p := newBuilds(t, "apibuild", map[string]string{"compose.yaml": "services:\n  app: {image: \"api:1\", pull_policy: never, init: true}\n"})
	c := p.host.dockerClient(t)
	ctx := t.Context()
	t.Cleanup(func() { c.BuildCachePrune(context.Background(), client.BuildCachePruneOptions{}) }) //nolint:errcheck // the next build does it
	sources := func(dockerfile string, more ...layertest.Entry) io.Reader {
		return bytes.NewReader(layertest.Tar(t, append([]layertest.Entry{layertest.File("Dockerfile", dockerfile)}, more...)...))
	}
	build := func(r io.Reader, o client.ImageBuildOptions) (string, error) {
		o.Version = "1"
		res, err := c.ImageBuild(ctx, r, o)
		return messages(t, res.Body, err)
	}
	value := "you"
	text, err := build(sources("FROM busybox\nARG WHO\nRUN echo built for $WHO | tee /made\nCOPY page /page\nCMD [\"sh\",\"-c\",\"cat /made /page; sleep infinity\"]\n", layertest.File("page", "the page\n")),
		client.ImageBuildOptions{Tags: []string{"api:1", "api:2"}, BuildArgs: map[string]*string{"WHO": &value}, Labels: map[string]string{"by": "api"}})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "build", text, "Step 1/5 : FROM busybox\n", "Step 2/5 : ARG WHO\n", "Step 3/5 : RUN echo built for", "Step 5/5 : CMD ", "built for you", `{"ID":"sha256:`, "Successfully built", "Successfully tagged api:1", "Successfully tagged api:2")
	// Of several stages the steps are counted through, in the order of the file, although the second stage waits for nobody.
	text, err = build(sources("FROM busybox\nRUN sleep 0.1; echo one\nFROM busybox AS two\nRUN echo two\nFROM scratch\nCOPY --from=0 /bin/true /a\nCOPY --from=two /bin/true /b\n"), client.ImageBuildOptions{NoCache: true})
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile(`(?m)^(Step \d/\d : [A-Z]+|one|two)`).FindAllString(text, -1)
	equal(t, "the steps", strings.Join(steps, ", "), "Step 1/7 : FROM, Step 2/7 : RUN, one, Step 3/7 : FROM, Step 4/7 : RUN, two, Step 5/7 : FROM, Step 6/7 : COPY, Step 7/7 : COPY")
	p.up()
	p.logged("app", "built for you", "the page")
	if i, err := c.ImageInspect(ctx, "api:1"); err != nil || i.Config.Labels["by"] != "api" {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := c.ImageRemove(ctx, "api:2", client.ImageRemoveOptions{}); err != nil {
		t.Errorf("a second name: %v", err)
	}
	if _, err := c.ImageRemove(ctx, "api:1", client.ImageRemoveOptions{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("an image in use: %v", err)
	}
	if gone, err := c.ImagePrune(ctx, client.ImagePruneOptions{Filters: client.Filters{}.Add("dangling", "false").Add("label", "by=api")}); err != nil || len(gone.Report.ImagesDeleted) != 0 {
		t.Errorf("%+v, %v", gone, err)
	}

	r := p.run("exec", "-T", "app", "sh", "-c", "echo more >/more")
	if r.code != 0 {
		t.Fatal(r)
	}
	made, err := c.ContainerCommit(ctx, "apibuild-app-1", client.ContainerCommitOptions{Reference: "api:committed", Comment: "why", Changes: []string{`CMD ["cat", "/more"]`}})
	if err != nil {
		t.Fatal(err)
	}
	if i, err := c.ImageInspect(ctx, "api:committed"); err != nil || i.ID != made.ID || i.Comment != "why" || !slices.Equal(i.Config.Cmd, []string{"cat", "/more"}) {
		t.Errorf("%+v, %v", i, err)
	}
	if r := p.run("exec", "-T", "app", "true"); r.code != 0 {
		t.Errorf("after a commit: %s", r)
	}
	if _, err := c.ContainerCommit(ctx, "nothing", client.ContainerCommitOptions{}); err == nil || !strings.Contains(err.Error(), "No such container") {
		t.Errorf("commit of nothing: %v", err)
	}

	// What it starts from may need credentials, which the client sends along.
	private := imageregistry.Empty(t, "somebody", "word")
	base := private.Host + "/base:1"
	auth := registry.AuthConfig{Username: "somebody", Password: "word"}
	if _, err := c.ImageTag(ctx, client.ImageTagOptions{Source: "busybox", Target: base}); err != nil {
		t.Fatal(err)
	}
	out, err := c.ImagePush(ctx, base, client.ImagePushOptions{RegistryAuth: encoded(t, auth)})
	if _, err := messages(t, out, err); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ImageRemove(ctx, base, client.ImageRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := build(sources("FROM "+base+"\n"), client.ImageBuildOptions{}); err == nil || !strings.Contains(err.Error(), "refuses access") {
		t.Errorf("a private base without credentials: %v", err)
	}
	if _, err := build(sources("FROM "+base+"\n"), client.ImageBuildOptions{Tags: []string{"api:private"}, AuthConfigs: map[string]registry.AuthConfig{private.Host: auth}}); err != nil {
		t.Errorf("a private base with credentials: %v", err)
	}
	for _, ref := range []string{"api:private", base} {
		if _, err := c.ImageRemove(ctx, ref, client.ImageRemoveOptions{}); err != nil {
			t.Error(err)
		}
	}

	evil := layertest.File("out/f", "x")
	for what, c := range map[string]struct {
		from io.Reader
		o    client.ImageBuildOptions
		says string
	}{
		"a step that fails":       {sources("FROM busybox\nRUN exit 3\n"), client.ImageBuildOptions{}, "Dockerfile:2: RUN exit 3: exit code 3"},
		"what is no instruction":  {sources("FROM busybox\nNOPE\n"), client.ImageBuildOptions{}, "unknown instruction: NOPE"},
		"no Dockerfile":           {bytes.NewReader(layertest.Tar(t)), client.ImageBuildOptions{}, `it has no "Dockerfile"`},
		"a Dockerfile elsewhere":  {bytes.NewReader(layertest.Tar(t, layertest.Symlink("Dockerfile", "/etc/passwd"))), client.ImageBuildOptions{}, "Dockerfile"},
		"patterns from elsewhere": {sources("FROM busybox", layertest.Symlink(".dockerignore", "/etc/passwd")), client.ImageBuildOptions{}, ".dockerignore"},
		"sources that climb":      {sources("FROM busybox", layertest.Symlink("out", "/tmp"), evil), client.ImageBuildOptions{}, "out/f"},
		"what is no tar":          {strings.NewReader("FROM busybox"), client.ImageBuildOptions{}, "not a tar stream"},
		"a limit":                 {sources("FROM busybox"), client.ImageBuildOptions{Memory: 1 << 20}, "memory=1048576 is not supported"},
		"a device in the sources": {sources("FROM busybox", layertest.Entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}}), client.ImageBuildOptions{}, "null"},
	} {
		if _, err := build(c.from, c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	o := client.ImageBuildOptions{Version: "2"}
	if _, err := c.ImageBuild(ctx, sources("FROM busybox"), o); err == nil || !strings.Contains(err.Error(), "DOCKER_BUILDKIT=0") {
		t.Errorf("BuildKit: %v", err)
	}
	for _, ref := range []string{"api:committed"} {
		if _, err := c.ImageRemove(ctx, ref, client.ImageRemoveOptions{}); err != nil {
			t.Error(err)
		}
	}
	p.run("down", "--timeout", "0")
	if gone, err := c.ImagePrune(ctx, client.ImagePruneOptions{Filters: client.Filters{}.Add("dangling", "false").Add("label", "by=api")}); err != nil || len(gone.Report.ImagesDeleted) == 0 {
		t.Errorf("%+v, %v", gone, err)
	}
}
