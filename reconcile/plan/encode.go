package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// encodingVersion is raised when the meaning of an encoded field changes, never when a field is added.
const encodingVersion = 1

// envelope is what Encode writes: the version first, so that a reader knows what it has before it reads on.
type envelope struct {
	Version int             `json:"v"`
	Spec    json.RawMessage `json:"spec"`
}

// Encode writes a Spec, NetworkSpec or VolumeSpec for a label. Equal values give equal text: encoding/json sorts
// the keys of maps and writes the fields of structs in order.
func Encode(spec any) string {
	raw, err := json.Marshal(spec)
	if err == nil {
		raw, err = json.Marshal(envelope{encodingVersion, raw})
	}
	if err != nil {
		panic(fmt.Sprintf("plan: a %T does not encode: %v", spec, err)) // only strings, numbers and maps of them
	}
	return string(raw)
}

// Hash is the sha256 of an encoding, in hex.
func Hash(encoded string) string {
	sum := sha256.Sum256([]byte(encoded))
	return hex.EncodeToString(sum[:])
}

// Reason is why something is done: the field, in the file's words, and its value on the host and in the file.
// A Reason without From and To is a sentence in Path.
type Reason struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// String is `environment.LOG_LEVEL: "info" -> "debug"`, or the sentence.
func (r Reason) String() string {
	if r.From == "" && r.To == "" {
		return r.Path
	}
	return r.Path + ": " + orNone(r.From) + " -> " + orNone(r.To)
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// Diff compares two encodings field by field, in order of path. from that is not an encoding of ours (another
// program's, or none) gives one Reason.
func Diff(from, to string) []Reason {
	if from == to {
		return nil
	}
	var a, b envelope
	if json.Unmarshal([]byte(from), &a) != nil || a.Version == 0 {
		return []Reason{{Path: "it has no record of how it was made"}}
	}
	if err := json.Unmarshal([]byte(to), &b); err != nil {
		panic("plan: Diff to something that Encode did not write: " + err.Error())
	}
	if a.Version != b.Version {
		return []Reason{{Path: "format of the record", From: strconv.Itoa(a.Version), To: strconv.Itoa(b.Version)}}
	}
	var reasons []Reason
	diff("", decode(a.Spec), decode(b.Spec), &reasons)
	return reasons
}

func decode(raw json.RawMessage) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // sizes in bytes do not fit a float64
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}

func diff(path string, a, b any, out *[]Reason) {
	am, aok := a.(map[string]any)
	bm, bok := b.(map[string]any)
	if (aok || a == nil) && (bok || b == nil) && (aok || bok) {
		var keys []string
		for k := range am {
			keys = append(keys, k)
		}
		for k := range bm {
			if _, both := am[k]; !both {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		if aok && bok || len(keys) > 0 {
			for _, k := range keys {
				sub := k
				if path != "" {
					sub = path + "." + k
				}
				diff(sub, am[k], bm[k], out)
			}
			// {} against nothing is a difference too: an endpoint without options, say.
			if aok != bok && len(keys) == 0 {
				*out = append(*out, Reason{path, text(a), text(b)})
			}
			return
		}
	}
	al, aok := a.([]any)
	bl, bok := b.([]any)
	if aok && bok && len(al) == len(bl) {
		for i := range al {
			diff(path+"["+strconv.Itoa(i)+"]", al[i], bl[i], out)
		}
		return
	}
	if x, y := text(a), text(b); x != y {
		*out = append(*out, Reason{path, x, y})
	}
}

// text is v as people write it: commands are full of & and >, which json.Marshal would escape for HTML.
func text(v any) string {
	if v == nil {
		return ""
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // v was decoded from JSON
	return strings.TrimSuffix(b.String(), "\n")
}
