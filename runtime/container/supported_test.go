package container

import (
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/proto"
)

// handledElsewhere are fields that the wire to boot need not carry: package cgroup and package seccomp do them, or they ask for nothing.
var handledElsewhere = []string{
	"Linux.Resources", "Linux.Seccomp", // applied by the daemon
	"Version", "Annotations", // ask for nothing
	"Root.Path", // Config.Root makes the root
}

// Every field of the runtime-spec is either done (it arrives at boot) or refused by name: a field that a new version of the spec brings
// fails this test until somebody decides.
func TestEverySpecFieldArrivesOrIsRefused(t *testing.T) {
	walkFields(t, reflect.TypeFor[specs.Spec](), "", nil)
}

// walkFields sets one leaf after the other in an otherwise minimal spec.
func walkFields(t *testing.T, typ reflect.Type, path string, index []int) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name := strings.TrimPrefix(path+"."+f.Name, ".")
		at := append(append([]int{}, index...), i)
		if contains(handledElsewhere, name) {
			continue
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		descend := map[string]bool{"Process": true, "Root": true, "Linux": true, "Process.User": true, "Process.Capabilities": true, "Process.ConsoleSize": true}
		if descend[name] {
			walkFields(t, inner, name, at)
			continue
		}
		values := samples(f.Type)
		if len(values) == 0 {
			t.Errorf("%s: no sample of %s", name, f.Type)
		}
		for _, v := range values {
			checkField(t, name, at, v)
		}
	}
}

func checkField(t *testing.T, name string, index []int, v reflect.Value) {
	s := &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{}}
	field := fieldAt(reflect.ValueOf(s).Elem(), index)
	field.Set(v)
	if refused := unsupported(s); refused != "" {
		last := name[strings.LastIndexByte(name, '.')+1:]
		if name != "Mounts" && name != "Linux.Namespaces" && !strings.Contains(strings.ToLower(refused), strings.ToLower(last)) {
			t.Errorf("%s is refused as %q", name, refused)
		}
		return
	}
	got, err := proto.DecodeBoot((&proto.Bootstrap{Spec: s}).Encode())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	have := reflect.ValueOf(got.Spec).Elem()
	if g := fieldAt(have, index); !reflect.DeepEqual(g.Interface(), v.Interface()) {
		t.Errorf("%s is neither refused nor does it arrive: set %#v, boot sees %#v", name, v.Interface(), g.Interface())
	}
}

// fieldAt is FieldByIndex that makes what is nil on its way.
func fieldAt(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

// samples are values of t: of a struct one for each field, so that each shows by itself.
func samples(t reflect.Type) []reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("sample")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(-7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Pointer:
		var out []reflect.Value
		for _, e := range samples(t.Elem()) {
			p := reflect.New(t.Elem())
			p.Elem().Set(e)
			out = append(out, p)
		}
		return out
	case reflect.Slice:
		var out []reflect.Value
		for _, e := range samples(t.Elem()) {
			out = append(out, reflect.Append(reflect.MakeSlice(t, 0, 1), e))
		}
		return out
	case reflect.Map:
		var out []reflect.Value
		for _, e := range samples(t.Elem()) {
			m := reflect.MakeMap(t)
			m.SetMapIndex(reflect.ValueOf("key").Convert(t.Key()), e)
			out = append(out, m)
		}
		return out
	case reflect.Struct:
		var out []reflect.Value
		for i := range t.NumField() {
			for _, e := range samples(t.Field(i).Type) {
				s := reflect.New(t).Elem()
				s.Field(i).Set(e)
				out = append(out, s)
			}
		}
		return out
	}
	return []reflect.Value{v}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
