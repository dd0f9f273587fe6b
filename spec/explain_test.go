package spec_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// explained is a project that has a value by every way there is.
var explained = fstest.MapFS{
	"srv/compose.yaml": {Data: []byte(`x-env: &env {A: one, B: two}
include: [inc/more.yaml]
services:
  web:
    extends: {file: base.yaml, service: base}
    image: nginx:${TAG:-1}
    environment:
      <<: *env
      B: mine
      DB_PASSWORD: ${DBPW}
      URL: "postgres://u:${X}@db"
      TAKEN:
    env_file: app.env
    ports: ["${PORT}:80", "90-91:90-91"]
    volumes: ["./a:/data", "v:/v"]
    labels: {com.x.y: "1"}
    logging: {driver: local, options: {max-size: 1m}}
volumes: {v: {}}
`)},
	"srv/over.yaml": {Data: []byte(`services:
  web:
    image: nginx:${TAG}-alpine
    command: [a, b]
    environment: [A=over, "API_TOKEN=abc"]
    ports: ["81:81"]
    volumes: [{type: bind, source: ./b, target: /data}]
    labels: !reset null
    logging: {driver: json-file}
`)},
	"srv/base.yaml":     {Data: []byte("services:\n  base:\n    image: busybox\n    command: old ${TAG}\n    environment: {C: \"${WHO:-me}\"}\n")},
	"srv/app.env":       {Data: []byte("A=file\nZ=zz\nTAKEN=q\n")},
	"srv/inc/more.yaml": {Data: []byte("services: {side: {image: \"side:${INC}\", volumes: [\"./d:/d\"]}}\n")},
	"srv/inc/.env":      {Data: []byte("INC=7\n")},
}

func explain(t *testing.T, at spec.Path) ([]spec.Origin, diag.List) {
	t.Helper()
	return spec.Explain(context.Background(), spec.Input{
		FS: explained, Files: []string{"/srv/compose.yaml", "/srv/over.yaml"}, Dir: "/srv", Name: "demo", Purpose: spec.ToShow,
		Env:     map[string]string{"TAG": "3", "DBPW": "geheim", "PORT": "8080", "X": "s3cret", "TAKEN": "here"},
		EnvFrom: map[string]diag.Pos{"TAG": {File: "/srv/.env", Line: 1}, "DBPW": {File: "/srv/.env", Line: 2}},
	}, at)
}

// line is an origin in short.
func line(o spec.Origin) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s=%s @%s", o.Path, o.Value, strings.TrimPrefix(o.At.String(), "/srv/"))
	if o.Reset {
		b.WriteString(" reset")
	}
	if o.Written != "" {
		b.WriteString(" written " + o.Written)
	}
	for _, v := range o.Variables {
		b.WriteString(" with " + v.Name)
		if v.Set {
			b.WriteString("=" + v.Value)
		}
		if v.From != nil {
			b.WriteString(" " + strings.TrimPrefix(v.From.String(), "/srv/"))
		}
	}
	for _, s := range o.Through {
		b.WriteString(" by " + s.What + " " + strings.TrimPrefix(s.At.String(), "/srv/"))
	}
	for _, was := range o.Overrides {
		was.Path = ""
		b.WriteString(" | " + line(was))
	}
	return b.String()
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		at   spec.Path
		want []string
	}{
		{"services.web.image", []string{"services.web.image=nginx:3-alpine @over.yaml:3:12 written nginx:${TAG}-alpine with TAG=3 .env:1" +
			" | =nginx:3 @compose.yaml:6:12 written nginx:${TAG:-1} with TAG=3 .env:1 | =busybox @base.yaml:3:12 by extends compose.yaml:5:14"}},
		{"services.web.command", []string{
			"services.web.command=[a, b] @over.yaml:4:14 | =old 3 @base.yaml:4:14 written old ${TAG} with TAG=3 .env:1 by extends compose.yaml:5:14",
			"services.web.command[0]=a @over.yaml:4:15", "services.web.command[1]=b @over.yaml:4:18"}},
		{"services.web.environment", []string{
			"services.web.environment.A=over @over.yaml:5:19 | =file @app.env:1 by env_file compose.yaml:13:15 | =one @compose.yaml:1:17 by merge key compose.yaml:8:11",
			"services.web.environment.API_TOKEN=(hidden) @over.yaml:5:27",
			"services.web.environment.B=mine @compose.yaml:9:10 | =two @compose.yaml:1:25 by merge key compose.yaml:8:11",
			"services.web.environment.C=me @base.yaml:5:22 written ${WHO:-me} with WHO by extends compose.yaml:5:14",
			"services.web.environment.DB_PASSWORD=(hidden) @compose.yaml:10:20 written ${DBPW} with DBPW=(hidden) .env:2",
			"services.web.environment.TAKEN=here @compose.yaml:12:13 with TAKEN=here | =q @app.env:3 by env_file compose.yaml:13:15",
			"services.web.environment.URL=(hidden) @compose.yaml:11:12 written (hidden) with X=(hidden)",
			"services.web.environment.Z=zz @app.env:2 by env_file compose.yaml:13:15"}},
		{"services.web.ports", []string{
			"services.web.ports[0]=8080:80 @compose.yaml:14:13 written ${PORT}:80 with PORT=8080",
			"services.web.ports[1]=90-91:90-91 @compose.yaml:14:27", "services.web.ports[2]=90-91:90-91 @compose.yaml:14:27",
			"services.web.ports[3]=81:81 @over.yaml:6:13"}},
		{"services.web.ports[3].target", []string{"services.web.ports[3]=81:81 @over.yaml:6:13"}},
		{"services.web.volumes", []string{
			"services.web.volumes[0].source=./b @over.yaml:7:36", "services.web.volumes[0].target=/data @over.yaml:7:49",
			"services.web.volumes[0].type=bind @over.yaml:7:22",
			"services.web.volumes[0]={type: bind, source: ./b, target: /data} @over.yaml:7:15 | =./a:/data @compose.yaml:15:15",
			"services.web.volumes[1]=v:/v @compose.yaml:15:28"}},
		{"services.web.labels", []string{"services.web.labels= @over.yaml:8:13 reset | ={com.x.y: 1} @compose.yaml:16:13"}},
		{"services.web.logging", []string{"services.web.logging.driver=json-file @over.yaml:9:23 | =local @compose.yaml:17:23"}},
		{"services.side", []string{
			"services.side.image=side:7 @inc/more.yaml:1:26 written side:${INC} with INC=7 inc/.env:1 by include compose.yaml:2:11",
			"services.side.volumes[0]=/srv/inc/d:/d @inc/more.yaml:1:51 by include compose.yaml:2:11"}},
	} {
		origins, list := explain(t, tt.at)
		if list.HasErrors() {
			t.Fatalf("%s: %v", tt.at, list.Err())
		}
		var got []string
		for _, o := range origins {
			got = append(got, line(o.Redacted()))
		}
		slices.Sort(got)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.at, diff)
		}
	}
}

func TestExplainShowsSecretsToWhoAsks(t *testing.T) {
	origins, _ := explain(t, "services.web.environment.URL")
	if len(origins) != 1 || !origins[0].Secret || origins[0].Value != "postgres://u:s3cret@db" {
		t.Errorf("got %+v", origins)
	}
}

func TestExplainNothing(t *testing.T) {
	for at, hint := range map[spec.Path]string{"servces.web": `did you mean "services"?`, "services.web.imag": `did you mean "image"?`, "services.web.restart": "the files say of services.web: ",
		"PORT": "that is a variable; give the address of a value: services.web.ports[", "DB_PASSWORD": "that is a variable; give the address of a value: services.web.environment.DB_PASSWORD"} {
		_, list := explain(t, at)
		if !list.HasErrors() || list[len(list)-1].Code != spec.CodeUndefined || !strings.HasPrefix(list[len(list)-1].Hint, hint) {
			t.Errorf("%s: %v", at, list.Err())
		}
	}
}

// TestExplainAgreesWithLoad: whoever asks where values come from gets the values of an ordinary load, warnings included.
func TestExplainAgreesWithLoad(t *testing.T) {
	for _, file := range cases(t, "testdata/ok") {
		p, list, in := loadCase(t, "testdata/ok", file)
		origins, again := spec.Explain(context.Background(), in, "")
		if diff := cmp.Diff(list, again); diff != "" {
			t.Errorf("%s: other diagnostics (-load +explain):\n%s", file, diff)
		}
		for _, o := range origins {
			// The source of a list or mapping is its key.
			if r, ok := p.Sources[o.Path]; ok && !strings.ContainsAny(o.Value[:min(1, len(o.Value))], "[{") && r.Start != o.At {
				t.Errorf("%s: %s is from %s, its source is %s", file, o.Path, o.At, r.Start)
			}
		}
	}
}
