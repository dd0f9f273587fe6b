package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/stackrun/stack/spec/diag"
)

// Bounds of what a file may ask for. They are far above any real file and keep
// alias bombs (CVE-2024-10846) and deep nesting within a second and some 100 MB.
const (
	MaxFile   = 4 << 20 // bytes of one file: some 9,000 services
	MaxScalar = 1 << 20 // bytes of one scalar
	MaxDepth  = 100     // nesting of mappings and lists
	maxCopied = 200_000 // nodes that aliases and merge keys may add to one file
	maxItems  = 200_000 // lines and commas of one file: yaml.v3 needs some 300 bytes for each value
)

// Codes of the faults that Parse reports.
const (
	CodeSyntax    diag.Code = "yaml-syntax"
	CodeEncoding  diag.Code = "encoding"
	CodeDuplicate diag.Code = "duplicate-key"
	CodeKey       diag.Code = "bad-key"
	CodeTag       diag.Code = "unknown-tag"
	CodeAlias     diag.Code = "alias"
	CodeSize      diag.Code = "too-large"
)

// Parse reads the documents of one file, in order; an empty document gives no
// node. name is what positions say. The nodes are usable when the list has no error.
func Parse(name string, data []byte) ([]*Node, diag.List) {
	return (&parser{file: name}).parse(name, data)
}

// ParseTraced is Parse for who wants to know which aliases and merge keys brought
// a value to its place.
func ParseTraced(name string, data []byte) ([]*Node, diag.List) {
	return (&parser{file: name, traced: true}).parse(name, data)
}

func (p *parser) parse(name string, data []byte) ([]*Node, diag.List) {
	if len(data) > MaxFile {
		p.fault(CodeSize, diag.Pos{File: name}, "file too large", fmt.Sprintf("it has %d bytes, the limit is %d", len(data), MaxFile), "")
		return nil, p.faults.List()
	}
	if n := bytes.Count(data, []byte(",")) + bytes.Count(data, []byte("\n")); n > maxItems {
		p.fault(CodeSize, diag.Pos{File: name}, "file too large", fmt.Sprintf("it has %d lines and commas, the limit is %d", n, maxItems), "put large content in a file of its own")
		return nil, p.faults.List()
	}
	if !utf8.Valid(data) {
		p.fault(CodeEncoding, invalidAt(name, data), "not UTF-8", "the file has a byte sequence that is not UTF-8 here", "save the file as UTF-8")
		return nil, p.faults.List()
	}
	var docs []*Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var y yaml.Node
		err := dec.Decode(&y)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.syntax(err, data)
			break
		}
		if n := p.document(&y); n != nil {
			docs = append(docs, n)
		}
	}
	return docs, p.faults.List()
}

type parser struct {
	file   string
	faults diag.Collector
	copied int                 // nodes made for aliases so far
	stack  map[*yaml.Node]bool // anchors being resolved
	alias  int                 // depth of aliases around the current node
	full   bool                // a bound was hit: stop descending
	traced bool                // keep origins
}

func (p *parser) fault(code diag.Code, at diag.Pos, summary, detail, hint string) {
	p.faults.Add(&diag.Diagnostic{Code: code, Summary: summary, Detail: detail, Hint: hint, Subject: &diag.Range{Start: at}})
}

func (p *parser) at(y *yaml.Node) diag.Pos {
	return diag.Pos{File: p.file, Line: y.Line, Column: y.Column}
}

// syntax turns yaml.v3's error, whose place is only in its text, into a fault.
func (p *parser) syntax(err error, data []byte) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := diag.Pos{File: p.file}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if num, msg, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(num); err == nil {
				at.Line, text = line, msg
			}
		}
	}
	if at.Line == 0 {
		at.Line = 1
	}
	hint := ""
	switch {
	case strings.Contains(text, "cannot start any token"):
		hint = "indent with spaces, not with tabs, and quote values that start with a special character"
	case strings.Contains(text, "mapping values are not allowed"):
		hint = "check the indentation, and quote a value that contains \": \""
	case strings.Contains(text, "did not find expected"):
		hint = "check the indentation of this line and the ones above it"
	case strings.Contains(text, "could not find expected ':'"):
		hint = "write a colon and a space between a key and its value, and begin the line as far in as its neighbours"
	case strings.Contains(text, "unexpected end of stream"):
		hint = "close the quote that begins here"
	case strings.Contains(text, "unknown anchor"):
		hint = "define the anchor with & before it is used"
	}
	if strings.Contains(text, "did not find expected") {
		at.Line = max(at.Line, reached(data))
	}
	if name, ok := strings.CutPrefix(text, "unknown anchor '"); ok { // yaml.v3 tells no line of it
		name, _, _ = strings.Cut(name, "'")
		if line, column := aliasAt(data, name); line > 0 {
			at.Line, at.Column = line, column
			p.fault(CodeSyntax, at, "invalid YAML", text, hint)
			return
		}
	}
	if n := bytes.Count(data, []byte("\n")) + 1; at.Line > n {
		at.Line = n
	}
	switch {
	case strings.Contains(text, "tab character"):
		if line, column := tabAt(data, at.Line); line > 0 {
			at.Line, at.Column = line, column
			p.fault(CodeSyntax, at, "invalid YAML", "a tab cannot indent", "indent with spaces")
			return
		}
	case strings.Contains(text, "control characters"):
		if line, column, what := controlAt(data); line > 0 {
			at.Line, at.Column = line, column
			p.fault(CodeSyntax, at, "invalid YAML", "the control character "+what+" is not allowed", `remove it, or write it as an escape in double quotes, such as "\x1b"`)
			return
		}
	default:
		if line, column, over := quoteOver(data, at.Line); line > 0 {
			at.Line, at.Column = line, column
			p.fault(CodeSyntax, at, "invalid YAML", fmt.Sprintf("what this quote begins goes on to the next one, on line %d", over), "close the quote on its line")
			return
		}
	}
	at.Column = syntaxColumn(data, at.Line, text)
	p.fault(CodeSyntax, at, "invalid YAML", text, hint)
}

// reached is the line at which yaml.v3 gives up. For what the parser (not the scanner) finds, the error says only where
// the mapping or list begins that is broken; but the decoder reads no further than it must.
func reached(data []byte) int {
	r := &lineReader{rest: data}
	dec := yaml.NewDecoder(r)
	for {
		var y yaml.Node
		if dec.Decode(&y) != nil {
			return r.lines
		}
	}
}

// lineReader gives one line at each Read, and counts them.
type lineReader struct {
	rest  []byte
	lines int
	part  bool // of a line that is longer than the buffer, more is to come
}

func (r *lineReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	line := r.rest
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
	}
	if !r.part {
		r.lines++
	}
	n := copy(b, line)
	r.part = n < len(line)
	r.rest = r.rest[n:]
	return n, nil
}

// aliasAt finds the first alias *name that is written as one: not within a word, a comment or another name. Lines and columns
// count from 1, in characters; 0, 0 = there is none.
func aliasAt(data []byte, name string) (line, column int) {
	for text := range bytes.Lines(data) {
		line++
		for at := 0; ; at++ {
			i := bytes.Index(text[at:], []byte("*"+name))
			if i < 0 {
				break
			}
			at += i
			before, after := bytes.TrimRight(text[:at], " \t"), text[at+1+len(name):]
			if bytes.Contains(before, []byte(" #")) || bytes.HasPrefix(bytes.TrimLeft(before, " "), []byte("#")) {
				break
			}
			ends := len(after) == 0 || bytes.IndexByte([]byte(" \t\r\n,]}"), after[0]) >= 0
			begins := len(before) < at || at == 0 || bytes.IndexByte([]byte("[{,"), text[at-1]) >= 0
			if begins && ends {
				return line, utf8.RuneCount(text[:at]) + 1
			}
		}
	}
	return 0, 0
}

// syntaxColumn finds what yaml.v3 does not say: where on its line a fault is. It is the
// character that the message is about, else the first of the line.
func syntaxColumn(data []byte, line int, message string) int {
	for range line - 1 {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	text, _, _ := bytes.Cut(data, []byte("\n"))
	at := len(text) - len(bytes.TrimLeft(text, " "))
	switch {
	case strings.Contains(message, "mapping values are not allowed"):
		if i := bytes.LastIndex(bytes.TrimRight(text, " \r"), []byte(":")); i > at {
			at = i
		}
	case strings.Contains(message, "unexpected end of stream"):
		if i := bytes.IndexAny(text, "\"'"); i > at { // the quote that is not closed
			at = i
		}
	case strings.Contains(message, "cannot start any token"):
		if i := bytes.IndexAny(text, "\t@`%"); i > at {
			at = i
		}
	}
	return utf8.RuneCount(text[:at]) + 1
}

func (p *parser) document(y *yaml.Node) *Node {
	if y.Kind != yaml.DocumentNode || len(y.Content) == 0 {
		return nil
	}
	p.stack = map[*yaml.Node]bool{}
	n := p.node(y.Content[0], 0)
	if n.IsNull() && n.Mark == None {
		return nil
	}
	return n
}

// node never returns nil; a faulty part becomes null.
func (p *parser) node(y *yaml.Node, depth int) *Node {
	n := &Node{File: p.file, Line: int32(y.Line), Column: int32(y.Column)}
	if p.full {
		n.Type = Null
		return n
	}
	if p.alias > 0 {
		if p.copied++; p.copied > maxCopied {
			p.full = true
			p.fault(CodeAlias, p.at(y), "too many aliases", fmt.Sprintf("the aliases of this file stand for more than %d values", maxCopied), "use fewer nested aliases")
		}
	}
	if depth > MaxDepth {
		p.full = true
		p.fault(CodeSize, p.at(y), "nested too deeply", fmt.Sprintf("more than %d levels of mappings and lists", MaxDepth), "")
		n.Type = Null
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		return p.resolve(y, depth)
	case yaml.MappingNode:
		n.Kind = Mapping
		p.tag(n, y)
		p.anchored(y, func() { p.pairs(n, y, depth) })
	case yaml.SequenceNode:
		n.Kind = Sequence
		p.tag(n, y)
		p.anchored(y, func() {
			n.Items = make([]*Node, 0, len(y.Content))
			for _, c := range y.Content {
				n.Items = append(n.Items, p.node(c, depth+1))
			}
		})
	default:
		p.scalar(n, y)
	}
	return n
}

// anchored runs f with y marked as under resolution when it carries an anchor, so
// that an alias to it from within is seen as the cycle that it is.
func (p *parser) anchored(y *yaml.Node, f func()) {
	if y.Anchor == "" {
		f()
		return
	}
	p.stack[y] = true
	f()
	delete(p.stack, y)
}

func (p *parser) resolve(y *yaml.Node, depth int) *Node {
	if p.stack[y.Alias] {
		p.fault(CodeAlias, p.at(y), "alias cycle", fmt.Sprintf("*%s stands inside its own anchor, line %d", y.Value, y.Alias.Line), "")
		return &Node{Type: Null, File: p.file, Line: int32(y.Line), Column: int32(y.Column)}
	}
	p.alias++
	n := p.node(y.Alias, depth)
	p.alias--
	if p.traced {
		n.Brought(Step{"alias", p.at(y)})
	}
	return n
}

func (p *parser) scalar(n *Node, y *yaml.Node) {
	n.Value = y.Value
	n.Plain = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
	n.Block = y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if len(y.Value) > MaxScalar {
		p.fault(CodeSize, p.at(y), "value too large", fmt.Sprintf("it has %d bytes, the limit is %d", len(y.Value), MaxScalar), "put large content in a file")
	}
	switch y.Tag {
	case "!!null":
		n.Type = Null
	case "!!bool":
		n.Type = Bool
	case "!!int":
		n.Type = Int
	case "!!float":
		n.Type = Float
	case "!!timestamp":
		n.Type = Timestamp
	case "!!str", "!!binary", "!!merge":
	default:
		p.tag(n, y)
	}
}

// tag handles Compose's own tags and refuses those that nobody knows.
func (p *parser) tag(n *Node, y *yaml.Node) {
	switch y.Tag {
	case "!reset":
		n.Mark = Reset
	case "!override":
		n.Mark = Override
	case "", "!", "!!map", "!!seq":
		return
	default:
		p.fault(CodeTag, p.at(y), "unknown tag", fmt.Sprintf("%q", y.Tag), "Compose knows !reset and !override")
		return
	}
	if n.Kind == Scalar && y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
		// The tag hides the type that the text would have: "!reset null", "!override 3".
		n.Type = plainType(n.Value)
	}
}

func plainType(s string) Type {
	var y yaml.Node
	if s == "" {
		return Null
	}
	if err := yaml.Unmarshal([]byte(s), &y); err != nil || len(y.Content) != 1 {
		return String
	}
	switch y.Content[0].Tag {
	case "!!null":
		return Null
	case "!!bool":
		return Bool
	case "!!int":
		return Int
	case "!!float":
		return Float
	}
	return String
}

func (p *parser) pairs(n *Node, y *yaml.Node, depth int) {
	n.Pairs = make([]Pair, 0, len(y.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Tag == "!!merge" {
			merges = append(merges, v)
			continue
		}
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			p.fault(CodeKey, p.at(k), "key is not a string", "a mapping's key must be a string here", "")
			continue
		}
		key := &Node{Value: k.Value, Plain: k.Style == 0, File: p.file, Line: int32(k.Line), Column: int32(k.Column)}
		if k.Tag != "!!str" && k.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
			p.fault(CodeKey, p.at(k), "key is not a string", fmt.Sprintf("%s is not a string in YAML", k.Value), fmt.Sprintf("quote it: %q", k.Value))
			continue
		}
		if first := n.Pair(key.Value); first != nil {
			p.fault(CodeDuplicate, p.at(k), "duplicate key", fmt.Sprintf("%q is already defined on line %d", key.Value, first.Key.Line), "remove one of them")
			continue
		}
		n.Pairs = append(n.Pairs, Pair{key, p.node(v, depth+1)})
	}
	for _, m := range merges {
		p.mergeKey(n, m, depth)
	}
}

// mergeKey adds what `<<: value` brings; keys that n has already win.
// https://yaml.org/type/merge.html
func (p *parser) mergeKey(n *Node, y *yaml.Node, depth int) {
	target := y
	for target.Kind == yaml.AliasNode {
		if p.stack[target.Alias] {
			p.fault(CodeAlias, p.at(y), "alias cycle", fmt.Sprintf("*%s stands inside its own anchor, line %d", target.Value, target.Alias.Line), "")
			return
		}
		target = target.Alias
	}
	switch target.Kind {
	case yaml.SequenceNode:
		for _, c := range target.Content {
			p.mergeKey(n, c, depth)
		}
	case yaml.MappingNode:
		p.alias++
		from := p.node(target, depth)
		p.alias--
		for _, pair := range from.Pairs {
			if p.traced {
				pair.Value.Brought(Step{"merge key", p.at(y)})
			}
			own := n.Pair(pair.Key.Value)
			switch {
			case own == nil:
				n.Pairs = append(n.Pairs, pair)
			case p.traced:
				own.Value.Replaces(pair.Value)
			}
		}
	default:
		p.fault(CodeAlias, p.at(y), "bad merge key", "<< takes a mapping or a list of mappings", "")
	}
}

// invalidAt is the place of the first byte that is not UTF-8.
func invalidAt(name string, data []byte) diag.Pos {
	at := diag.Pos{File: name, Line: 1, Column: 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			at.Line++
			at.Column = 1
		} else {
			at.Column++
		}
		data = data[size:]
	}
	return at
}
