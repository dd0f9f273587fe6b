package logdriver

import (
	"maps"
	"testing"
)

func source() *Source {
	return &Source{
		ID: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Name: "shop-web-1", ImageID: "sha256:fedcba9876543210", ImageName: "nginx:1", Command: "nginx -g daemon off;",
		Env: []string{"COLOUR=red", "LOG_A=1", "EMPTY=", "BOTH=variable"}, Labels: map[string]string{"team": "shop", "log.b": "2", "BOTH": "label", "other": "x"},
	}
}

func TestTag(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "0123456789ab",
		"{{.ID}}":                   "0123456789ab",
		"{{ .FullID }}":             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"{{.DaemonName}}/{{.Name}}": "docker/shop-web-1",
		"{{.ImageName}} {{.ImageID}} {{.ImageFullID}}": "nginx:1 fedcba987654 sha256:fedcba9876543210",
		"a}}b": "a}}b",
		"{{(.ExtraAttributes nil).COLOUR}}-{{ (.ExtraAttributes nil).OTHER }}": "red-",
	} {
		o := map[string]string{"tag": text, "env": "COLOUR"}
		if got := Tag(o, source()); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if faults := Check("syslog", o); len(faults) > 0 {
			t.Errorf("%q: %v", text, faults)
		}
	}
	for _, text := range []string{"{{", "{{.Name", "{{.Nobody}}", "{{upper .Name}}", "{{if .Name}}x{{end}}", "{{}}"} {
		if faults := Check("syslog", map[string]string{"tag": text}); len(faults) != 1 {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestAttributes(t *testing.T) {
	for _, c := range []struct{ options, want map[string]string }{
		{nil, map[string]string{}},
		{map[string]string{"labels": "team,absent", "env": "COLOUR,EMPTY"}, map[string]string{"team": "shop", "COLOUR": "red", "EMPTY": ""}},
		{map[string]string{"labels-regex": `^log\.`, "env-regex": "^LOG_"}, map[string]string{"log.b": "2", "LOG_A": "1"}},
		{map[string]string{"labels": "BOTH", "env": "BOTH"}, map[string]string{"BOTH": "variable"}},
	} {
		if got := Attributes(c.options, source()); !maps.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.options, got, c.want)
		}
	}
	nameless := &Source{Env: []string{"=x", "A=1"}, Labels: map[string]string{"": "y"}}
	if got := Attributes(map[string]string{"env-regex": ".*", "labels-regex": ".*"}, nameless); !maps.Equal(got, map[string]string{"A": "1"}) {
		t.Errorf("without a name: %v", got)
	}
}
