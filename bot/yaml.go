package bot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document is a YAML file whose every value knows its place. A decoder into
// structs would stop at the first fault; reading the tree finds them all.
type document struct {
	faults

	name    string
	aliases map[*ast.AliasNode]ast.Node // what each stands for
	merging map[*ast.MappingNode]bool   // what is being merged in, to find what merges itself
	read    int                         // values so far
}

// node is a value and the path that led to it.
type node struct {
	ast.Node

	path string
}

// Bounds on what is read.
const (
	maxBytes = 1 << 20
	maxDepth = 32        // far more than a script needs; the parser's time grows with its square
	maxRead  = 1_000_000 // values, counted again wherever an anchor repeats them
)

// parse returns the root of src; ok is false where there is nothing to read on.
func (d *document) parse(src []byte) (root node, ok bool) {
	src = bytes.TrimPrefix(src, []byte("\uFEFF"))
	switch {
	case len(src) > maxBytes:
		d.faultAt(1, 1, "", "%d bytes, at most %d", len(src), maxBytes)
		return node{}, false
	case !utf8.Valid(src):
		line := 1 + bytes.Count(src[:validPrefix(src)], []byte("\n"))
		d.faultAt(line, 1, "", "not UTF-8: save the file in that encoding")
		return node{}, false
	}
	tokens := lexer.Tokenize(string(src))
	if tk := tooDeep(tokens); tk != nil {
		d.faultAt(tk.Position.Line, tk.Position.Column, "", "nested more than %d deep", maxDepth)
		return node{}, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // duplicates are found with all else
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			p := at.GetToken().Position
			d.faultAt(p.Line, p.Column, "", "not YAML: %s", at.GetMessage())
		} else {
			d.faultAt(1, 1, "", "not YAML: %v", err)
		}
		return node{}, false
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	if len(bodies) == 0 {
		d.faultAt(1, 1, "", "empty: `usher init` writes a script to start from")
		return node{}, false
	}
	if len(bodies) > 1 {
		d.fault(node{Node: bodies[1]}, "a second document: a script is one, without --- in it")
	}
	anchors := &anchors{document: d, named: map[string]ast.Node{}}
	ast.Walk(anchors, bodies[0])
	return node{Node: bodies[0]}, true
}

// validPrefix returns how many bytes of src come before the first that is not UTF-8.
func validPrefix(src []byte) int {
	n := 0
	for n < len(src) {
		r, size := utf8.DecodeRune(src[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// tooDeep returns the token that nests deeper than maxDepth, if one does.
// Nesting by indentation is bounded by the size of the file.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, line, entries := 0, 0, 0
	for _, tk := range tokens {
		switch tk.Type { //nolint:exhaustive // only what nests
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			if tk.Position.Line != line {
				line, entries = tk.Position.Line, 0
			}
			entries++
		}
		if max(brackets, entries) > maxDepth {
			return tk
		}
	}
	return nil
}

// anchors resolves aliases in the order of the file: an anchor may be given anew.
type anchors struct {
	document *document
	named    map[string]ast.Node
}

// Visit implements [ast.Visitor].
func (a *anchors) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AnchorNode:
		a.named[n.Name.GetToken().Value] = n.Value
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		target, ok := a.named[name]
		if !ok {
			line, column := node{Node: n}.position()
			a.document.faultAt(line, column, "", "*%s: no anchor &%s stands before it", name, name)
			return nil
		}
		a.document.aliases[n] = target
	}
	return a
}

func (d *document) fault(n node, format string, args ...any) {
	if _, ok := n.Node.(*ast.AliasNode); ok { // stands for nothing, which is reported already
		return
	}
	line, column := n.position()
	d.faultAt(line, column, n.path, format, args...)
}

func (d *document) faultAt(line, column int, path, format string, args ...any) {
	if d.read >= maxRead { // given up: what follows is not the author's fault
		return
	}
	d.add(Fault{File: d.name, Line: line, Column: column, Path: path, Text: fmt.Sprintf(format, args...)})
}

func (n node) position() (line, column int) {
	if n.Node == nil {
		return 1, 1
	}
	tk := n.GetToken()
	if m, ok := n.Node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		tk = m.Values[0].Key.GetToken() // its own token is the first colon
	}
	if tk == nil || tk.Position == nil {
		return 1, 1
	}
	return tk.Position.Line, tk.Position.Column
}

// resolve follows anchors, aliases and tags to the value itself.
func (d *document) resolve(n node) node {
	for range maxDepth {
		switch v := n.Node.(type) {
		case *ast.AnchorNode:
			n.Node = v.Value
		case *ast.AliasNode:
			target, ok := d.aliases[v]
			if !ok {
				return n
			}
			n.Node = target
		case *ast.TagNode:
			n.Node = v.Value
		default:
			return n
		}
	}
	return n
}

// fields returns the values of a mapping by key, and reports keys other than
// known; without known, any key will do. ok is false where n is no mapping.
func (d *document) fields(n node, known ...string) (fields map[string]node, ok bool) {
	n = d.resolve(n)
	m, ok := n.Node.(*ast.MappingNode)
	if !ok {
		d.fault(n, "%s, want %s", kindOf(n.Node), wantFields(known))
		return nil, false
	}
	fields = map[string]node{}
	d.collect(n, m, known, fields)
	return fields, true
}

func wantFields(known []string) string {
	if len(known) == 0 {
		return "locale: text"
	}
	return "a mapping of " + strings.Join(known, ", ")
}

// collect adds m's values to fields. What m says itself goes before what it
// merges in with <<.
func (d *document) collect(n node, m *ast.MappingNode, known []string, fields map[string]node) {
	if !d.within(n, len(m.Values)) {
		return
	}
	if d.merging[m] {
		d.fault(n, "merges itself")
		return
	}
	d.merging[m] = true
	defer delete(d.merging, m)
	own := map[string]node{}
	var merged []node
	for _, kv := range m.Values {
		key := node{Node: kv.Key, path: n.path}
		if _, ok := kv.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, node{Node: kv.Value, path: n.path})
			continue
		}
		name := kv.Key.GetToken().Value
		value := node{Node: kv.Value, path: join(n.path, name)}
		if first, ok := own[name]; ok {
			line, _ := first.position()
			d.fault(key, "%s: given twice, the first time in line %d", name, line)
			continue
		}
		if len(known) > 0 && !slices.Contains(known, name) {
			d.fault(key, "unknown key %q: %s", name, didYouMean(name, known))
			continue
		}
		own[name] = value
		if _, ok := fields[name]; !ok {
			fields[name] = value
		}
	}
	for _, from := range merged {
		for _, from := range d.items(from, maxDepth) {
			from = d.resolve(from)
			if m, ok := from.Node.(*ast.MappingNode); ok {
				d.collect(node{Node: from.Node, path: n.path}, m, known, fields)
			} else {
				d.fault(from, "%s, want a mapping to merge in", kindOf(from.Node))
			}
		}
	}
}

// items returns the values of a list of at most limit; what is no list is its
// only value.
func (d *document) items(n node, limit int) []node {
	n = d.resolve(n)
	list, ok := n.Node.(*ast.SequenceNode)
	if _, null := n.Node.(*ast.NullNode); null || ok && len(list.Values) == 0 {
		d.fault(n, "empty: leave the key out, or give it a value")
		return nil
	}
	if !ok {
		return []node{n}
	}
	if len(list.Values) > limit {
		d.fault(n, "%d entries, at most %d", len(list.Values), limit)
	}
	if !d.within(n, len(list.Values)) {
		return nil
	}
	items := make([]node, 0, min(len(list.Values), limit))
	for i, v := range list.Values[:min(len(list.Values), limit)] {
		items = append(items, node{Node: v, path: fmt.Sprintf("%s[%d]", n.path, i)})
	}
	return items
}

// within counts values that are read. A script whose anchors repeat each other
// without end is given up.
func (d *document) within(n node, values int) bool {
	if d.read+values+1 >= maxRead {
		d.fault(n, "more than %d values, with all that anchors repeat", maxRead)
		d.read = maxRead
		return false
	}
	d.read += values + 1
	return true
}

// scalar returns a text of 1 to limit characters, without the spaces around it.
// Numbers are taken as they are written.
func (d *document) scalar(n node, limit int) (string, bool) {
	n = d.resolve(n)
	var s string
	switch v := n.Node.(type) {
	case *ast.StringNode:
		s = v.Value
	case *ast.LiteralNode:
		s = v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		s = v.GetToken().Value
	default:
		d.fault(n, "%s, want a text", kindOf(n.Node))
		return "", false
	}
	s = strings.TrimSpace(s)
	if s == "" {
		d.fault(n, "empty")
		return "", false
	}
	if size := utf8.RuneCountInString(s); size > limit {
		d.fault(n, "%d characters, at most %d", size, limit)
		return "", false
	}
	return s, true
}

// flag returns a yes or no; a missing one is no.
func (d *document) flag(n node) bool {
	if n.Node == nil {
		return false
	}
	n = d.resolve(n)
	v, ok := n.Node.(*ast.BoolNode)
	if !ok {
		d.fault(n, "%s, want true or false", kindOf(n.Node))
		return false
	}
	return v.Value
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode:
		return "an anchor that stands for itself"
	}
	return fmt.Sprintf("%q", fit(n.GetToken().Value, 40))
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
