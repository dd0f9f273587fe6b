package containers

import (
	"reflect"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
)

// TestEveryFieldIsDecided: a field that the API has got with a later version of its types is honoured or refused by name, never passed over.
func TestEveryFieldIsDecided(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[container.Config](), reflect.TypeFor[container.HostConfig](), reflect.TypeFor[container.Resources](), reflect.TypeFor[network.EndpointSettings](), reflect.TypeFor[mount.Mount](),
		reflect.TypeFor[mount.BindOptions](), reflect.TypeFor[mount.VolumeOptions](), reflect.TypeFor[mount.ImageOptions](), reflect.TypeFor[mount.TmpfsOptions](), reflect.TypeFor[container.HealthConfig](),
		reflect.TypeFor[container.DeviceRequest](),
	} {
		known := decisions[typ.Name()]
		there := map[string]bool{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Anonymous { // its fields are another type's
				continue
			}
			there[f.Name] = true
			if known[f.Name] == 0 {
				t.Errorf("%s.%s: nobody has decided what becomes of it", typ, f.Name)
			}
		}
		for name := range known {
			if !there[name] {
				t.Errorf("%s has no field %s any more", typ, name)
			}
		}
	}
}

// TestRefusedFieldsAreNamed: each field that is refused is, by its name on the wire.
func TestRefusedFieldsAreNamed(t *testing.T) {
	for _, v := range []any{&container.Config{}, &container.HostConfig{}, &container.Resources{}, &mount.Mount{}, &container.DeviceRequest{}} {
		s := reflect.ValueOf(v).Elem()
		for i := range s.NumField() {
			f := s.Type().Field(i)
			if decisions[s.Type().Name()][f.Name] != refused {
				continue
			}
			one := reflect.New(s.Type()).Elem()
			one.Field(i).Set(value(f.Type))
			err := refuse("X.", one.Addr().Interface())
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			if err == nil || !strings.Contains(err.Error(), "X."+name+":") {
				t.Errorf("%s.%s: %v", s.Type(), f.Name, err)
			}
		}
		if err := refuse("", v); err != nil {
			t.Errorf("a %T that says nothing is refused: %v", v, err)
		}
	}
}

// value is one of typ that says something.
func value(typ reflect.Type) reflect.Value {
	v := reflect.New(typ).Elem()
	switch typ.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64, reflect.Uint16, reflect.Uint32:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(typ, 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(typ))
		v.SetMapIndex(reflect.New(typ.Key()).Elem(), reflect.New(typ.Elem()).Elem())
	case reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
	}
	return v
}
