package wire

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/internal/errdefs"
)

func TestFilters(t *testing.T) {
	for _, c := range []struct {
		text string
		want Filters
		bad  string
	}{
		{"", Filters{}, ""},
		{`{}`, Filters{}, ""},
		{`{"label":{"a=b":true,"c":true,"d":false}}`, Filters{"label": {"a=b", "c"}}, ""},
		{`{"label":["c","a","c"]}`, Filters{"label": {"a", "c"}}, ""},
		{`{"name":{},"label":[]}`, Filters{}, ""},
		{`{"color":{"red":true}}`, nil, "color"},
		{`{"label":"a"}`, nil, "label"},
		{`{"label":{"a":1}}`, nil, "label"},
		{`[]`, nil, "invalid filter"},
		{`{`, nil, "invalid filter"},
	} {
		got, err := ParseFilters(c.text, "label", "name")
		if c.bad != "" {
			if err == nil || !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%s: %v", c.text, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
	}
	f := Filters{"label": {"a", "b=1"}, "label!": {"c"}, "name": {"web"}, "dangling": {"true"}, "x": {"0", "1"}}
	for _, c := range []struct {
		what string
		got  bool
		want bool
	}{
		{"all labels", f.Labels("label", map[string]string{"a": "", "b": "1"}), true},
		{"another value", f.Labels("label", map[string]string{"a": "", "b": "2"}), false},
		{"one missing", f.Labels("label", map[string]string{"b": "1"}), false},
		{"none excluded", f.NoLabels("label!", map[string]string{"a": ""}), true},
		{"excluded", f.NoLabels("label!", map[string]string{"c": "x"}), false},
		{"expression", Filters{"name": {"^shop-.*-[0-9]$"}}.Match("name", "shop-web-1"), true},
		{"another expression", Filters{"name": {"^web$"}}.Match("name", "shop-web-1"), false},
		{"no expression", Filters{"name": {"web("}}.Match("name", "web("), true},
		{"exact", f.Is("name", "shop-web-1"), false},
		{"no such filter", f.Is("id", "whatever"), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.what, c.got)
		}
	}
	if on, err := f.Bool("dangling", false); !on || err != nil {
		t.Errorf("dangling: %v, %v", on, err)
	}
	if _, err := f.Bool("x", false); err == nil {
		t.Error("0 and 1 at once")
	}
}

func FuzzFilters(f *testing.F) {
	f.Add(`{"label":{"a=b":true}}`)
	f.Add(`{"name":["x","y"]}`)
	f.Add(`{"name":{"x":null}}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseFilters(text, "label", "name")
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Fatalf("%v", err)
			}
			return
		}
		// What was understood, written as docker's clients write it, is understood as the same.
		sets := map[string]map[string]bool{}
		for key, values := range got {
			sets[key] = map[string]bool{}
			for _, v := range values {
				sets[key][v] = true
			}
		}
		again, err := json.Marshal(sets)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseFilters(string(again), "label", "name"); err != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("%v became %v, %v", got, back, err)
		}
	})
}

type inner struct {
	Name  string
	Since time.Time `json:"since"`
}

type body struct {
	inner
	*Embedded
	Labels map[string]string
	Many   []inner `json:"many,omitempty"`
	hidden string
}

// Embedded has a member that is one of body's.
type Embedded struct{ Deep map[string]inner }

func TestDecode(t *testing.T) {
	for _, c := range []struct{ text, bad string }{
		{`{"Name":"a","deep":{"x":{"since":"2020-01-01T00:00:00Z"}},"labels":{"any":"thing"},"many":[{"name":"b"}]}`, ""},
		{`{"Colour":"red"}`, "Colour"},
		{`{"Many":[{},{"Colour":"red"}]}`, "Many[1].Colour"},
		{`{"Deep":{"x":{"Colour":1}}}`, "Deep.x.Colour"},
		{`{"hidden":"x"}`, "hidden"},
		{`{"Colour":"","Size":0,"No":false,"Nothing":null,"Empty":[],"Object":{"a":{}}}`, ""},
		{`{"CheckDuplicate":true}`, ""},
		{`{"Name":1}`, "invalid JSON"},
		{`[1]`, "invalid JSON"},
		{`{"Name":"a"} {}`, "invalid JSON"},
		{``, "EOF"},
	} {
		r := httptest.NewRequest("POST", "/x", strings.NewReader(c.text))
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		err := Decode(httptest.NewRecorder(), r, &body{hidden: "x"}, "CheckDuplicate")
		if c.bad == "" && err != nil || c.bad != "" && (err == nil || !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	r := httptest.NewRequest("POST", "/x", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "text/plain")
	if err := Decode(httptest.NewRecorder(), r, &body{}); err == nil {
		t.Error("text is taken for JSON")
	}
	if err := Decode(httptest.NewRecorder(), httptest.NewRequest("POST", "/x", nil), &body{}); err != nil {
		t.Errorf("no body: %v", err)
	}
	large := httptest.NewRequest("POST", "/x", strings.NewReader(`{"Name":"`+strings.Repeat("x", MaxBody)+`"}`))
	large.Header.Set("Content-Type", "application/json")
	if err := Decode(httptest.NewRecorder(), large, &body{}); err == nil {
		t.Error("a body of any size is read")
	}
}

// FuzzDecode: whatever is in a body, it is read into the API's largest type, or refused; and what is understood is understood again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"Image":"x","HostConfig":{"Binds":["a:/b"],"PortBindings":{"80/tcp":[{"HostPort":"1"}]},"Mounts":[{"Type":"bind"}]},"NetworkingConfig":{"EndpointsConfig":{"n":{"Aliases":["a"]}}}}`))
	f.Add([]byte(`{"Healthcheck":{"Test":["CMD","x"],"Interval":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c container.CreateRequest
		if err := DecodeText(text, &c); err != nil {
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			return // a value that was put in by a type's own unmarshaller may not be one that it writes
		}
		var back container.CreateRequest
		if err := DecodeText(again, &back); err != nil {
			t.Fatalf("%s became %s: %v", text, again, err)
		}
	})
}

func TestTime(t *testing.T) {
	now := time.Unix(1000, 0)
	for text, want := range map[string]time.Time{
		"":                     {},
		"5":                    time.Unix(5, 0),
		"5.25":                 time.Unix(5, 250e6),
		"5.000000001":          time.Unix(5, 1),
		"10m":                  now.Add(-10 * time.Minute),
		"2024-05-06T07:08:09Z": time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC),
		"2024-05-06T07:08:09":  time.Date(2024, 5, 6, 7, 8, 9, 0, time.Local),
	} {
		if got, err := Time("since", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "1.x", "1.0000000001", "-"} {
		if _, err := Time("since", text, now); err == nil || !strings.Contains(err.Error(), "since") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBool(t *testing.T) {
	for query, want := range map[string]bool{"": false, "v=": false, "v=0": false, "v=False": false, "v=none": false, "v=no": false, "v=1": true, "v=true": true, "v=x": true} {
		if got := Bool(httptest.NewRequest("GET", "/x?"+query, nil), "v"); got != want {
			t.Errorf("%q: %v", query, got)
		}
	}
	if !BoolOr(httptest.NewRequest("GET", "/x", nil), "v", true) || BoolOr(httptest.NewRequest("GET", "/x?v=0", nil), "v", true) {
		t.Error("what is there goes before what is not")
	}
}
