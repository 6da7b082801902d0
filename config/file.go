package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// kind is the shape of a value.
type kind int

const (
	one   kind = iota // a text
	many              // a list of texts
	named             // texts by name
)

// value is what a layer says of a setting: text, or items.
type value struct {
	at    Position
	kind  kind
	text  string
	items []entry
}

// entry is a part of a value.
type entry struct {
	at         Position
	name, text string
}

// readFile collects what the settings file sets. The tree is walked by hand,
// because a decoder stops at the first fault and viper knows no positions, makes
// keys lower-case and splits them at dots.
func (l *loader) readFile(src []byte) {
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	if !utf8.Valid(src) {
		line := 1
		for text := range strings.Lines(string(src)) {
			if !utf8.ValidString(text) {
				break
			}
			line++
		}
		l.faultAt(Position{l.name, line, 1}, "", "not UTF-8 text: save the file as UTF-8")
		return
	}
	tree, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntaxFault(err)
		return
	}
	var bodies []ast.Node
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	if len(bodies) > 1 {
		l.faultAt(l.position(bodies[1]), "", "a second document: settings are one document, remove the --- before it")
		return
	}
	if len(bodies) == 0 {
		return
	}
	r := reader{loader: l, anchors: map[string]ast.Node{}}
	ast.Walk(r, bodies[0])
	r.section(bodies[0], reflect.TypeFor[Config](), "")
}

func (l *loader) syntaxFault(err error) {
	at, text := Position{l.name, 1, 1}, err.Error()
	if syntax := yaml.Error(nil); errors.As(err, &syntax) {
		text = syntax.GetMessage()
		if t := syntax.GetToken(); t != nil {
			at.Line, at.Column = t.Position.Line, t.Position.Column
		}
	}
	if strings.Contains(text, `'	'`) {
		text = "a tab: YAML is indented with spaces only"
	} else {
		text = "not YAML: " + text
	}
	l.faultAt(at, "", "%s", text)
}

func (l *loader) position(n ast.Node) Position {
	switch n := n.(type) {
	case *ast.MappingNode: // its own token is the first colon
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return l.position(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return l.position(n.Key)
	}
	p := n.GetToken().Position
	return Position{Name: l.name, Line: p.Line, Column: p.Column}
}

// reader walks the tree of a settings file along the fields of [Config].
type reader struct {
	*loader

	anchors map[string]ast.Node
}

// Visit collects the anchors.
func (r reader) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		r.anchors[a.Name.String()] = a.Value
	}
	return r
}

// plain returns the node that n stands for, without anchor, alias and tag; nil
// for null.
func (r reader) plain(n ast.Node) ast.Node {
	for range 100 { // an alias may name itself
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.TagNode:
			n = t.Value
		case *ast.AliasNode:
			target, ok := r.anchors[t.Value.String()]
			if !ok {
				r.faultAt(r.position(t), "", "*%s: there is no anchor &%s", t.Value, t.Value)
				return nil
			}
			n = target
		case *ast.NullNode:
			return nil
		default:
			return n
		}
	}
	return nil
}

// section reads the mapping at path into the fields of type t.
func (r reader) section(n ast.Node, t reflect.Type, path string) {
	all, ok := pairs(n)
	if !ok {
		r.faultAt(r.position(n), path, "wants settings below it, not one value; known here: %s", strings.Join(keys(t), ", "))
		return
	}
	for _, pair := range r.distinct(all, path) {
		key, at := r.key(pair), r.position(pair.Key)
		f, isTwin, found := field(t, key)
		if !found {
			r.unknown(at, t, path, key)
			continue
		}
		r.set(pair, f, join(path, key), isTwin)
	}
}

func (r reader) unknown(at Position, section reflect.Type, path, key string) {
	mend := "known here: " + strings.Join(keys(section), ", ")
	if near := closest(key, keys(section)); near != "" {
		mend = fmt.Sprintf("did you mean %s?", near)
	} else if elsewhere := home(reflect.TypeFor[Config](), "", key); elsewhere != "" {
		mend = fmt.Sprintf("did you mean %s?", elsewhere)
	}
	r.faultAt(at, join(path, key), "unknown key; %s", mend)
}

// set reads what one key says.
func (r reader) set(pair *ast.MappingValueNode, f reflect.StructField, path string, isTwin bool) {
	n := r.plain(pair.Value)
	if n == nil {
		return // a key without a value says nothing
	}
	at := r.position(pair.Value)
	if isSection(f.Type) || isPages(f.Type) {
		r.at[path] = r.position(pair.Key)
	}
	short := f.Tag.Get("short")
	_, isScalar := n.(ast.ScalarNode)
	switch {
	case short != "" && isScalar:
		r.file[join(path, short)] = value{at: at, text: text(n)}
	case short != "" && !isMapping(n):
		r.faultAt(at, path, "wants one value, or %s", strings.Join(keys(f.Type), " and "))
	case isSection(f.Type):
		r.section(n, f.Type, path)
	case isPages(f.Type):
		r.list(n, path)
	case isTwin:
		r.twinOf(strings.TrimSuffix(path, twin), f.Type, n, at)
	default:
		v, ok := r.leaf(n, at, path)
		if _, doubly := r.file[path]; doubly {
			r.both(at, path)
		} else if ok {
			r.file[path] = v
		}
	}
}

func (r reader) twinOf(path string, t reflect.Type, n ast.Node, at Position) {
	if _, isScalar := n.(ast.ScalarNode); !isScalar {
		r.faultAt(at, path+twin, "wants the name of a file")
		r.bad[path] = true
		return
	}
	if _, doubly := r.file[path]; doubly {
		r.both(at, path)
		return
	}
	if v, ok := r.readTwin(at, path, t, text(n)); ok {
		r.file[path] = v
	}
}

func (r reader) both(at Position, path string) {
	r.faultAt(at, path, "set twice, also by %s%s: keep one of the two", path, twin)
}

// list reads the Pages.
func (r reader) list(n ast.Node, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.faultAt(r.position(n), path, "wants a list: begin each Page with a dash, - id: ...")
		return
	}
	r.filePages = len(seq.Values)
	for i, v := range seq.Values {
		r.at[item(path, i)] = r.position(v)
		if v = r.plain(v); v != nil {
			r.section(v, reflect.TypeFor[Page](), item(path, i))
		}
	}
}

// leaf reads a text, a list of texts or texts by name; ok is false where that has
// a fault.
func (r reader) leaf(n ast.Node, at Position, path string) (v value, ok bool) {
	v.at = at
	if _, isScalar := n.(ast.ScalarNode); isScalar {
		v.text = text(n)
		return v, true
	}
	if seq, isList := n.(*ast.SequenceNode); isList {
		v.kind = many
		for i, x := range seq.Values {
			r.part(&v, x, "", item(path, i))
		}
		return v, len(v.items) == len(seq.Values)
	}
	all, ok := pairs(n)
	if !ok {
		r.faultAt(at, path, "is not a value that can be read here")
		return v, false
	}
	v.kind = named
	all = r.distinct(all, path)
	for _, pair := range all {
		r.part(&v, pair.Value, r.key(pair), join(path, r.key(pair)))
	}
	return v, len(v.items) == len(all)
}

// part adds to v one of its parts, which must be a scalar.
func (r reader) part(v *value, n ast.Node, name, path string) {
	at := r.position(n)
	scalar, ok := r.plain(n).(ast.ScalarNode)
	if !ok {
		r.faultAt(at, path, "wants one text")
		return
	}
	r.at[path] = at
	v.items = append(v.items, entry{at: at, name: name, text: text(scalar)})
}

func isMapping(n ast.Node) bool {
	_, ok := pairs(n)
	return ok
}

// pairs returns the keys and values of a mapping.
func pairs(n ast.Node) (all []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// key returns the text of a key, without quotes.
func (r reader) key(pair *ast.MappingValueNode) string {
	key := ast.Node(pair.Key)
	if explicit, ok := key.(*ast.MappingKeyNode); ok {
		key = explicit.Value
	}
	if scalar, ok := r.plain(key).(ast.ScalarNode); ok {
		return text(scalar)
	}
	return pair.Key.String()
}

// distinct returns the pairs without repeated and merged keys, which are faults.
func (r reader) distinct(all []*ast.MappingValueNode, path string) []*ast.MappingValueNode {
	first := map[string]Position{}
	var kept []*ast.MappingValueNode
	for _, pair := range all {
		at, key := r.position(pair.Key), r.key(pair)
		before, repeated := first[key]
		switch {
		case pair.Key.IsMergeKey():
			r.faultAt(at, join(path, key), "merge keys are not read here: write the settings out")
		case repeated:
			r.faultAt(at, join(path, key), "set twice, first in line %d: keep one of the two", before.Line)
		default:
			first[key] = at
			kept = append(kept, pair)
		}
	}
	return kept
}

// text returns a scalar as it is written: 007 stays 007.
func text(n ast.Node) string {
	switch n := n.(type) {
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n")
	case *ast.StringNode:
		return n.Value
	}
	return n.GetToken().Value
}

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 64 << 10

// readTwin reads the file that holds a secret. The line end is not part of it; a
// list has an item a line.
func (l *loader) readTwin(at Position, path string, t reflect.Type, name string) (value, bool) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(l.dir, name)
	}
	src, err := readAtMost(name, maxSecret)
	if err != nil {
		l.faultAt(at, path+twin, "%v: name a file that holds the secret", err)
		l.bad[path] = true
		return value{}, false
	}
	v := value{at: at}
	lines := strings.FieldsFunc(string(src), func(c rune) bool { return c == '\n' || c == '\r' })
	switch {
	case len(lines) == 0:
		l.faultAt(at, path+twin, "%s is empty: write the secret into it", name)
	case t == reflect.TypeFor[[]Secret]():
		v.kind = many
		for _, line := range lines {
			v.items = append(v.items, entry{at: at, text: line})
		}
		return v, true
	case len(lines) > 1:
		l.faultAt(at, path+twin, "%s has %d lines: a secret is one line", name, len(lines))
	default:
		v.text = lines[0]
		return v, true
	}
	l.bad[path] = true
	return value{}, false
}
