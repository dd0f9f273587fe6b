package diag_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stackrun/stack/spec/diag"
)

func fault(s diag.Severity, line int) *diag.Diagnostic {
	return &diag.Diagnostic{Severity: s, Code: "odd", Summary: "odd", Detail: fmt.Sprint(line), Subject: &diag.Range{Start: diag.Pos{File: "f", Line: line}}}
}

// A thousand of each severity are kept, all are counted, and one that is found twice is one.
func TestCollector(t *testing.T) {
	var c, other diag.Collector
	for i := 1500; i > 0; i-- {
		c.Add(fault(diag.Warning, i))
		c.Add(fault(diag.Error, i))
		c.Add(fault(diag.Error, i))
	}
	if !c.HasErrors() || c.Errors() != 1500 || !c.Full(diag.Error) || !c.Count(diag.Error) {
		t.Errorf("%d errors", c.Errors())
	}
	list := c.List()
	if len(list) != 2002 || list[0].Subject.Start.Line != 501 || list[2000].Summary != "and 501 more errors" || list[2001].Summary != "and 500 more warnings" {
		t.Errorf("%d faults: %v … %v, %v", len(list), list[0], list[len(list)-2], list[len(list)-1])
	}
	other.Add(fault(diag.Error, 9999))
	other.Join(list)
	if other.Errors() != 1+1501 {
		t.Errorf("joined, there are %d errors", other.Errors())
	}
	if list = list.First(100); len(list) != 202 || list[200].Summary != "and 1401 more errors" || list[201].Code != diag.CodeMore || list[201].More != 1400 {
		t.Errorf("of the first hundred: %d, %v, %v", len(list), list[len(list)-2], list[len(list)-1])
	}
	if list = (diag.List{fault(diag.Error, 1), fault(diag.Error, 2)}).First(1); list[1].Summary != "and 1 more error" {
		t.Errorf("%v", list[1])
	}
}

// A name that is as long as a file is not shown to its end.
func TestRenderCutsLongTexts(t *testing.T) {
	var b strings.Builder
	d := &diag.Diagnostic{Summary: "odd", Detail: "first" + strings.Repeat("é", 100_000) + "last", Hint: strings.Repeat("x", 100_000)}
	diag.Render(&b, diag.List{d}, diag.Style{})
	if out := b.String(); len(out) > 5000 || !strings.Contains(out, "first") || !strings.Contains(out, "last\n") || len(d.Error()) > 5000 {
		t.Errorf("%d bytes shown: %.50s", len(out), out)
	}
}
