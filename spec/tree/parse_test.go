package tree_test

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/spec/tree"
)

// flat writes a tree as key=value@line:column, to compare.
func flat(n *tree.Node) string {
	var b strings.Builder
	var walk func(at string, n *tree.Node)
	walk = func(at string, n *tree.Node) {
		for _, p := range n.Pairs {
			walk(at+"."+p.Key.Value, p.Value)
		}
		for _, it := range n.Items {
			walk(at+"[]", it)
		}
		if n.Kind == tree.Scalar {
			b.WriteString(strings.TrimPrefix(at, ".") + "=" + n.Text() + "@" + n.Pos().String() + " ")
		}
	}
	walk("", n)
	return strings.TrimSpace(b.String())
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"a: 1\nb:\n  - x\n  - \"é y\"\n": "a=1@f:1:4 b[]=x@f:3:5 b[]=é y@f:4:5",
		// An alias has the place of its anchor: that is where the value is written.
		"x: &x {k: v}\ny: *x":                                                    "x.k=v@f:1:11 y.k=v@f:1:11",
		"x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3":                               "x.a=1@f:1:11 x.b=2@f:1:17 y.b=3@f:4:6 y.a=1@f:1:11",
		"p: &p {a: 1}\nq: &q {a: 2, b: 2}\nr: {<<: [*p, *q]}":                    "p.a=1@f:1:11 q.a=2@f:2:11 q.b=2@f:2:17 r.a=1@f:1:11 r.b=2@f:2:17",
		"{\"json\": [1, true, null]}":                                            "json[]=1@f:1:11 json[]=true@f:1:14 json[]=@f:1:20",
		"a: 017\nb: 0o17\nc: 1e3\nd: 1.0\ne: 2024-01-01\nf: 22:22\ng: yes\nh: ~": "a=15@f:1:4 b=15@f:2:4 c=1000@f:3:4 d=1@f:4:4 e=2024-01-01 00:00:00 +0000 UTC@f:5:4 f=22:22@f:6:4 g=yes@f:7:4 h=@f:8:4",
		"a: !!str 5": "a=5@f:1:4",
	} {
		docs, list := tree.Parse("f", []byte(in))
		if len(list) > 0 || len(docs) != 1 {
			t.Errorf("Parse(%q): %d documents, %v", in, len(docs), list.Err())
			continue
		}
		if got := flat(docs[0]); got != want {
			t.Errorf("Parse(%q)\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestDocumentsAndMarks(t *testing.T) {
	docs, list := tree.Parse("f", []byte("a: 1\n---\n---\na: !reset null\nb: !override [x]\nc: !reset\n"))
	if len(list) > 0 || len(docs) != 2 {
		t.Fatalf("%d documents, %v; expected two, the empty one left out", len(docs), list.Err())
	}
	d := docs[1]
	if d.Get("a").Mark != tree.Reset || !d.Get("a").IsNull() || d.Get("b").Mark != tree.Override || d.Get("b").Kind != tree.Sequence || d.Get("c").Mark != tree.Reset {
		t.Errorf("marks are lost: %+v %+v %+v", d.Get("a"), d.Get("b"), d.Get("c"))
	}
}

// TestAliasesAreCopies: the loader changes nodes in place, so two uses of an anchor must not share any.
func TestAliasesAreCopies(t *testing.T) {
	docs, _ := tree.Parse("f", []byte("a: &a {k: v}\nb: *a\nc: {<<: *a}"))
	docs[0].Get("a").Get("k").Value = "changed"
	if docs[0].Get("b").Get("k").Value != "v" || docs[0].Get("c").Get("k").Value != "v" {
		t.Error("an alias shares nodes with its anchor")
	}
	c := docs[0].Clone()
	docs[0].Get("b").Get("k").Value = "changed"
	if c.Get("b").Get("k").Value != "v" {
		t.Error("a clone shares nodes")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: &a [1]\nb: *a", "<<: {a: 1}", "a: &x\n  b: *x", "? [a]\n: b", "a: !reset", "---\n...\n---", "a: \xff", "\ufeffa: 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, list := tree.Parse("f", data)
		for _, d := range list {
			if d.Subject == nil || d.Subject.Start.File != "f" {
				t.Fatalf("%q: a fault without a place: %v", data, d)
			}
		}
		if !list.HasErrors() {
			for _, d := range docs {
				flat(d)
				d.Clone()
			}
		}
	})
}
