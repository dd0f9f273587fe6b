package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/spec/diag"
)

func TestErrorsTravel(t *testing.T) {
	for _, tt := range []struct {
		err    error
		is     error
		status int
	}{
		{errdefs.With(errdefs.ErrNotFound, errors.New("no such image")), errdefs.ErrNotFound, http.StatusNotFound},
		{fmt.Errorf("cannot remove: %w", errdefs.With(errdefs.ErrConflict, errors.New("in use"))), errdefs.ErrConflict, http.StatusConflict},
		{errdefs.With(errdefs.ErrNotSupported, errors.New("x")), errdefs.ErrNotSupported, http.StatusNotImplemented},
		{fmt.Errorf("up: %w", context.Canceled), context.Canceled, 499},
		{errors.New("disk full"), nil, http.StatusInternalServerError},
	} {
		text, err := json.Marshal(FromError(tt.err, roots.Roots{}))
		if err != nil {
			t.Fatal(err)
		}
		var got Error
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Error() != tt.err.Error() || got.Status() != tt.status || tt.is != nil && !errors.Is(&got, tt.is) {
			t.Errorf("%v arrived as %+v, status %d", tt.err, got, got.Status())
		}
	}
	if FromError(nil, roots.Roots{}) != nil {
		t.Error("nil is no error")
	}
}

func TestDiagnosticsTravel(t *testing.T) {
	list := diag.List{
		{Summary: "port taken", Detail: "8080", Subject: &diag.Range{Start: diag.Pos{File: "/c.yaml", Line: 3, Column: 9}}, Hint: "choose another"},
		{Severity: diag.Warning, Summary: "later"},
		{Summary: "image not there"},
	}
	e := FromError(fmt.Errorf("cannot go on: %w", errors.Join(list.Err(), errors.New("and more"))), roots.Roots{})
	text, _ := json.Marshal(e)
	var got Error
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Diagnostics) != 3 || got.Diagnostics[0].Subject.Start.Line != 3 || got.Diagnostics[1].Severity != diag.Warning {
		t.Errorf("got %s", text)
	}
	var d *diag.Diagnostic
	if !errors.As(&got, &d) || d.Summary != "port taken" {
		t.Errorf("the first diagnostic cannot be reached: %v", d)
	}
}

// TestDiagnosticsAreInTheFilesOrder: what has failed side by side is told as the file has it.
func TestDiagnosticsAreInTheFilesOrder(t *testing.T) {
	at := func(line int) *diag.Diagnostic {
		return &diag.Diagnostic{Summary: fmt.Sprint("image of line ", line), Subject: &diag.Range{Start: diag.Pos{File: "/c.yaml", Line: line, Column: 9}}}
	}
	for what, err := range map[string]error{"joined": errors.Join(at(4), at(2), at(3)), "a list": diag.List{at(4), at(2), at(3)}.Err()} {
		e := FromError(err, roots.Roots{})
		var lines []int
		for _, d := range e.Diagnostics {
			lines = append(lines, d.Subject.Start.Line)
		}
		if !slices.Equal(lines, []int{2, 3, 4}) || e.Message != diag.List(e.Diagnostics).Err().Error() {
			t.Errorf("%s: %v, %s", what, lines, e.Message)
		}
	}
	if e := FromError(fmt.Errorf("cannot go on: %w", errors.Join(at(4), at(2))), roots.Roots{}); !strings.HasPrefix(e.Message, "cannot go on: ") {
		t.Errorf("what says more than its diagnostics: %s", e.Message)
	}
}
