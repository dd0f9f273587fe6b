// Package sparsejson writes values as JSON for a reader that has the same types: fields that have their zero value are left out, and come back so.
//
// encoding/json prepares for all that a type can hold when it meets the type, anew in each process: 0.75 ms for a project, in each `stack up`,
// where a service uses a dozen of its hundred and thirty fields; and it writes the others too, for the daemon to read. Here the value is walked
// as it is, and nothing is prepared.
package sparsejson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Marshal gives v as encoding/json reads it into a zero value of the same type. Of its rules it knows the names of fields, and MarshalJSON and MarshalText;
// to a type for which that is not enough (embedded fields, floats, bytes, keys that are no strings) it applies encoding/json itself.
func Marshal(v any) ([]byte, error) { return appendValue(nil, reflect.ValueOf(v)) }

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(b, "null"...), nil
	}
	t := v.Type()
	if t.NumMethod() > 0 && t.Kind() != reflect.Interface && (t.Implements(marshaler) || t.Implements(textMarshaler)) {
		return appendStandard(b, v)
	}
	if v.CanAddr() && t.PkgPath() != "" {
		if p := reflect.PointerTo(t); p.Implements(marshaler) || p.Implements(textMarshaler) {
			return appendStandard(b, v)
		}
	}
	switch t.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case reflect.String:
		return appendString(b, v.String())
	case reflect.Pointer, reflect.Interface:
		return appendValue(b, v.Elem())
	case reflect.Slice:
		if !v.IsNil() && t.Elem().Kind() != reflect.Uint8 {
			return appendList(b, v)
		}
	case reflect.Array:
		return appendList(b, v)
	case reflect.Map:
		if !v.IsNil() && t.Key().Kind() == reflect.String && !t.Key().Implements(textMarshaler) {
			return appendMap(b, v)
		}
	case reflect.Struct:
		return appendStruct(b, v)
	}
	return appendStandard(b, v)
}

func appendStandard(b []byte, v reflect.Value) ([]byte, error) {
	if v.CanAddr() { // so that methods of the pointer count
		v = v.Addr()
	}
	text, err := json.Marshal(v.Interface())
	return append(b, text...), err
}

func appendString(b []byte, s string) ([]byte, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		text, err := json.Marshal(s)
		return append(b, text...), err
	}
	return append(append(append(b, '"'), s...), '"'), nil
}

func appendList(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, v.Index(i)); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// appendMap writes the keys in order: the same value is the same text.
func appendMap(b []byte, v reflect.Value) (_ []byte, err error) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendString(b, key.String()); err != nil {
			return b, err
		}
		if b, err = appendValue(append(b, ':'), v.MapIndex(key)); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func appendStruct(b []byte, v reflect.Value) (_ []byte, err error) {
	t, begin := v.Type(), len(b)
	b = append(b, '{')
	for i := range v.NumField() {
		if v.Field(i).IsZero() { // before its name is looked up, which is what takes time
			continue
		}
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous, strings.Contains(options, "string"):
			return appendStandard(b[:begin], v)
		case !f.IsExported(), tag == "-":
			continue
		}
		if name == "" {
			name = f.Name
		}
		if len(b) > begin+1 {
			b = append(b, ',')
		}
		if b, err = appendString(b, name); err != nil {
			return b, err
		}
		if b, err = appendValue(append(b, ':'), v.Field(i)); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}
