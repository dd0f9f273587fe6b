package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// MaxBody bounds a JSON body, bytes: that of dockerd, where it has one.
const MaxBody = 4 << 20

// JSON answers with v.
func JSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the peer is gone
	return nil
}

// NoContent answers 204.
func NoContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Decode reads the request's JSON body into v, a pointer to a struct. What v has no field for is refused by its name, unless it is without a value (null, false, 0,
// "", [], {}) or one of without: fields that older clients send, by their path (HostConfig.KernelMemory), and that mean nothing for what the caller does.
// An empty body leaves v as it is when there is no Content-Type, and is refused otherwise.
func Decode(w http.ResponseWriter, r *http.Request, v any, without ...string) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return invalid("cannot read the request: %v", err)
	}
	kind := r.Header.Get("Content-Type")
	if len(text) == 0 && kind == "" {
		return nil
	}
	if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
		return invalid("unsupported Content-Type header (%s): must be 'application/json'", kind)
	}
	return DecodeText(text, v, without...)
}

// DecodeText is Decode of JSON that was read elsewhere.
func DecodeText(text []byte, v any, without ...string) error {
	if len(text) == 0 {
		return invalid("invalid JSON: got EOF while reading request body")
	}
	if err := json.Unmarshal(text, v); err != nil {
		return invalid("invalid JSON: %v", err)
	}
	var raw any
	if err := json.Unmarshal(text, &raw); err != nil {
		return invalid("invalid JSON: %v", err)
	}
	var names []string
	for _, name := range unknown(reflect.TypeOf(v), raw, "") {
		if !slices.ContainsFunc(without, func(known string) bool { return strings.EqualFold(known, name) }) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return invalid("cannot do as the request says: %s: there is no such field in this version of the API, or it is not supported", strings.Join(names, ", "))
}

func invalid(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(format, args...))
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// unknown are the paths of those members of raw that have a value and that t has no field for.
func unknown(t reflect.Type, raw any, at string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	var names []string
	switch t.Kind() {
	case reflect.Struct:
		members, _ := raw.(map[string]any)
		for name, value := range members {
			path := strings.TrimPrefix(at+"."+name, ".")
			field, ok := fieldFor(t, name)
			switch {
			case ok:
				names = append(names, unknown(field, value, path)...)
			case !empty(value):
				names = append(names, path)
			}
		}
	case reflect.Map:
		members, _ := raw.(map[string]any)
		for name, value := range members {
			names = append(names, unknown(t.Elem(), value, strings.TrimPrefix(at+"."+name, "."))...)
		}
	case reflect.Slice, reflect.Array:
		elements, _ := raw.([]any)
		for i, value := range elements {
			names = append(names, unknown(t.Elem(), value, at+"["+strconv.Itoa(i)+"]")...)
		}
	}
	return names
}

// fieldFor is the type of t's field that encoding/json puts a member of that name into.
func fieldFor(t reflect.Type, name string) (reflect.Type, bool) {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "-" || !f.IsExported() || f.Anonymous && tag == "" && derefStruct(f.Type) {
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		if strings.EqualFold(tag, name) {
			return f.Type, true
		}
	}
	return nil, false
}

func derefStruct(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// empty says that a value of JSON says nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, member := range v {
			if !empty(member) {
				return false
			}
		}
		return true
	}
	return false
}
