package sparsejson

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	N    int
	Text string `json:"text,omitempty"`
}

type embedded struct{ Deep string }

type upper string

func (u upper) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(string(u))), nil }

func (u *upper) UnmarshalText(text []byte) error {
	*u = upper(strings.ToLower(string(text)))
	return nil
}

type byPointer struct{ n int }

func (b *byPointer) MarshalJSON() ([]byte, error)    { return json.Marshal(b.n) }
func (b *byPointer) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &b.n) }

type all struct {
	Bool      bool
	Int       int8
	Uint      uint64
	Float     float64
	String    string
	Bytes     []byte
	Raw       json.RawMessage
	Time      time.Time
	Addr      netip.Addr
	Pointer   *int
	Struct    inner
	Structs   []inner
	ToStructs []*inner
	Array     [2]string
	Map       map[string]inner
	MapOf     map[string]*inner
	Keyed     map[upper]int
	Numbered  map[int]string
	Named     upper
	Any       any
	Renamed   string `json:"other"`
	Hyphen    string `json:"-,"`
	Own       byPointer
	Left      string `json:"-"`
	hidden    string
}

// What is written is read as what was written: no field, no difference between nothing and an empty list, is lost.
func TestMarshalIsReadAsItWas(t *testing.T) {
	zero, seven := 0, 7
	for what, v := range map[string]any{
		"nothing": &all{},
		"everything": &all{
			Bool: true, Int: -3, Uint: 1 << 63, Float: 0.1, String: "a\"b\\c\n\x00é\u2028<&>", Bytes: []byte{0, 255}, Raw: json.RawMessage(`{"a":[1,2]}`),
			Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Addr: netip.MustParseAddr("10.0.0.1"), Pointer: &seven, Struct: inner{1, "x"}, Structs: []inner{{}, {2, ""}},
			ToStructs: []*inner{nil, {3, ""}, {}}, Array: [2]string{"", "y"}, Map: map[string]inner{"b": {}, "a\"": {1, ""}}, MapOf: map[string]*inner{"nil": nil, "": {}},
			Keyed: map[upper]int{"a": 1}, Numbered: map[int]string{-1: "x"}, Named: "word", Any: "text", Renamed: "r", Hyphen: "h", Own: byPointer{9},
		},
		"empty and nil differ": &all{Structs: []inner{}, Map: map[string]inner{}, Pointer: &zero, Bytes: []byte{}, ToStructs: []*inner{}},
		"embedded":             &struct{ embedded }{embedded{"x"}},
		"a number in quotes, beside what has methods of its pointer": &struct {
			N   int `json:",string"`
			Own byPointer
		}{5, byPointer{6}},
		"a list":        &[]string{"a", ""},
		"a number":      &zero,
		"a nil pointer": new(*inner),
	} {
		text, err := Marshal(v)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		back := reflect.New(reflect.TypeOf(v).Elem())
		if err := json.Unmarshal(text, back.Interface()); err != nil {
			t.Errorf("%s: %v: %s", what, err, text)
		} else if !reflect.DeepEqual(back.Interface(), v) {
			t.Errorf("%s: %s is read as\n%+v, was\n%+v", what, text, back.Elem(), reflect.ValueOf(v).Elem())
		}
	}
}

func TestMarshalLeavesOutWhatIsZero(t *testing.T) {
	text, err := Marshal(all{Map: map[string]inner{"z": {}, "a": {Text: "x"}}, Left: "no", hidden: "no"})
	if want := `{"Map":{"a":{"text":"x"},"z":{}}}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
	if text, err := Marshal(nil); err != nil || string(text) != "null" {
		t.Errorf("nothing: %s, %v", text, err)
	}
}

func TestMarshalSaysWhatItCannot(t *testing.T) {
	if text, err := Marshal(struct{ F func() }{func() {}}); err == nil {
		t.Errorf("a function is %s", text)
	}
}
