package wire

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Filters are what a list is narrowed by: for each key values, of which one has to fit (labels: each).
type Filters map[string][]string

// ReadFilters reads the query parameter filters: {"key":{"value":true}}, or {"key":["value"]} as clients before API 1.22 and some of today send it.
// A key that is not among known is refused by name.
func ReadFilters(r *http.Request, known ...string) (Filters, error) {
	return ParseFilters(r.URL.Query().Get("filters"), known...)
}

// ParseFilters is ReadFilters of the parameter's text. "" = none.
func ParseFilters(text string, known ...string) (Filters, error) {
	if text == "" {
		return Filters{}, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, invalid("invalid filter: %v", err)
	}
	f := Filters{}
	for key, value := range raw {
		var set map[string]bool
		var list []string
		if json.Unmarshal(value, &set) == nil {
			for v, on := range set {
				if on {
					list = append(list, v)
				}
			}
		} else if err := json.Unmarshal(value, &list); err != nil {
			return nil, invalid("invalid filter %q: expected a map of values or a list of them", key)
		}
		if !slices.Contains(known, key) {
			return nil, invalid("invalid filter %q: expected one of %s", key, strings.Join(known, ", "))
		}
		slices.Sort(list)
		if list = slices.Compact(list); len(list) > 0 {
			f[key] = list
		}
	}
	return f, nil
}

// Has says whether there is a filter key at all.
func (f Filters) Has(key string) bool { return len(f[key]) > 0 }

// Any says whether fits is true for one of key's values, or there are none.
func (f Filters) Any(key string, fits func(value string) bool) bool {
	return !f.Has(key) || slices.ContainsFunc(f[key], fits)
}

// Is says whether value is one of key's, or there are none.
func (f Filters) Is(key, value string) bool {
	return f.Any(key, func(v string) bool { return v == value })
}

// Match says whether value is one of key's, or contains what one of them, a regular expression (RE2), stands for, or there are none: dockerd's way with names and ids.
func (f Filters) Match(key, value string) bool {
	return f.Any(key, func(v string) bool {
		if v == value {
			return true
		}
		expr, err := regexp.Compile(v)
		return err == nil && expr.MatchString(value)
	})
}

// Bool is the one value of key, 1 or true, 0 or false; otherwise when there is none. ErrInvalidArgument for others and for both.
func (f Filters) Bool(key string, otherwise bool) (bool, error) {
	values := f[key]
	if len(values) == 0 {
		return otherwise, nil
	}
	if len(values) == 1 {
		switch strings.ToLower(values[0]) {
		case "1", "true", "t":
			return true, nil
		case "0", "false", "f":
			return false, nil
		}
	}
	return false, invalid("invalid filter '%s=%s': expected true or false", key, strings.Join(values, ","))
}

// Labels says whether labels have all that the filter key (label) asks for, "name" or "name=value".
func (f Filters) Labels(key string, labels map[string]string) bool {
	for _, want := range f[key] {
		if !hasLabel(labels, want) {
			return false
		}
	}
	return true
}

// NoLabels says whether labels have none of what the filter key (label!) asks for.
func (f Filters) NoLabels(key string, labels map[string]string) bool {
	for _, want := range f[key] {
		if hasLabel(labels, want) {
			return false
		}
	}
	return true
}

func hasLabel(labels map[string]string, want string) bool {
	name, value, valued := strings.Cut(want, "=")
	have, ok := labels[name]
	return ok && (!valued || have == value)
}
