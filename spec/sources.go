package spec

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/stackrun/stack/spec/diag"
)

// Sources tells where each value of a Project came from. A position survives
// merge, extends and include: it names the file whose value won.
type Sources map[Path]diag.Range

// Fill gives those of list that have an address, and no place, their place.
func (s Sources) Fill(list diag.List) {
	for _, d := range list {
		if d.Subject == nil && d.Address != "" {
			d.Subject = s.At(Path(d.Address))
		}
	}
}

// At finds the place of p, or of the nearest ancestor that has one.
func (s Sources) At(p Path) *diag.Range {
	for {
		if r, ok := s[p]; ok {
			return &r
		}
		i := len(p) - 1
		for i > 0 && p[i] != '.' && p[i] != '[' {
			i--
		}
		if i <= 0 {
			return nil
		}
		p = p[:i]
	}
}

// MarshalJSON writes each place as [file, line, column] or [file, line, column, end],
// file being an index: spelled out, the places would be most of a project's bytes.
func (s Sources) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("null"), nil
	}
	files, index := []string{}, map[string]int{}
	at := make([]byte, 0, 64*len(s))
	for _, p := range sortedKeys(s) {
		r := s[p]
		f, ok := index[r.Start.File]
		if !ok {
			f = len(files)
			index[r.Start.File] = f
			files = append(files, r.Start.File)
		}
		if len(at) > 0 {
			at = append(at, ',')
		}
		key, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		at = append(append(at, key...), ":["...)
		at = strconv.AppendInt(at, int64(f), 10)
		at = strconv.AppendInt(append(at, ','), int64(r.Start.Line), 10)
		at = strconv.AppendInt(append(at, ','), int64(r.Start.Column), 10)
		if r.End.Column != 0 {
			at = strconv.AppendInt(append(at, ','), int64(r.End.Column), 10)
		}
		at = append(at, ']')
	}
	names, err := json.Marshal(files)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"files":%s,"at":{%s}}`, names, at), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Sources) UnmarshalJSON(data []byte) error {
	var v *struct {
		Files []string
		At    map[Path][]int
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("cannot read the places of a project: %w", err)
	}
	if v == nil {
		*s = nil
		return nil
	}
	*s = make(Sources, len(v.At))
	for p, a := range v.At {
		if len(a) < 3 || a[0] < 0 || a[0] >= len(v.Files) {
			return fmt.Errorf("cannot read the place of %s: %v", p, a)
		}
		r := diag.Range{Start: diag.Pos{File: v.Files[a[0]], Line: a[1], Column: a[2]}}
		if len(a) > 3 {
			r.End = diag.Pos{File: r.Start.File, Line: a[1], Column: a[3]}
		}
		(*s)[p] = r
	}
	return nil
}
